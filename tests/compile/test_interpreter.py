"""The interpreter: what it demands of perform, how it explains errors, and that it keeps memory apart."""

import gc
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.interpreter import driver, host_call
from core.errors import ArgumentError, BackendError, ComputeError, CoreError, DTypeError, IndexOutOfBounds, ShapeError
from core.graph import Apply, Type
from core.ir.view import View
from core.tensor import TensorType, as_tensor


class Performs(core.Op):
    """float64 vector in, an output of type ``kind``, computed by a Python function."""

    def __init__(self, compute, kind=None, **maps):
        self.compute, self.kind = compute, kind or TensorType("float64", 1)
        self.__dict__.update(maps)

    def __str__(self):
        return "Performs"

    def make_node(self, *inputs):
        return Apply(self, [as_tensor(x) for x in inputs], [self.kind])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = self.compute(*inputs)


def run(compute, *values, kind=None, **maps):
    variables = [ct.vector(name) for name, _ in zip("xyz", values, strict=False)]
    f = core.function(variables, Performs(compute, kind, **maps)(*variables), backend="interpreter")
    return f(*values)


def test_it_always_works_and_says_with_which_numpy():
    assert driver.probe().works
    assert driver.fingerprint() == f"numpy {np.__version__}"


@pytest.mark.parametrize(
    "compute, kind, error, text",
    [
        (lambda x: None, None, ComputeError, "perform of Performs left output 0 empty"),
        (lambda x: [1.0], None, DTypeError, "the output of Performs must be an array of .*, but perform made a list"),
        (
            lambda x: x.astype("f4"),
            None,
            DTypeError,
            "the output of Performs must have dtype float64, but perform made float32",
        ),
        (
            lambda x: x[:, None],
            None,
            ShapeError,
            r"the output of Performs must have ndim=1, but perform made shape \(2, 1\)",
        ),
        (
            lambda x: x,
            TensorType("float64", (3,)),
            ShapeError,
            r"the output of Performs must be TensorType\(float64, shape=\(3\)\), but perform made shape \(2,\)",
        ),
    ],
)
def test_what_perform_makes_must_be_of_the_type_of_the_output(compute, kind, error, text):
    with pytest.raises(error, match=text):
        run(compute, np.zeros(2), kind=kind)


def test_a_numpy_scalar_will_do_for_a_0d_array():
    out = run(lambda x: x.sum(), np.ones(2), kind=TensorType("float64", 0))
    assert isinstance(out, np.ndarray) and out == 2


def test_values_of_other_types_are_checked_by_their_type():
    class Text(Type):
        def filter(self, value, strict=False, allow_downcast=None):
            if not isinstance(value, str):
                raise DTypeError(f"expected a string, got {value!r}")
            return value

    assert run(lambda x: "fine", np.ones(1), kind=Text()) == "fine"
    with pytest.raises(DTypeError, match="expected a string, got 3"):
        run(lambda x: 3, np.ones(1), kind=Text())


def fails(error):
    def compute(x):
        raise error

    return compute


@pytest.mark.parametrize(
    "raised, kind, text",
    [
        (ValueError("operands could not be broadcast together"), ShapeError, "Performs failed: operands could not be"),
        (ValueError("n must be positive"), ComputeError, "Performs failed: n must be positive"),
        (IndexError("index 5 is out of bounds"), IndexOutOfBounds, "Performs failed: index 5 is out of bounds"),
        (ZeroDivisionError("division by zero"), ComputeError, "Performs failed: ZeroDivisionError: division by zero"),
        (np.linalg.LinAlgError("Singular matrix"), ComputeError, "Performs failed: .*Singular matrix"),
        (ArgumentError("it has its own class"), ArgumentError, "Performs failed: it has its own class"),
    ],
)
def test_an_error_in_perform_is_told_with_the_op_its_inputs_and_the_users_line(raised, kind, text):
    with pytest.raises(kind, match=text) as caught:
        run(fails(raised), np.zeros(6)[::3])
    assert isinstance(caught.value, kind) and isinstance(caught.value, CoreError)
    assert isinstance(caught.value, type(raised))
    assert caught.value.__cause__ is raised
    assert "input 0 (x): float64, shape (2,), strides (24,) bytes" in str(caught.value)
    assert "test_interpreter.py" in str(caught.value)


def test_running_out_of_memory_stays_what_it_is():
    with pytest.raises(MemoryError):
        run(fails(MemoryError()), np.zeros(1))


