"""The CUDA backend: programs become kernels for NVIDIA GPUs, with products on cuBLAS.

Only what plugins must say is here; nothing heavy is imported, and no driver is touched.
"""
