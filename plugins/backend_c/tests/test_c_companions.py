"""What an op in plain C can say besides its code: companions, parameters, memory, and versions for the cache."""

import gc
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.lower import lower
from core.errors import BackendError
from core.ir.build import build
from core.ir.program import OpCall
from plugin_backend_c.compiler import find
from plugin_backend_c.dialect import C


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


# --- companions -------------------------------------------------------------------------------------------------------


class Companions(Times):
    """Takes from each companion what it needs."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "own.h").write_text("#define OWN 100.0\n")

    def c_headers(self):
        return ["<math.h>", "<stdint.h>", "<string.h>", "own.h"]

    def c_header_dirs(self):
        return [str(self.folder)]

    def c_compile_args(self):
        return ["-DARGUMENT=1000.0"]

    def c_no_compile_args(self):
        return ["-ffp-contract=off"]

    def c_libraries(self):
        return ["m"]

    def c_lib_dirs(self):
        return [str(self.folder)]

    def c_support_code(self):
        return "static double started;\nstatic double support(double x) { return floor(x) + started; }"

    def c_support_code_apply(self, node, name):
        return f"static double mine_{name}(DTYPE_INPUT_0 x) {{ return support(x) + OWN; }}"

    def c_init_code(self):
        return ["started += 10;"]

    def c_init_code_apply(self, node, name):
        return "started += 20;"

    def c_code(self, node, name, inputs, outputs, sub):
        return f"{outputs[0]}[0] = mine_{name}({inputs[0]}[0]) + ARGUMENT;"

    def c_code_cleanup(self, node, name, inputs, outputs, sub):
        return f"{outputs[0]}[0] += 10000;"


def test_every_companion_is_used_once(tmp_path):
    f = compiled(Companions(tmp_path))
    assert f([1.5], 0.0) == [1 + 30 + 100 + 1000 + 10000]
    assert compiled(Companions(tmp_path))([1.5], 0.0) == [11131]  # the library that is loaded already begins once


def test_a_library_in_a_folder_of_its_own_is_linked_and_found(tmp_path):
    compiler, _ = find()
    (tmp_path / "own.c").write_text("double own(double x) { return x + 0.25; }\n")
    assert compiler.build([str(tmp_path / "own.c")], str(tmp_path / "libcoreown.so")).returncode == 0

    class Linked(Times):
        def c_libraries(self):
            return ["coreown"]

        def c_lib_dirs(self):
            return [str(tmp_path)]

        def c_support_code(self):
            return "extern double own(double);"

        def c_code(self, node, name, inputs, outputs, sub):
            return f"{outputs[0]}[0] = own({inputs[0]}[0]);"

    assert compiled(Linked())([1.0], 0.0) == [1.25]


def test_openmp_may_be_asked_for():
    class Parallel(Times):
        def c_compile_args(self):
            return ["-fopenmp"]

        def c_headers(self):
            return ["<omp.h>"]

        def c_code(self, node, name, inputs, outputs, sub):
            (x, a), (y,) = inputs, outputs
            return f"""
                #pragma omp parallel for num_threads(2)
                for (int64_t i = 0; i < {x}_shape[0]; i++) {y}[i] = omp_in_parallel() * {x}[i] * *{a};
            """

    assert_array_equal(compiled(Parallel())(np.arange(100.0), 2.0), 2 * np.arange(100.0))


def test_a_changed_header_is_compiled_anew(tmp_path):
    assert compiled(Companions(tmp_path))([1.5], 0.0) == [11131]
    op = Companions(tmp_path)
    (tmp_path / "own.h").write_text("#define OWN 200.0\n")
    assert compiled(op)([1.5], 0.0) == [11231]


def test_two_nodes_of_one_op_share_support_code():
    class Supported(Times):
        def c_support_code(self):
            return "static double support(double x) { return -x; }"

        def c_code(self, node, name, inputs, outputs, sub):
            return f"{outputs[0]}[0] = support({inputs[0]}[0]);"

    f = compiled(Supported(), make=lambda y: Supported()(y + 1, A))
    assert f([1.0], 1.0) == [0]


def test_cleanup_runs_after_a_failure_too():
    class Counts(Times):
        def c_support_code(self):
            return "static int cleaned;"

        def c_code(self, node, name, inputs, outputs, sub):
            return f"{outputs[0]}[0] = cleaned; if (*{inputs[1]} == 0) {sub['fail']}"

        def c_code_cleanup(self, node, name, inputs, outputs, sub):
            return "cleaned++;"

    f = compiled(Counts())
    before = float(f([0.0], 1.0)[0])
    with pytest.raises(RuntimeError):
        f([0.0], 0.0)
    assert f([0.0], 1.0)[0] >= before + 2


@pytest.mark.parametrize("companion", ["c_support_code_struct", "c_init_code_struct", "c_cleanup_code_struct"])
def test_state_needs_the_c_api(companion):
    class Stateful(Times):
        pass

    setattr(Stateful, companion, lambda self, *args: "int state;")
    with pytest.raises(BackendError, match=f"{companion} of Stateful needs the GIL"):
        compiled(Stateful())


# --- parameters -------------------------------------------------------------------------------------------------------


class Affine(core.Op):
    """a x + b with both handed over at run time."""

    __props__ = ("a", "b")
    params_type = {"a": "float64", "b": "float32", "weights": ("int16", (3,))}
    weights = (1, 2, 3)

    def __init__(self, a, b):
        self.a, self.b = a, b

    def make_node(self, x):
        return core.Apply(self, [ct.as_tensor(x)], [x.type()])

    def infer_shape(self, node, input_shapes):
        return input_shapes

    def c_code(self, node, name, inputs, outputs, sub):
        (x,), (y,), p = inputs, outputs, sub["params"]
        return f"for (int64_t i = 0; i < {x}_shape[0]; i++) {y}[i] = {p}->a * {x}[i] + {p}->b * {p}->weights[2];"


def test_parameters_are_handed_over_at_run_time_and_compile_nothing():
    f, g = (core.function([X], Affine(*ab)(X), backend="c") for ab in ((2, 0.5), (3, 1.5)))
    assert_array_equal(f([1.0, 2.0]), [3.5, 5.5])
    assert_array_equal(g([1.0, 2.0]), [7.5, 10.5])
    assert f.sources == g.sources


def test_parameters_may_come_from_get_params():
    class Given(Affine):
        def get_params(self, node):
            return {"a": 1, "b": 0, "weights": np.zeros(3)}

    assert_array_equal(core.function([X], Given(5, 5)(X), backend="c")([2.0]), [2])


def test_parameters_that_do_not_fit_are_told():
    class Lacks(Affine):
        params_type = {"c": "float64"}

    with pytest.raises(BackendError, match="the parameters of Lacks.* do not fit .*'c'"):
        core.function([X], Lacks(1, 2)(X), backend="c")


# --- memory -----------------------------------------------------------------------------------------------------------


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


def test_an_input_that_is_overwritten_lies_where_the_output_does():
    x = np.arange(3.0)
    f = core.function([X], AddOne()(X), backend="c")
    assert_array_equal(f(x), [1, 2, 3])
    assert_array_equal(x, [0, 1, 2])


def test_what_is_overwritten_is_copied_where_somebody_else_reads_it():
    doubled = 2 * X
    f = core.function([X], [AddOne()(doubled), doubled], backend="c")
    assert [list(out) for out in f([1.0, 2.0])] == [[3, 5], [2, 4]]


def test_what_is_overwritten_for_the_last_time_is_not_copied():
    f = core.function([X], 3 * AddOne()(2 * X), backend="c")
    assert_array_equal(f([1.0, 2.0]), [9, 15])
    (step,) = op_calls(f)
    homes = [f.program.kept_in[value] for value in (*step.inputs, *step.outputs)]
    assert homes == 2 * f.program.outputs


def test_an_output_of_another_type_cannot_overwrite():
    class Wrong(AddOne):
        def make_node(self, x):
            return core.Apply(self, [x], [ct.TensorType("float32", 1)])

    with pytest.raises(BackendError, match="can overwrite one input for each output, of its dtype and ndim"):
        core.function([X], Wrong()(X), backend="c")


def test_an_output_of_another_shape_cannot_overwrite():
    class Wrong(AddOne):
        def infer_shape(self, node, input_shapes):
            return [(2,)]

    f = core.function([X], Wrong()(X), backend="c")
    assert_array_equal(f([1.0, 2.0]), [2, 3])
    with pytest.raises(ValueError, match="destroy_map needs output 0 to have the shape of input 0"):
        f([1.0, 2.0, 3.0])


def test_several_outputs():
    class Both(core.Op):
        __props__ = ()

        def make_node(self, x):
            return core.Apply(self, [x], [ct.TensorType("float64", 0), x.type()])

        def infer_shape(self, node, input_shapes):
            return [(), input_shapes[0]]

        def c_code(self, node, name, inputs, outputs, sub):
            (x,), (total, negative) = inputs, outputs
            return f"""
                *{total} = 0;
                for (int64_t i = 0; i < {x}_shape[0]; i++) {{ *{total} += {x}[i]; {negative}[i] = -{x}[i]; }}
            """

    total, negative = Both()(X)
    f = core.function([X], [total + 1, negative], backend="c")
    first, second = f([1.0, 2.0])
    assert first == 4 and list(second) == [-1, -2]


# --- the cache --------------------------------------------------------------------------------------------------------


def test_version_none_is_never_kept_on_disk(tmp_path):
    class Unkept(Times):
        def c_code_cache_version(self):
            return None

    with core.config.override(cache_dir=str(tmp_path)):
        assert_array_equal(compiled(Unkept())([1.0], 3.0), [3])
        assert not list(tmp_path.rglob("*.so"))
        compiled(Times())
        assert list(tmp_path.rglob("*.so"))


def test_another_version_is_another_text():
    class Versioned(Times):
        __props__ = ("version",)

        def __init__(self, version):
            self.version = version

        def c_code_cache_version(self):
            return (self.version,)

    first, same, other = (compiled(Versioned(version)).sources for version in (1, 1, 2))
    assert first == same != other


def test_functions_with_c_are_given_back():
    f = compiled(Times())
    f([1.0], 2.0)
    alive = weakref.ref(f)
    del f
    gc.collect()
    assert alive() is None


def test_building_an_op_call_needs_no_backend():
    graph = core.FunctionGraph([X, A], [Times()(X, A)])
    program = build(lower(graph, C))
    assert "c_code of Times" in str(program)
