"""docs/coverage.md says where each op runs: it is what the backends themselves say."""

import importlib.util
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def coverage():
    for name in ("c", "cuda", "opencl"):
        pytest.importorskip(f"plugin_backend_{name}.backend", reason="the table is about all plugins")
    for name in ("fft", "linalg", "nn", "random"):
        pytest.importorskip(f"plugin_ops_{name}", reason="the table is about all plugins")
    spec = importlib.util.spec_from_file_location("coverage", ROOT / "scripts" / "coverage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows(coverage):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return coverage.table()


def test_every_op_is_in_the_table(coverage, rows):
    assert coverage.missing(rows) == []


def test_the_page_is_what_the_backends_say(coverage, rows):
    assert coverage.PAGE.read_text(encoding="utf-8") == coverage.page(rows), "python scripts/coverage.py --write"


def test_cuda_computes_whatever_opencl_does(rows):
    def is_left_to_python(row, backend):
        return "Python" in row[backend]

    assert rows
    for (op, routine), row in rows.items():
        assert is_left_to_python(row, "opencl") or not is_left_to_python(row, "cuda"), (op, routine, row)
