"""Scalar expressions: typing, hash-consing, index arithmetic, walking."""

import gc
import itertools
import math
import weakref

import numpy as np
import pytest

from core import dtypes
from core.errors import DTypeError
from core.ir import codes, expr
from core.ir.axes import join_length, product, ravel, reduce, same_length, spread, stretch, unravel, wrap_index
from core.ir.builder import KernelBuilder
from core.ir.codes import Code, Combine
from core.ir.definitions import Value
from core.ir.evaluate import evaluate_scalar
from core.ir.expr import (
    Call,
    as_expr,
    cast,
    const,
    equal,
    guarded,
    index,
    length,
    load,
    maximum,
    minimum,
    not_equal,
    select,
)
from core.ir.nodes import Local
from core.ir.rebuild import rebuild, substitute
from core.ir.show import show
from core.ir.walk import marked, walk

DEEP = 20_000


def scalar(name="x", dtype="float64"):
    return load(name, (), dtype)


x, y = scalar("x"), scalar("y")
n, m = length("x", 0), length("y", 0)
i, j = index("i"), index("j")


# --- hash-consing ---------------------------------------------------------------------------------------------------


def test_equal_expressions_are_one_object():
    assert x + y is x + y
    assert Call("exp", x * 2) is Call("exp", x * 2)
    assert load("x", (i,), "float64") is load("x", (i,), "float64")
    assert x + y is not y + x


def test_constants_that_python_takes_for_equal_are_kept_apart():
    ones = [const(1, "int64"), const(1, "float64"), const(1, "bool"), const(1, "int32"), const(1, "complex128")]
    assert len(set(map(id, ones))) == 5
    assert const(0.0, "float64") is not const(-0.0, "float64")
    assert const(0j, "complex128") is not const(complex(0, -0.0), "complex128")
    assert const(math.nan, "float64") is const(math.nan, "float64")


def test_loop_variables_are_each_their_own():
    assert index("i") is not index("i")


def test_an_expression_that_nobody_holds_is_forgotten():
    expr_count = len(expr._interned)
    temporary = Call("exp", scalar("only here"))
    assert len(expr._interned) > expr_count
    del temporary
    gc.collect()
    assert len(expr._interned) <= expr_count


def test_an_expression_has_no_truth_value():
    with pytest.raises(DTypeError, match=r"is symbolic and has no truth value; use select\(condition, a, b\)"):
        bool(x < y)


# --- constants ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, dtype, expected",
    [
        (300, "uint8", 44),
        (-1, "uint8", 255),
        (128, "int8", -128),
        (2**63, "int64", -(2**63)),
        (2.7, "int32", 2),
        (2, "bool", True),
        (1, "float32", 1.0),
        (1, "complex64", 1 + 0j),
    ],
)
def test_constants_are_brought_to_their_dtype(value, dtype, expected):
    got = const(value, dtype)
    assert got.payload == expected and type(got.payload) is type(expected) and got.dtype == dtype


def test_equal_float32_constants_are_one_whatever_they_were_made_from():
    assert const(0.1, "float32") is const(float(np.float32(0.1)), "float32")
    assert const(0.1, "float64") is not const(float(np.float32(0.1)), "float64")
    assert const(1e300, "float32").payload == math.inf
    assert const(0.1, "float16").payload == float(np.float16(0.1))


def test_as_expr_passes_expressions_and_makes_lengths_of_ints():
    assert as_expr(x) is x
    assert as_expr(3) is const(3, "int64")
    assert as_expr(1.5, "float32").dtype == "float32"


# --- dtypes of operations -------------------------------------------------------------------------------------------

NUMPY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
}


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("a, b", list(itertools.combinations(["int8", "uint8", "int64", "float32", "float64"], 2)))
def test_binary_operations_promote_as_numpy_does(name, a, b):
    operation = NUMPY[name]
    expected = operation(np.ones(1, a), np.ones(1, b)).dtype
    assert operation(scalar("a", a), scalar("b", b)).dtype == expected


