"""Loops in loops, and choices in and around them: values, gradients, and that nothing of them is left to Python."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core import ifelse, scan, until
from core.errors import ShapeError
from core.ir.check.run import Driver
from core.testing import available_backends

BACKENDS = available_backends()
ON_HOST = [name for name in BACKENDS if name in ("interpreter", "c")]
ROWS = 0.5 * np.random.default_rng(0).standard_normal((3, 4))
WEIGHTS = 0.5 * np.random.default_rng(1).standard_normal((4, 4))
x, m, w = ct.vector("x"), ct.matrix("m"), ct.matrix("w")


def last(*arguments, **options):
    return scan(*arguments, **options)[-1]


def of_rows(x, m, w):
    """Each step runs through a row."""

    def step(row, s):
        inner = scan(lambda e, c: ct.tanh(e * c + s.mean()), sequences=row, outputs_info=ct.constant(0.5))
        return ct.tanh(s + inner * row)

    return last(step, sequences=m, outputs_info=x)


def of_rows_expected(x, m, w):
    for row in m:
        c, inner = 0.5, []
        for e in row:
            c = np.tanh(e * c + x.mean())
            inner.append(c)
        x = np.tanh(x + inner * row)
    return x


def products(x, m, w):
    """Three loops deep, around products."""

    def middle(row, s):
        return last(lambda s: ct.tanh(w @ s + row), outputs_info=s, n_steps=2)

    return last(lambda s: last(middle, sequences=m, outputs_info=s), outputs_info=x, n_steps=2)


def products_expected(x, m, w):
    for _ in range(2):
        for row in m:
            for _ in range(2):
                x = np.tanh(w @ x + row)
    return x


def triangle(x, m, w):
    """Each step has one step more inside than the one before."""
    return last(
        lambda i, s: last(lambda e, c: ct.tanh(e + c), sequences=x[: i + 1], outputs_info=s),
        sequences=ct.arange(x.shape[0]),
        outputs_info=ct.constant(0.0),
    )


def triangle_expected(x, m, w):
    s = 0.0
    for i in range(len(x)):
        for e in x[: i + 1]:
            s = np.tanh(e + s)
    return s


def counted(x, m, w):
    """How many steps there are inside is a state."""

    def step(n, s):
        return n + 1, last(lambda c: ct.sin(c) + x[0], outputs_info=s, n_steps=n)

    return scan(step, outputs_info=[ct.constant(0), x.sum()], n_steps=4)[1][-1]


def counted_expected(x, m, w):
    s = x.sum()
    for n in range(4):
        for _ in range(n):
            s = np.sin(s) + x[0]
    return s


def roots(x, m, w):
    """Newton's method, as long as it takes, in each step."""

    def step(e, s):
        a = 1 + e**2
        root = last(
            lambda y: ((y + a / y) / 2, until(ct.abs(y * y - a) < 1e-12)), outputs_info=ct.constant(1.0), n_steps=50
        )
        return s + e * root

    return last(step, sequences=x, outputs_info=ct.constant(0.0))


def roots_expected(x, m, w):
    return (x * np.sqrt(1 + x**2)).sum()


def chosen(x, m, w):
    """A loop is one side of a choice in each step."""

    def step(row, s):
        inner = last(lambda e, c: ct.tanh(e + c), sequences=row, outputs_info=s)
        return ifelse(row[0] > 0, w @ inner, s * row)

    return last(step, sequences=m, outputs_info=x)


def chosen_expected(x, m, w):
    for row in m:
        if row[0] > 0:
            for e in row:
                x = np.tanh(e + x)
            x = w @ x
        else:
            x = x * row
    return x


def around_it(x, m, w):
    """Which loop runs is chosen once."""
    return ifelse(x[0] > x[1], products(x, m, w), of_rows(x, m, w))


def around_it_expected(x, m, w):
    return products_expected(x, m, w) if x[0] > x[1] else of_rows_expected(x, m, w)


def descent(x, m, w):
    """Steps of gradient descent, whose gradient is that of a loop."""

    def step(v):
        loss = last(lambda row, c: c + ct.tanh(row @ v) ** 2, sequences=m, outputs_info=ct.constant(0.0))
        return v - 0.1 * core.grad(loss, v)

    return last(step, outputs_info=x, n_steps=3)


def descent_expected(x, m, w):
    for _ in range(3):
        t = np.tanh(m @ x)
        x = x - 0.1 * m.T @ (2 * t * (1 - t**2))
    return x


