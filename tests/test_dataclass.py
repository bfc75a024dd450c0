"""core.dataclass: classes of fields, as the standard library's."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from core.dataclass import dataclass, field, fields, replace


@dataclass(frozen=True)
class Point:
    """Somewhere."""

    x: int
    y: int = 2
    tags: list = field(default_factory=list)
    note: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")


@dataclass(frozen=True, eq=False)
class Named(Point):
    name: str = "here"


@dataclass(frozen=True)
class Frozen:
    x: int
    y: str


@dataclass(eq=False)
class ByIdentity:
    x: int


@dataclass
class Counter:
    count: int = 0


@dataclass
class Empty: ...


def test_fields_are_given_in_their_order_or_by_name_and_have_their_defaults():
    assert (Point(1).x, Point(1).y, Point(1, y=3).y, Point(y=4, x=0).y) == (1, 2, 3, 4)
    with pytest.raises(TypeError, match="x"):
        Point()
    with pytest.raises(TypeError, match="z"):
        Point(1, z=2)


def test_a_default_factory_makes_one_for_each_object():
    assert Point(1).tags == [] and Point(1).tags is not Point(1).tags
    assert not hasattr(Point, "tags") and Point.y == 2


def test_a_subclass_has_the_fields_of_its_base_before_its_own():
    assert repr(Named(1, 2, ["a"], "hidden", "there")) == "Named(x=1, y=2, tags=['a'], name='there')"
    assert [one.name for one in fields(Named)] == ["x", "y", "tags", "note", "name"]


def test_equality_is_that_of_fields_of_objects_of_one_class():
    assert Point(1, tags=[2]) == Point(1, tags=[2]) != Point(1)
    assert Empty() == Empty() and Frozen(1, "a") != Named(1) and Counter(1) != 1
    assert {Frozen(1, "a"): 3}[Frozen(1, "a")] == 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(Counter())


def test_without_eq_objects_compare_by_identity():
    one = ByIdentity(1)
    assert one == one and one != ByIdentity(1) and hash(one) == object.__hash__(one)


def test_a_sealed_class_refuses_to_set_a_field_again():
    @dataclass(frozen=True, sealed=True)
    class Sealed:
        x: int
        note: str = ""

    one = Sealed(1)
    for change in (lambda: setattr(one, "x", 2), lambda: delattr(one, "note")):
        with pytest.raises(AttributeError, match="cannot (assign to|delete) field"):
            change()
    assert one == Sealed(1) and hash(one) == hash(Sealed(1)) and replace(one, x=2).x == 2
    assert repr(one) == f"{Sealed.__qualname__}(x=1, note='')"


def test_methods_that_a_class_has_are_kept():
    @dataclass
    class Own:
        x: int

        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None

    assert repr(Own(1)) == "mine" and Own(1) == 7


def test_post_init_looks_at_what_is_given_and_at_what_is_replaced():
    with pytest.raises(ValueError, match="negative"):
        Point(-1)
    with pytest.raises(ValueError, match="negative"):
        replace(Point(1), x=-1)


def test_replace_keeps_what_is_not_named():
    point = Point(1, 5, ["a"], "n")
    assert replace(point, y=6) == Point(1, 6, ["a"], "n") and replace(point).tags is point.tags


def test_signatures_tell_names_annotations_and_defaults():
    assert str(inspect.signature(Counter)) == "(count: 'int' = 0) -> None"
    assert list(inspect.signature(Named).parameters) == ["x", "y", "tags", "note", "name"]


@pytest.mark.parametrize("one", [Point(1, 2, ["a"]), Named(3), Counter(4), Empty()])
def test_objects_are_copied_and_pickled(one):
    assert repr(copy.copy(one)) == repr(copy.deepcopy(one)) == repr(pickle.loads(pickle.dumps(one))) == repr(one)
