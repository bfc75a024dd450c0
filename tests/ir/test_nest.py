"""Writing a nest of loops: every expression lands in the outermost loop that knows its variables."""

from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Call, const, guarded, index, length, load, make, select
from core.ir.nests.nest import Nest
from core.ir.nodes import If, Kernel, Let, Local, LoopKind, Store

X, A, Y = Value("x", "float64"), Value("a", "float64"), Value("y", "float64")
N, M = length(X, 0), length(X, 1)
ROW, COLUMN = index("i"), index("j")
SHAPES = {X: (N, M), A: (N,), Y: (N, M)}


def written(*roots, outer=(ROW,), inner=COLUMN):
    """The text of a nest that stores the last of ``roots`` at every point."""
    nest = Nest({ROW: N, COLUMN: M}, SHAPES)
    for variable in (*outer, inner):
        nest.open(variable)
    nest.begin(list(roots))
    for root in roots:
        nest.emit(Store(Y, ROW * M + COLUMN, nest.value(root)))
    nest.close(LoopKind.SIMD)
    for _ in outer:
        nest.close(LoopKind.GRID)
    return str(Kernel("k", [X, A], [Y], nest.body)).splitlines()[1:]


def x(i=ROW, j=COLUMN):
    return load(X, (i, j), "float64")


def a(i=ROW):
    return load(A, (i,), "float64")


def test_a_load_that_lacks_the_inner_variable_moves_out_of_its_loop():
    lines = written(x() + a())
    assert lines[1] == "    let a_i = a[i]"
    assert lines[-1] == "      y[((i * x.shape[1]) + j)] = (x[((i * x.shape[1]) + j)] + a_i)"


def test_what_lacks_every_variable_moves_out_of_all_loops():
    assert written(x() * Call("exp", load(A, (const(0),), "float64")))[0] == "  let exp_a = exp(a[0])"


def test_a_shared_expression_is_computed_once():
    e = Call("exp", x())
    lines = written(e * e)
    assert lines[-2:] == [
        "      let exp_x = exp(x[((i * x.shape[1]) + j)])",
        "      y[((i * x.shape[1]) + j)] = (exp_x * exp_x)",
    ]


def test_what_is_known_in_one_stage_is_not_computed_again_in_it():
    e = Call("exp", x())
    assert sum("exp(" in line for line in written(e + 1.0, e * 2.0)) == 1


def test_a_load_under_a_guard_stays_under_it():
    lines = written(guarded(a() < 0.0, a(ROW - 1), a(ROW)) + x())
    assert all("guarded" in line for line in lines if "a[(i + -1)]" in line)


def test_both_sides_of_a_choice_are_evaluated_so_they_may_move():
    lines = written(select(x() < 0.0, a(), 0.0))
    assert "    let a_i = a[i]" in lines


def test_cheap_index_arithmetic_gets_no_name():
    assert not any("let" in line for line in written(x(ROW, COLUMN)))


def test_what_was_known_in_a_loop_is_forgotten_after_it():
    nest = Nest({ROW: N, COLUMN: M}, SHAPES)
    for _ in range(2):
        nest.open(ROW)
        nest.begin([a(), a()])
        nest.emit(Store(Y, ROW, nest.named(a())))
        nest.close(LoopKind.SIMD)
    assert [str(loop.body[0].value) for loop in nest.body] == ["a[i]", "a[i]"]


def test_statements_for_later_follow_the_loop_that_is_open():
    nest = Nest({ROW: N}, SHAPES)
    total = Local("total", "float64")
    nest.declare(total, const(0.0, "float64"))
    nest.open(ROW)
    nest.later(Store(Y, const(0), total.expr), level=0)
    nest.close(LoopKind.ORDER)
    assert [type(s).__name__ for s in nest.body] == ["Let", "Loop", "Store"]


def test_what_stands_for_an_expression_is_written_in_its_place():
    nest = Nest({ROW: N}, SHAPES)
    nest.open(ROW)
    row = make(Code.LOAD, "float64", (ROW,), A)
    nest.know(Call("exp", a()), row, 1)
    nest.begin([Call("exp", a()) * 2.0])
    assert str(nest.value(Call("exp", a()) * 2.0)) == "(a[i] * 2.0)"


def test_a_name_is_declared_before_the_statement_that_needs_it():
    nest = Nest({ROW: N}, SHAPES)
    nest.open(ROW)
    nest.begin([a()])
    name = nest.named(a())
    assert name.code is Code.LOCAL
    nest.close(LoopKind.SIMD)
    assert isinstance(nest.body[0].body[0], Let)


def test_statements_under_a_condition_stand_in_their_order():
    nest, some = Nest({ROW: N, COLUMN: M}, SHAPES), Local("some", "bool")
    nest.open(ROW)
    for _ in range(2):
        nest.open_if()
        nest.open(COLUMN)
        nest.begin([x(), x()])
        nest.emit(Store(Y, ROW * M + COLUMN, nest.named(x())))
        nest.close(LoopKind.SIMD)
        nest.close_if(some.expr)
        nest.emit(Store(A, ROW, const(0.0, "float64")))
    nest.close(LoopKind.GRID)
    (loop,) = nest.body
    assert [type(s) for s in loop.body] == [If, Store, If, Store] and loop.body[0].condition is some.expr
    for choice in (loop.body[0], loop.body[2]):
        assert [type(s) for s in choice.body[0].body] == [Let, Store], "each names what it loads"
