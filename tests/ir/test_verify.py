"""The verifier: each rule has a kernel or program that breaks it, and legal ones pass."""

import numpy as np
import pytest

import core.ir.build
import core.tensor as ct
from core.errors import VerifyError
from core.ir.axes import join_length, reduce, wrap_index
from core.ir.check.verify import verify
from core.ir.check.verify_kernel import verify_kernel
from core.ir.codes import Code, Combine
from core.ir.definitions import Operand, Value
from core.ir.expr import cast, const, index, length, make
from core.ir.guards import Guard
from core.ir.library import LibraryCall
from core.ir.nodes import Assign, If, Kernel, Let, Local, Loop, LoopKind, Store
from core.ir.program import CheckStep, HostStep, KernelStep, LibraryStep, Program

X, Y, FLAG = Value("x", "float64"), Value("y", "float64"), Value("flag", "bool")
N = length(X, 0)
AT, J, K = index("i"), index("j"), index("k")
T, U = Local("t", "float64"), Local("u", "float64")
ZERO = const(0.0, "float64")


def read(at=AT, value=X, dtype="float64"):
    return make(Code.LOAD, dtype, (at,), value)


def simd(*body, over=AT, reductions=()):
    return Loop(over, N, list(body), LoopKind.SIMD, reductions=list(reductions))


def grid(*body, over=AT):
    return Loop(over, N, list(body), LoopKind.GRID)


def kernel(*body, reads=(X,), writes=(Y,)):
    return Kernel("k0", list(reads), list(writes), list(body))


TOTAL = [Let(T, ZERO, constant=False), simd(Assign(T, T.expr + read()), reductions=[(Combine.ADD, T)])]

LEGAL = {
    "a map": [simd(Store(Y, AT, read()))],
    "a sum": [*TOTAL, Store(Y, const(0), T.expr)],
    "a sum of every row": [
        grid(
            Let(T, ZERO, False),
            simd(Assign(T, T.expr + read(J)), over=J, reductions=[(Combine.ADD, T)]),
            Store(Y, AT, T.expr),
        )
    ],
    "a place that is read and written": [simd(Store(Y, AT, read(value=Y) + read()))],
    "a place that a local leads to": [
        grid(Let(T, ZERO), Let(U, cast(AT, "float64")), Store(Y, cast(U.expr, "int64"), T.expr))
    ],
    "a choice": [simd(If(read() < 1.0, [Store(Y, AT, read())], [Store(Y, AT, ZERO)]))],
    "memory that comes nearer": [simd(Let(T, read(), nearer=True), Store(Y, AT, ZERO))],
    "the same local twice": [simd(Let(T, read()), Store(Y, AT, T.expr)), simd(Let(T, read()), Store(Y, AT, T.expr))],
    "nothing": [Loop(AT, const(0), [Store(Y, const(0), ZERO)], LoopKind.SIMD)],
    "strides": [grid(Loop(J, N, [Store(Y, AT * N + J, read(AT * N + J))], LoopKind.SIMD))],
}


@pytest.mark.parametrize("body", LEGAL.values(), ids=LEGAL.keys())
def test_legal_kernels_pass(body):
    verify_kernel(kernel(*body))


