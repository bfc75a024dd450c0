"""Ops whose author wrote plain C: ``c_code`` and its companions, in the unit of their neighbours."""

import pickle
import threading
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core import diagnosis
from core.ccode import CCode
from core.errors import BackendError, CheckError, CompileError, ComputeError, ContractError, CoreWarning, PluginError
from core.ir.check.run import Driver as Oracle
from core.ir.clike.cfamily import Dialect
from core.ir.program import OpCall
from core.markers import hookimpl
from core.records import Lowering
from core.testing import check_op


class Times(core.Op):
    """x * a for a vector and a scalar, in plain C."""

    __props__ = ()

    def make_node(self, x, a):
        x, a = ct.as_tensor(x), ct.as_tensor(a)
        return core.Apply(self, [x, a], [x.type()])

    def infer_shape(self, node, input_shapes):
        return [input_shapes[0]]

    def perform(self, node, inputs, output_storage):
        if inputs[1] == 0:
            raise ValueError("a must not be 0")
        output_storage[0][0] = inputs[0] * inputs[1]

    def c_code(self, node, name, inputs, outputs, sub):
        (x, a), (y,) = inputs, outputs
        return f"""
            if (*{a} == 0) {{
                core_error(ValueError, "a must not be 0, x has length %lld", (long long){x}_shape[0]);
                {sub["fail"]}
            }}
            for (int64_t i = 0; i < {x}_shape[0]; i++) {y}[i] = {x}[i] * *{a};
        """


X, A = ct.dvector("x"), ct.dscalar("a")


def compiled(op, inputs=(X, A), make=lambda y: y, **how):
    return core.function(list(inputs), make(op(*inputs)), backend="c", **how)


def op_calls(f):
    return [step for step in f.program.steps if isinstance(step, OpCall)]


def test_c_code_is_called_in_the_unit_of_its_neighbours():
    f = core.function([X, A], 2 * Times()(X + 1, A) - 1, backend="c")
    assert_array_equal(f([1.0, 2.0], 3.0), [11, 17])
    assert len(op_calls(f)) == 1 and not f.program.host_nodes
    (text,) = f.sources.values()
    assert "op1_Times" in text and "Python.h" not in text


@pytest.mark.parametrize("x", [np.ones(0), np.arange(1.0), np.arange(9.0)[::2], np.arange(9.0)[::-1]], ids=len)
def test_inputs_are_in_row_major_order_whatever_the_caller_gives(x):
    assert_array_equal(compiled(Times())(x, 2.0), 2 * x)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32", "bool"])
def test_types_are_those_of_the_inputs(dtype):
    class Twice(core.Op):
        __props__ = ()

        def make_node(self, x):
            return core.Apply(self, [x], [x.type()])

        def infer_shape(self, node, input_shapes):
            return input_shapes

        def c_code(self, node, name, inputs, outputs, sub):
            (x,), (y,) = inputs, outputs
            size = "ITEMSIZE_INPUT_0 == sizeof(DTYPE_OUTPUT_0)"
            return f"DTYPE_INPUT_0 *end = {y} + {x}_shape[0] * {x}_shape[1]; if ({size}) while (end > {y}) *--end = 1;"

    x = ct.matrix("x", dtype=dtype)
    out = core.function([x], Twice()(x), backend="c")(np.zeros((2, 3), dtype))
    assert_array_equal(out, np.ones((2, 3), dtype))
    assert out.dtype == dtype


@pytest.mark.filterwarnings("ignore:(Times|OnlyC) of")
def test_a_dtype_that_plain_c_lacks_is_left_to_perform_or_told():
    z = ct.tensor("z", dtype="complex128", shape=(None,))
    f = core.function([z, A], Times()(z, A), backend="c")
    assert_array_equal(f(np.array([1j], "complex128"), 2.0), [2j])

    class OnlyC(Times):
        perform = core.Op.perform

    for backend in ("c", "interpreter"):
        with pytest.raises(BackendError, match='c_code of OnlyC needs c_api = "python" for TensorType.complex128'):
            core.function([z, A], OnlyC()(z, A), backend=backend)(np.array([1j], "complex128"), 2.0)


