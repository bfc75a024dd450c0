"""Loops that users write, each with the same one in NumPy: what the tests of scan share."""

from dataclasses import dataclass

import numpy as np

import core
import core.tensor as ct


@dataclass(frozen=True)
class Case:
    """``build`` of symbolic variables is what ``expected`` is of arrays like ``arrays``."""

    name: str
    build: object
    expected: object
    arrays: tuple

    def __str__(self):
        return self.name


def listed(made):
    return list(made) if isinstance(made, (list, tuple)) else [made]


def rows(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def loop(step, n, *state):
    """States after each of n steps, stacked."""
    found = []
    for i in range(n):
        state = step(i, *state)
        found.append(state)
    return [np.stack(column) for column in zip(*found, strict=True)]


def rnn(x, h, w, u):
    return core.scan(lambda x, h, w, u: ct.tanh(x @ w + h @ u), sequences=x, outputs_info=h, non_sequences=[w, u])


def rnn_expected(x, h, w, u):
    return loop(lambda i, h: (np.tanh(x[i] @ w + h @ u),), len(x), h)[0]


def ar2(x, start, a):
    return core.scan(
        lambda x, before, last: a[0] * last + a[1] * before + x,
        sequences=x,
        outputs_info={"initial": start, "taps": [-2, -1]},
    )


def ar2_expected(x, start, a):
    made = [start[0], start[1]]
    for v in x:
        made.append(a[0] * made[-1] + a[1] * made[-2] + v)
    return np.array(made[2:])


def skipping(x, start):
    """A tap that is not the last: two interleaved recurrences."""
    return core.scan(lambda x, old: ct.sin(old) + x, sequences=x, outputs_info={"initial": start, "taps": [-2]})


def skipping_expected(x, start):
    made = [start[0], start[1]]
    for v in x:
        made.append(np.sin(made[-2]) + v)
    return np.array(made[2:])


def windows(x):
    return core.scan(lambda a, b, c: a + 2 * b * c, sequences={"input": x, "taps": [-1, 0, 1]})


def windows_expected(x):
    return x[:-2] + 2 * x[1:-1] * x[2:]


def lstm(x, h, c, w, u):
    def step(x, h, c):
        z = x @ w + h @ u
        n = z.shape[1] // 4
        i, f, o, g = (z[:, k * n : (k + 1) * n] for k in range(4))
        c = ct.sigmoid(f) * c + ct.sigmoid(i) * ct.tanh(g)
        return ct.sigmoid(o) * ct.tanh(c), c

    return core.scan(step, sequences=x, outputs_info=[h, c])


def lstm_expected(x, h, c, w, u):
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def step(t, h, c):
        z = x[t] @ w + h @ u
        i, f, o, g = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    return loop(step, len(x), h, c)


def garch(y, omega, alpha, beta):
    def step(y, before):
        return omega + alpha * y**2 + beta * before

    sigma2 = core.scan(step, sequences=y, outputs_info=ct.constant(1.0))
    return (0.5 * ct.log(sigma2) + 0.5 * y**2 / sigma2).sum()


def garch_expected(y, omega, alpha, beta):
    (s,) = loop(lambda i, s: (omega + alpha * y[i] ** 2 + beta * s,), len(y), 1.0)
    return (0.5 * np.log(s) + 0.5 * y**2 / s).sum()


def backwards(x, h):
    return core.scan(lambda x, h: h * 0.5 + x, sequences=x, outputs_info=h, go_backwards=True)


def backwards_expected(x, h):
    return loop(lambda i, h: (h * 0.5 + x[len(x) - 1 - i],), len(x), h)[0]


def mixed(x, h):
    """A state, and two results that do not recur, one of them of another shape."""
    return core.scan(lambda x, h: (h + x.sum(), ct.outer(x, x), x.max() * h), sequences=x, outputs_info=[h, None, None])


def mixed_expected(x, h):
    made = loop(lambda i, h: (h + x[i].sum(),), len(x), h)[0]
    before = np.concatenate([[h], made[:-1]])
    return [made, np.einsum("ti,tj->tij", x, x), x.max(axis=1) * before]


def rk4(y0, dt):
    def field(y):
        return ct.stack([y[1], -y[0] - 0.1 * y[1]])

    def step(y):
        k1 = field(y)
        k2 = field(y + dt / 2 * k1)
        k3 = field(y + dt / 2 * k2)
        k4 = field(y + dt * k3)
        return y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    return core.scan(step, outputs_info=y0, n_steps=7)


def rk4_expected(y0, dt):
    def field(y):
        return np.array([y[1], -y[0] - 0.1 * y[1]])

    def step(i, y):
        k1 = field(y)
        k2 = field(y + dt / 2 * k1)
        k3 = field(y + dt / 2 * k2)
        k4 = field(y + dt * k3)
        return (y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4),)

    return loop(step, 7, y0)[0]


