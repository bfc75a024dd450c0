"""Routines that a plugin brings, called from C: operands, stacks, work in place, errors."""

import ctypes

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import BackendError
from core.graph import Apply
from core.ir.clike.clibrary import Routine
from core.ir.library import LibraryCall
from core.op import Op
from core.records import Library
from core.tensor.type import TensorType
from core.testing import random


class Root(Op):
    """The lower Cholesky factor of each matrix of a stack, (..., n, n), float64."""

    def make_node(self, x):
        return Apply(self, [x], [TensorType(x.dtype, x.type.shape)])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = np.linalg.cholesky(inputs[0])

    def infer_shape(self, node, input_shapes):
        return input_shapes

    def library_call(self, node):
        return LibraryCall(
            "root", (("uplo", "U"),), batch=node.out.ndim - 2, same=(((0, -1), (0, -2)),), overwrites=((0, 0),)
        )


def write_root(call):
    (c,) = call.outputs
    n, leading, info = call.integer(c.shape[0]), call.integer(c.leading, least=1), call.variable("int")
    yield f'{call.function("dpotrf")}("{call.attributes["uplo"]}", &{n}, {c.pointer}, &{leading}, &{info});'
    yield call.check(info)
    yield f"core_zero_above({n}, {c.pointer});"


ZERO_ABOVE = """\
static void core_zero_above(int n, double *a)
{
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) a[(int64_t)i * n + j] = 0;
}
"""


def lapack(name):
    import scipy.linalg.cython_lapack as module

    capsule = module.__pyx_capi__[name]
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return pointer_of(capsule, name_of(capsule))


def not_positive(node, failure):
    return np.linalg.LinAlgError(f"{node.op}: leading minor {failure.number} of {failure.place} {failure.shapes}")


@pytest.fixture(params=[not_positive, None])
def root(request):
    routine = Routine(
        {"dpotrf": "void {}(const char *, const int *, double *, const int *, int *)"},
        lapack,
        write_root,
        request.param,
        {"core_zero_above": ZERO_ABOVE},
    )

    class Plugin:
        @core.hookimpl
        def libraries(self):
            return [Library("lapack", "c", ("root",), {"root": routine})]

    plugin = Plugin()
    core.plugins.register(plugin)
    yield request.param
    core.plugins.unregister(plugin)


def positive(*shape):
    x = random(shape)
    return x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1])


@pytest.mark.parametrize("shape", [(3, 3), (1, 1), (0, 0), (5, 4, 4), (2, 3, 2, 2), (0, 3, 3)])
def test_a_routine_of_a_plugin_works_in_its_output(root, shape):
    x = ct.tensor("x", dtype="float64", ndim=len(shape))
    f = core.function([x], Root()(x), backend="c")
    assert "core_dpotrf" in "".join(f.sources.values())
    a = positive(*shape)
    before = a.copy()
    assert_allclose(f(a), np.linalg.cholesky(a), atol=1e-14)
    assert_array_equal(a, before)


def test_an_operand_that_others_read_is_not_overwritten(root):
    x = ct.dmatrix("x")
    f = core.function([x], [Root()(2 * x), 2 * x, Root()(x), Root()(x.T)], backend="c")
    a = positive(3, 3)
    roots = [np.linalg.cholesky(2 * a), 2 * a, np.linalg.cholesky(a), np.linalg.cholesky(a)]
    for got, want in zip(f(a), roots, strict=True):
        assert_allclose(got, want, atol=1e-14)


def test_a_number_by_which_a_routine_fails_becomes_an_error_that_names_the_op(root):
    x = ct.dmatrix("x")
    f = core.function([x], ct.exp(Root()(x)), backend="c")
    error, text = (
        (np.linalg.LinAlgError, r"Root.*minor 2 of \(\) \(\(3, 3\),\)")
        if root
        else (BackendError, "root of Root.*failed with 2")
    )
    with pytest.raises(error, match=text):
        f(np.diag([1.0, -1.0, 1.0]))
    assert_allclose(f(np.eye(2)), np.exp(np.eye(2)))


def test_lengths_that_a_routine_needs_equal_are_checked(root):
    x = ct.dmatrix("x")
    f = core.function([x], Root()(x), backend="c")
    with pytest.raises(np.linalg.LinAlgError, match="Root failed: .* must be square"):  # as NumPy says it
        f(np.ones((2, 3)))


def test_a_library_that_lacks_what_it_provides_is_named():
    class Plugin:
        @core.hookimpl
        def libraries(self):
            return [Library("lapack", "c", ("root",), {})]

    plugin = Plugin()
    core.plugins.register(plugin, name="plugin-empty")
    try:
        with pytest.raises(core.errors.PluginError, match="plugin-empty.* 'lapack' provides 'root', but gives no"):
            core.function([x := ct.dmatrix("x")], Root()(x), backend="c")
    finally:
        core.plugins.unregister(plugin)
