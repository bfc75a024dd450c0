"""Forms: equal where only the things that are named differ, and different where anything else does."""

import pytest

from core.dataclass import fields, replace
from core.ir.codes import Code, Combine
from core.ir.definitions import Value
from core.ir.expr import Call, const, index, length, load
from core.ir.form import Form
from core.ir.nodes import Arrive, Assign, Atomic, Barrier, If, Let, Local, Loop, LoopKind, Store


def key(*expressions, about=lambda value: None):
    form = Form(about)
    form.note(*map(form.expr, expressions))
    return form.key


x, y, small = Value("x", "float64"), Value("y", "float64"), Value("s", "float32")
i, j = index("i"), index("i")


def element(value, *at):
    return load(value, at, value.dtype)


def test_other_values_variables_and_lengths_have_one_form():
    def expression(value, variable):
        return Call("exp", element(value, variable * length(value, 0) + 1)) * 2.0

    assert key(expression(x, i)) == key(expression(y, j))


OTHERS = {
    "a function": (Call("exp", element(x, i)), Call("log", element(x, i))),
    "an operation": (element(x, i) + 1.0, element(x, i) * 1.0),
    "a number": (element(x, i) + 1.0, element(x, i) + 2.0),
    "the sign of zero": (element(x, i) * 0.0, element(x, i) * -0.0),
    "a dtype": (element(x, i), element(small, i)),
    "one thing for two": (element(x, i) + element(x, j), element(x, i) + element(x, i)),
    "two values for one": (element(x, i) + element(y, i), element(x, i) + element(x, i)),
    "a place": (element(x, i), element(x, i + 1)),
    "the order of operands": (element(x, i) - element(x, i + 1), element(x, i + 1) - element(x, i)),
    "what is shared": (element(x, i * length(x, 0)), element(x, i * length(x, 1) + length(x, 0))),
}


@pytest.mark.parametrize("difference", OTHERS)
def test_forms_differ_in(difference):
    one, other = OTHERS[difference]
    assert key(one) == key(one) != key(other)


def test_what_is_asked_about_values_makes_a_difference():
    assert key(element(x, i), about={x: 1}.get) != key(element(y, i), about={y: 2}.get)
    assert key(element(x, i), about={x: 1}.get) == key(element(y, i), about={y: 1}.get)


def test_things_are_in_the_same_order():
    forms = [Form(lambda value: None) for _ in range(2)]
    for form, values, variable in zip(forms, ((x, y), (y, x)), (i, j), strict=True):
        form.expr(element(values[0], variable) + element(values[1], variable))
    assert forms[0].things == [i, x, y] and forms[1].things == [j, y, x]


# --- statements -------------------------------------------------------------------------------------------------------

_a, _b = Local("a", "float64"), Local("b", "float64")
_n = length(x, 0)
LOOP = Loop(i, _n, [Store(x, i, element(y, i))], LoopKind.SIMD)
STATEMENTS = [Let(_a, const(1.0, "float64")), Assign(_a, _a.expr + _b.expr), LOOP.body[0], LOOP]
STATEMENTS += [If(_n < 3, [LOOP]), Atomic(x, i, element(y, i)), Barrier()]
STATEMENTS += [Arrive(Local("last", "bool"), x, i, const(3))]
CHANGED = {  # field -> another value of it, which differs in more than a name
    "local": Local("c", "float32"),
    "value": element(y, i) * 2.0,
    "last": Local("last", "float32"),
    "counter": small,
    "count": const(4),
    "constant": False,
    "nearer": True,
    "buffer": small,
    "offset": i + 1,
    "variable": index("other"),
    "extent": _n + 1,
    "body": [],
    "kind": LoopKind.GRID,
    "reverse": True,
    "reductions": [(Combine.ADD, _a)],
    "width": 4,
    "start": const(1),
    "fits": 8,
    "condition": _n < 4,
    "orelse": [Store(x, i, element(x, i))],
    "combine": Combine.MAX,
}


def form_of_body(body):
    form = Form(lambda value: None)
    form.body(body)
    return form.key


@pytest.mark.parametrize(
    "statement, field",
    [(statement, field.name) for statement in STATEMENTS for field in fields(statement)],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_every_field_of_a_statement_is_part_of_its_form(statement, field):
    """A new field needs an entry in CHANGED, and a place in Form.body."""
    assert form_of_body([statement]) != form_of_body([replace(statement, **{field: CHANGED[field]})])


def test_what_is_inside_is_told_from_what_follows():
    store = LOOP.body[0]
    inside, behind = [replace(LOOP, body=[store, store])], [replace(LOOP, body=[store]), store]
    assert form_of_body(inside) != form_of_body(behind)
    assert form_of_body([If(_n < 3, [store], [])]) != form_of_body([If(_n < 3, [], [store])])
    assert form_of_body([Barrier()]) != form_of_body([])


def test_a_constant_of_another_type_is_another():
    assert const(1).code is Code.CONST and key(const(1)) != key(const(1.0, "float64")) != key(const(True, "bool"))
