"""Printing for C-like languages: spelling, names, precedence, and what a dialect may change."""

import math
import re

import pytest

import core.tensor as ct
from core import dtypes
from core.errors import BackendError
from core.ir.axes import unravel, wrap_index
from core.ir.clike.cfamily import Dialect, Names, Printer, identifier, print_kernel
from core.ir.clike.chelpers import helpers_for, helpers_of
from core.ir.clike.cinterface import Status
from core.ir.clike.cunits import print_program
from core.ir.codes import Code, Combine
from core.ir.definitions import Value
from core.ir.expr import Call, cast, const, guarded, index, length, make, maximum, minimum, select
from core.ir.nodes import Assign, If, Kernel, Let, Local, Loop, LoopKind, Store

C = Dialect("test")
X, Y = Value("x", "float64"), Value("y", "float64")
AT, N = index("i"), length(X, 0)
PLAIN = (*dtypes.INTEGERS, "float32", "float64", "bool")


def text(e, dialect=C):
    return Printer(dialect, Names()).expr(e)


VALUES = {dtype: Value("x", dtype) for dtype in dtypes.ALL}


def read(dtype="float64", at=AT):
    return make(Code.LOAD, dtype, (at,), VALUES[dtype])


@pytest.mark.parametrize(
    "value, dtype, expected",
    [
        (1.0, "float64", "1.0"),
        (-0.0, "float64", "(-0.0)"),
        (0.1, "float32", "0.1f"),
        (1e30, "float32", "1e+30f"),
        (2.0, "float32", "2.0f"),
        (math.inf, "float64", "((double)INFINITY)"),
        (-math.inf, "float32", "(-(float)INFINITY)"),
        (math.nan, "float64", "((double)NAN)"),
        (True, "bool", "1"),
        (-5, "int64", "(-5)"),
        (2**40, "int64", "1099511627776LL"),
        (-(2**63), "int64", "(-9223372036854775807LL - 1)"),
        (-(2**31), "int32", "(-2147483647 - 1)"),
        (2**64 - 1, "uint64", "18446744073709551615ULL"),
        (7, "uint32", "7U"),
    ],
)
def test_a_constant_is_spelled_so_that_its_value_and_type_survive(value, dtype, expected):
    found = Printer(C, Names())._one(const(value, dtype), [])
    assert found.strip("()") == expected.strip("()")
    assert found.startswith("(") or not found.startswith("-")