def coordinates(x, m, w):
    """Sweeps through coordinates, each of which is set by those before it (Gauss-Seidel)."""
    a = w + 4 * ct.eye(w.shape[0])

    def one(j, v):
        return ct.set_subtensor(v[j], (x[j] - a[j] @ v) / a[j, j] + v[j])

    sweep = lambda v: last(one, sequences=ct.arange(x.shape[0]), outputs_info=v)
    return last(sweep, outputs_info=ct.zeros(x.shape[0]), n_steps=3)


def coordinates_expected(x, m, w):
    a, v = w + 4 * np.eye(len(w)), np.zeros_like(x)
    for _ in range(3):
        for j in range(len(x)):
            v[j] += (x[j] - a[j] @ v) / a[j, j]
    return v


PROGRAMS = {
    "a loop through each row": (of_rows, of_rows_expected),
    "three loops deep": (products, products_expected),
    "a longer loop in each step": (triangle, triangle_expected),
    "as many steps as a state says": (counted, counted_expected),
    "as many steps as it takes": (roots, roots_expected),
    "a loop that is chosen in a step": (chosen, chosen_expected),
    "a choice of loops": (around_it, around_it_expected),
    "gradient descent": (descent, descent_expected),
    "coordinate by coordinate": (coordinates, coordinates_expected),
}


def slope_along(function, arrays, moves):
    """The derivative of a function of arrays along ``moves``, by differences."""
    ends = (function(*(a + sign * 1e-6 * d for a, d in zip(arrays, moves, strict=True))) for sign in (1, -1))
    return np.subtract(*ends) / 2e-6


@pytest.mark.parametrize("backend", [*ON_HOST, pytest.param(Driver(), id="oracle")])
@pytest.mark.parametrize("name", PROGRAMS)
def test_loops_in_loops_and_their_gradients_run_without_python(name, backend):
    build, expected = PROGRAMS[name]
    made = build(x, m, w)
    total = (made**2).sum()
    slopes = core.grad(total, [x, m, w], disconnected_inputs="ignore")
    strict = backend != "interpreter"
    f = core.function([x, m, w], [made, *slopes], backend=backend, strict=strict, on_unused_input="ignore")
    arrays = (np.array([0.3, -0.2, 0.5, 0.1]), ROWS, WEIGHTS)
    value, *found = f(*arrays)
    assert_allclose(value, expected(*arrays), rtol=1e-9)
    moves = [np.random.default_rng(k).standard_normal(a.shape) for k, a in enumerate(arrays)]
    along = sum((g * d).sum() for g, d in zip(found, moves, strict=True))
    assert_allclose(along, slope_along(lambda *a: np.sum(expected(*a) ** 2), arrays, moves), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gradient_through_loops_of_different_lengths_is_the_same_on_every_backend(backend):
    made = triangle(x, m, w)
    f = core.function([x], core.grad(made, x), backend=backend)
    at = np.array([0.3, -0.2, 0.5])
    expected = [slope_along(lambda v: triangle_expected(v, None, None), [at], [unit]) for unit in np.eye(3)]
    assert_allclose(f(at), expected, rtol=1e-5)


@pytest.mark.parametrize("backend", ON_HOST)
def test_rows_of_a_loop_whose_length_a_step_computes_must_all_be_as_long(backend):
    """Only when it runs it is known whether they are."""
    n = ct.lvector("n")
    made = scan(lambda k: scan(lambda c: 2 * c, outputs_info=ct.constant(1.0), n_steps=k), sequences=n)
    f = core.function([n], made, backend=backend, strict=backend != "interpreter")
    assert_allclose(f([3, 3]), [[2, 4, 8], [2, 4, 8]])
    with pytest.raises(ShapeError, match=r"needs rows of shape \(3,\), got \(2,\) in a step"):
        f([3, 2])
    assert_allclose(f([1, 1]), [[2], [2]])


@pytest.mark.parametrize("backend", ON_HOST)
def test_results_of_pieces_of_different_lengths_are_made_in_the_loop(backend):
    """What costs much and only a result needs is computed behind the loop, unless of that there are no rows."""

    def step(i, s):
        piece = ct.tanh(s[: i + 1])
        return ct.tanh(s * piece.sum()), ct.dot(piece, ct.tanh(piece))

    states, found = scan(step, sequences=ct.arange(x.shape[0]), outputs_info=[x, None])
    value, got = core.function([x], [states, found], backend=backend)([1.0, 2.0, 3.0])
    s = np.array([1.0, 2.0, 3.0])
    for i in range(3):
        piece = np.tanh(s[: i + 1])
        s = np.tanh(s * piece.sum())
        assert_allclose(value[i], s)
        assert_allclose(got[i], piece @ np.tanh(piece))
