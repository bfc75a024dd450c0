"""Which reductions are written lane by lane, and how: what they give is tested where there is a compiler."""

import pytest

from core.ir.clike.cfamily import Dialect, print_kernel
from core.ir.clike.chelpers import fold, helpers_of
from core.ir.codes import Code, Combine
from core.ir.definitions import Value
from core.ir.expr import cast, const, guarded, index, make, maximum
from core.ir.nodes import Assign, If, Kernel, Let, Local, Loop, LoopKind, Store

DIALECT = Dialect("test", simd="#pragma omp simd {clauses}", reduction_clause="reduction({sign}:{names})", lanes=True)
I = index("i")  # noqa: E741
N = make(Code.LENGTH, "int64", (), ("x", 0))


def load(buffer, at=I):
    return make(Code.LOAD, buffer.dtype, (at,), buffer)


def printed(term, dtype="float32", combine=Combine.ADD, extent=N, more=(), take=lambda total, new: total + new, **loop):
    """A loop that takes ``term`` of x[i] into a register."""
    x, y, total = Value("x", dtype), Value("y", dtype), Local("total", dtype)
    body = [*(statement(x) for statement in more), Assign(total, take(total.expr, term(x)))]
    inside = Loop(I, extent, body, LoopKind.SIMD, reductions=[(combine, total)], **loop)
    start = Let(total, const(combine.identity(dtype), dtype), False)
    return print_kernel(Kernel("k", [x], [y], [start, inside, Store(y, const(0), total.expr)]), DIALECT)[0]


def test_a_sum_of_float32_has_a_register_for_each_lane_and_takes_them_together_at_last():
    text = printed(load)
    assert "float total_lanes[16];" in text and "total_lanes[lane] += x[i];" in text
    assert "total += core_sum_of_16_float32(total_lanes);" in text and "reduction" not in text


def test_lanes_are_taken_together_by_halves():
    text = helpers_of("float32")[fold(Combine.ADD, "float32", 16)]
    assert [f"+ {half}]" in text for half in (8, 4, 2)] == [True] * 3
    assert "core_max_float64(lanes[k], lanes[k + 4])" in helpers_of("float64")[fold(Combine.MAX, "float64", 8)]


def test_lanes_beyond_the_end_read_what_is_there_and_take_nothing_in():
    text = printed(load)
    assert "x_left_lanes[lane] = lane < left ? x[i] : x_first;" in text
    assert "total_lanes[lane] = lane < left ? (total_lanes[lane] + x_left_lanes[lane]) : total_lanes[lane];" in text


def test_a_length_that_fills_all_lanes_leaves_nothing_over():
    assert "left" not in printed(load, extent=const(64)) and "left" in printed(load, extent=const(65))


def test_a_short_length_has_no_loop_over_whole_vectors():
    assert "at += 16" not in printed(load, extent=const(10))


def test_a_sum_of_float64_has_lanes_for_two_calls_where_each_element_costs_a_function():
    text = printed(lambda x: make(Code.CALL, "float64", (load(x),), "exp"), "float64")
    assert "double total_lanes[16];" in text and "exp(x_left_lanes[lane])" in text


def test_what_two_calls_leave_over_goes_through_the_lanes_of_one_at_a_time():
    text = printed(lambda x: make(Code.CALL, "float32", (load(x),), "exp"))
    assert "at + 32 <= end; at += 32" in text and "for (; at < end; at += 16) {" in text
    assert "float x_left_lanes[16];" in text


def test_a_sum_of_what_is_stored_too_has_lanes_for_one_call():
    called = make(Code.CALL, "float64", (load(Value("x", "float64")),), "exp")
    text = printed(lambda x: called, "float64", more=[lambda x: Store(Value("row", "float64"), I, called)])
    assert "double total_lanes[8];" in text


@pytest.mark.parametrize(
    "text",
    [
        printed(load, "float64"),
        printed(load, combine=Combine.MAX, take=maximum),
        printed(load, reverse=True),
        printed(load, more=[lambda x: If(const(0) < N, [])]),
        printed(lambda x: cast(load(Value("wide", "float64")), "float32")),
    ],
    ids=["float64", "an extreme", "backwards", "a condition", "wide elements"],
)
def test_other_loops_stay_as_they_are(text):
    assert "lanes" not in text


@pytest.mark.parametrize(
    "text",
    [
        printed(lambda x: guarded(I < 3, load(x), const(0.0, "float32"))),
        printed(load, more=[lambda x: Store(x, I, const(0.0, "float32"))]),
        printed(lambda x: load(x, load(Value("at", "int32")) + I)),
    ],
    ids=["a guard", "what is read is written", "a position that was read"],
)
def test_where_lanes_beyond_the_end_could_read_what_is_not_there_the_rest_goes_one_by_one(text):
    assert "left" not in text and "total_lanes" in text
    assert "for (int64_t i = at; i < end; i++) {" in text


def test_an_element_at_a_position_that_was_read_is_the_first_ones_beyond_the_end():
    text = printed(lambda x: load(x, cast(load(Value("at", "int32")), "int64")))
    assert "x[(int64_t)at_left_lanes[lane]]" in text