@pytest.mark.parametrize(
    "e, expected",
    [
        (read() + 1.0, "x[i] + 1.0"),
        ((read() + 1.0) * read(), "(x[i] + 1.0) * x[i]"),
        (read() - (read() - 1.0), "x[i] - (x[i] - 1.0)"),
        (-read(), "-x[i]"),
        (read("int8") + read("int8"), "(int8_t)(x[i] + x[i])"),
        (-read("int16"), "(int16_t)-x[i]"),
        (~read("bool"), "!x[i]"),
        (~read("uint8"), "(uint8_t)~x[i]"),
        (read("int64") // 3, "core_floordiv_int64(x[i], 3)"),
        (read("int32") % 3, "core_mod_int32(x[i], 3)"),
        (read("uint8") << 1, "core_shl_uint8(x[i], 1)"),
        (read() ** 2.5, "pow(x[i], 2.5)"),
        (read("float32") ** 2.5, "powf(x[i], 2.5f)"),
        (read("int64") ** 2, "core_pow_int64(x[i], 2)"),
        (maximum(read(), 0.0), "core_max_float64(x[i], 0.0)"),
        (minimum(read("int64"), 0), "x[i] < 0 ? x[i] : 0"),
        (cast(read(), "float32"), "(float)x[i]"),
        (cast(read(), "bool"), "x[i] != 0"),
        (select(read() < 0.0, 1.0, read()), "x[i] < 0.0 ? 1.0 : x[i]"),
        (guarded(AT < 3, read(), 0.0), "i < 3 ? x[i] : 0.0"),
        (Call("sin", read("float32")), "sinf(x[i])"),
        (Call("isnan", read()), "x[i] != x[i]"),
        (Call("isinf", read()), "fabs(x[i]) == INFINITY"),
        (Call("isfinite", read("float32")), "fabsf(x[i]) < INFINITY"),
        (Call("signbit", read()), "signbit(x[i]) != 0"),
        (unravel(AT, (N, const(3), const(4)))[0], "i / (3 * 4)"),
        (unravel(AT, (N, const(3), const(4)))[1], "(i / (4)) % 3"),
        (unravel(AT, (N, const(3), const(4)))[2], "i % 4"),
        (read(at=AT + N), "x[i + x_n0]"),
    ],
)
def test_an_operation_is_spelled_as_c_has_it(e, expected):
    assert text(e) == expected


def test_a_dialect_may_spell_a_function_otherwise():
    dialect = Dialect("test", calls={("sin", "float32"): "native_sin"})
    assert text(Call("sin", read("float32")), dialect) == "native_sin(x[i])"
    assert text(Call("sin", read()), dialect) == "sin(x[i])"


def test_what_has_no_spelling_is_refused():
    with pytest.raises(BackendError, match="the test dialect cannot print WRAP"):
        text(wrap_index(AT, N))


@pytest.mark.parametrize(
    "wish, name", [("a b", "a_b"), ("2x", "v2x"), ("", "v"), ("ü", "_"), ("x.T", "x_T"), ("log", "log")]
)
def test_any_text_becomes_an_identifier(wish, name):
    assert identifier(wish) == name


def test_names_are_all_different_and_none_is_taken():
    names = Names(["run"])
    found = [names.of(thing, wish) for thing, wish in enumerate(["x", "x", "run", "double", "exp", "x_2"])]
    assert found == ["x", "x_2", "run_2", "double_2", "exp_2", "x_2_2"]
    assert names.of(0, "other") == "x"


TOTAL = Local("total", "float64")


def sum_kernel(kind=LoopKind.SIMD):
    loop = Loop(AT, N, [Assign(TOTAL, TOTAL.expr + make(Code.LOAD, "float64", (AT,), X))], kind)
    if kind is LoopKind.SIMD:
        loop.reductions = [(Combine.ADD, TOTAL)]
    body = [Let(TOTAL, const(0.0, "float64"), constant=False), loop, Store(Y, const(0), TOTAL.expr)]
    return Kernel("k0_sum", [X], [Y], body, "sum: sum(axis=0)")


def test_a_kernel_takes_what_it_writes_then_what_it_reads_then_lengths():
    printed, lengths = print_kernel(sum_kernel(), C)
    assert lengths == [N]
    assert printed.splitlines() == [
        "/* sum: sum(axis=0) */",
        "static void k0_sum(double *restrict y, const double *restrict x, int64_t x_n0)",
        "{",
        "    double total = 0.0;",
        "    for (int64_t i = 0; i < x_n0; i++) {",
        "        total += x[i];",
        "    }",
        "    y[0] = total;",
        "}",
    ]


def test_a_vectorised_loop_names_its_reductions_where_the_dialect_has_a_line_for_it():
    dialect = Dialect("test", simd="#pragma omp simd {clauses}", reduction_clause="reduction({sign}:{names})")
    assert "    #pragma omp simd reduction(+:total)\n    for (" in print_kernel(sum_kernel(), dialect)[0]
    assert "#pragma" not in print_kernel(sum_kernel(LoopKind.ORDER), dialect)[0]


def test_a_dialect_spells_kernels_pointers_and_restrict():
    dialect = Dialect("test", kernel="__kernel void", pointer="__global ", restrict="__restrict")
    head = print_kernel(sum_kernel(), dialect)[0].splitlines()[1]
    assert head.startswith("__kernel void k0_sum(__global double *__restrict y, __global const double *__restrict x,")


def test_a_loop_may_run_backwards():
    kernel = Kernel("k", [X], [Y], [Loop(AT, N, [Store(Y, AT, make(Code.LOAD, "float64", (AT,), X))], reverse=True)])
    assert "for (int64_t i = x_n0 - 1; i >= 0; i--) {" in print_kernel(kernel, C)[0].replace("(x_n0)", "x_n0")


def test_a_conditional_extent_stands_in_parentheses():
    kernel = Kernel("k", [X], [Y], [Loop(AT, select(N < 3, N, const(3)), [Store(Y, AT, const(0.0, "float64"))])])
    assert "i < (x_n0 < 3 ? x_n0 : 3);" in print_kernel(kernel, C)[0]


def test_a_condition_has_two_branches():
    zero, one = const(0.0, "float64"), const(1.0, "float64")
    kernel = Kernel("k", [], [Y], [If(N < 3, [Store(Y, const(0), zero)], [Store(Y, const(0), one)])])
    lines = [line.strip() for line in print_kernel(kernel, C)[0].splitlines()]
    assert lines[2:7] == ["if (x_n0 < 3) {", "y[0] = 0.0;", "} else {", "y[0] = 1.0;", "}"]


def test_constant_locals_are_const():
    kernel = Kernel("k", [X], [Y], [Let(TOTAL, const(0.0, "float64")), Store(Y, const(0), TOTAL.expr)])
    assert "    const double total = 0.0;" in print_kernel(kernel, C)[0]


def test_memory_comes_nearer_by_a_load_that_no_compiler_leaves_out():
    load = make(Code.LOAD, "float64", (const(3),), X)
    kernel = Kernel("k", [X], [Y], [Let(TOTAL, load, nearer=True), Store(Y, const(0), const(1.0, "float64"))])
    assert "(void)*(const volatile double *)&x[3];" in print_kernel(kernel, C)[0]


def test_a_program_holds_only_the_helpers_it_uses(compiled):
    k = ct.lvector("k")
    printed = print_program(compiled([k], k // 3).program, C)
    assert "static inline int64_t core_floordiv_int64(" in printed
    assert sum(f" {name}(" in printed for dtype in PLAIN for name in helpers_of(dtype)) == 1


def test_every_helper_is_named_after_its_key_and_uses_none_of_another_dtype():
    helpers = {dtype: helpers_of(dtype) for dtype in PLAIN}
    assert all(f" {name}(" in helper for own in helpers.values() for name, helper in own.items())
    for dtype, own in helpers.items():
        words = set(re.findall(r"\w+", "\n".join(own.values())))
        assert not any(name in words for other in PLAIN if other != dtype for name in helpers[other])


def test_the_helpers_for_a_text_are_those_of_the_dtypes_at_the_ends_of_its_words():
    assert helpers_for(["core_mod_int8", "core_release", "x", "floordiv_int64"]) == helpers_of("int8")
    assert list(helpers_for(["core_min_float64", "core_shl_int64"])) == [*helpers_of("int64"), *helpers_of("float64")]
    assert helpers_for(["core_padded", "run"]) == {}


def test_a_program_reports_what_stopped_it(compiled):
    a, i = ct.vector("a"), ct.lvector("i")
    printed = print_program(compiled([a, i], a[i]).program, C)
    assert f"status = {int(Status.CHECK)};" in printed
    assert f"status = {int(Status.MEMORY)};" in printed
    b = ct.vector("b")
    assert f"status = {int(Status.GUARD)};" in print_program(compiled([a, b], a + b).program, C)


def test_the_entry_function_is_in_paragraphs(compiled):
    a, b = ct.vector("a"), ct.vector("b")
    printed = print_program(compiled([a, b], [ct.cumsum(a * b), a + b]).program, C)
    entry = printed[printed.index("int32_t run(") :]
    order = ["a_n0 = lengths[0];", "/* what the lengths must be */", "if (a_n0 != b_n0) {", "/* what was made */"]
    places = [entry.index(part) for part in order]
    assert places == sorted(places) and "\n\n        /* what the lengths must be */\n" in entry


def test_a_length_has_a_name_where_it_is_read_twice_or_is_long(compiled):
    a = ct.vector("a")
    x = a
    for _ in range(8):
        x = ct.cumsum(ct.concatenate([x, x[1:]]))
    printed = print_program(compiled([a], x).program, C)
    lines = [line for line in printed.splitlines() if "const int64_t n" in line]
    assert lines and max(map(len, lines)) < 200


def test_equal_wishes_are_numbered_past_names_that_are_taken():
    names = Names(["a_3"])
    assert [names.of(k, "a") for k in range(4)] == ["a", "a_2", "a_4", "a_5"]
    assert names.of(0, "other") == "a" and names.of("b", "a_4") == "a_4_2"