@pytest.mark.parametrize("dtype", ["int8", "float32", "float64"])
@pytest.mark.parametrize("number", [2, 2.0])
def test_python_numbers_are_weak_on_either_side(dtype, number):
    a = scalar("a", dtype)
    for operation in (lambda p, q: p + q, lambda p, q: p * q, lambda p, q: p - q, lambda p, q: p / q):
        assert operation(a, number).dtype == operation(np.ones(1, dtype), number).dtype
        assert operation(number, a).dtype == operation(number, np.ones(1, dtype)).dtype


@pytest.mark.parametrize("dtype", dtypes.DISCRETE)
def test_division_of_integers_is_in_the_float_that_numpy_chooses(dtype):
    expected = np.true_divide(np.ones(1, dtype), np.ones(1, dtype)).dtype
    assert (scalar("a", dtype) / scalar("b", dtype)).dtype == expected


def test_sums_and_products_of_bools_are_logical():
    a, b = scalar("a", "bool"), scalar("b", "bool")
    assert (a + b).code is Code.OR and (a * b).code is Code.AND


@pytest.mark.parametrize("operation", ["-", "//", "%"])
def test_operations_that_bool_lacks_say_so(operation):
    a = scalar("a", "bool")
    with pytest.raises(DTypeError, match="is not defined for bool; cast to an integer first"):
        NUMPY[operation](a, a)