VARIABLE, ADDED, STORED = Let(T, ZERO, constant=False), Assign(T, T.expr + read()), Store(Y, const(0), T.expr)
SUM = [(Combine.ADD, T)]
ILLEGAL = {
    "t is not declared here": [STORED],
    "`t = .*: t is not declared here": [Assign(T, ZERO)],
    "t is declared already": [Let(T, ZERO), Let(T, ZERO)],
    "only a load brings memory nearer": [Let(T, ZERO, nearer=True)],
    "y.*t is not declared here": [simd(Let(T, read(), nearer=True), Store(Y, AT, T.expr))],
    "`y.*: t is not declared here": [simd(Let(T, read()), Store(Y, AT, T.expr)), STORED],
    "t is constant": [Let(T, ZERO), Assign(T, ZERO)],
    "i is used outside its loop": [simd(Store(Y, AT, read())), Store(Y, const(0), read())],
    "the loop over i is open already": [grid(simd(Store(Y, AT, read())))],
    "is no loop variable": [Loop(const(1), N, [])],
    "`t = .*: it needs float64, got int64": [Let(T, const(1))],
    "`t = 1`: it needs float64, got int64": [VARIABLE, Assign(T, const(1))],
    r"`y\[0\] = 1`: it needs float64, got int64": [Store(Y, const(0), const(1))],
    r"`y\[x\[i\]\] = 0.0`: it needs int64, got float64": [simd(Store(Y, read(), ZERO))],
    "`if 1.0`: it needs bool, got float64": [If(const(1.0, "float64"), [])],
    "it needs int64, got float64": [Loop(AT, const(1.0, "float64"), [])],
    "flag is not among what the kernel reads": [Store(Y, const(0), cast(read(const(0), FLAG, "bool"), "float64"))],
    "x is not among what the kernel writes": [simd(Store(X, AT, ZERO))],
    "it says that it writes y, but no statement does": [],
    "every iteration of the simd loop over i writes to the same place": [simd(Store(Y, const(0), read()))],
    "every iteration of the grid loop over i writes to the same place": [grid(Store(Y, const(0), read()))],
    "every iteration of the simd loop over j writes to the same place": [
        simd(grid(Store(Y, AT, read()), over=AT), over=J)
    ],
    "t is no reduction of the simd loop over i": [VARIABLE, simd(ADDED), STORED],
    "its reduction t is not assigned in it": [VARIABLE, simd(Store(Y, AT, read()), reductions=SUM)],
    "only grid and simd loops and loops over lanes list reductions": [
        VARIABLE,
        Loop(AT, N, [ADDED], reductions=SUM),
    ],
    "a lane of the simd loop over i has only its share of t": [
        VARIABLE,
        simd(ADDED, Store(Y, AT, T.expr), reductions=SUM),
    ],
    "it changes t from outside the grid loop over i": [VARIABLE, grid(ADDED), STORED],
    r"it reads y\[\(i \+ 1\)\], but writes y elsewhere": [simd(Store(Y, AT, read(AT + 1, Y)))],
    r"it reads y\[\(2 \* i\)\], but writes y elsewhere": [simd(Store(Y, AT, read(2 * AT, Y)))],
    r"it reads y\[.*%.*\], but writes y elsewhere": [simd(Store(Y, AT, read(AT % N, Y)))],
    "JOIN must be gone by now": [Loop(AT, join_length(N, length(Y, 0)), [Store(Y, AT, ZERO)])],
    "WRAP must be gone by now": [simd(Store(Y, wrap_index(AT, N), ZERO))],
    "REDUCE must be gone by now": [Store(Y, const(0), reduce(Combine.ADD, [N], lambda k: read(k)))],
    "a stored value is read at one row-major position": [simd(Store(Y, AT, make(Code.LOAD, "float64", (AT, AT), X)))],
    "it reads int64 from an array of float64": [simd(Store(Y, cast(read(AT, X, "int64"), "int64"), ZERO))],
    "operands of float64, int64 cannot give float64": [simd(Store(Y, AT, make(Code.ADD, "float64", (read(), AT))))],
    "float64 and int64 cannot be compared": [If(make(Code.LT, "bool", (ZERO, N)), [])],
    "a choice of float64 cannot be made of int64, float64, float64": [
        simd(Store(Y, AT, make(Code.SELECT, "float64", (AT, read(), ZERO))))
    ],
    "only floats are divided": [simd(Store(Y, make(Code.DIV, "int64", (AT, N)), ZERO))],
    "functions take floats": [simd(Store(Y, AT, make(Code.CALL, "float64", (AT,), "exp")))],
    "it must be of int64": [simd(Store(Y, make(Code.UNRAVEL, "int64", (const(1, "int32"), N), 0), ZERO))],
}


@pytest.mark.parametrize("rule", ILLEGAL)
def test_a_kernel_that_breaks_a_rule_is_refused(rule):
    with pytest.raises(VerifyError, match=rule):
        verify_kernel(kernel(*ILLEGAL[rule]))


def test_the_error_names_the_kernel_and_the_statement():
    with pytest.raises(VerifyError, match=r"kernel k0, `y\[0\] = t`: t is not declared here"):
        verify_kernel(kernel(Store(Y, const(0), T.expr)))


def test_a_grid_may_share_memory_that_nobody_needs_afterwards():
    body = [grid(Loop(J, N, [Store(Y, J, read(J))]))]
    verify_kernel(kernel(*body), kept=())
    with pytest.raises(VerifyError, match="every iteration of the grid loop"):
        verify_kernel(kernel(*body), kept=[Y])


def test_a_value_stands_once_among_reads_and_writes():
    for reads, writes in (([X, X], [Y]), ([X, Y], [Y]), ([X], [Y, Y])):
        with pytest.raises(VerifyError, match="may stand only once"):
            verify_kernel(kernel(simd(Store(Y, AT, read())), reads=reads, writes=writes))


# --- programs ------------------------------------------------------------------------------------------------------


def copy(source, target, name="k0"):
    return KernelStep(Kernel(name, [source], [target], [simd(Store(target, AT, read(AT, source, source.dtype)))]))


def program(*steps, outputs=(Y,), guards=(), slots=None, sizes=(), **shapes):
    values = {X, Y, FLAG, *(v for step in steps for v in (*step.reads, *step.writes))}
    known = {value: shapes.get(value.name, (N,)) for value in values}
    return Program(
        "run", [X], list(outputs), {}, list(steps), list(guards), known, slots=slots or {}, slot_sizes=list(sizes)
    )


def value(name, dtype="float64"):
    return Value(name, dtype)


A, B = value("a"), value("b")


