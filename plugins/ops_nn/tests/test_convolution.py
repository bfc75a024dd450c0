"""Convolution: against loops in Python, on every backend; shapes, dtypes, special numbers; derivatives; errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
import plugin_ops_nn as nn
from core.errors import ArgumentError, DTypeError, ShapeError
from core.testing import available_backends, check_op, evaluate, random
from plugin_ops_nn.convolution import Convolution, ConvolutionFilters, ConvolutionTransposed
from plugin_ops_nn.geometry import geometry

FUNCTIONS = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
CASES = {  # shapes of x and w, and how windows lie
    "plain": ((2, 3, 7, 8), (4, 3, 3, 2), {}),
    "one tap": ((2, 3, 4, 5), (2, 3, 1, 1), {}),
    "one window": ((2, 3, 4, 5), (2, 3, 4, 5), {}),
    "one channel, one filter": ((1, 1, 6, 6), (1, 1, 3, 3), {}),
    "wide rows": ((2, 2, 3, 70), (5, 2, 2, 5), {}),
    "strides": ((2, 3, 8, 9), (4, 3, 3, 2), {"stride": (2, 3)}),
    "stride beyond the taps": ((2, 3, 8, 9), (4, 3, 2, 1), {"stride": 3}),
    "padding": ((2, 3, 5, 6), (4, 3, 3, 2), {"padding": (2, 1)}),
    "uneven padding": ((2, 3, 5, 6), (4, 3, 3, 2), {"padding": ((0, 2), (1, 0))}),
    "more padding than image": ((1, 2, 2, 1), (2, 2, 4, 3), {"padding": 3}),
    "same": ((2, 3, 5, 6), (4, 3, 3, 4), {"padding": "same"}),
    "same with strides": ((2, 3, 7, 6), (4, 3, 3, 4), {"padding": "same", "stride": (3, 2)}),
    "dilation": ((2, 3, 8, 9), (4, 3, 3, 2), {"dilation": (2, 3)}),
    "groups": ((2, 6, 5, 6), (4, 3, 3, 2), {"groups": 2}),
    "a filter for each channel": ((2, 3, 5, 6), (6, 1, 3, 3), {"groups": 3, "padding": 1}),
    "all at once": ((2, 4, 9, 10), (6, 2, 3, 2), {"stride": 2, "padding": (2, 1), "dilation": 2, "groups": 2}),
    "1d": ((3, 2, 11), (4, 2, 3), {"stride": 2, "padding": 1}),
    "3d": ((2, 2, 4, 5, 6), (3, 2, 2, 3, 2), {"stride": (1, 2, 1), "padding": 1}),
}


def of_case(name, dtype="float64"):
    x, w, options = CASES[name]
    return random(x, dtype, 1), random(w, dtype, 2), options


def op_of(options, ndim=2):
    keys = {"stride": 1, "padding": 0, "dilation": 1} | {k: v for k, v in options.items() if k != "groups"}
    return geometry("test", ndim, keys["stride"], keys["padding"], keys["dilation"]), options.get("groups", 1)


@pytest.mark.parametrize("static", [False, True], ids=["any lengths", "known lengths"])
@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", CASES)
def test_convolution_is_what_loops_give(name, backend, static, by_loops):
    x, w, options = of_case(name)
    got = evaluate(lambda x, w: FUNCTIONS[x.ndim - 2](x, w, **options), x, w, backend=backend, static=static)
    assert_allclose(got, by_loops.convolution(x, w, **options), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", CASES)
def test_derivatives_by_both_inputs_are_the_transposes(name, backend, by_loops):
    """The derivative of <y(x, w), v> by x, times any x', is <y(x', w), v>; likewise by w."""
    x, w, options = of_case(name)
    y = by_loops.convolution(x, w, **options)
    v, dx, dw = random(y.shape, seed=3), random(x.shape, seed=4), random(w.shape, seed=5)

    def gradients(x, w, v):
        return core.grad((FUNCTIONS[x.ndim - 2](x, w, **options) * v).sum(), [x, w])

    gx, gw = evaluate(gradients, x, w, v, backend=backend)
    assert gx.shape == x.shape and gw.shape == w.shape
    assert_allclose((gx * dx).sum(), (by_loops.convolution(dx, w, **options) * v).sum(), rtol=1e-10, atol=1e-10)
    assert_allclose((gw * dw).sum(), (by_loops.convolution(x, dw, **options) * v).sum(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["plain", "all at once", "same with strides", "1d"])
def test_the_three_ops_keep_their_promises(name, by_loops):
    x, w, options = of_case(name)
    ndim = x.ndim - 2
    found, groups = op_of(options, ndim)
    y = random(by_loops.convolution(x, w, **options).shape, seed=3)
    variants = ("strided", "column-major", "empty")
    check_op(Convolution(found, groups), x, w, derivatives=True, variants=variants, nan=True)
    back = ConvolutionTransposed(found, groups, x.shape[2:])
    check_op(back, y, w, derivatives=True, variants=variants)
    check_op(ConvolutionFilters(found, groups, w.shape[2:]), x, y, derivatives=True, variants=variants)


@pytest.mark.parametrize("name", ["strides", "same"])
def test_second_derivatives_are_right(name):
    x, w, options = of_case(name)

    def first(x, w):
        y = nn.conv2d(x, w, **options)
        gx, gw = core.grad((y**3).sum(), [x, w])
        return [ct.tanh(gx), ct.tanh(gw)]

    check_op(first, 0.3 * x, 0.3 * w, derivatives=True, variants=(), backends=("interpreter",))


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize(
    "dtypes", [("float32", "float32"), ("float32", "float64"), ("float16", "float16"), ("complex128", "float64")]
)
def test_the_result_has_the_promoted_dtype(dtypes, backend, by_loops):
    x, w = random((2, 3, 6, 7), dtypes[0], 1), random((4, 3, 3, 2), dtypes[1], 2)
    got = evaluate(lambda x, w: nn.conv2d(x, w, padding=1), x, w, backend=backend)
    assert got.dtype == np.result_type(*dtypes)
    wide = np.complex128 if "complex128" in dtypes else np.float64
    tol = {"float16": 4e-3, "float32": 1e-5}.get(got.dtype.name, 1e-12)
    assert_allclose(got, by_loops.convolution(x.astype(wide), w.astype(wide), padding=1), rtol=tol, atol=tol)


@pytest.mark.parametrize("backend", available_backends())
def test_nan_and_infinity_reach_the_windows_that_hold_them_and_no_others(backend, by_loops):
    x, w = random((1, 2, 6, 40), seed=1), random((9, 2, 2, 3), seed=2)
    x[0, 0, 2, 3], x[0, 1, 4, 30] = np.nan, np.inf
    got = evaluate(lambda x, w: nn.conv2d(x, w), x, w, backend=backend)
    with np.errstate(invalid="ignore"):
        expected = by_loops.convolution(x, w)
    assert np.isnan(expected).sum() == 9 * 6 and np.isinf(expected).any()
    assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize(
    "x, w", [((0, 3, 5, 5), (2, 3, 3, 3)), ((2, 0, 5, 5), (2, 0, 3, 3)), ((2, 3, 5, 5), (0, 3, 3, 3))]
)
def test_no_images_no_channels_and_no_filters(x, w, backend):
    x, w = np.ones(x), np.ones(w)

    def both(x, w):
        y = nn.conv2d(x, w)
        return [y, *core.grad(y.sum(), [x, w])]

    y, gx, gw = evaluate(both, x, w, backend=backend)
    assert y.shape == (len(x), len(w), 3, 3) and not y.any()
    assert gx.shape == x.shape and gw.shape == w.shape and not gx.any() and not gw.any()


@pytest.mark.parametrize("backend", available_backends())
def test_images_that_do_not_lie_row_by_row(backend, by_loops):
    x, w = random((9, 8, 3, 2), seed=1).T, random((4, 6, 3, 4), seed=2)[:, ::2, ::-1, ::2]
    f = core.function(
        [tx := ct.tensor("x", dtype="float64", shape=(None,) * 4), tw := ct.tensor("w", dtype="float64", ndim=4)],
        nn.conv2d(tx, tw),
        backend=backend,
    )
    for _ in range(3):
        assert_allclose(f(x, w), by_loops.convolution(x, w), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", available_backends())
def test_one_function_serves_every_shape(backend, by_loops):
    x, w = ct.tensor("x", dtype="float64", ndim=4), ct.tensor("w", dtype="float64", ndim=4)
    f = core.function([x, w], nn.conv2d(x, w, padding="same", stride=2), backend=backend)
    for n, c, side, k in ((1, 1, 1, 1), (2, 3, 8, 3), (3, 1, 5, 4), (2, 2, 1, 3)):
        a, b = random((n, c, side, side + 2), seed=1), random((4, c, k, k), seed=2)
        assert_allclose(f(a, b), by_loops.convolution(a, b, padding="same", stride=2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", available_backends())
def test_a_bias_is_added_to_each_filter(backend, by_loops):
    x, w, b = random((2, 3, 5, 6), seed=1), random((4, 3, 2, 2), seed=2), random(4, seed=3)
    got = evaluate(lambda x, w, b: nn.conv2d(x, w, b), x, w, b, backend=backend)
    assert_allclose(got, by_loops.convolution(x, w) + b[:, None, None], rtol=1e-12, atol=1e-12)


def test_flip_turns_the_filters(by_loops):
    x, w = random((2, 3, 5, 6), seed=1), random((4, 3, 2, 3), seed=2)
    got = evaluate(lambda x, w: nn.conv2d(x, w, flip=True), x, w)
    assert_allclose(got, by_loops.convolution(x, w[:, :, ::-1, ::-1]), rtol=1e-12, atol=1e-12)


def test_lengths_are_known_where_those_of_the_inputs_are():
    x, w = (
        ct.tensor("x", dtype="float32", shape=(None, 3, 28, None)),
        ct.tensor("w", dtype="float32", shape=(8, 3, 5, 5)),
    )
    assert nn.conv2d(x, w, stride=2, padding=1).type.shape == (None, 8, 13, None)
    assert nn.conv2d(x, w, padding="same", stride=3).type.shape == (None, 8, 10, None)


def test_no_shape_needs_the_result():
    x, w = ct.tensor("x", dtype="float64", ndim=4), ct.tensor("w", dtype="float64", ndim=4)
    y = nn.conv2d(x, w, stride=2, padding=1)
    f = core.function([x, w], y.shape, backend="interpreter")
    assert not any(isinstance(node.op, Convolution) for node in f.graph.toposort())
    assert tuple(np.ravel(f(np.ones((2, 3, 9, 8)), np.ones((4, 3, 3, 3))))) == (2, 4, 5, 4)


# --- errors ---------------------------------------------------------------------------------------------------------


def images(*shape, dtype="float64"):
    return ct.tensor("x", dtype=dtype, shape=shape)


def filters(*shape, dtype="float64"):
    return ct.tensor("w", dtype=dtype, shape=shape)


def test_another_ndim_is_refused():
    with pytest.raises(ShapeError, match="needs ndim=4, but x has ndim=3"):
        nn.conv2d(images(3, 8, 8), filters(4, 3, 3, 3))
    with pytest.raises(ShapeError, match="needs ndim=3, but w has ndim=4"):
        nn.conv1d(images(2, 3, 8), filters(4, 3, 3, 3))


def test_integers_are_refused():
    with pytest.raises(DTypeError, match="needs floats, got x of dtype uint8; cast it"):
        nn.conv2d(images(2, 3, 8, 8, dtype="uint8"), filters(4, 3, 3, 3))


def test_channels_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="needs the channels of x over groups=1 and those of w to agree, got 3 and 2"):
        nn.conv2d(images(2, 3, 8, 8), filters(4, 2, 3, 3))
    with pytest.raises(ShapeError, match="needs a multiple of groups=2 as channels, got 3"):
        nn.conv2d(images(2, 3, 8, 8), filters(4, 1, 3, 3), groups=2)
    with pytest.raises(ShapeError, match="needs a multiple of groups=2 as filters, got 3"):
        nn.conv2d(images(2, 4, 8, 8), filters(3, 2, 3, 3), groups=2)


def test_an_axis_too_short_for_a_window_is_refused():
    with pytest.raises(
        ShapeError, match="needs an axis that holds its window of 5, got 4 elements along spatial axis 1"
    ):
        nn.conv2d(images(2, 3, 8, 4), filters(4, 3, 3, 5))
    with pytest.raises(ShapeError, match="window of 9, got 4 and 2 padded elements along spatial axis 0"):
        nn.conv2d(images(2, 3, 4, 8), filters(4, 3, 5, 5), padding=1, dilation=2)


LATE = {  # groups, shapes of x and w, and what is said of them
    "short": (
        1,
        (2, 3, 8, 4),
        (4, 3, 3, 5),
        "needs an axis that holds its window of 5, got 4 elements along spatial axis 1",
    ),
    "channels": (
        1,
        (2, 3, 8, 8),
        (4, 2, 3, 3),
        "needs the channels over groups=1 and those of a filter to agree, got 3",
    ),
    "no groups of channels": (
        2,
        (2, 5, 8, 8),
        (4, 2, 3, 3),
        "needs multiples of groups=2 as channels and filters, got 5",
    ),
    "no groups of filters": (
        2,
        (2, 4, 8, 8),
        (3, 2, 3, 3),
        "needs multiples of groups=2 as channels and filters, got 4",
    ),
}


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", LATE)
def test_what_is_known_late_is_refused_when_it_runs(name, backend):
    groups, x, w, message = LATE[name]
    tx, tw = images(None, None, None, None), filters(None, None, None, None)
    f = core.function([tx, tw], nn.conv2d(tx, tw, groups=groups), backend=backend)
    with pytest.raises(ShapeError, match=message):
        f(np.ones(x), np.ones(w))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"stride": 0}, "conv2d needs stride >= 1, an int or 2, got 0"),
        ({"stride": (1, 2, 3)}, r"conv2d needs stride >= 1, an int or 2, got \(1, 2, 3\)"),
        ({"stride": 1.5}, "conv2d needs stride >= 1, an int or 2, got 1.5"),
        ({"dilation": 0}, "conv2d needs dilation >= 1"),
        ({"padding": -1}, "conv2d needs padding >= 0"),
        ({"padding": "full"}, "conv2d needs padding 'same', 'valid', ints or pairs of ints, got 'full'"),
        ({"padding": ((1, 2),)}, "conv2d needs 2 pairs of ints >= 0 as padding"),
        ({"groups": 0}, "conv2d needs groups >= 1, an int, got 0"),
    ],
)
def test_what_is_no_stride_padding_dilation_or_groups_is_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        nn.conv2d(images(2, 3, 8, 8), filters(4, 3, 3, 3), **options)


def test_a_bias_that_does_not_fit_is_refused():
    x, w = images(2, 3, 8, 8), filters(4, 3, 3, 3)
    with pytest.raises(ShapeError, match="conv2d needs a bias with ndim=1, one for each filter, got ndim=2"):
        nn.conv2d(x, w, np.ones((4, 1)))
    with pytest.raises(ShapeError, match="conv2d needs a bias for each of 4 filters, got 3"):
        nn.conv2d(x, w, np.ones(3))


# --- stacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("wrt", [0, 1])
def test_a_jacobian_has_a_row_for_each_element_of_the_result(wrt, groups, by_loops):
    x, w = random((2, 2, 4, 3), seed=1), random((2, 2 // groups, 2, 2), seed=2)
    tx, tw = images(None, None, None, None), filters(None, None, None, None)
    y = nn.conv2d(tx, tw, groups=groups, padding=(1, 0), stride=(2, 1))
    jacobian = core.function([tx, tw], core.jacobian(ct.flatten(y), [tx, tw][wrt]))(x, w)
    options = {"groups": groups, "padding": (1, 0), "stride": (2, 1)}
    for place in np.ndindex(*(x, w)[wrt].shape):
        unit = np.zeros_like((x, w)[wrt])
        unit[place] = 1
        column = by_loops.convolution(*((unit, w) if wrt == 0 else (x, unit)), **options)
        assert_allclose(jacobian[(slice(None), *place)], column.ravel(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("name", ["images", "transposed", "filters"])
def test_a_stack_of_operands_gives_a_stack_of_results(name, position):
    x, w, options = of_case("strides")
    found, _ = op_of(options)
    y = random(evaluate(lambda x, w: nn.conv2d(x, w, **options), x, w).shape, seed=3)
    op, a, b = {
        "images": (Convolution(found), x, w),
        "transposed": (ConvolutionTransposed(found, 1, x.shape[2:]), y, w),
        "filters": (ConvolutionFilters(found, 1, w.shape[2:]), x, y),
    }[name]
    arrays = [a, b]
    arrays[position] = np.stack([arrays[position], 2 * arrays[position], -arrays[position]])
    node = op.make_node(*(ct.tensor("t", dtype="float64", ndim=4) for _ in range(2)))
    (got,) = [evaluate(lambda *given: op.batch(node, given)[0], *arrays)]
    one = evaluate(op, a, b)
    assert_allclose(got, np.stack([one, 2 * one, -one]), rtol=1e-12, atol=1e-12)
