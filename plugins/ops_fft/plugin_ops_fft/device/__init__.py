"""Fourier transforms on devices: kernels in the words of core.ir.clike.cwritten, and what launches them."""
