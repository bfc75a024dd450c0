"""Parentheses: as few as C needs, and never fewer."""

import pytest

from core.ir.axes import unravel
from core.ir.clike.cfamily import Dialect, Names, Printer, print_kernel
from core.ir.definitions import Value
from core.ir.expr import Call, cast, const, index, load, maximum, select
from core.ir.nodes import Assign, Kernel, Let, Local, Store

AT, J, N = index("i"), index("j"), index("n")
A, B, D = (load(Value(name, "float64"), (AT,), "float64") for name in "abd")
NEGATIVE = -A
P, Q = (load(Value(name, "bool"), (AT,), "bool") for name in "pq")
S = load(Value("s", "int8"), (AT,), "int8")


@pytest.mark.parametrize(
    "e, expected",
    [
        (A + B + D, "a[i] + b[i] + d[i]"),
        (A + (B + D), "a[i] + (b[i] + d[i])"),
        (A - (B - D), "a[i] - (b[i] - d[i])"),
        (A * B + D, "a[i] * b[i] + d[i]"),
        (D + A * B, "d[i] + a[i] * b[i]"),
        ((A + B) * D, "(a[i] + b[i]) * d[i]"),
        (A / B / D, "a[i] / b[i] / d[i]"),
        (A / (B * D), "a[i] / (b[i] * d[i])"),
        (A * (B / D), "a[i] * (b[i] / d[i])"),
        (-(A + B), "-(a[i] + b[i])"),
        (-A * B, "-a[i] * b[i]"),
        (A * -B, "a[i] * (-b[i])"),
        (A - -B, "a[i] - (-b[i])"),
        (A - const(-1.0, "float64"), "a[i] - (-1.0)"),
        (const(-1.0, "float64") * A, "-1.0 * a[i]"),
        (AT + J * 2 - 3, "i + j * 2 - 3"),
        (-NEGATIVE, "-(-a[i])"),
        (Call("exp", A - B), "exp(a[i] - b[i])"),
        (A + B < D * 2.0, "a[i] + b[i] < d[i] * 2.0"),
        ((A < B) & P, "(a[i] < b[i]) & p[i]"),
        (P & Q & (A < B), "p[i] & q[i] & (a[i] < b[i])"),
        ((P | Q) & P, "(p[i] | q[i]) & p[i]"),
        (select(A < B, A - B, -D), "a[i] < b[i] ? a[i] - b[i] : -d[i]"),
        (select(P & Q, A, B), "(p[i] & q[i]) ? a[i] : b[i]"),
        (select(P, A, B) + D, "(p[i] ? a[i] : b[i]) + d[i]"),
        (maximum(AT + J, N * 2), "(i + j) > (n * 2) ? (i + j) : (n * 2)"),
        (cast(A + B, "float32"), "(float)(a[i] + b[i])"),
        (cast(AT, "float64") * A, "(double)i * a[i]"),
        (A * cast(AT, "float64"), "a[i] * (double)i"),
        (S + S * S, "(int8_t)(s[i] + ((int8_t)(s[i] * s[i])))"),
        (cast(A - B, "bool"), "a[i] - b[i] != 0"),
        (Call("isnan", A + B), "a[i] + b[i] != a[i] + b[i]"),
        (unravel(AT + J, (N, N + 1))[0] * 2, "((i + j) / ((n + 1))) * 2"),
        (AT * (J + -(2**63)), "i * (j - (-9223372036854775807LL - 1))"),
    ],
)
def test_an_expression_has_the_parentheses_that_it_needs(e, expected):
    assert Printer(Dialect("test"), Names()).expr(e) == expected


def test_what_grows_is_written_as_growing():
    y, total = Value("y", "float64"), Local("total", "float64")
    at = load(y, (AT * 2,), "float64")
    body = [
        Let(total, const(0.0, "float64"), constant=False),
        Assign(total, total.expr + A * B),
        Assign(total, A + total.expr),
        Store(y, AT * 2, at - total.expr),
        Store(y, AT, at - total.expr),
    ]
    printed, _ = print_kernel(Kernel("k", [], [y], body), Dialect("test"))
    assert [line.strip() for line in printed.splitlines()[3:7]] == [
        "total += a[i] * b[i];",
        "total = a[i] + total;",
        "y[i * 2] -= total;",
        "y[i] = y[i * 2] - total;",
    ]
