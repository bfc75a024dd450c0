"""Definitions: what each is made of, as passes ask for it."""

import pytest

from core.dataclass import replace
from core.ir.codes import Code, Combine
from core.ir.definitions import FromLibrary, FromLoops, Given, Operand, Pointwise, Reduction, Scattering, Value
from core.ir.expr import const, index, length, load
from core.ir.library import LibraryCall

X, Y = Value("x", "float64"), Value("y", "float64")
I, K = index("i"), index("k")  # noqa: E741
N, M = length(X, 0), length(Y, 0)
AT_X, AT_Y = load(X, (I,), "float64"), load(Y, (K,), "float64")
WHOLE = Operand.whole(Y, (M, N))


@pytest.mark.parametrize(
    "definition, besides, loads",
    [
        (Given((N,), (I,)), (), ()),
        (Pointwise((N,), (I,), AT_X + AT_Y), (AT_X + AT_Y,), (AT_X, AT_Y)),
        (Reduction((N,), (I,), Combine.ADD, (K,), (M,), AT_Y * AT_X), (M, AT_Y * AT_X), (AT_Y, AT_X)),
        (
            Scattering((N,), (I,), AT_X, (K,), (M,), (K + 1,), AT_Y, Combine.ADD),
            (AT_X, M, K + 1, AT_Y),
            (AT_X, AT_Y),
        ),
        (FromLibrary((N,), (I,), LibraryCall("gemv"), (WHOLE,), (X,)), (M, N, N, const(1), const(0)), ()),
        (FromLoops((N,), (I,), (X, Y), (X,), print, (AT_X, None)), (AT_X,), (AT_X,)),
    ],
)
def test_a_definition_tells_its_lengths_its_elements_and_what_these_load(definition, besides, loads):
    assert definition.expressions == (N, *besides) and definition.loads == loads


def test_what_replaces_a_definition_is_asked_anew():
    one = Pointwise((N,), (I,), AT_X)
    assert one.loads == (AT_X,) and one.loads is one.loads
    other = replace(one, expr=AT_Y)
    assert other.loads == (AT_Y,) and other.expressions == (N, AT_Y) and one.loads[0].code is Code.LOAD
