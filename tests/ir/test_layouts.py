"""Layouts: what is known of an array that does not lie row by row, and programs that read it where it lies."""

from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.compile import executable
from core.ir.check.run import Driver
from core.ir.layouts import Layout, first_address, layout_of, passed, window
from core.ir.program import KernelStep, LibraryStep
from core.ir.target import Target
from core.testing.graphs import graphs
from core.testing.layouts import LAYINGS, lying

M = np.arange(12.0).reshape(3, 4)
C = np.arange(24.0).reshape(2, 3, 4)
STRIDED = {
    "transposed": (M.T, Layout(2, (1, 0), (), True, True), []),
    "axes in another order": (C.transpose(1, 2, 0), Layout(3, (2, 0, 1), (), True, True), []),
    "some columns": (M[:, 1:3], Layout(2, (0, 1), (), False, True), [4]),
    "some rows": (M[::2], Layout(2, (0, 1), (), False, True), [8]),
    "every second column": (M[:, ::2], Layout(2, (0, 1), (), False, False), [4, 2]),
    "a vector with gaps": (M[:, 1], Layout(1, (0,), (), False, False), [4]),
    "a vector backwards": (M[0, ::-1], Layout(1, (0,), (0,), True, True), []),
    "rows backwards": (M[::-1], Layout(2, (0, 1), (0,), True, True), []),
    "inner axes with gaps": (C[:, :2, 1:3], Layout(3, (0, 1, 2), (), False, True), [3, 4]),
    "one row for all": (np.broadcast_to(M[0], (3, 4)), Layout(2, (1,), (), True, True), []),
    "one element for all": (np.broadcast_to(M[0, 0], (3, 4)), Layout(2, (), (), True, True), []),
    "one row, with gaps": (C[:1, :, 1:2], Layout(3, (1,), (), False, False), [4]),
}


@pytest.mark.parametrize("name", STRIDED)
def test_a_layout_says_how_an_array_lies_and_what_a_call_passes(name):
    array, layout, moves = STRIDED[name]
    assert layout_of(array) == layout
    assert passed(array, layout) == [*array.shape, *moves]
    assert len(moves) == layout.extras


@pytest.mark.parametrize("name", STRIDED)
def test_the_window_of_an_array_holds_each_element_where_the_layout_says(name):
    array, layout, _ = STRIDED[name]
    memory = window(array)
    assert memory.__array_interface__["data"][0] == first_address(array)
    shape, strides = [*array.shape], {}
    for axis in range(array.ndim):
        step = abs(array.strides[axis]) // array.itemsize
        strides[axis] = step if axis in layout.order else 0
    for at in np.ndindex(*shape):
        where = [
            n - 1 - i if axis in layout.backwards else i for axis, (i, n) in enumerate(zip(at, shape, strict=True))
        ]
        assert memory[sum(i * strides[axis] for axis, i in enumerate(where))] == array[at]


@pytest.mark.parametrize(
    "array",
    [
        M,
        M[:0].T,
        M[1:2],
        np.lib.stride_tricks.sliding_window_view(np.arange(6.0), 4),
        np.arange(60.0).reshape(3, 5, 4)[:, ::2],
        np.zeros(3, "float32, float64")["f1"],
        np.frombuffer(bytes(97), "uint8")[1:].view("float64").reshape(3, 4).T,
    ],
    ids=["row by row", "empty", "one row", "overlapping", "uneven", "between other fields", "not aligned"],
)
def test_arrays_that_lie_row_by_row_or_must_be_copied_have_no_layout(array):
    assert layout_of(array) is None


# --- programs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch):
    """Programs are made for a layout at the first call, however small the arrays."""
    monkeypatch.setattr(executable, "SMALL", 0)
    monkeypatch.setattr(executable, "WORTH_A_PROGRAM", 0)
    monkeypatch.setattr(executable, "COPIED_PER_S", 0)
    monkeypatch.setattr(executable, "MOST_LAYOUTS", 1000)


@pytest.fixture
def in_place(at_once):
    """Functions on the oracle that read arguments where they lie."""

    def compile(inputs, outputs):
        driver = Driver("ir", Target(layouts=True))
        return core.function(inputs, outputs, backend=driver, mode="none", on_unused_input="ignore")

    return compile


def program_now(f):
    return f._run._current[0].program


x, y, v = ct.dmatrix("x"), ct.dmatrix("y"), ct.dvector("v")


@pytest.mark.parametrize("name", [name for name, (array, *_) in STRIDED.items() if array.ndim == 2])
def test_a_program_reads_an_argument_where_it_lies(in_place, name):
    array, layout, _ = STRIDED[name]
    f = in_place([x], [ct.exp(x) + 1, x.sum(axis=0), x.max(axis=1), x.T @ x, x[::-1, 1:], ct.cumsum(x, axis=1), x])
    for got, want in zip(f(array), f(np.array(array)), strict=True):
        assert_array_equal(got, want)
    f(array)
    assert list(program_now(f).layouts.values()) == [layout]


