"""A pack from outside the repository, written from the docs: every way to write an op, and a rewrite, in one pack.

It begins as ``core new-plugin`` writes it, with an elementwise function and an op with loops; an op in plain C, one
with Python's C-API and a rule are added.  All of it runs in a process that finds the pack as an installed distribution.
"""

import textwrap

import pytest

from core.new_plugin import new_plugin
from core.testing.sites import Site

PLUGIN = """
from core.markers import hookimpl
from core.records import OpPack, Rewrite


@hookimpl
def ops():
    return [OpPack("outside", "plugin_ops_outside.functions")]


@hookimpl
def rewrites():
    return [Rewrite("outside", "specialize", fn="plugin_ops_outside.rules:specialize", about="plugin_ops_outside.in_c")]
"""

IN_C = '''
"""A vector times a scalar, in plain C and with the C-API."""

import core
import core.tensor as ct
import numpy as np


class Times(core.Op):
    """x * a.  Inputs x: float64 vector, a: float64 scalar.  Output: like x.  Errors: ValueError where a is 0."""

    __props__ = ()

    def make_node(self, x, a):
        x, a = ct.as_tensor(x), ct.as_tensor(a)
        if (x.type.dtype, x.ndim, a.type.dtype, a.ndim) != ("float64", 1, "float64", 0):
            raise core.errors.DTypeError(f"{self} needs a float64 vector and scalar, got {x.type} and {a.type}")
        return core.Apply(self, [x, a], [x.type])

    def infer_shape(self, node, input_shapes):
        return [input_shapes[0]]

    def perform(self, node, inputs, output_storage):
        x, a = inputs
        if a == 0:
            raise ValueError("the scalar must not be 0")
        output_storage[0][0] = x * a

    def c_code(self, node, name, inputs, outputs, sub):
        (x, a), (y,) = inputs, outputs
        return f"""
            if (*{a} == 0) {{
                core_error(ValueError, "the scalar must not be 0");
                {sub["fail"]}
            }}
            for (int64_t i = 0; i < {x}_shape[0]; i++)
                {y}[i] = {x}[i] * *{a};
        """

    def grad(self, inputs, output_grads):
        (x, a), (g,) = inputs, output_grads
        return [times(g, a), (g * x).sum()]

    def R_op(self, inputs, eval_points):
        (x, a), (dx, da) = inputs, eval_points
        terms = ([] if dx is None else [times(dx, a)]) + ([] if da is None else [x * da])
        return [sum(terms[1:], terms[0]) if terms else None]


class TimesAPI(core.COp):
    """The same with PyArrayObject."""

    __props__ = ()
    make_node, infer_shape, grad, R_op = Times.make_node, Times.infer_shape, Times.grad, Times.R_op

    def c_code(self, node, name, inputs, outputs, sub):
        (x, a), (y,), fail = inputs, outputs, sub["fail"]
        return f"""
            const npy_intp n = PyArray_DIM({x}, 0);
            const DTYPE_INPUT_1 factor = *(DTYPE_INPUT_1 *)PyArray_DATA({a});
            if (factor == 0) {{
                PyErr_Format(PyExc_ValueError, "the scalar must not be 0");
                {fail}
            }}
            if ({y} == NULL || PyArray_DIM({y}, 0) != n) {{
                Py_XDECREF({y});
                {y} = (PyArrayObject *)PyArray_EMPTY(1, &n, TYPENUM_OUTPUT_0, 0);
                if ({y} == NULL)
                    {fail}
            }}
            for (npy_intp i = 0; i < n; i++)
                *(DTYPE_OUTPUT_0 *)PyArray_GETPTR1({y}, i) = factor * *(DTYPE_INPUT_0 *)PyArray_GETPTR1({x}, i);
        """


times, times_api = Times(), TimesAPI()
'''

