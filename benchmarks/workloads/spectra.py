"""Fourier transforms: of lines, complex and real, of images; and a filter by its spectrum, with its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads.base import FORWARD, GRADIENT, Case, Family


def _complex(rng: np.random.Generator, *shape: int) -> list[np.ndarray]:
    return [rng.standard_normal(shape) + 1j * rng.standard_normal(shape)]


def _real(rng: np.random.Generator, *shape: int) -> list[np.ndarray]:
    return [rng.standard_normal(shape)]


def _filtered(rng: np.random.Generator, n: int, length: int) -> list[np.ndarray]:
    """Signals (n, length), and how much of each frequency is let through (length // 2 + 1,)."""
    return [rng.standard_normal((n, length)), rng.uniform(0, 1, length // 2 + 1)]


def _filter(m: Any, x: Any, h: Any) -> Any:
    return m.irfft(m.rfft(x) * h)


def _filter_gradient(x: np.ndarray, h: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    """The filter is its own transpose; frequencies other than the first and the last are there twice."""
    spectrum, length = np.fft.rfft(g), x.shape[-1]
    twice = np.full(h.shape, 2, h.dtype)
    twice[[0, -1]] = 1
    shares = np.fft.rfft(x).conj()
    shares *= spectrum
    return [np.fft.irfft(spectrum * h), shares.real.sum(0) * twice / h.dtype.type(length)]


FFT = Family("fft", _complex, lambda m, x: m.fft(x), "transform", tiny=(3, 12))
RFFT = Family("rfft", _real, lambda m, x: m.rfft(x), "transform", tiny=(3, 12))
FFT2 = Family("fft2", _complex, lambda m, x: m.fft2(x), "transform", tiny=(6, 10))
FILTER = Family("filter", _filtered, _filter, "transform", _filter_gradient, wrt=(0, 1), tiny=(3, 16))

CASES = [
    Case(FFT, FORWARD, "float64", (1000, 64)),
    Case(FFT, FORWARD, "float64", (100, 1024), quick=True),
    Case(FFT, FORWARD, "float64", (100, 1000)),
    Case(FFT, FORWARD, "float64", (1, 65536)),
    Case(FFT, FORWARD, "float32", (100, 1024)),
    Case(RFFT, FORWARD, "float64", (1000, 256)),
    Case(RFFT, FORWARD, "float64", (100, 4096)),
    Case(RFFT, FORWARD, "float32", (100, 4096)),
    Case(FFT2, FORWARD, "float64", (256, 256)),
    Case(FFT2, FORWARD, "float64", (512, 512)),
    Case(FFT2, FORWARD, "float32", (512, 512)),
    Case(FILTER, FORWARD, "float64", (100, 4096)),
    Case(FILTER, GRADIENT, "float64", (100, 4096), quick=True),
    Case(FILTER, GRADIENT, "float32", (100, 4096)),
]