def test_only_a_value_that_is_asked_for_whole_is_written(in_place):
    f = in_place([x], ct.exp(x).sum(axis=0))
    f(M.T)
    (step,) = program_now(f).steps
    assert isinstance(step, KernelStep) and len(step.writes) == 1


def test_a_transposed_matrix_is_an_operand_of_a_product_as_it_lies(in_place, gemm):
    f = in_place([x, y], x @ y)
    assert_allclose(f(M.T, M), M.T @ M)
    (step,) = program_now(f).steps
    assert isinstance(step, LibraryStep) and str(step.operands[0]) == "x[0 + (1, x.shape[0])]"


def test_columns_and_slices_are_operands_of_a_product_as_they_lie(in_place, gemm):
    f, g = in_place([x, y], x @ y), in_place([x, v], x @ v)
    assert_allclose(f(M[:, 1:3], M.T[1:3]), M[:, 1:3] @ M.T[1:3])
    assert_allclose(g(M[:, 1:3], M[:2, 1]), M[:, 1:3] @ M[:2, 1])
    assert all(isinstance(step, LibraryStep) for h in (f, g) for step in program_now(h).steps)


def test_an_argument_that_is_also_an_output_is_copied(in_place):
    got = in_place([x], x)(M.T)
    assert_array_equal(got, M.T)
    assert not np.shares_memory(got, M) and got.flags.c_contiguous


def test_lengths_of_one_and_layouts_go_together(in_place):
    f = in_place([x, y], x * y + 1)
    for a, b in [(M.T, M[:1].T[:, :1]), (M.T, M.T[:1]), (M[:1, ::2], M[:, ::2]), (M[:1].T, M.T)]:
        assert_array_equal(f(a, b), a * b + 1)


def test_a_shape_that_does_not_fit_is_an_error_for_strided_arguments_too(in_place):
    f = in_place([x, y], x + y)
    assert_array_equal(f(M.T, M.T), M.T + M.T)
    with pytest.raises(core.errors.ShapeError, match=r"cannot broadcast .* = 4 and .* = 3"):
        f(M.T, M[:, :3])


@settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(graphs(), st.integers(0, 2**32))
def test_random_graphs_give_what_numpy_gives_for_arguments_that_lie_anyhow(graph, seed):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SMALL": 0, "WORTH_A_PROGRAM": 0, "COPIED_PER_S": 0, "MOST_LAYOUTS": 1000}.items():
            patch.setattr(executable, name, value)
        driver = Driver("ir", Target(layouts=True))
        f = core.function(graph.inputs, graph.outputs, backend=driver, mode="none", on_unused_input="ignore")
        rng = Random(seed)
        arrays = [lying(array, rng.choice(LAYINGS), rng) for array in graph.arrays]
        for got, want in zip(f(*arrays), graph.expected, strict=True):
            assert_allclose(got, want, **graph.tolerance())


# --- when a program is made -------------------------------------------------------------------------------------------


def test_a_program_is_made_when_copying_has_taken_as_long_as_compiling(in_place, monkeypatch):
    monkeypatch.setattr(executable, "WORTH_A_PROGRAM", M.nbytes)
    monkeypatch.setattr(executable, "COPIED_PER_S", 2 * M.nbytes)
    f = in_place([x], x * 2)
    f._run.times["lower"] = 1.0
    for times in range(1, 5):
        assert_array_equal(f(M.T), M.T * 2)
        assert bool(program_now(f).layouts) == (times >= 3)


def test_small_arrays_are_copied(in_place, monkeypatch):
    monkeypatch.setattr(executable, "SMALL", M.nbytes)
    f = in_place([x], x * 2)
    assert_array_equal(f(M.T), M.T * 2)
    assert not program_now(f).layouts


def test_programs_are_made_for_so_many_layouts_and_no_more(in_place, monkeypatch):
    monkeypatch.setattr(executable, "MOST_LAYOUTS", 2)
    f = in_place([x], x * 2)
    for array in (M.T, M[:, 1:], M[:, ::2], M[::-1]):
        assert_array_equal(f(array), array * 2)
    assert len(f._run._lowered) == 3


def test_a_backend_that_takes_only_rows_gets_only_rows(compiled, at_once):
    f = compiled([x], x * 2)
    assert_array_equal(f(M.T), M.T * 2)
    assert len(f._run._lowered) == 1


def test_programs_that_were_used_last_are_at_hand(in_place):
    f = in_place([x], x * 2)
    for array in (M, M.T, M[:, 1:], M[:, ::2], M[::-1], M):
        assert_array_equal(f(array), array * 2)
    assert len(f._run._current) == executable.MOST_AT_HAND
    assert not program_now(f).layouts