def test_shapes_and_strides_are_there_for_inputs_and_outputs():
    class Shapes(core.Op):
        __props__ = ()

        def make_node(self, x):
            return core.Apply(self, [x], [ct.TensorType("int64", 1)])

        def infer_shape(self, node, input_shapes):
            return [(6,)]

        def c_code(self, node, name, inputs, outputs, sub):
            (x,), (y,) = inputs, outputs
            parts = [f"{x}_shape[{axis}]" for axis in range(3)] + [f"{x}_strides[{axis}]" for axis in range(3)]
            return "".join(f"{y}[{k}] = {part} * {y}_strides[0];" for k, part in enumerate(parts))

    x = ct.tensor("x", ndim=3)
    f = core.function([x], Shapes()(x), backend="c")
    assert_array_equal(f(np.ones((2, 3, 4))), [2, 3, 4, 12, 4, 1])


def test_what_c_raises_arrives_as_that_exception_with_the_op_and_the_users_line():
    f = compiled(Times())
    for kind in (ValueError, ComputeError):
        with pytest.raises(kind, match=r"Times failed: a must not be 0, x has length 2\n(.|\n)*test_c_code.py:\d+: "):
            f([1.0, 2.0], 0.0)
    assert_array_equal(f([1.0], 2.0), [2])


def test_an_error_of_c_can_be_pickled():
    with pytest.raises(ValueError) as caught:
        compiled(Times())([1.0], 0.0)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copy, ValueError) and isinstance(copy, ComputeError) and str(copy) == str(caught.value)


