"""Transforms on OpenCL: kernels of the pack, of long lines too, in steps of loops, in any layout; under a watcher."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
import plugin_ops_fft as fft
from core.ir.program import HostStep, LibraryStep
from core.testing import available_backends, random
from plugin_ops_fft.device.lengths import halves, radices, turns

needs_device = pytest.mark.skipif("opencl" not in available_backends(), reason="needs plugin-backend-opencl")
WATCHED = Path(__file__).parent / "watched.py"
OCLGRIND = next((str(path) for path in Path("/usr/lib/oclgrind").glob("liboclgrind-rt-icd.so")), None)


def near(found, expected, eps=2e-15):
    return np.linalg.norm(found - expected) <= eps * max(np.linalg.norm(expected), 1e-300)


@needs_device
def test_they_are_routines_of_the_pack():
    x = ct.tensor("x", dtype="float32", ndim=2)
    y = fft.irfft(fft.rfft(x)) + ct.real(fft.ifft(fft.fft(x * 1j)))
    f = core.function([x], [y, core.grad((y**2).sum(), x)], backend="opencl", strict=True)
    called = {step.call.name for step in f.program.steps if isinstance(step, LibraryStep)}
    assert called == {"fourier", "fourier_of_real", "fourier_to_real"}
    assert not any(isinstance(step, HostStep) for step in f.program.steps)


@needs_device
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_long_lines_are_those_of_numpy(dtype):
    x = ct.tensor("x", dtype=dtype, ndim=1)
    f = core.function([x], fft.fft(x), backend="opencl", strict=True)
    real = core.function([x], fft.irfft(fft.rfft(ct.real(x)), x.shape[0]), backend="opencl", strict=True)
    for n in (2**15, 65537, 2**20):
        a = random((n,), dtype)
        assert near(f(a), np.fft.fft(a.astype("complex128")), 1e-6 if dtype == "complex64" else 4e-15)
        assert near(real(a), a.real, 1e-6 if dtype == "complex64" else 4e-15)


@needs_device
def test_arrays_lie_as_they_like_and_may_be_written_over():
    z = ct.tensor("z", dtype="complex128", ndim=3)
    views = [z, z.T, z[::-1, ::2], z[1:], ct.exp(z)]
    f = core.function([z], [fft.fftn(v, axes=(0, 2)) for v in views], backend="opencl", strict=True)
    a = random((4, 6, 5), "complex128")
    given = [a, a.T, a[::-1, ::2], a[1:], np.exp(a)]
    for _ in range(3):
        for found, v in zip(f(a), given, strict=True):
            assert near(found, np.fft.fftn(v, axes=(0, 2)))


@needs_device
def test_steps_of_a_loop_are_transformed_where_their_rows_lie():
    x, h = ct.zmatrix("x"), ct.zvector("h")
    out = core.scan(lambda row, h: fft.ifft(fft.fft(row) * fft.fft(h)), sequences=x, outputs_info=h)
    f = core.function([x, h], out, backend="opencl", strict=True)
    rows, start = random((3, 5), "complex128"), random((5,), "complex128")
    state, expected = start, []
    for row in rows:
        state = np.fft.ifft(np.fft.fft(row) * np.fft.fft(state))
        expected.append(state)
    assert_allclose(f(rows, start), expected, rtol=1e-12)


@needs_device
def test_infinities_are_not_turned_by_one():
    x = ct.zvector("x")
    found = core.function([x], fft.fft(x), backend="opencl")(np.array([0, np.inf + 1j]))
    assert found[0].real == np.inf and found[1].real == -np.inf and not np.isnan(found.imag).any()


@needs_device
@pytest.mark.parametrize("schedule", ["pieces", "groups"])
@pytest.mark.skipif(OCLGRIND is None, reason="oclgrind is not installed (Debian: apt-get install oclgrind)")
def test_oclgrind_finds_nothing(schedule, tmp_path):
    """Lines of 16 elements at most, so that most lengths have two factors or three."""
    (tmp_path / "oclgrind.icd").write_text(f"{OCLGRIND}\n")
    log = tmp_path / "log"
    checks = {"OCLGRIND_DATA_RACES": "1", "OCLGRIND_LOG": str(log), "CORE_OPENCL_PRODUCTS": "kernels"}
    where = {"OCL_ICD_VENDORS": str(tmp_path), "CORE_OPENCL_DEVICE": "oclgrind"}
    done = subprocess.run(
        [sys.executable, str(WATCHED), schedule, "512"],
        env={**os.environ, **where, **checks, "CORE_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all are as they should be\n")
    assert not log.exists() or log.read_text() == ""


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 12, 97, 1000, 4096])
def test_tables_are_exact(n):
    pairs = turns(n).reshape(-1, 2)
    exact = np.exp(-2j * np.pi * np.arange(n).astype("longdouble") / n)
    assert_allclose(pairs[:, 0] + 1j * pairs[:, 1], exact, rtol=0, atol=3e-15)
    on_axes = pairs[np.arange(n) * 4 % n == 0]
    assert set(np.abs(on_axes).reshape(-1)) <= {0.0, 1.0}


def test_lengths_have_factors_that_fit():
    assert radices(4 * 4 * 2 * 3 * 31) == (4, 4, 2, 3, 31)
    assert radices(37) is None
    assert halves(2**20, 1024) == (1024, 1024)
    assert halves(3 * 2**20, 1024) == (1024, 3072)
