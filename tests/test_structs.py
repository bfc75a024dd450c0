"""Classes of fields behave as those of the standard library do."""

import copy
import dataclasses
import pickle
from dataclasses import field

import pytest

from core import structs

BOTH = pytest.mark.parametrize("dataclass", [structs.dataclass, dataclasses.dataclass], ids=["own", "standard"])


@structs.dataclass(frozen=True)
class Point:
    """At the top of a module, for pickle."""

    x: int
    y: int = 2


def classes(dataclass):
    @dataclass
    class Plain:
        """Changes."""

        a: int
        b: list = field(default_factory=list, compare=False)
        c: int = 3

        def __post_init__(self):
            self.total = self.a + self.c

    @dataclass(frozen=True)
    class Frozen:
        """Does not."""

        a: int
        b: tuple = ()
        hidden: int = field(default=7, repr=False)

    @dataclass(frozen=True, eq=False)
    class Apart:
        """Compares by identity."""

        a: int
        b: tuple = ()
        hidden: int = field(default=7, repr=False)

    @dataclass(frozen=True, eq=False)
    class More(Apart):
        """Has one field more than its base."""

        more: str = "m"

    return Plain, Frozen, More


@BOTH
def test_arguments_come_by_position_name_and_default(dataclass):
    Plain, Frozen, More = classes(dataclass)
    one, other = Plain(1), Plain(a=1, c=5)
    assert (one.a, one.b, one.c, one.total, other.total) == (1, [], 3, 4, 6)
    assert one.b is not other.b
    made = More(1, more="n")
    assert (made.a, made.b, made.hidden, made.more, Frozen(1, (2,)).b) == (1, (), 7, "n", (2,))
    for wrong in ((), (1, [], 3, 4)):
        with pytest.raises(TypeError, match="__init__"):
            Plain(*wrong)


@BOTH
def test_equality_and_hash_are_those_of_the_fields_unless_identity_is_asked_for(dataclass):
    Plain, Frozen, More = classes(dataclass)
    assert Plain(1, [1]) == Plain(1, [2]) and Plain(1) != Plain(2) and Plain(1) != (1, [], 3)
    assert Frozen(1) == Frozen(1) and hash(Frozen(1)) == hash(Frozen(1)) and len({Frozen(1), Frozen(1), Frozen(2)}) == 2
    assert More(1) != More(1) and len({More(1), More(1)}) == 2
    assert Frozen(1) != More(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Plain(1))


@BOTH
def test_what_is_frozen_cannot_be_changed(dataclass):
    _, Frozen, More = classes(dataclass)
    for made in (Frozen(1), More(1)):
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'a'"):
            made.a = 2
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'a'"):
            del made.a
        assert made.a == 1


@BOTH
def test_text_names_the_fields(dataclass):
    Plain, Frozen, More = (one(1) for one in classes(dataclass))
    assert repr(Plain).endswith("Plain(a=1, b=[], c=3)")
    assert repr(Frozen).endswith("Frozen(a=1, b=())") and repr(More).endswith("More(a=1, b=(), more='m')")
    Plain.b = Plain
    assert repr(Plain).endswith("Plain(a=1, b=..., c=3)")


@BOTH
def test_the_functions_of_the_standard_library_take_them(dataclass):
    Plain, _, More = classes(dataclass)
    assert [one.name for one in dataclasses.fields(More)] == ["a", "b", "hidden", "more"]
    assert dataclasses.replace(More(1, (2,)), a=5).b == (2,)
    assert dataclasses.replace(Plain(1, [4]), c=9).total == 10
    assert dataclasses.asdict(Plain(1, [More(2)])) == {
        "a": 1,
        "b": [{"a": 2, "b": (), "hidden": 7, "more": "m"}],
        "c": 3,
    }
    assert dataclasses.is_dataclass(Plain) and More.__dataclass_params__.frozen
    match More(1, (2,)):
        case More(a, b, _, more):
            assert (a, b, more) == (1, (2,), "m")


@BOTH
def test_fields_may_have_any_name(dataclass):
    @dataclass(frozen=True)
    class Odd:
        own: int
        MISSING: int
        fields: int
        known: int = 4
        default_known: int = 5
        new_list: list = field(default_factory=list)
        list: list = field(default_factory=list)

    made = Odd(1, 2, 3)
    assert (made.own, made.MISSING, made.fields, made.known, made.default_known, made.new_list) == (1, 2, 3, 4, 5, [])


@BOTH
def test_methods_of_the_class_itself_stay(dataclass):
    @dataclass(frozen=True)
    class Own:
        a: int

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 5

        def __repr__(self):
            return "own"

    assert Own(1) == Own(2) and hash(Own(1)) == 5 and repr(Own(1)) == "own"


@BOTH
def test_defaults_that_can_change_and_fields_behind_defaults_are_refused(dataclass):
    with pytest.raises(ValueError, match="use default_factory"):

        @dataclass
        class Changing:
            a: list = []

    with pytest.raises(TypeError, match="default"):

        @dataclass
        class Behind:
            a: int = 1
            b: int


def test_they_are_copied_and_pickled():
    for twin in (copy.copy(Point(1)), copy.deepcopy(Point(1)), pickle.loads(pickle.dumps(Point(1)))):
        assert twin == Point(1) and twin.y == 2
