"""core.dataclass: the same as the standard library's, as far as it goes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle

import pytest

from core.dataclass import dataclass, field, fields_of, replace


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


@dataclasses.dataclass(frozen=True)
class Theirs:
    x: int


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
    assert list(fields_of(Named)) == ["x", "y", "tags", "note", "name"]


def test_what_is_frozen_cannot_be_changed_and_what_is_not_can():
    with pytest.raises(AttributeError, match="Point is frozen: cannot set x"):
        Point(1).x = 2
    with pytest.raises(AttributeError, match="Point is frozen: cannot delete x"):
        del Point(1).x
    counter = Counter()
    counter.count += 1
    assert counter == Counter(1)


def test_equality_is_that_of_fields_of_objects_of_one_class():
    assert Point(1, tags=[2]) == Point(1, tags=[2]) != Point(1)
    assert Empty() == Empty() and Frozen(1, "a") != Named(1) and Counter(1) != 1
    assert {Frozen(1, "a"): 3}[Frozen(1, "a")] == 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(Counter())


def test_without_eq_objects_compare_by_identity():
    one = ByIdentity(1)
    assert one == one and one != ByIdentity(1) and hash(one) == object.__hash__(one)


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


def test_those_of_the_standard_library_are_replaced_and_have_fields_too():
    assert replace(Theirs(1), x=2) == Theirs(2)
    assert fields_of(Theirs) == {"x": "int"} and fields_of(Frozen) == {"x": "int", "y": "str"}


def test_nothing_else_has_fields():
    assert fields_of(int) is None and fields_of(type("Plain", (), {"__annotations__": {"x": "int"}})) is None


def test_signatures_tell_names_annotations_and_defaults():
    assert str(inspect.signature(Counter)) == "(count: 'int' = 0) -> None"
    assert list(inspect.signature(Named).parameters) == ["x", "y", "tags", "note", "name"]


@pytest.mark.parametrize("one", [Point(1, 2, ["a"]), Named(3), Counter(4), Empty()])
def test_objects_are_copied_and_pickled(one):
    assert repr(copy.copy(one)) == repr(copy.deepcopy(one)) == repr(pickle.loads(pickle.dumps(one))) == repr(one)
