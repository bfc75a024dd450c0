"""What the pack says of itself: its namespace, option and names; what its base promises."""

import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError, DTypeError, ShapeError
from core.testing import available_backends, check_plugin, evaluate
from plugin_ops_linalg import names
from plugin_ops_linalg.families.cholesky import Cholesky


def test_the_plugin_keeps_its_promises():
    check_plugin("plugin-ops-linalg")


def test_the_pack_is_a_namespace_of_core():
    assert core.ops.linalg.cholesky is linalg.cholesky
    assert set(names.__all__) <= set(dir(linalg))
    with pytest.raises(AttributeError, match="has no attribute 'choleski'"):
        linalg.choleski


@pytest.mark.parametrize("name", names.__all__)
def test_every_name_is_there_and_documented(name):
    assert inspect.getdoc(getattr(linalg, name))


def test_the_ops_import_scipy_when_a_matrix_is_computed():
    build = "import sys, plugin_ops_linalg as la, core.tensor as ct; la.cholesky(ct.matrix())"
    program = f"{build}; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif("c" not in available_backends(), reason="routines are called from C")
@pytest.mark.parametrize("elsewhere", ["", "library._openblas = lambda: None"])
def test_compiled_code_imports_scipy_for_lapack_only_where_its_wheel_has_none(elsewhere):
    program = f"""
import sys, numpy as np, core, core.tensor as ct, plugin_ops_linalg as la
from plugin_ops_linalg.compiled import library
{elsewhere}
a = ct.dmatrix()
f = core.function([a], [la.cholesky(a), la.solve(a, a)], backend="c")
np.testing.assert_allclose(f(np.eye(3) * 4), [np.eye(3) * 2, np.eye(3)])
print(("scipy.linalg" in sys.modules) == (library._openblas() is None))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_the_option_says_what_a_matrix_that_fails_gives():
    with core.config.override(**{"linalg.on_error": "nan"}):
        assert np.isnan(evaluate(linalg.cholesky, -np.eye(2))).all()
    with pytest.raises(linalg.LinAlgError):
        evaluate(linalg.cholesky, -np.eye(2))
    with pytest.raises(ArgumentError, match="on_error needs 'raise' or 'nan', got 'ignore'"):
        linalg.cholesky(ct.matrix(), on_error="ignore")


def test_errors_are_numpys_too():
    assert issubclass(linalg.LinAlgError, np.linalg.LinAlgError) and issubclass(
        linalg.LinAlgError, core.errors.CoreError
    )


def test_half_precision_is_an_error():
    with pytest.raises(DTypeError, match="got float16; cast it"):
        linalg.inv(ct.tensor("x", dtype="float16", ndim=2))


def test_dtypes_promote():
    a, b = ct.tensor("a", dtype="float32", ndim=2), ct.tensor("b", dtype="complex64", ndim=2)
    assert linalg.solve(a, b).dtype == "complex64"
    assert linalg.solve(a, ct.matrix()).dtype == "float64"


def test_too_few_axes_and_inputs_are_errors():
    with pytest.raises(ShapeError, match="needs ndim >= 2, but x has ndim=1"):
        linalg.inv(ct.vector("x"))
    with pytest.raises(ArgumentError, match="needs 1 inputs, got 2"):
        Cholesky()(ct.matrix(), ct.matrix())


def test_leading_axes_that_do_not_broadcast_are_an_error(backend):
    with pytest.raises(ShapeError, match="cannot broadcast the leading axes"):
        linalg.solve(ct.tensor("a", shape=(2, 3, 3)), ct.tensor("b", shape=(4, 3, 1)))
    with pytest.raises(ShapeError, match="cannot broadcast"):
        evaluate(linalg.solve, np.zeros((2, 3, 3)) + np.eye(3), np.ones((4, 3, 1)), backend=backend)


def test_lengths_are_known_where_they_can_be():
    q, r = linalg.qr(ct.tensor("a", shape=(None, 5, 3)))
    assert q.type.shape == (None, 5, 3) and r.type.shape == (None, 3, 3)
    assert linalg.svdvals(ct.tensor("a", shape=(5, None))).type.shape == (None,)


def test_ops_compare_by_value_and_survive_pickle():
    assert Cholesky(True) == Cholesky(True) != Cholesky(False)
    x = ct.matrix("x")
    f = pickle.loads(pickle.dumps(core.function([x], linalg.cholesky(x), backend="interpreter")))
    assert f(4 * np.eye(1)).tolist() == [[2.0]]


def test_equal_ops_on_equal_inputs_are_computed_once():
    x = ct.matrix("x")
    cost = linalg.slogdet(x)[1] + linalg.inv(x).sum()
    f = core.function([x], [cost, core.grad(cost, x)], backend="interpreter")
    ops = [str(node.op) for node in f.graph.toposort()]
    assert [sum(op.startswith(name) for op in ops) for name in ("LUFactor(", "LUInverse(", "Inv(")] == [1, 1, 0]


def test_shared_variables_stay_as_they_were(make, backend, fortran):
    value = make.positive(4, 4)
    x = core.shared(value, name="x")
    before = x.get_value().copy()
    f = core.function([], [linalg.cholesky(x), linalg.inv(x), linalg.solve(x, x), *linalg.eigh(x)], backend=backend)
    f()
    np.testing.assert_array_equal(x.get_value(), before)
    np.testing.assert_array_equal(value, before)


@pytest.mark.parametrize("page", ["plugins/ops_linalg/README.md", "docs/linear-algebra.md"])
def test_the_python_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[3] / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    namespace = {"__name__": "__page__"}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
    assert blocks


@pytest.mark.parametrize("name", [name for name in available_backends() if name not in ("interpreter", "c")])
def test_other_backends_go_back_to_python(make, name):
    a = make.positive(2, 3, 3)
    np.testing.assert_allclose(evaluate(linalg.cholesky, a, backend=name), np.linalg.cholesky(a))
