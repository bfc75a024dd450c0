"""products.c alone, for each kind of processor: layouts, lengths, values that are not finite, pieces of a product."""

import itertools
import platform

import cffi
import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.dataclass import replace
from core.ir.clike.cinterface import functions_of
from core.ir.program import LibraryStep
from core.testing import random
from plugin_backend_c import blas, cache, compiler, products, ready

KINDS = {"native": None, "plain": ("-O2",)}
if platform.machine() in ("x86_64", "AMD64"):
    KINDS["avx2"] = ("-O2", "-mavx2", "-mfma")
KINDS_OF_PRODUCT = ("gemm", "product", "product_plan", "product_end")
DTYPES = {"float64": 1e-12, "float32": 1e-4, "complex128": 1e-12, "complex64": 1e-4}
DECLARATIONS = """
void core_sproduct(void *, int64_t, int64_t, int64_t);
void core_dproduct(void *, int64_t, int64_t, int64_t);
void core_cproduct(void *, int64_t, int64_t, int64_t);
void core_zproduct(void *, int64_t, int64_t, int64_t);
void core_product_threads(int (*)(void), void (*)(int));
int64_t core_dproduct_plan(void *);
void core_dproduct_end(void *);
int64_t core_dstack_plan(void *);
"""


@pytest.fixture(scope="module", params=KINDS)
def own(request):
    """The library, built for one kind of processor."""
    return _built(ready.products_text(*ready.LETTERS), KINDS[request.param])


@pytest.fixture(scope="module", params=KINDS)
def without_blas(request):
    """The same, but no product is left to BLAS."""
    decision = "static int is_ours(double m, double n, double k, int a_turned, int b_turned, double size)\n{"
    text = ready.products_text(*ready.LETTERS)
    assert decision in text
    unused = "    (void)a_turned, (void)b_turned, (void)size;"
    return _built(text.replace(decision, f"{decision}\n{unused}\n    return 1;"), KINDS[request.param])


def _built(text, flags):
    found, _ = compiler.find()
    ffi = cffi.FFI()
    ffi.cdef(ready.STRUCTURE + DECLARATIONS)
    builder = replace(found, flags=(*(flags or found.flags), "-ffp-contract=fast"))
    library, _ = cache.load([text], builder)
    return ffi, ffi.dlopen(library._name)


def strided(array, turned):
    """The same matrix, row by row or column by column, and its strides in elements."""
    stored = np.ascontiguousarray(array.T if turned else array)
    rows, columns = array.shape
    return stored, (1, rows) if turned else (columns, 1)


def multiply(own, a, b, turned=(False, False), start=None, alpha=1, in_place=False, columns=False, pieces=None):
    """A product, done in ``pieces``, pairs of first and last row (or column)."""
    ffi, library = own
    (m, k), n = a.shape, b.shape[1]
    out = start.copy() if in_place else np.full((m, n), np.nan, a.dtype)
    letter = products.LETTERS[str(a.dtype)]
    (stored_a, steps_a), (stored_b, steps_b) = strided(a, turned[0]), strided(b, turned[1])
    start = out if in_place else start
    used = (stored_a, stored_b, start, out)
    hold = [ffi.NULL if array is None or not array.size else ffi.from_buffer(array) for array in used]
    gemm = ffi.cast("void *", blas.address(f"{letter}gemm"))
    p = ffi.new("core_product *", [gemm, *hold, m, n, k, *steps_a, *steps_b, n, alpha, columns])
    for first, last in pieces or [(0, n if columns else m)]:
        getattr(library, f"core_{letter}product")(p, first, last, 0)
    return out


