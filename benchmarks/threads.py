"""One thread against several: ``python -m benchmarks.threads [--threads 1 2 4] [--occupied]``.

For some graphs and sizes, the median time of a call with each number of threads, taken in turns.  ``--occupied`` keeps
one core busy with another program meanwhile: nothing should be much slower than on one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

import core
import core.tensor as ct

SIZES = (10**4, 10**5, 10**6, 10**7)
ROUNDS = 15


def black_scholes(s: np.ndarray) -> tuple[Callable, tuple]:
    price, strike, years = ct.vectors("price strike years")
    root = 0.2 * ct.sqrt(years)
    d1 = (ct.log(price / strike) + (0.05 + 0.02) * years) / root
    below = [0.5 * (1 + ct.erf(d / np.sqrt(2.0))) for d in (d1, d1 - root)]
    call = price * below[0] - strike * ct.exp(-0.05 * years) * below[1]
    f = core.function([price, strike, years], [call, call - price + strike * ct.exp(-0.05 * years)], backend="c")
    return f, (10 + s, 10 + s[::-1].copy(), 1 + s)


def squares(s: np.ndarray) -> tuple[Callable, tuple]:
    a, b = ct.vectors("a b")
    return core.function([a, b], a * a + b * b + 2 * a * b, backend="c"), (s, s[::-1].copy())


def of_matrix(make: Callable, columns: int) -> Callable:
    def case(s: np.ndarray) -> tuple[Callable, tuple]:
        x = ct.matrix("x")
        return core.function([x], make(x), backend="c"), (s[: s.size // columns * columns].reshape(-1, columns).copy(),)

    return case


def mlp_step(s: np.ndarray) -> tuple[Callable, tuple]:
    """One step of gradient descent of 100 inputs, 64 hidden units and 10 classes."""
    rng = np.random.default_rng(0)
    x, y = ct.matrix("x"), ct.lvector("y")
    w, v = core.shared(rng.normal(size=(100, 64)) / 10), core.shared(rng.normal(size=(64, 10)) / 8)
    loss = ct.softmax_crossentropy(ct.tanh(x @ w) @ v, y).mean()
    updates = {p: p - 0.1 * g for p, g in zip((w, v), core.grad(loss, [w, v]), strict=True)}
    rows = max(s.size // 100, 1)
    given = (s[: rows * 100].reshape(rows, 100).copy(), rng.integers(0, 10, rows))
    return core.function([x, y], loss, updates=updates, backend="c"), given


CASES: dict[str, Callable[[np.ndarray], tuple[Callable, tuple]]] = {
    "a*a + b*b + 2ab": squares,
    "Black-Scholes": black_scholes,
    "softmax of rows of 1000": of_matrix(lambda x: ct.softmax(x, axis=1), 1000),
    "sum of columns, 1000 of them": of_matrix(lambda x: x.sum(axis=0), 1000),
    "sum of columns, 64 of them": of_matrix(lambda x: x.sum(axis=0), 64),
    "sum of rows of 1000": of_matrix(lambda x: x.sum(axis=1), 1000),
    "sum of everything": of_matrix(lambda x: x.sum(), 1000),
    "MLP step": mlp_step,
}


@contextlib.contextmanager
def occupied(wanted: bool) -> Iterator[None]:
    """Another program that takes all of one core."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def times(f: Callable, arrays: tuple, threads: list[int]) -> dict[int, float]:
    """The median seconds of a call with each number of threads, in rounds."""
    found: dict[int, list[float]] = {n: [] for n in threads}
    for _ in range(ROUNDS):
        for n in threads:
            with core.num_threads(n):
                f(*arrays)
                start = time.perf_counter()
                f(*arrays)
                found[n].append(time.perf_counter() - start)
    return {n: statistics.median(all_of) for n, all_of in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, core.get_num_threads()])
    parser.add_argument("--occupied", action="store_true")
    options = parser.parse_args()
    print(
        f"{'':30} {'elements':>9}  "
        + "  ".join(f"{n:>3} threads" for n in options.threads)
        + "   (us, and how much faster)"
    )
    rng = np.random.default_rng(0)
    with occupied(options.occupied):
        for name, case in CASES.items():
            for size in SIZES:
                took = times(*case(rng.uniform(0, 1, size)), options.threads)
                first = took[options.threads[0]]
                cells = "  ".join(f"{1e6 * took[n]:11.1f} {first / took[n]:5.2f}" for n in options.threads)
                print(f"{name:30} {size:9}  {cells}", flush=True)


if __name__ == "__main__":
    main()