def test_reflected_operators_keep_the_order():
    values = {x: np.float64(3.0)}
    assert evaluate_scalar(10 - x, values) == 7
    assert evaluate_scalar(12 / x, values) == 4
    assert evaluate_scalar(2**x, values) == 8
    assert evaluate_scalar(10 // x, values) == 3
    assert evaluate_scalar(10 % x, values) == 1
    a = {scalar("k", "int64"): np.int64(3)}
    (k,) = a
    assert evaluate_scalar(1 << k, a) == 8 and evaluate_scalar(16 >> k, a) == 2
    assert evaluate_scalar(5 & k, a) == 1 and evaluate_scalar(4 | k, a) == 7 and evaluate_scalar(5 ^ k, a) == 6


def test_comparisons_are_bool_and_greater_is_turned_around():
    assert (x < y).dtype == "bool"
    assert (x > y) is (y < x)
    assert (x >= y) is (y <= x)
    assert equal(x, y).code is Code.EQ and not_equal(x, y).code is Code.NE


@pytest.mark.parametrize("dtype", dtypes.ALL)
def test_calls_bring_integers_to_the_float_that_numpy_chooses(dtype):
    assert Call("exp", scalar("a", dtype)).dtype == np.exp(np.ones(1, dtype)).dtype


@pytest.mark.parametrize("function", ["isnan", "isinf", "isfinite", "signbit"])
def test_calls_that_ask_are_bool(function):
    assert Call(function, x).dtype == "bool"


def test_a_call_on_something_with_its_own_rule_hands_over():
    class Symbol:
        def __call_rule__(self, function, operands):
            return (function, operands)

    symbol = Symbol()
    assert Call("exp", symbol) == ("exp", (symbol,))


def test_an_elementwise_op_on_an_expression_is_its_rule_and_any_other_op_is_an_error():
    class Doubling:
        def scalar(self, a):
            return a * 2

    assert x.__apply_op__(Doubling(), (x,)) is x * 2
    with pytest.raises(DTypeError, match="Sort is not elementwise, so it cannot be part of a scalar expression"):
        x.__apply_op__("Sort", (x,))


def test_casts_to_the_same_dtype_vanish_and_discrete_constants_fold():
    assert cast(x, "float64") is x
    assert cast(const(300), "uint8") is const(44, "uint8")
    assert cast(const(2), "float64") is const(2.0, "float64")
    assert cast(x, "int32").code is Code.CAST


# --- choices --------------------------------------------------------------------------------------------------------


def test_a_choice_with_a_known_condition_or_equal_branches_is_the_branch():
    assert select(True, x, y) is x and guarded(const(False, "bool"), x, y) is y
    assert select(x < y, x, x) is x


def test_the_branches_of_a_choice_are_promoted():
    assert select(x < y, const(1, "int8"), 2.5).dtype == "float64"
    assert select(x < y, scalar("a", "float32"), 2.5).dtype == "float32"


def test_a_condition_that_is_no_bool_is_made_one():
    assert select(scalar("k", "int64"), x, y).args[0].dtype == "bool"


# --- index arithmetic -----------------------------------------------------------------------------------------------


def test_index_arithmetic_with_neutral_elements_vanishes():
    assert i + 0 is i and 0 + i is i and i - 0 is i
    assert i * 1 is i and 1 * i is i and i // 1 is i
    assert i * 0 is const(0) and i % 1 is const(0) and i - i is const(0)
    assert maximum(i, i) is i and minimum(i, i) is i


def test_what_is_taken_away_and_added_again_vanishes():
    assert i + (n - i) is n and (n - i) + i is n
    assert (n - i) + j is not n and i + (j - n) is not j


def place(i, n):
    """What a slice that begins at ``i`` of an axis of length ``n`` leaves out."""
    return maximum(minimum(i, n), 0)


def test_what_a_slice_leaves_of_a_length_is_no_less_than_0():
    rest = n - place(i, n)
    for length_ in (n, const(3), rest, rest - place(j, rest), place(j, n), minimum(n, 2), n - minimum(n, 2)):
        assert maximum(length_, 0) is length_ and maximum(0, length_) is length_


def test_other_numbers_may_be_less_than_0():
    for other in (i, const(2) - i, n - i, n - minimum(i, n), i - place(j, i), n - place(i, n - 1), minimum(i, n), -n):
        assert maximum(other, 0).code is Code.MAX


def test_a_length_of_many_slices_needs_no_recursion():
    rest = n
    for _ in range(5000):
        rest = maximum(rest - place(index("i"), rest), 0)
    assert rest.code is Code.MAX and rest.args[0].code is Code.SUB


def test_index_constants_fold_and_collect():
    assert const(2) + const(3) is const(5)
    assert (i + 1) + 2 is i + 3
    assert (i + 1) - 1 is i
    assert (i + n) - n is i and (n + i) - n is i
    assert i + (-j) is i - j
    assert -const(3) is const(-3)


@pytest.mark.parametrize("a, b", [(7, 2), (-7, 2), (7, -2), (-7, -2), (7, 0), (0, 0)])
def test_folded_division_takes_the_sign_of_the_divisor_and_is_0_by_0(a, b):
    with np.errstate(all="ignore"):
        assert (const(a) // const(b)).payload == np.int64(a) // np.int64(b)
        assert (const(a) % const(b)).payload == np.int64(a) % np.int64(b)


def test_folded_index_arithmetic_wraps_around():
    assert (const(2**62) * const(4)).payload == 0
    assert (const(2**63 - 1) + const(1)).payload == -(2**63)


@pytest.mark.parametrize("a, b", [(2, 3), (3, 2), (2, 2)])
def test_folded_comparisons(a, b):
    assert (const(a) < const(b)).payload is (a < b)
    assert (const(a) <= const(b)).payload is (a <= b)
    assert equal(const(a), const(b)).payload is (a == b)
    assert not_equal(const(a), const(b)).payload is (a != b)


def test_floating_point_is_never_simplified():
    assert (x + 0.0).code is Code.ADD and (x * 1.0).code is Code.MUL
    assert (x - x).code is Code.SUB and (x * 0.0).code is Code.MUL


def test_small_integers_are_not_index_arithmetic():
    k = scalar("k", "int32")
    assert (k + 0).dtype == "int32"
    assert evaluate_scalar(k * 3, {k: np.int32(2**30)}) == np.int32(2**30) * np.int64(3) - 2**32


# --- lengths --------------------------------------------------------------------------------------------------------


def test_a_length_joined_with_itself_or_with_one_is_itself():
    one = const(1)
    assert join_length(n, n) is n and join_length(n, one) is n and join_length(one, n) is n
    assert join_length(n, m).code is Code.JOIN


def test_a_length_that_must_equal_itself_is_itself():
    assert same_length(n, n) is n
    assert same_length(n, m).code is Code.SAME


def test_an_index_into_a_broadcast_axis():
    assert stretch(i, const(1), n) is const(0)
    assert stretch(i, n, n) is i
    assert stretch(i, m, n).code is Code.STRETCH


def test_how_many_elements_share_one():
    assert spread(n, n) is const(1)
    assert spread(n, const(1)) is n
    assert spread(n, m).code is Code.SPREAD


def test_a_known_index_is_wrapped_at_once_if_it_is_in_range():
    assert wrap_index(const(-1), const(3)) is const(2)
    assert wrap_index(const(2), const(3)) is const(2)
    assert wrap_index(const(3), const(3)).code is Code.WRAP
    assert wrap_index(scalar("k", "int8"), n).args[0].dtype == "int64"


def test_unravel_undoes_ravel_and_the_other_way_round():
    flat = ravel((i, j), (n, m))
    assert flat is i * m + j
    assert ravel(unravel(flat, (n, m)), (n, m)) is flat
    assert unravel(i, (n,)) == (i,)
    assert unravel(i, ()) == ()
    assert ravel((), ()) is const(0)


def test_an_axis_of_length_one_has_coordinate_0():
    assert unravel(i, (const(1), n))[0] is const(0)


def test_ravel_does_not_take_coordinates_of_another_shape_for_its_own():
    assert ravel(unravel(i, (n, m)), (m, n)) is not i


def test_the_product_of_no_lengths_is_1():
    assert product([]) is const(1)
    assert product([n, const(1), m]) is n * m


# --- reductions -----------------------------------------------------------------------------------------------------


def test_a_reduction_binds_its_variables():
    total = reduce(Combine.ADD, [n, m], lambda a, b: load("x", (a, b, i), "float64"))
    assert total.free == frozenset({i})
    assert total.args[1:] == (n, m) and len(total.payload[1]) == 2


@pytest.mark.parametrize("combine", [Combine.ADD, Combine.MAX])
def test_a_reduction_has_the_dtype_of_its_body_or_the_one_asked_for(combine):
    def body(k):
        return load("x", (k,), "int32")

    assert reduce(combine, [n], body).dtype == "int32"
    assert reduce(combine, [n], body, dtype="float64").dtype == "float64"


def test_positions_are_int64_and_questions_are_bool():
    def body(k):
        return load("x", (k,), "float32")

    assert reduce(Combine.ARGMAX, [n], body, dtype="float32").dtype == "int64"
    assert reduce(Combine.OR, [n], body).dtype == "bool"


@pytest.mark.parametrize("combine", [c for c in Combine if c not in (Combine.ARGMAX, Combine.ARGMIN)])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32"])
def test_the_identity_of_a_combination_changes_nothing(combine, dtype):
    operations = {
        Combine.ADD: np.add,
        Combine.MUL: np.multiply,
        Combine.MAX: np.maximum,
        Combine.MIN: np.minimum,
        Combine.OR: np.logical_or,
        Combine.AND: np.logical_and,
    }
    identity = combine.identity(dtype)
    kind = "bool" if combine in (Combine.OR, Combine.AND) else dtype
    for value in np.array([0, 1, 3]).astype(kind):
        assert operations[combine](value, np.asarray(identity, kind)) == value


# --- walking --------------------------------------------------------------------------------------------------------


def test_walk_gives_operands_first_and_each_once():
    root = (x + y) * (x + y)
    assert walk([root]) == [x, y, x + y, root]


def test_walk_looks_only_where_it_is_told():
    root = Call("exp", x + y)
    assert walk([root], into=lambda e: e.code is not Code.ADD) == [x + y, root]


def test_walk_of_several_roots_shares():
    assert walk([x, x + y, y]) == [x, y, x + y]


def test_deep_expressions_need_no_recursion():
    root = x
    for _ in range(DEEP):
        root = root + y
    assert len(walk([root])) == DEEP + 2
    assert substitute(root, {x: y}).free == root.free
    assert evaluate_scalar(root, {x: 0.0, y: 1.0}) == DEEP
    assert len(show(root)) <= 400
    assert root.cost > 0


def test_the_cost_of_shared_parts_is_bounded():
    root = x
    for _ in range(200):
        root = root + root
    assert root.cost <= 1 << 20


def test_substitute_replaces_variables_and_values():
    e = load("x", (i, j), "float64") + x
    assert substitute(e, {i: const(0)}) is load("x", (0, j), "float64") + x
    assert substitute(e, {x: y}) is load("x", (i, j), "float64") + y
    assert substitute(e, {}) is e
    assert substitute(e, {index("other"): i}) is e


def test_substitute_simplifies_index_arithmetic_again():
    e = load("x", ((i + j) * n,), "float64")
    assert substitute(e, {i: const(0), j: const(0)}) is load("x", (const(0),), "float64")
    assert substitute(select(i < 3, x, y), {i: const(1)}) is x
    assert substitute(join_length(n, m), {m: const(1)}) is n
    assert substitute(wrap_index(i, n), {i: const(-1), n: const(3)}) is const(2)
    assert substitute(same_length(n, m), {m: n}) is n
    assert substitute(spread(n, m), {m: n}) is const(1)


def test_rebuild_remembers_between_calls():
    memo, seen = {}, []

    def change(node, args):
        seen.append(node)

    rebuild(x + y, change, memo)
    rebuild((x + y) * x, change, memo)
    assert seen == [x, y, x + y, (x + y) * x]


# --- for people -----------------------------------------------------------------------------------------------------


def test_show_is_readable():
    assert show(x + 2 * y) == "(x[] + (2.0 * y[]))"
    assert show(Call("atan2", x, y)) == "atan2(x[], y[])"
    assert show(cast(x, "int32")) == "int32(x[])"
    assert show(n) == "x.shape[0]"
    assert show(reduce(Combine.ADD, [n], lambda k: load("x", (k, i), "float64"))) == "sum[k < x.shape[0]](x[k, i])"
    assert show(select(x < y, x, y)) == "select((x[] < y[]), x[], y[])"
    assert show(join_length(n, m)) == "join(x.shape[0], y.shape[0])"
    assert str(x) == repr(x) == "x[]"


def test_show_is_cut():
    root = x
    for _ in range(100):
        root = root + y
    assert show(root, limit=20).endswith("...") and len(show(root, limit=20)) == 20


def test_a_register_is_let_go_with_its_local():
    local = Local("t", "float64")
    read, sum_of = weakref.ref(local.expr), weakref.ref(local.expr + 1.0)
    assert sum_of() is None
    del local
    gc.collect()
    assert read() is None


def test_marked_finds_what_a_full_walk_finds_in_the_same_order():
    x, i = Value("x", "float64"), index("i")
    at = load(x, [i], "float64")
    root = Call("exp", at) + at * length(x, 0) + load(x, [i + length(x, 0)], "float64")
    for mark in (codes.HOLDS_LOAD, codes.HOLDS_LENGTH, codes.HOLDS_GUARD):
        assert marked([root, at], mark) == [e for e in walk([root, at]) if e.marks & mark]


@pytest.mark.parametrize("use", [float, range, math.exp])
def test_an_expression_is_no_number_and_says_what_to_use(use):
    with pytest.raises(DTypeError, match="is symbolic and no number yet"):
        use(index("i"))


def test_arithmetic_with_a_local_itself_says_how_to_read_and_change_it():
    total = KernelBuilder().local("int64", 0, "total")
    with pytest.raises(DTypeError, match=r"total.value, change it by total.set\(...\)"):
        total + index("i")
