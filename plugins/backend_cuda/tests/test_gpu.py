"""What a real GPU computes, kernels and each library; ``benchmarks/gpu.py --check`` runs all tests of core there.

Without a GPU, or without the library, a test is skipped and says what is missing; CORE_REQUIRE_DEVICE=cuda fails it.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import core
import core.tensor as ct
from core.testing import needs, random
from plugin_backend_cuda import cublas, cufft, cusolver


def agrees(op, *arrays, tol=1e-9):
    """On the GPU as by the interpreter; nothing is left to Python."""
    inputs = [ct.tensor(f"x{k}", dtype=x.dtype.name, ndim=x.ndim) for k, x in enumerate(arrays)]
    f, g = (core.function(inputs, op(*inputs), backend=backend) for backend in ("cuda", "interpreter"))
    assert not f.program.host_nodes
    np.testing.assert_allclose(f(*arrays), g(*arrays), rtol=tol, atol=tol)


def test_kernels():
    needs("cuda")
    agrees(lambda x: ct.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1), random((50, 300)))


def test_products_on_cublas():
    needs("cuda", str(cublas.probe().reason or ""))
    for dtype in ("float64", "complex128"):
        agrees(lambda a, b: a @ b, random((70, 40), dtype), random((40, 90), dtype, seed=1))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_systems_on_cusolver(dtype):
    linalg = pytest.importorskip("plugin_ops_linalg")
    needs("cuda", str(cusolver.probe().reason or ""))
    x = random((3, 60, 60), dtype)
    a, b = x @ np.swapaxes(x, -1, -2).conj() + np.eye(60), random((60, 2), dtype, seed=1)
    for assume_a in ("gen", "pos", "her", "sym", "tridiagonal"):
        agrees(lambda a, b, assume_a=assume_a: linalg.solve(a, b, assume_a=assume_a), a, b, tol=1e-6)
    agrees(lambda a: linalg.eigvalsh(a), a)
    agrees(lambda a: linalg.svdvals(a), a)


def test_transforms_on_cufft():
    fft = pytest.importorskip("plugin_ops_fft")
    needs("cuda", str(cufft.probe().reason or ""))
    agrees(lambda x: fft.fft(x), random((5, 60)))


# --- what becomes of these without a GPU ----------------------------------------------------------------------------


def run_without_a_device(**variables):
    """These very tests, in a process that is not let use the plugin."""
    environment = {**os.environ, "CORE_REQUIRE_DEVICE": "", "CORE_PLUGINS_DISABLE": "backend-cuda", **variables}
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-k", "kernels or _on_", __file__]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parent)


def test_without_a_gpu_they_are_skipped_and_say_what_is_missing():
    done = run_without_a_device()
    assert done.returncode == 0, done.stdout
    assert "needs backend 'cuda': " in done.stdout and "passed" not in done.stdout and "failed" not in done.stdout


def test_where_a_gpu_is_required_every_one_of_them_fails_and_says_what_is_missing():
    done = run_without_a_device(CORE_REQUIRE_DEVICE="cuda")
    assert done.returncode == 1, done.stdout
    summary = done.stdout.splitlines()[-1]
    assert "failed" in summary and "skipped" not in summary and "passed" not in summary
    assert "CORE_REQUIRE_DEVICE needs backend 'cuda': " in done.stdout and "backend-cuda" in done.stdout