LENGTHS = [(m, n, k) for m in (1, 2, 3, 7, 8, 17, 70) for n in (1, 2, 7, 8, 9, 17, 33, 65) for k in (0, 1, 9, 33, 300)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turned", list(itertools.product([False, True], repeat=2)))
def test_products_of_every_layout_and_length(own, dtype, turned):
    for m, n, k in [*LENGTHS, (0, 3, 2), (3, 0, 2), (100, 110, 120), (97, 300, 64), (200, 10, 500)]:
        a, b = random((m, k), dtype), random((k, n), dtype, seed=1)
        got = multiply(own, a, b, turned)
        assert_allclose(got, a @ b, rtol=DTYPES[dtype], atol=DTYPES[dtype] * max(k, 1) ** 0.5, err_msg=f"{m} {n} {k}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turned", list(itertools.product([False, True], repeat=2)))
def test_blocks_of_every_layout_are_right_where_factors_are_packed_and_copied(without_blas, dtype, turned):
    packed = [(8, 64, 9), (70, 300, 300), (130, 140, 520), (300, 67, 385), (33, 129, 64), (400, 330, 770)]
    copied = [(97, 800, 400), (64, 800, 400)]  # more of B than the second cache has, for many rows and for few
    for m, n, k in packed + copied:
        a, b, c = random((m, k), dtype), random((k, n), dtype, seed=1), random((m, n), dtype, seed=2)
        near = {"rtol": DTYPES[dtype], "atol": DTYPES[dtype] * k**0.5, "err_msg": f"{m} {n} {k}"}
        assert_allclose(multiply(without_blas, a, b, turned), a @ b, **near)
        for in_place in (False, True):
            got = multiply(without_blas, a, b, turned, c, -0.5, in_place)
            assert_allclose(got, c - 0.5 * (a @ b), **near)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [1, -1, -0.1])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_product_may_be_scaled_and_added_to_what_is_there_or_elsewhere(own, dtype, alpha, in_place):
    for m, n, k in [(1, 9, 5), (1, 40, 7), (1, 8, 9), (9, 1, 5), (5, 7, 0), (17, 33, 300), (120, 130, 140)]:
        a, b, c = random((m, k), dtype), random((k, n), dtype, seed=1), random((m, n), dtype, seed=2)
        for turned in itertools.product([False, True], repeat=2):
            got = multiply(own, a, b, turned, c, alpha, in_place)
            assert_allclose(got, c + alpha * (a @ b), rtol=1e-3, atol=DTYPES[dtype])


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 40, 5), (40, 1, 5), (120, 130, 140)])
def test_what_is_not_finite_is_kept_and_memory_is_not_read_before_it_is_written(own, shape):
    m, n, k = shape
    a, b = random((m, k)), random((k, n), seed=1)
    a[:, 0], b[0, 0], a[-1, 1] = 0.0, np.inf, np.nan
    with np.errstate(invalid="ignore"):
        expected = a @ b
    assert np.isnan(expected[:, 0]).all() and np.isnan(expected[-1]).all()
    assert_allclose(multiply(own, a, b), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(40, 24, 30), (300, 40, 500)])
@pytest.mark.parametrize("columns", [False, True])
def test_a_product_may_be_done_in_pieces(own, columns, shape):
    m, n, k = shape
    a, b = random((m, k)), random((k, n), seed=1)
    length = n if columns else m
    pieces = [(0, 16), (16, 24), (24, length)]
    assert_allclose(multiply(own, a, b, columns=columns, pieces=pieces), a @ b, rtol=1e-11, atol=1e-11)


def pieces_of(own, m, n, k):
    """Whether a product is divided by columns, or "terms", and how long a piece is."""
    ffi, library = own
    given = {"a": ffi.cast("void *", 64), "m": m, "n": n, "k": k, "a_row": k, "a_column": 1, "b_row": n, "b_column": 1}
    p = ffi.new("core_product *", given)
    piece = library.core_dproduct_plan(p)
    if p.deep:
        assert p.deep == piece
        p.m = 0  # nothing was made: memory alone is given back
        library.core_dproduct_end(p)
    return "terms" if p.deep else bool(p.columns), piece


def test_pieces_depend_on_lengths_alone_and_divide_what_is_large(own):
    assert pieces_of(own, 64, 64, 64) == (False, 64) and pieces_of(own, 0, 0, 3) == (False, 1)
    assert pieces_of(own, 64, 500, 784) == (True, 256)
    assert pieces_of(own, 512, 512, 512) == (False, 256)
    assert pieces_of(own, 1, 4096, 4096) == (True, 256)
    assert pieces_of(own, 1, 300, 9000) == (True, 300)  # pieces would read memory in steps
    assert pieces_of(own, 10**6, 8, 8)[1] >= 10**6 / 64


def test_few_long_sums_are_divided_along_their_terms(own):
    assert pieces_of(own, 1, 100, 10**6) == ("terms", 62528)
    assert pieces_of(own, 50, 10, 10**5) == ("terms", 6272)
    assert pieces_of(own, 1, 1, 10**7) == ("terms", 625024)
    for shape in [(50, 10, 1000), (200, 200, 5000), (1, 1, 10**5), (0, 5, 10**7), (5, 0, 10**7)]:
        assert pieces_of(own, *shape)[0] != "terms"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, n", [(7, 10), (1, 33), (20, 1)])
def test_sums_in_pieces_are_those_of_numpy_however_many_threads_there_are(dtype, m, n):
    k = 200_000
    x, y, c = (ct.matrix(name, dtype=dtype) for name in "xyc")
    f = core.function([x, y, c], [x.T @ y, y.T @ x, c - 0.5 * (x.T @ y)], backend="c")
    a, b, start = random((k, m), dtype), random((k, n), dtype, seed=1), random((m, n), dtype, seed=2)
    results = []
    for threads in (1, 2, 3):
        with core.num_threads(threads):
            results.append(f(a, b, start))
    near = {"rtol": 1e-3, "atol": 0.02} if dtype in ("float32", "complex64") else {"rtol": 1e-9, "atol": 1e-9}
    for got, want in zip(results[0], [a.T @ b, b.T @ a, start - 0.5 * (a.T @ b)], strict=True):
        assert_allclose(got, want, **near)
    for other in results[1:]:
        assert all(np.array_equal(one, same) for one, same in zip(results[0], other, strict=True))


