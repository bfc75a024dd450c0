"""docs/names.md says which functions of NumPy are not there: what else is missing is missing by mistake."""

import re
from pathlib import Path

import numpy as np

import core.tensor as ct

PAGE = (Path(__file__).parents[2] / "docs" / "names.md").read_text(encoding="utf-8")
THERE, ABSENT = PAGE.split("## What is not there, and why")


def functions_of_numpy():
    for name in dir(np):
        thing = getattr(np, name)
        home = getattr(thing, "__module__", None) or ""
        if callable(thing) and not name.startswith("_") and not isinstance(thing, type):
            if isinstance(thing, np.ufunc) or home.startswith("numpy"):
                yield name


def test_every_function_of_numpy_is_there_or_said_to_be_absent():
    said = set(re.findall(r"`(\w+)`", ABSENT))
    assert [name for name in functions_of_numpy() if not callable(getattr(ct, name, None)) and name not in said] == []


def test_names_that_the_page_gives_are_there_and_those_it_denies_are_not():
    table = THERE.split("## Where which are")[1]
    assert [name for name in re.findall(r"`(\w+)`", table) if not callable(getattr(ct, name, None))] == []
    denied = re.findall(r"`(\w+)`", ABSENT.split("Of SciPy's")[0])
    assert [name for name in denied if callable(getattr(ct, name, None))] == []
