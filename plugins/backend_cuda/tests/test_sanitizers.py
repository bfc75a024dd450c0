"""Kernels on the host under gcc's address and undefined-behaviour sanitizers: none strays, and a stray one is found."""

import os
import subprocess
import sys
import textwrap

import pytest

START = """
    from plugin_backend_cuda.shim.suite import use_shim
    use_shim()
    import random
    import numpy as np
    import core
"""


def library(name):
    """The path of a sanitizer's library, or None where gcc has none."""
    try:
        path = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
    except OSError:
        return None
    return path if os.path.isabs(path) else None


LIBRARIES = [library("libasan.so"), library("libubsan.so")]
pytestmark = pytest.mark.skipif(None in LIBRARIES, reason="gcc has no sanitizers here")


def sanitized(text):
    """Runs a program whose kernels are watched: its exit status and all that it said."""
    variables = {
        "LD_PRELOAD": " ".join(LIBRARIES),
        "ASAN_OPTIONS": "detect_leaks=0",
        "CORE_CUDA_SANITIZE": "1",
    }
    program = textwrap.dedent(START) + textwrap.dedent(text)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **variables}
    )
    return done.returncode, done.stdout + done.stderr


def test_random_graphs_stay_inside_their_arrays():
    status, said = sanitized("""
        from core.testing.graphs import build
        for seed in range(25):
            rng = random.Random(seed)
            graph = build(seed, [rng.randrange(2**32) for _ in range(8)], ("float64", "float32", "int64", "int32"))
            run = core.function(graph.inputs, graph.outputs, backend="cuda", on_unused_input="ignore")
            for got, want in zip(run(*graph.arrays), graph.expected):
                assert np.allclose(got, want, **graph.tolerance(), equal_nan=True), graph
        print("all right")
    """)
    assert status == 0 and "all right" in said, said


@pytest.mark.parametrize(
    "body, found",
    [
        ("y[n] = 0;", "heap-buffer-overflow"),
        ("y[0] = x[-1];", "heap-buffer-overflow"),
        ("__shared__ float s[8]; s[threadIdx.x + n] = 1; y[0] = s[0];", "out of bounds"),
        ("y[0] = ((const core_f4 *)(x + 1))[0].at[0];", "misaligned address"),
        ("y[0] = 1 << (n + 30);", "shift exponent"),
    ],
    ids=["past the end", "before the start", "past shared memory", "misaligned", "undefined shift"],
)
def test_a_kernel_that_strays_is_found(body, found):
    status, said = sanitized(f"""
        from core.device.contract import Grid, Source
        from core.ir.nodes import Kernel
        from plugin_backend_cuda import backend
        from plugin_backend_cuda.dialect import CUDA
        device = backend.driver.open().space.device
        text = CUDA.preamble + '''
        struct __align__(16) core_f4 {{ float at[4]; }};
        extern "C" __global__ void k(float *y, const float *x, int64_t n)
        {{
            {body}
        }}
        '''
        code = device.build(Source("k", text, ((Kernel("k", [], [], [], "stray"), ()),)))
        y, x = device.allocate(32), device.allocate(32)
        device.launcher(code, "k", [y, x, 8], Grid((1, 1), (1, 1)))()
        print("nothing was found")
    """)
    assert status != 0 and found in said, said


def test_tiles_rows_and_linear_algebra_stay_inside_their_arrays():
    status, said = sanitized("""
        import core.tensor as ct
        import plugin_ops_linalg as linalg
        x, b = ct.matrix("x"), ct.matrix("b")
        outputs = [
            x + x.T, ct.softmax(x, axis=1), ct.softmax(x, axis=0), x.max(axis=1),
            linalg.cholesky(x @ x.T + 9 * ct.eye(x.shape[0])), linalg.inv(x),
            linalg.solve_triangular(x.T, b, lower=True), linalg.lu_solve(linalg.lu_factor(x), b),
            *linalg.qr(x), linalg.det(x), linalg.svdvals(x),
        ]
        f, g = (core.function([x, b], outputs, backend=name) for name in ("cuda", "interpreter"))
        for n in (1, 5, 33):
            rng = np.random.default_rng(n)
            arrays = rng.uniform(-1, 1, (n, n)) + 3 * np.eye(n), rng.uniform(-1, 1, (n, 3))
            for got, want in zip(f(*arrays), g(*arrays)):
                assert np.allclose(abs(got), abs(want)), (got, want)
        print("all right")
    """)
    assert status == 0 and "all right" in said, said


def test_long_lines_that_are_sorted_in_pieces_stay_inside_their_arrays():
    status, said = sanitized("""
        import core.tensor as ct
        x = ct.matrix("x", dtype="float32")
        f = core.function([x], [ct.sort(x), ct.argsort(x)], backend="cuda")
        for n in (1023, 1025, 4099):
            a = np.random.default_rng(n).integers(0, 500, (2, n)).astype("float32")
            values, order = f(a)
            assert (values == np.sort(a)).all() and (order == np.argsort(a, stable=True)).all(), n
        print("all right")
    """)
    assert status == 0 and "all right" in said, said


def test_rows_with_sums_of_their_columns_and_thin_products_stay_inside_their_arrays():
    status, said = sanitized("""
        import core.tensor as ct
        x, w, g = ct.fmatrix("x"), ct.fvector("w"), ct.fmatrix("g")
        d = x - x.mean(axis=1, keepdims=True)
        y = d / ct.sqrt((d * d).mean(axis=1, keepdims=True) + 1e-5) * w
        h = g * (1 - ct.tanh(x) ** 2)
        outputs = [*core.grad((y * g).sum(), [x, w]), h, w - h.sum(axis=0), ct.softmax(x, axis=1)]
        f, plain = (core.function([x, w, g], outputs, backend=name) for name in ("cuda", "interpreter"))
        for rows, n in ((3, 4), (5, 31), (9, 132), (2, 4096), (2, 4100)):
            rng = np.random.default_rng(n)
            arrays = [rng.uniform(-1, 1, shape).astype("float32") for shape in ((rows, n), (n,), (rows, n))]
            for got, want in zip(f(*arrays), plain(*arrays)):
                assert np.allclose(got, want, rtol=1e-3, atol=1e-3), (rows, n)
        a, b = ct.matrix("a"), ct.matrix("b")
        product = core.function([a, b], a @ b, backend="cuda")
        for m, k, n in ((129, 33, 3), (3, 33, 129), (129, 3, 130)):
            for turned in (False, True):
                rng = np.random.default_rng(m)
                one = rng.uniform(-1, 1, (k, m)).T if turned else rng.uniform(-1, 1, (m, k))
                other = rng.uniform(-1, 1, (k, n))
                assert np.allclose(product(one, other), one @ other), (m, k, n)
        print("all right")
    """)
    assert status == 0 and "all right" in said, said