@pytest.mark.parametrize("shape", [(300, 200, 120), (64, 500, 784), (2048, 1, 2100), (1, 2100, 2048)])
def test_the_pieces_of_a_product_are_the_product(own, shape):
    m, n, k = shape
    columns, piece = pieces_of(own, *shape)
    length = n if columns else m
    pieces = [(first, min(first + piece, length)) for first in range(0, length, piece)]
    assert len(pieces) > 1
    a, b = random((m, k)), random((k, n), seed=1)
    assert_allclose(multiply(own, a, b, columns=columns, pieces=pieces), a @ b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(300, 192), (64, 500), (100, 191), (65, 257)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_matrix_times_itself_transposed_is_symmetric(dtype, shape, turned):  # to the bit where half of it is copied
    x = ct.tensor("x", dtype=dtype, ndim=2)
    f = core.function([x], x @ x.T if turned else x.T @ x, backend="c")
    a = random(shape[::-1] if turned else shape, dtype)
    got = f(a)
    assert_allclose(got, a @ a.T if turned else a.T @ a, rtol=DTYPES[dtype], atol=100 * DTYPES[dtype])
    assert np.array_equal(got, got.T) or shape[1] < 192
    a[3, 5], a[5, 4] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        assert_allclose(f(a), a @ a.T if turned else a.T @ a, rtol=DTYPES[dtype], atol=100 * DTYPES[dtype])


def test_blas_works_with_one_thread_for_us_and_with_as_many_as_before_for_others(own):
    ffi, library = own
    seen, threads = [], [4]
    get = ffi.callback("int (void)", lambda: threads[0])

    @ffi.callback("void (int)")
    def put(n):
        threads[0] = n
        seen.append(n)

    library.core_product_threads(get, put)
    try:
        multiply(own, random((500, 500)), random((500, 500)))
        assert seen == [1, 4]
        multiply(own, random((3, 3)), random((3, 3)))
        assert seen == [1, 4]
    finally:
        library.core_product_threads(ffi.NULL, ffi.NULL)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(300, 200, 120), (64, 500, 784), (700, 600, 40), (500, 520, 784), (1100, 500, 300)])
def test_a_product_does_not_depend_on_how_many_threads_there_are(shape, dtype):
    m, n, k = shape
    x, y = ct.matrix("x", dtype=dtype), ct.matrix("y", dtype=dtype)
    f = core.function([x, y], [x @ y, y.T @ x.T, x.T @ x, x @ y - 0.5 * (x[::-1] @ y)], backend="c")
    a, b = random((m, k), dtype), random((k, n), dtype, seed=1)
    results = []
    for threads in (1, 2, 3):
        with core.num_threads(threads):
            results.append(f(a, b))
    assert_allclose(results[0][0], a @ b, rtol=DTYPES[dtype], atol=DTYPES[dtype] * k**0.5)
    for other in results[1:]:
        assert all(np.array_equal(one, same) for one, same in zip(results[0], other, strict=True))


# --- stacks -----------------------------------------------------------------------------------------------------------


def plan_of_stack(own, count, m, n, k):
    """How many units a piece of a stack has, and how many pieces each product."""
    ffi, library = own
    one = {"a": ffi.cast("void *", 64), "m": m, "n": n, "k": k, "a_row": k, "a_column": 1, "b_row": n, "b_column": 1}
    s = ffi.new("core_stack *", {"one": one, "count": count})
    return library.core_dstack_plan(s), s.pieces


def test_small_products_of_a_stack_are_taken_together_and_large_ones_apart(own):
    assert plan_of_stack(own, 10, 8, 8, 8) == (10, 1)
    together, pieces = plan_of_stack(own, 10**6, 8, 8, 8)
    assert pieces == 1 and 10**6 / 64 <= together < 10**6 / 16
    assert plan_of_stack(own, 64, 128, 128, 128) == (1, 1)
    assert plan_of_stack(own, 3, 512, 512, 512) == (1, 2)
    assert plan_of_stack(own, 0, 8, 8, 8) == (1, 0) and plan_of_stack(own, 5, 0, 0, 8) == (5, 0)