def test_a_legal_program_passes():
    steps = [copy(X, A, "k0"), copy(A, B, "k1"), copy(B, Y, "k2")]
    verify(program(*steps, slots={A: 0, B: 1}, sizes=[N * 8, N * 8], guards=[Guard("positive", N, const(0), "max")]))


@pytest.mark.parametrize("outputs", [[X, Y], [Y, Y]])
def test_an_output_may_be_an_input_or_stand_twice(outputs):
    verify(program(copy(X, Y), outputs=outputs))


REFUSED = {
    "step 0 of run: it reads a, which no step before it writes": lambda: program(copy(A, Y)),
    "step 1 of run: it writes y, which has its elements already": lambda: program(copy(X, Y), copy(X, Y, "k1")),
    "no step writes the output y": lambda: program(),
    "the name 'k0' belongs to another kernel": lambda: program(copy(X, A), copy(A, Y), slots={A: 0}, sizes=[N * 8]),
    "a guard of kind 'odd' means nothing": lambda: program(copy(X, Y), guards=[Guard("odd", N, N, "x")]),
    "a.shape.0. is not known yet: a is neither an input": lambda: program(copy(X, Y), y=(length(A, 0),)),
    "the guard .*: .*is not known yet": lambda: program(copy(X, Y), guards=[Guard("same", length(A, 0), N, "x")]),
    "must be of int64 and free of loop variables": lambda: program(copy(X, Y), y=(AT,)),
    "needs a, which no step before it writes": lambda: program(copy(X, Y), y=(cast(read(const(0), A), "int64"),)),
    "must not depend on a local": lambda: program(copy(X, Y), y=(cast(T.expr, "int64"),)),
    "JOIN must be gone by now": lambda: program(copy(X, Y), y=(join_length(N, const(3)),)),
    "a check needs a 0-d bool, got x of float64": lambda: program(CheckStep(X, "no"), copy(X, Y)),
    "a is stored but has no slot": lambda: program(copy(X, A), copy(A, Y, "k1")),
    "slot 0 has not the size of a": lambda: program(copy(X, A), copy(A, Y, "k1"), slots={A: 0}, sizes=[N * 4]),
    "a and b are needed at the same time but share slot 0": lambda: program(
        copy(X, A), copy(A, B, "k1"), copy(B, Y, "k2"), slots={A: 0, B: 0}, sizes=[N * 8]
    ),
}


@pytest.mark.parametrize("rule", REFUSED)
def test_a_program_that_breaks_a_rule_is_refused(rule):
    with pytest.raises(VerifyError, match=rule):
        verify(REFUSED[rule]())


def test_a_slot_serves_again_when_its_value_is_read_no_more():
    steps = [copy(X, A, "k0"), copy(A, B, "k1"), copy(B, value("c"), "k2")]
    c = steps[2].writes[0]
    steps.append(copy(c, Y, "k3"))
    verify(program(*steps, slots={A: 0, B: 1, c: 0}, sizes=[N * 8, N * 8]))


def test_a_value_that_lengths_are_read_from_keeps_its_slot_to_the_end():
    a, count = value("a", "int64"), value("count", "int64")
    many = (make(Code.LOAD, "int64", (const(0),), a),)
    set_a = KernelStep(Kernel("k0", [X], [a], [Store(a, const(0), N)]))
    set_count = KernelStep(Kernel("k1", [X], [count], [Store(count, const(0), N)]))
    steps = [set_a, set_count, copy(X, Y, "k2")]
    with pytest.raises(VerifyError, match="a and count are needed at the same time"):
        verify(program(*steps, slots={a: 0, count: 0}, sizes=[const(8)], a=(), count=(), y=many))


def test_lengths_of_what_python_makes_are_known_after_its_step():
    host, late = HostStep(0, (X,), (A,)), length(A, 0)
    verify(program(host, copy(A, Y), a=(late,), y=(late,)))
    with pytest.raises(VerifyError, match="is not known yet"):
        verify(program(copy(X, Y), host, a=(late,), y=(late,)))


def test_the_sizes_of_a_library_call_are_lengths_that_are_known():
    def product(n):
        return LibraryStep(LibraryCall("gemm"), (Operand(X, (N, n), (n, const(1))),) * 2, (Operand.whole(Y, (N, N)),))

    verify(program(product(N), x=(N, N), y=(N, N)))
    with pytest.raises(VerifyError, match="step 0 of run: a.shape.0. is not known yet"):
        verify(program(product(length(A, 0)), x=(N, N), y=(N, N)))


def test_every_program_of_the_tests_is_verified(compiled, monkeypatch):
    seen = []
    monkeypatch.setattr("core.ir.check.verify.verify", seen.append)
    x = ct.vector("x")
    assert core.ir.build.VERIFY
    f = compiled([x], ct.where(x > 0, x, 0.0))
    assert seen == [f.program]
    np.testing.assert_array_equal(f(np.array([-1.0, 2.0])), [0, 2])
