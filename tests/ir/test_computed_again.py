"""Values that stages of a row compute again: which are found, which are not, and whose registers can take them."""

from core.ir.cpu.computed_again import computed_again
from core.ir.definitions import Value
from core.ir.expr import Call, const, index, length, load
from core.ir.nests.vector_access import kept, widen
from core.ir.nodes import Assign, Let, Local, Loop, LoopKind, Store

X, Y = (Value(name, "float32") for name in "xy")
row, n = index("row"), length(X, 0)
SHIFT = Local("shift", "float32")


def exponential(k):
    return Call("exp", load(X, [row * n + k], "float32") - SHIFT.expr)


def rows(*makers):
    """A row in stages: each maker gives, for a lane, the statements of one loop."""
    loops = []
    for make in makers:
        k = index("k")
        loops.append(Loop(k, n, make(k), LoopKind.LANES))
    loop = Loop(row, n, [Let(SHIFT, const(1.0, "float32")), *loops], LoopKind.GROUPS)
    widen([loop])
    return loop, loops


def summed(value):
    total = Local("total", "float32")
    return lambda k: [Assign(total, total.expr + value(k))]


def stored(value):
    return lambda k: [Store(Y, row * n + k, value(k) * const(2.0, "float32"))]


def test_what_two_stages_compute_is_found_once_in_the_words_of_each():
    loop, (first, second) = rows(summed(exponential), summed(exponential))
    (again,) = computed_again(loop)
    assert again.first is first and again.node is exponential(first.variable)
    assert again.later == ((second, exponential(second.variable)),)


def test_what_is_cheap_is_computed_again_where_registers_are_not_free():
    def shifted(k):
        return load(X, [row * n + k], "float32") + SHIFT.expr

    loop, _ = rows(summed(shifted), summed(lambda k: shifted(k) * load(X, [row * n + k], "float32")))
    assert computed_again(loop) == []
    loop, (first, _) = rows(summed(shifted), summed(shifted))
    (again,) = computed_again(loop)
    assert again.place == (X, row * n) and again.node is shifted(first.variable)


def test_what_depends_on_a_register_that_changes_is_computed_again():
    loop, _ = rows(summed(exponential), summed(exponential))
    loop.body.insert(2, Assign(SHIFT, const(2.0, "float32")))
    assert computed_again(loop) == []


def test_nothing_is_held_where_the_row_is_not():
    loop, _ = rows(summed(exponential), summed(exponential))
    loop.body.append(Loop(index("once"), const(1), [Store(X, const(0), const(0.0, "float32"))], LoopKind.LANES))
    assert kept(loop) == {} and computed_again(loop) == []


def test_registers_that_nobody_asks_any_more_take_the_value():
    loop, loops = rows(summed(lambda k: load(X, [row * n + k], "float32")), summed(exponential), summed(exponential))
    (again,) = computed_again(loop)
    assert again.first is loops[1] and again.replaces(X, loops)


def test_registers_that_are_asked_later_keep_the_row():
    def both(k):
        return exponential(k) * load(X, [row * n + k], "float32")

    loop, loops = rows(summed(exponential), summed(both))
    (again,) = computed_again(loop)
    assert not again.replaces(X, loops) and not again.replaces(Value("z", "float64"), loops)


def quotient(k):
    return load(X, [row * n + k], "float32") * const(3.0, "float32") / SHIFT.expr


def test_a_division_is_held_where_registers_are_free_for_it():
    loop, loops = rows(summed(quotient), summed(quotient))
    (again,) = computed_again(loop)
    assert again.first is loops[0] and again.place == (X, row * n)


def test_a_division_is_done_again_where_registers_are_not_free():
    loop, _ = rows(summed(quotient), summed(lambda k: quotient(k) + load(X, [row * n + k], "float32")))
    assert computed_again(loop) == []


def test_the_first_loop_may_ask_for_what_registers_held_before():
    loop, loops = rows(summed(lambda k: quotient(k) + load(X, [row * n + k], "float32")), summed(quotient))
    (again,) = computed_again(loop)
    assert again.first is loops[0] and again.place == (X, row * n)