@pytest.mark.parametrize("kind", [IndexError, KeyError, OverflowError, MemoryError, OSError, NotImplementedError])
def test_other_types_of_exceptions_arrive_too(kind):
    class Fails(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return f'core_error({kind.__name__}, "%s", "it had to"); {sub["fail"]}'

    with pytest.raises(kind, match="Fails failed: it had to"):
        compiled(Fails())([1.0], 1.0)


def test_a_failure_without_a_message_is_a_runtime_error():
    class Fails(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return sub["fail"]

    with pytest.raises(RuntimeError, match="Fails failed: it does not say why"):
        compiled(Fails())([1.0], 1.0)


def test_a_long_message_is_cut():
    class Fails(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return f'core_error(ValueError, "%2000d", 1); {sub["fail"]}'

    with pytest.raises(ValueError, match="Fails failed:  "):
        compiled(Fails())([1.0], 1.0)


def test_without_infer_shape_it_says_what_to_do():
    class NoShape(Times):
        infer_shape = core.Op.infer_shape

    with pytest.raises(BackendError, match="c_code of NoShape needs infer_shape(.|\n)*test_c_code.py"):
        compiled(NoShape())


def test_the_c_api_in_plain_c_says_what_to_do():
    class Wrong(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return f"PyArray_DIMS({inputs[0]});"

    with pytest.raises(
        BackendError, match="Wrong is plain C, but it uses PyArray_DIMS of the C-API: derive the op from"
    ):
        compiled(Wrong())


def test_an_unknown_flavour_is_refused():
    class Wrong(Times):
        c_api = "c++"

    with pytest.raises(BackendError, match=r"needs c_api = \"c\" or \"python\", got 'c\+\+'"):
        compiled(Wrong())


def test_a_compiler_that_refuses_is_told_in_three_lines_with_the_op_and_the_users_line():
    class Wrong(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return "/* a comment */\n/* of mine */ undeclared = 3;"

    with pytest.raises(CompileError) as caught:
        compiled(Wrong())
    first, place, where, line = str(caught.value).splitlines()
    assert "undeclared" in first and place.endswith("/* of mine */ undeclared = 3;")
    assert where == "  in c_code of Wrong" and "test_c_code.py" in line
    assert "undeclared" in caught.value.log and "undeclared" in caught.value.source_code


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("const float *p = {x}; {y}[0] = p[0];", "incompatible pointer type"),
        ("int64_t p = {x}; {y}[0] = p;", "int-conversion"),
        ("{y}[0] = 1; return;", "return"),
        ("for (int64_t i = 0; i < 1; i++) {{ {y}[i] = 1;", "end of input"),
        ('core_error(NoSuchError, "x"); {fail}', "NoSuchError"),
    ],
)
def test_c_that_a_lenient_compiler_takes_or_finds_elsewhere_is_refused_with_the_op(text, said):
    class Wrong(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return text.format(x=inputs[0], y=outputs[0], fail=sub["fail"])

    with pytest.raises(CompileError) as caught:
        compiled(Wrong())
    assert "  in c_code of Wrong" in str(caught.value).splitlines() and said in caught.value.log


def test_c_code_that_raises_names_the_op_and_the_users_line():
    class Wrong(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return sub["fial"]

    with pytest.raises(BackendError, match=r"c_code of Wrong failed: KeyError: 'fial'\n.*test_c_code.py"):
        compiled(Wrong())


class AddOne(core.Op):
    """x + 1 in place, where nobody needs x any more."""

    __props__ = ()
    destroy_map = {0: [0]}

    def make_node(self, x):
        return core.Apply(self, [ct.as_tensor(x)], [x.type()])

    def infer_shape(self, node, input_shapes):
        return input_shapes

    def perform(self, node, inputs, output_storage):
        inputs[0] += 1
        output_storage[0][0] = inputs[0]

    def c_code(self, node, name, inputs, outputs, sub):
        (x,), (y,) = inputs, outputs
        return f"if ({x} != {y}) {sub['fail']} for (int64_t i = 0; i < {x}_shape[0]; i++) {x}[i] += 1;"


# --- threads, other backends, other authors ---------------------------------------------------------------------------


def test_it_runs_without_the_gil():
    class Waits(Times):
        """Two calls end only if they run at the same time."""

        def c_support_code(self):
            return "static int arrived;"

        def c_code(self, node, name, inputs, outputs, sub):
            return f"""
                __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
                for (int64_t i = 0; i < 20000000000 && __atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < 2; i++);
                {outputs[0]}[0] = arrived;
            """

    f = compiled(Waits())
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(float(f([1.0], 1.0)[0]))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [2, 2]


def test_the_interpreter_prefers_perform_and_compiles_the_c_where_there_is_none():
    class OnlyC(Times):
        perform = core.Op.perform

    f = core.function([X, A], OnlyC()(X + 1, A), backend="interpreter")
    assert_array_equal(f([1.0, 2.0], 3.0), [6, 9])
    with pytest.raises(ValueError, match=r"OnlyC failed: a must not be 0, x has length 1\n  OnlyC was made at "):
        f([1.0], 0.0)
    with pytest.raises(ValueError, match="Times failed: a must not be 0\n  input 0"):
        core.function([X, A], Times()(X, A), backend="interpreter")([1.0], 0.0)


def test_the_c_of_an_op_serves_constants_and_repeated_inputs():
    class OnlyC(Times):
        perform = core.Op.perform

    f = core.function([X], OnlyC()(X, 3.0), backend="interpreter")
    assert_array_equal(f([1.0, 2.0]), [3, 6])


def test_the_oracle_runs_perform_in_its_place():
    f = core.function([X, A], Times()(X, A) + 1, backend=Oracle())
    assert len(op_calls(f)) == 1
    assert_array_equal(f([1.0, 2.0], 3.0), [4, 7])
    g = core.function([X], AddOne()(2 * X), backend=Oracle())
    assert_array_equal(g([1.0, 2.0]), [3, 5])


def test_a_dialect_that_takes_no_c_leaves_it_to_python_and_says_so_once():
    class Elsewhere(Times):
        pass

    driver = Oracle()
    driver.dialect, driver.dialect_table = "opencl", Dialect("opencl")
    with pytest.warns(CoreWarning, match="Elsewhere of .* has no code for the opencl backend: Python computes it"):
        f = core.function([X, A], Elsewhere()(X, A), backend=driver)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        core.function([X, A], Elsewhere()(X, A), backend=driver)
    assert f.program.host_nodes
    assert_array_equal(f([1.0, 2.0], 3.0), [3, 6])


class Negated(core.Op):
    """An op of somebody else, with perform alone."""

    __props__ = ()

    def make_node(self, x):
        return core.Apply(self, [ct.as_tensor(x)], [x.type()])

    def infer_shape(self, node, input_shapes):
        return input_shapes

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = -inputs[0]


class NegatedInC(CCode):
    def c_code(self, node, name, inputs, outputs, sub):
        (x,), (y,) = inputs, outputs
        return f"for (int64_t i = 0; i < {x}_shape[0]; i++) {y}[i] = -{x}[i];"


def test_c_can_be_attached_to_an_op_of_somebody_else():
    class Pack:
        @hookimpl
        def lowerings(self):
            return [Lowering(Negated, c_code=NegatedInC(), dialect="c")]

    core.plugins.register(Pack(), name="negated-in-c")
    try:
        f = core.function([X], Negated()(X) + 1, backend="c")
    finally:
        core.plugins.unregister("negated-in-c")
    assert_array_equal(f([1.0, 2.0]), [0, -1])
    assert len(op_calls(f)) == 1 and not f.program.host_nodes


def test_a_lowering_needs_one_way_and_a_dialect_for_c():
    with pytest.raises(PluginError, match="needs either fn or c_code"):
        Lowering(Negated)
    with pytest.raises(PluginError, match='needs a dialect for its c_code, such as dialect="c"'):
        Lowering(Negated, c_code=NegatedInC())


def test_why_tells_which_dialects_take_an_ops_c():
    shown = [(one.way, one.wins) for one in diagnosis.why(Times(), "c")]
    assert shown == [("own c_code", True), ("host fallback", False)]
    first, second = diagnosis.why(Times(), "opencl")
    assert first.reason.endswith("which this dialect does not take") and second.wins


# --- mode "debug" -----------------------------------------------------------------------------------------------------


def debugged(op, x=(1.0, 2.0)):
    return core.function([X, A], op(X, A), mode="debug", backend="c")(np.array(x), 3.0)


def test_the_debug_mode_compares_c_with_perform():
    class Wrong(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return super().c_code(node, name, inputs, outputs, sub) + f"{outputs[0]}[1] += 1;"

    assert_array_equal(debugged(Times()), [3, 6])
    with pytest.raises(
        ContractError, match=r"c_code of Wrong makes 7\.0 at \(1,\) for output 0, but perform makes 6\.0"
    ):
        debugged(Wrong())


def test_the_debug_mode_finds_c_that_overwrites_its_input():
    class Wrong(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return super().c_code(node, name, inputs, outputs, sub) + f"((double *){inputs[0]})[0] = -1;"

    with pytest.raises(ContractError, match="c_code of Wrong overwrites its input 0, but destroy_map does not say so"):
        debugged(Wrong())
    assert_array_equal(core.function([X], AddOne()(X), mode="debug", backend="c")([1.0]), [2])


def test_the_kit_holds_c_against_perform_and_the_memory_maps():
    class Wrong(Times):
        def c_code(self, node, name, inputs, outputs, sub):
            return super().c_code(node, name, inputs, outputs, sub) + f"((double *){inputs[0]})[0] = -1;"

    arrays = np.array([1.0, 2.0]), np.array(3.0)
    result = check_op(Times(), *arrays, backends=["c"], derivatives=False, variants=["strided", "empty", "size-1"])
    assert any(check.name == "c_code" for check in result.checks)
    with pytest.raises(CheckError, match="c_code(.|\n)*overwrites its input 0"):
        check_op(Wrong(), *arrays, backends=[], derivatives=False)
