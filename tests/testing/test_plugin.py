"""core.testing.plugin for pytest: fixtures, the summary and the report, alone and with pytest-xdist."""

import json

CONFTEST = 'pytest_plugins = ["core.testing.plugin"]\n'
SUITE = """
import core.ir.build
import core.tensor as ct
from core import hookimpl, ops
from core.records import OpPack
from core.testing import available_backends, check_op, random

def test_a():
    check_op(ct.cumsum, random(3), backends=(), variants=())

def test_b(backend):
    assert backend in available_backends()

class Pack:
    @hookimpl
    def ops(self):
        return [OpPack("mine", "json")]

def test_c(register):
    register(Pack(), "mine")
    assert ops.mine.loads("1") == 1

def test_d():
    assert not hasattr(ops, "mine")
    assert core.ir.build.VERIFY
"""


def test_fixtures_and_the_summary(run_pytest, tmp_path):
    said = run_pytest("-q", "--core-report", "report.json", conftest=CONFTEST, test_it=SUITE)
    assert "core.testing: 1 subject, " in said and " checks passed" in said
    (result,) = json.loads((tmp_path / "report.json").read_text())
    assert result["subject"] == "cumsum" and result["ok"] and result["format"] == "core.testing/1"
    assert f"{result['counts']['passed']} checks passed" in said


def test_the_counts_of_workers_are_added_up(run_pytest):
    said = run_pytest("-q", "-n", "2", conftest=CONFTEST, test_it=SUITE + SUITE.replace("def test_", "def test_more_"))
    assert "core.testing: 1 subject, " in said


def test_what_was_refused_is_said_with_its_reason(run_pytest):
    suite = """
import core.tensor as ct
from core.testing import check_op, random

def test_it():
    check_op(lambda x: ct.max(x, axis=0), random((3, 2)), backends=())
"""
    said = run_pytest("-q", conftest=CONFTEST, test_it=suite)
    assert "  refused (1): max(axis=0) needs 0 <= axis < 0, because x0 has ndim=0" in said


def test_without_being_asked_for_it_is_not_there(run_pytest):
    assert "core.testing" not in run_pytest("-q", test_it="def test_a(): pass")
