"""Convolution of images: sums grow row by row, so that the innermost loop runs along rows of the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange


def kernels(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    zero = real(0)

    @jit
    def conv2d(x, w):
        n, c, h, width = x.shape
        f, _, k, taps = w.shape
        out = np.empty((n, f, h - k + 1, width - taps + 1), x.dtype)
        for image in prange(n):
            for filter in range(f):
                for i in range(h - k + 1):
                    row = out[image, filter, i]
                    for j in range(len(row)):
                        row[j] = zero
                    for channel in range(c):
                        for p in range(k):
                            line = x[image, channel, i + p]
                            for q in range(taps):
                                factor = w[filter, channel, p, q]
                                for j in range(len(row)):
                                    row[j] += factor * line[j + q]
        return out

    return {"conv2d_forward": conv2d}