RULES = '''
"""Two factors in a row are one."""

from core.rewriting import RuleSet
from core.tensor.patterns import X, Y, Z
from plugin_ops_outside.in_c import times

specialize = RuleSet("specialize")


@specialize.rule(times(times(X, Y), Z))
def two_factors_are_one(x, y, z):
    """(x * y) * z -> x * (y * z): one pass over the vector, rounded once more or less."""
    return times(x, y * z)
'''

TESTS = """
import core
import core.tensor as ct
import numpy as np
import pytest
from core.testing import Example, check_op, check_rewrite, random
from core.testing.on_backends import compilers_alone
from plugin_ops_outside.functions import Smooth, softsign
from plugin_ops_outside.in_c import times, times_api

x, a, b = random(5), np.array(2.0), np.array(0.5)


@pytest.mark.parametrize("op", [times, times_api], ids=str)
def test_an_op_in_c_keeps_its_contract(op):
    result = check_op(op, x, a)
    ran = {check.name.split(",")[0] for check in result.checks if check.name.startswith("backend")}
    assert {"backend interpreter", "backend c"} <= ran
    assert not any("Python computes" in check.detail for check in result.checks if check.name.startswith("backend c,")
                   and op is times)


@pytest.mark.skipif("cuda" not in compilers_alone(), reason="no compiler of CUDA here, or a GPU, which runs it")
@pytest.mark.parametrize("op", [softsign, Smooth(0.9)], ids=str)
def test_what_is_written_once_compiles_for_cuda(op):
    (made,) = [check for check in check_op(op, x).checks if check.name.startswith("compiler of cuda")]
    assert made.detail.endswith("compiled, not run")


def test_an_exception_of_c_arrives_with_the_op(backend):
    v, s = ct.dvector("v"), ct.dscalar("s")
    f = core.function([v, s], times(v, s), backend=backend)
    with pytest.raises(ValueError, match="the scalar must not be 0"):
        f(x, 0.0)


def test_the_rewrite_keeps_its_promises():
    check_rewrite(
        "plugin_ops_outside.rules:specialize",
        fires_on=[Example(lambda v, p, q: times(times(v, p), q), x, a, b)],
        leaves=[Example(lambda v, p: times(v, p), x, a)],
        nan=False,
    )


def test_explain_shows_the_rule_firing_and_whose_it_is(backend):
    v, p, q = ct.dvector("v"), ct.dscalar("p"), ct.dscalar("q")
    f = core.function([v, p, q], times(times(v, p), q), backend=backend)
    assert "two_factors_are_one (plugin plugin-ops-outside) x1" in str(core.explain(f))
    np.testing.assert_allclose(f(x, 2.0, 3.0), 6 * x)
"""


@pytest.mark.slow
def test_a_pack_written_from_the_docs_works_on_every_backend(tmp_path):
    pytest.importorskip("plugin_backend_c", reason="the pack has C, which environments with the C backend run")
    folder = new_plugin("outside", "ops", tmp_path)
    package = folder / "plugin_ops_outside"
    (package / "__init__.py").write_text(PLUGIN)
    (package / "in_c.py").write_text(IN_C)
    (package / "rules.py").write_text(RULES)
    (folder / "tests" / "test_more.py").write_text(textwrap.dedent(TESTS))

    site = Site(tmp_path / "site")
    modules = {f"plugin_ops_outside/{file.stem}": file.read_text() for file in package.glob("*.py")}
    first = modules.pop("plugin_ops_outside/__init__")
    requires = ["core>=0.1,<0.2", "numpy>=2.0"]
    site.add(
        "plugin-ops-outside",
        entry="ops-outside",
        requires=requires,
        **{"plugin_ops_outside/__init__": first, **modules},
    )

    found = site.plugins()["plugin-ops-outside"]
    assert (found["state"], found["counts"]) == ("loaded", {"ops": 1, "rewrites": 1})
    done = site.python(
        "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder / "tests")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "core.testing: " in done.stdout and " failed" not in done.stdout.splitlines()[-1]
    told = site.python("-m", "core", "why", "plugin_ops_outside.in_c:Times", "c")
    assert "own c_code" in told.stdout, told.stdout + told.stderr
