"""What schedules ask of a device follows from the words of its language, whichever that is."""

import pytest

from core.dataclass import replace
from core.device.facts import target_for
from core.ir.clike.cwork import WorkItems
from core.ir.codes import Combine

PLAIN = WorkItems("item", "items", "row", "rows", "lane", "lanes", "barrier;", "local ", "local ")
ADDING = {(Combine.ADD, "float32"): "add", (Combine.ADD, "int64"): "add_long"}
WORDS = [
    ("finishes", {"arrive": "last({at}, {count})"}),
    ("holds_rows", {"wide": "struct {name} {{ {type} at[{width}]; }};"}),
    ("settles", {"atomics": {(Combine.MAX, "int64"): "largest"}}),
]


@pytest.mark.parametrize("fact, words", WORDS, ids=[fact for fact, _ in WORDS])
def test_a_device_with_groups_can_do_what_its_language_has_words_for(fact, words):
    able = replace(PLAIN, **words)
    assert getattr(target_for(able, units=8, lanes=64), fact)
    assert not getattr(target_for(PLAIN, units=8, lanes=64), fact)
    assert not getattr(target_for(able, units=8, lanes=1), fact)


def test_sums_are_atomic_unless_every_run_is_to_give_the_same_bits():
    able = replace(PLAIN, atomics={**ADDING, (Combine.MAX, "int64"): "largest"})
    assert target_for(able, units=8, lanes=64).atomics == {"float32", "int64"}
    assert target_for(able, units=8, lanes=64, deterministic=True).atomics == frozenset()
    assert target_for(able, units=8, lanes=1).atomics == frozenset()


def test_who_is_last_and_who_writes_last_are_settled_in_an_order_that_never_changes():
    able = replace(PLAIN, arrive="last({at}, {count})", atomics={(Combine.MAX, "int64"): "largest"})
    target = target_for(able, units=8, lanes=64, deterministic=True)
    assert target.finishes and target.settles