def hmm(obs, log_a, log_b, log_pi):
    """The forward algorithm: the log likelihood of observations."""

    def step(x, alpha):
        return ct.logsumexp(alpha[:, None] + log_a, axis=0) + log_b[:, x]

    alpha = core.scan(step, sequences=obs[1:], outputs_info=log_pi + log_b[:, obs[0]])
    return ct.logsumexp(alpha[-1], axis=0)


def hmm_expected(obs, log_a, log_b, log_pi):
    alpha = log_pi + log_b[:, obs[0]]
    for x in obs[1:]:
        alpha = np.log(np.exp(alpha[:, None] + log_a).sum(axis=0)) + log_b[:, x]
    return np.log(np.exp(alpha).sum())


def kalman(y, a, c):
    """The likelihood of a linear Gaussian model by its filter, the noise being 1."""

    def step(y, m, p):
        m, p = a @ m, a @ p @ a.T + ct.eye(2)
        s = (c * (p @ c)).sum() + 1.0
        gain = p @ c / s
        e = y - (c * m).sum()
        return m + gain * e, p - ct.outer(gain, gain) * s, -0.5 * (ct.log(s) + e**2 / s)

    _, _, terms = core.scan(step, sequences=y, outputs_info=[np.zeros(2), np.eye(2), None])
    return terms.sum()


def kalman_expected(y, a, c):
    m, p, total = np.zeros(2), np.eye(2), 0.0
    for v in y:
        m, p = a @ m, a @ p @ a.T + np.eye(2)
        s = c @ p @ c + 1.0
        gain, e = p @ c / s, v - c @ m
        m, p = m + gain * e, p - np.outer(gain, gain) * s
        total -= 0.5 * (np.log(s) + e**2 / s)
    return total


def last_only(x, h, w):
    return core.scan(lambda x, h: ct.tanh(x + h @ w), sequences=x, outputs_info=h)[-1]


def last_only_expected(x, h, w):
    return loop(lambda i, h: (np.tanh(x[i] + h @ w),), len(x), h)[0][-1]


SMOOTH = [
    Case("rnn", rnn, rnn_expected, (rows(5, 2, 3), rows(2, 4), rows(3, 4), rows(4, 4))),
    Case("ar2", ar2, ar2_expected, (rows(6), rows(2), np.array([0.5, -0.3]))),
    Case("skipping", skipping, skipping_expected, (rows(5), rows(2))),
    Case("one step of two taps", ar2, ar2_expected, (rows(1), rows(2), np.array([0.5, -0.3]))),
    Case("windows", windows, windows_expected, (rows(6),)),
    Case("lstm", lstm, lstm_expected, (rows(4, 2, 3), rows(2, 3), rows(2, 3), rows(3, 12), rows(3, 12))),
    Case("garch", garch, garch_expected, (rows(8), np.array(0.1), np.array(0.2), np.array(0.7))),
    Case("backwards", backwards, backwards_expected, (rows(4, 3), rows(3))),
    Case("mixed", mixed, mixed_expected, (rows(4, 3), np.array(0.5))),
    Case("rk4", rk4, rk4_expected, (rows(2), np.array(0.1))),
    Case("kalman", kalman, kalman_expected, (rows(6), np.array([[0.9, 0.2], [-0.1, 0.8]]), rows(2))),
    Case("last only", last_only, last_only_expected, (rows(5, 3), rows(3), rows(3, 3))),
]
OBSERVED = Case(
    "hmm", hmm, hmm_expected, (np.array([0, 2, 1, 1, 0]), np.log(np.full((2, 2), 0.5)), rows(2, 3), np.log([0.4, 0.6]))
)
EMPTY = [
    Case("no steps of rnn", rnn, lambda x, h, w, u: np.zeros((0, 2, 4)), (rows(0, 2, 3), *SMOOTH[0].arrays[1:])),
    Case("no steps of ar2", ar2, lambda x, start, a: np.zeros(0), (rows(0), rows(2), rows(2))),
    Case(
        "no steps of mixed",
        mixed,
        lambda x, h: [np.zeros(0), np.zeros((0, 3, 3)), np.zeros(0)],
        (rows(0, 3), np.array(0.5)),
    ),
    Case("rows without elements", backwards, lambda x, h: np.zeros((4, 0)), (rows(4, 0), rows(0))),
]
CASES = [*SMOOTH, OBSERVED, *EMPTY]