STACKS = [(1, 3, 4, 5), (7, 3, 5, 4), (100, 8, 8, 8), (40, 64, 64, 64), (3, 200, 100, 300), (2, 1, 400, 50)]
EMPTY = [(0, 3, 4, 5), (3, 0, 4, 5), (3, 4, 0, 5), (3, 4, 5, 0)]


@pytest.mark.parametrize("count, m, n, k", [*STACKS, *EMPTY])
def test_stacks_of_products_are_those_of_numpy_however_many_threads_there_are(count, m, n, k):
    x, y = ct.dtensor3("x"), ct.dtensor3("y")
    outputs = [x @ y, x[:1] @ y, x @ y[:1], x.transpose((0, 2, 1)) @ x, x @ x.transpose((0, 2, 1))]
    f = core.function([x, y], outputs if count else outputs[:1], backend="c")
    a, b = random((count, m, k)), random((count, k, n), seed=1)
    turned = a.transpose(0, 2, 1)
    expected = [a @ b, a[:1] @ b, a @ b[:1], turned @ a, a @ turned]
    results = []
    for threads in (1, 2, 3):
        with core.num_threads(threads):
            results.append(f(a, b))
    for one, want in zip(results[0], expected, strict=False):
        assert_allclose(one, want, rtol=1e-10, atol=1e-10)
    for other in results[1:]:
        assert all(np.array_equal(one, same) for one, same in zip(results[0], other, strict=True))


@pytest.mark.parametrize("turned", [False, True])
def test_a_matrix_times_each_of_a_stack_turned_is_not_taken_for_symmetric(turned):
    x = ct.dtensor3("x")
    f = core.function([x], x[:1] @ x.transpose((0, 2, 1)) if turned else x @ x[:1].transpose((0, 2, 1)), backend="c")
    a = random((3, 200, 80))
    want = a[:1] @ a.transpose(0, 2, 1) if turned else a @ a[:1].transpose(0, 2, 1)
    assert_allclose(f(a), want, rtol=1e-10, atol=1e-10)


def test_several_axes_of_stacks_and_sums_of_products_are_right():
    z, w = ct.tensor("z", dtype="float32", shape=(None,) * 4), ct.tensor("w", dtype="float32", shape=(None,) * 4)
    f = core.function([z, w], [z @ w, z @ w + 2 * (w.swapaxes(-1, -2) @ z.swapaxes(-1, -2)), z[:, :1] @ w], backend="c")
    a, b = random((2, 3, 4, 5), "float32"), random((2, 3, 5, 4), "float32", seed=1)
    want = [a @ b, a @ b + 2 * (b.swapaxes(-1, -2) @ a.swapaxes(-1, -2)), a[:, :1] @ b]
    for one, expected in zip(f(a, b), want, strict=True):
        assert_allclose(one, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype, letter", products.LETTERS.items())
def test_a_program_asks_for_the_products_of_its_own_type_alone(dtype, letter):
    x = ct.matrix("x", dtype=dtype)
    program = core.function([x], x @ x.T, backend="c").program
    assert set(functions_of(program)) == {f"{letter}{name}" for name in KINDS_OF_PRODUCT}


def test_a_program_of_stacks_asks_for_stacks():
    x = ct.dtensor3("x")
    program = core.function([x], x @ x.transpose((0, 2, 1)), backend="c").program
    assert set(functions_of(program)) == {"dgemm", "dstack", "dstack_plan"}


def test_loops_of_equal_length_and_work_are_divided_once():
    x = ct.dmatrix("x")
    text = "".join(core.function([x], ct.tanh(ct.tanh(ct.tanh(x) @ x) @ x), backend="c").sources.values())
    assert text.count("_chunk = core_chunk(") == 1 and text.count("core_parallel(call, k") == 3


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_matrices_vectors_and_stacks_are_multiplied_by_the_library(dtype):
    x, s, v = (ct.tensor(name, dtype=dtype, shape=(None,) * ndim) for name, ndim in (("x", 2), ("s", 3), ("v", 1)))
    outputs = [x @ x.T, x[::2].T @ x[::2], x @ v, s @ s.swapaxes(-1, -2), s @ x.T, ct.dot(v, v), ct.vdot(v, v)]
    f = core.function([x, s, v], outputs, backend="c")
    assert sum(isinstance(step, LibraryStep) for step in f.program.steps) == 5
    for k in (0, 1, 5, 40):
        a, b, u = random((6, k), dtype), random((3, 7, k), dtype, 1), random(k, dtype, 2)
        want = [a @ a.T, a[::2].T @ a[::2], a @ u, b @ b.swapaxes(-1, -2), b @ a.T, u @ u, np.vdot(u, u)]
        for got, expected in zip(f(a, b, u), want, strict=True):
            assert got.dtype == expected.dtype
            assert_allclose(got, expected, rtol=DTYPES[dtype], atol=DTYPES[dtype] * max(k, 1))
