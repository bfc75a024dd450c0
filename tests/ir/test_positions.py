"""How many positions a kernel splits into coordinates, as lengths say."""

from core.ir.axes import product, unravel
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import const, index, length, make
from core.ir.nodes import Kernel, Loop, LoopKind, Store
from core.ir.work.positions import counts, is_countable

X, Y = Value("x", "float64"), Value("y", "float64")
ROWS, COLUMNS = length(X, 0), length(X, 1)


def kernel(shape):
    """y[i] = x[j, 0] over all positions i of a shape, of which j is the row."""
    i = index("i")
    row, *_ = unravel(i, shape)
    store = Store(Y, i, make(Code.LOAD, "float64", (row,), X))
    return Kernel("k", [X], [Y], [Loop(i, product(shape), [store], LoopKind.ITEMS)])


def test_there_are_as_many_positions_as_all_lengths_make():
    assert counts(kernel([ROWS, COLUMNS])) == [ROWS * COLUMNS]


def test_a_kernel_that_splits_nothing_counts_nothing():
    assert counts(kernel([ROWS])) == []


def test_lengths_that_are_made_of_lengths_count():
    assert counts(kernel([(ROWS + 31) // const(32), const(4)])) == [(ROWS + 31) // const(32) * 4]


def test_what_only_the_kernel_knows_cannot_be_counted():
    loaded = make(Code.LOAD, "int64", (const(0),), Value("n", "int64"))
    coordinate, *_ = unravel(index("i"), [ROWS, loaded])
    assert not is_countable(coordinate)
    assert counts(kernel([ROWS, loaded])) == []
