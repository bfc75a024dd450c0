"""Runs transforms on the OpenCL device at hand and compares them with NumPy: `python watched.py groups`.

Under oclgrind, which simulates a device and watches every access, this is the sample that test_device.py takes.
"""

import sys

import numpy as np

import core
import core.tensor as ct
import plugin_ops_fft as fft

LENGTHS = (1, 2, 6, 15, 28, 37, 121, 360)  # each radix, one for any, a prime too large for that; several factors


def main(schedule, most):
    from plugin_ops_fft.device import routines

    routines.LOCAL_BYTES = most  # so that short lines have to be taken in two and three factors
    rng = np.random.default_rng(0)
    z, x = ct.zmatrix("z"), ct.fmatrix("x")
    outputs = [fft.fft(z), fft.ifft2(z.T), fft.irfft(fft.rfft(x), x.shape[1]), fft.rfft(x.T, axis=0)]
    with core.config.override({"opencl.schedule": schedule}):
        f = core.function([z, x], outputs, backend="opencl", strict=True)
    for n in LENGTHS:
        a = rng.normal(size=(3, n)) + 1j * rng.normal(size=(3, n))
        b = a.real.astype("float32")
        expected = [np.fft.fft(a), np.fft.ifft2(a.T), b, np.fft.rfft(b.T.astype("float64"), axis=0)]
        for got, want in zip(f(a, b), expected, strict=True):
            scale = np.abs(want).max()
            tolerance = 1e-5 if got.dtype in ("float32", "complex64") else 1e-13
            np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale)
    print("all are as they should be")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