def test_no_warning_is_raised_for_infinities_and_nan(recwarn):
    x = ct.vector("x")
    out = core.function([x], ct.log(x) / x, backend="interpreter")(np.array([0.0, -1.0]))
    assert_array_equal(out, [-np.inf, np.nan])
    assert not [one for one in recwarn if issubclass(one.category, RuntimeWarning)]


def test_an_op_without_perform_is_refused_when_the_function_is_made():
    class Nothing(core.Op):
        itypes = otypes = (TensorType("float64", 1),)

    x = ct.vector("x")
    with pytest.raises(
        BackendError, match="Nothing has neither perform nor lower nor kernel, so the interpreter cannot"
    ):
        core.function([x], Nothing()(x), backend="interpreter")


def test_an_op_with_lower_alone_is_computed_by_its_views():
    class Backwards(core.Op):
        __props__ = ()

        def make_node(self, x):
            x = as_tensor(x)
            return Apply(self, [x], [x.type])

        def lower(self, node, x):
            (n,) = x.shape
            return View(x.dtype, (n,), lambda index: x.at((n - 1 - index[0],)))

    x = ct.vector("x")
    f = core.function([x], Backwards()(x), backend="interpreter")
    assert_array_equal(f([1.0, 2.0, 3.0]), [3, 2, 1])
    assert_array_equal(f([]), [])


def test_an_op_with_a_kernel_alone_is_computed_by_its_loops():
    class RunningProduct(core.Op):
        __props__ = ()

        def make_node(self, x):
            x = as_tensor(x)
            return Apply(self, [x], [x.type])

        def infer_shape(self, node, input_shapes):
            return input_shapes

        def kernel(self, k, x, y):
            with k.grid(x.shape[:1]) as (i,):
                total = k.local(y.dtype, 1)
                with k.loop(x.shape[1]) as j:
                    total *= x[i, j]
                    y[i, j] = total

    x = ct.matrix("x")
    f = core.function([x], RunningProduct()(x.T), backend="interpreter")
    given = np.arange(1.0, 7.0).reshape(3, 2)
    assert_array_equal(f(given), np.cumprod(given.T, axis=1))


def test_an_op_without_perform_is_refused_where_something_is_no_tensor():
    class Nothing(core.Op):
        __props__ = ()

        def make_node(self, x):
            return Apply(self, [x], [Type()])

        def lower(self, node, x):
            return x

    x = ct.vector("x")
    with pytest.raises(BackendError, match="Nothing has no perform, so its variables must be tensors"):
        core.function([x], Nothing()(x), backend="interpreter")


@pytest.mark.parametrize("compute", [lambda x: x, lambda x: x[::-1], lambda x: x.reshape(-1), lambda x: np.asarray(x)])
def test_an_output_never_shares_memory_with_an_input(compute):
    given = np.arange(3.0)
    out = run(compute, given)
    assert not np.shares_memory(out, given)


def test_an_input_that_an_op_destroys_is_copied_first():
    def spoil(x):
        x += 1
        return x

    given = np.zeros(2)
    assert_array_equal(run(spoil, given, destroy_map={0: [0]}), [1, 1])
    assert_array_equal(given, [0, 0])


def test_an_intermediate_that_others_read_survives_an_op_that_destroys_it():
    def spoil(x):
        x += 1
        return x

    x = ct.vector("x")
    middle = ct.exp(x)
    f = core.function([x], [Performs(spoil, destroy_map={0: [0]})(middle), middle], backend="interpreter")
    assert_array_equal(np.array(f([0.0])), [[2], [1]])


def test_intermediates_are_given_back_after_their_last_use():
    seen = []

    def watch(x):
        out = x + 0.0
        seen.append(weakref.ref(out))
        return out

    def look(x):
        gc.collect()
        return x + sum(ref() is not None for ref in seen)

    x = ct.vector("x")
    out = Performs(look)(Performs(lambda v: v * 2)(Performs(watch)(x)))
    assert_array_equal(core.function([x], out, mode="none", backend="interpreter")([1.0]), [2])


def test_a_single_node_can_be_performed():
    x = ct.vector("x")
    (out,) = host_call((x + 1).owner)([np.zeros(2), np.array(1.0)])
    assert_array_equal(out, [1, 1])


def test_the_sources_of_an_interpreted_function_are_empty():
    x = ct.vector("x")
    assert core.function([x], x + 1, backend="interpreter").sources == {}
