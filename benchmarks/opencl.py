"""What the OpenCL backend gives on the device at hand, beside the C backend and OpenCL written by hand.

    python benchmarks/opencl.py [--json FILE] [--markdown FILE] [--only WORD]

Needs core with plugins/backend_c, plugins/backend_opencl and plugins/ops_fft, and Mako, which pyopencl's
ElementwiseKernel and ReductionKernel are made with.  By hand means: kernels of these two, buffers made once, arguments
set once, and the transfers that a call needs.  Times are medians over rounds in which all contestants take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl
from pyopencl.array import empty, to_device
from pyopencl.elementwise import ElementwiseKernel
from pyopencl.reduction import ReductionKernel

import core
import core.tensor as ct

ROUNDS, AT_LEAST_S = 15, 0.02
_STEPS = 100
Contest = dict[str, Callable[[], Any]]


class Bench:
    """A context and a queue for what is written by hand, on the device that core takes."""

    def __init__(self) -> None:
        from plugin_backend_opencl.backend import driver

        space = driver.open().space
        self.name, self.device = space.name, space.device.cl_device
        self.context = cl.Context([self.device])
        self.queue = cl.CommandQueue(self.context)
        self.rng = np.random.default_rng(0)

    def array(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape).astype("float32")

    # --- what stays on the device --------------------------------------------------------------------------------

    def elementwise(self, n: int, expression: str, build: Callable[..., Any], count: int) -> Contest:
        """y = f(x, ...): shared variables and an update, against an ElementwiseKernel on arrays of the device."""
        arrays = [self.array(n) for _ in range(count)]
        names = "abcd"[:count]
        parameters = ", ".join(["float *y", *(f"float *{name}" for name in names)])
        kernel = ElementwiseKernel(self.context, parameters, f"y[i] = {expression}", "f")
        placed, y = [to_device(self.queue, a) for a in arrays], empty(self.queue, n, "float32")

        def by_hand() -> None:
            kernel(y, *placed)
            self.queue.finish()

        return {**self._steps(arrays, build), "by hand": by_hand}

    def _steps(self, arrays: list[np.ndarray], build: Callable[..., Any]) -> Contest:
        found: Contest = {}
        for backend in ("opencl", "c"):
            inputs, out = [core.shared(a) for a in arrays], core.shared(arrays[0])
            total = build(*inputs)
            # what it returns makes a call wait until the update is there
            found[backend] = core.function([], ct.constant(0.0), updates={out: total}, backend=backend)
        return found

    def reduction(self, n: int, arguments: str, mapped: str, combine: str, neutral: str, build: Any) -> Contest:
        arrays = [self.array(n) for _ in arguments.split(",")]
        kernel = ReductionKernel(
            self.context, np.float32, neutral=neutral, reduce_expr=combine, map_expr=mapped, arguments=arguments
        )
        placed = [to_device(self.queue, a) for a in arrays]
        found: Contest = {"by hand": lambda: kernel(*placed).get()}
        for backend in ("opencl", "c"):
            inputs = [core.shared(a) for a in arrays]
            found[backend] = core.function([], build(*inputs), backend=backend)
        return found

    # --- what comes from the host and goes back ---------------------------------------------------------------------

    def product(self, n: int) -> Contest:
        a, b = self.array(n, n), self.array(n, n)
        x, y = ct.fmatrix("x"), ct.fmatrix("y")
        found: Contest = {}
        for means in ("auto", "kernels"):
            with core.config.override({"opencl.products": means}):
                f = core.function([x, y], x @ y, backend="opencl")
            found["opencl" if means == "auto" else "opencl, own kernels"] = lambda f=f: f(a, b)
        f = core.function([x, y], x @ y, backend="c")
        found["c"] = lambda: f(a, b)
        return found

    def loop(self, steps: int, width: int) -> Contest:
        """h = tanh(x[i] + h w) for each row of x, against the same in NumPy."""
        given = ct.fmatrix("x"), ct.fvector("h"), ct.fmatrix("w")
        step = lambda row, h, w: ct.tanh(row + h @ w)  # noqa: E731
        out = core.scan(step, sequences=given[0], outputs_info=given[1], non_sequences=given[2])
        rows, start, weights = self.array(steps, width), self.array(width), self.array(width, width) / width

        def by_numpy() -> np.ndarray:
            made, h = np.empty_like(rows), start
            for i, row in enumerate(rows):
                h = made[i] = np.tanh(row + h @ weights)
            return made

        return {**self._on_backends([*given], out, rows, start, weights), "numpy": by_numpy}

    def transform(self, lines: int, n: int) -> Contest:
        """Fourier transforms of complex64, against NumPy's."""
        import plugin_ops_fft as fft

        x, z = ct.cmatrix("x"), self.array(lines, n) + 1j * self.array(lines, n)
        return {**self._on_backends([x], fft.fft(x), z), "numpy": lambda: np.fft.fft(z)}

    def _on_backends(self, inputs: list[Any], out: Any, *arrays: np.ndarray) -> Contest:
        made = {name: core.function(inputs, out, backend=name) for name in ("opencl", "c")}
        return {name: lambda f=f: f(*arrays) for name, f in made.items()}

    def call(self, n: int, launches: int) -> Contest:
        """A small call: arguments there, ``launches`` kernels, the result back; against a bare loop that does the same
        with the kernels that core has generated."""
        x = ct.fvector("x")
        y = x
        for _ in range(launches):  # a sum that is read again keeps each round a launch of its own
            y = y - y.sum()
        f = core.function([x], y, backend="opencl")
        values = self.array(n)
        f(values)
        return {"opencl": lambda: f(values), "by hand": self._bare(f, values)}

    def _bare(self, f: Any, values: np.ndarray) -> Callable[[], np.ndarray]:
        program = f._run._main  # the program on the device, with its kernels and their arguments
        (prepared,) = program.stretches[0].prepared.values()
        launchers = prepared.commands
        queue = program.device.queue
        source, target = (cl.Buffer(queue.context, cl.mem_flags.READ_WRITE, values.nbytes) for _ in range(2))

        def run() -> np.ndarray:
            out = np.empty_like(values)
            cl.enqueue_copy(queue, source, values, is_blocking=False)
            for launcher in launchers:
                cl.enqueue_nd_range_kernel(queue, launcher._kernel, launcher._global, launcher._local)
            cl.enqueue_copy(queue, out, target, is_blocking=False)
            queue.finish()
            return out

        return run

    # --- what nobody waits for --------------------------------------------------------------------------------------

    def steps(self, n: int, rounds: int) -> Contest:
        """A hundred steps of a training loop, whose results nobody waits for until the last is queued; by hand with the
        kernels that core has generated, of which the last writes to two buffers by turns."""
        x, w = ct.fvector("x"), core.shared(self.array(n))
        return self._hundred(core.function([x], updates={w: _again(0.9 * w + x, rounds)}, backend="opencl"), n)

    def stays(self, n: int, rounds: int) -> Contest:
        """The same for results that are left on the device, and dropped there."""
        x = ct.fvector("x")
        return self._hundred(core.function([x], core.Out(_again(0.9 * x, rounds), borrow=True), backend="opencl"), n)

    def _hundred(self, f: Any, n: int) -> Contest:
        values = self.array(n)
        f(values)
        program = f._run._main
        (prepared,) = program.stretches[0].prepared.values()
        launchers, queue = list(prepared.commands), program.device.queue
        source = cl.Buffer(queue.context, cl.mem_flags.READ_WRITE, values.nbytes)
        targets = [program.device.allocate(values.nbytes) for _ in range(2)]

        def by_hand() -> None:
            copies = []  # pyopencl waits for a copy whose event is dropped
            for k in range(_STEPS):
                copies.append(cl.enqueue_copy(queue, source, values, is_blocking=False))
                launchers[-1].set(0, targets[k % 2])
                for launcher in launchers:
                    cl.enqueue_nd_range_kernel(queue, launcher._kernel, launcher._global, launcher._local)
            queue.finish()

        def by_core() -> None:
            for _ in range(_STEPS):
                f(values)
            program.device.synchronize()

        return {"opencl": by_core, "by hand": by_hand}


def _again(y: Any, rounds: int) -> Any:
    """A sum that is read again keeps each round a launch of its own."""
    for _ in range(rounds):
        y = y - 1e-6 * y.sum()
    return y


def timed(contest: Contest) -> dict[str, float]:
    """The median time of each, in seconds: they take turns, so that a busy moment hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in contest}
    repeats: dict[str, int] = {}
    for name, run in contest.items():
        run()
        run()
        start = time.perf_counter()
        run()
        repeats[name] = max(1, round(AT_LEAST_S / max(time.perf_counter() - start, 1e-7)))
    for _ in range(ROUNDS):
        for name, run in contest.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            times[name].append((time.perf_counter() - start) / repeats[name])
    return {name: statistics.median(found) for name, found in times.items()}


CHAIN = "tanh(a) * b + exp(-c * c)"


def cases(bench: Bench) -> dict[str, Callable[[], Contest]]:
    """What is measured, by the name it has in the table."""
    chain = lambda a, b, c: ct.tanh(a) * b + ct.exp(-c * c)  # noqa: E731
    return {
        "a + b, 1 M": lambda: bench.elementwise(1 << 20, "a[i] + b[i]", lambda a, b: a + b, 2),
        "tanh(a) b + exp(-c c), 1 M": lambda: bench.elementwise(
            1 << 20, "tanh(a[i]) * b[i] + exp(-c[i] * c[i])", chain, 3
        ),
        "a + b, 1000": lambda: bench.elementwise(1000, "a[i] + b[i]", lambda a, b: a + b, 2),
        "sum(a), 1 M": lambda: bench.reduction(1 << 20, "const float *a", "a[i]", "a+b", "0", lambda a: a.sum()),
        "sum(a b), 1 M": lambda: bench.reduction(
            1 << 20, "const float *a, const float *b", "a[i]*b[i]", "a+b", "0", lambda a, b: (a * b).sum()
        ),
        "max(a), 1 M": lambda: bench.reduction(
            1 << 20, "const float *a", "a[i]", "fmax(a,b)", "-INFINITY", lambda a: a.max()
        ),
        "sum(a), 1000": lambda: bench.reduction(1000, "const float *a", "a[i]", "a+b", "0", lambda a: a.sum()),
        "512 x 512 product": lambda: bench.product(512),
        "1024 x 1024 product": lambda: bench.product(1024),
        "200 steps of a loop, 32 units": lambda: bench.loop(200, 32),
        "200 steps of a loop, 512 units": lambda: bench.loop(200, 512),
        "1000 transforms of 64": lambda: bench.transform(1000, 64),
        "100 transforms of 1000": lambda: bench.transform(100, 1000),
        "1 transform of 1 M": lambda: bench.transform(1, 1 << 20),
        "call of 100 elements, few launches": lambda: bench.call(100, 1),
        "call of 100 elements, more launches": lambda: bench.call(100, 4),
        "100 steps of 1000 elements, 1 launch": lambda: bench.steps(1000, 0),
        "100 steps of 1000 elements, 2 launches": lambda: bench.steps(1000, 1),
        "100 steps of 1000 elements, 4 launches": lambda: bench.steps(1000, 3),
        "100 steps of 1000 elements, 10 launches": lambda: bench.steps(1000, 8),
        "100 results of 1000 elements that stay, 1 launch": lambda: bench.stays(1000, 0),
        "100 results of 1000 elements that stay, 4 launches": lambda: bench.stays(1000, 3),
    }


COLUMNS = ("opencl", "by hand", "numpy", "c", "opencl, own kernels")
RATIO = "opencl / by hand"


def table(found: dict[str, dict[str, float]]) -> str:
    """Microseconds, as Markdown."""
    lines = ["| case | " + " | ".join([*COLUMNS, RATIO]) + " |", "|---|" + "---:|" * (len(COLUMNS) + 1)]
    for name, times in found.items():
        cells = [f"{1e6 * times[column]:.4g}" if column in times else "" for column in COLUMNS]
        cells.append(f"{times['opencl'] / times['by hand']:.2f}" if "by hand" in times else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="a file for the times, in seconds")
    parser.add_argument("--markdown", help="a file for the table, in microseconds")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    options = parser.parse_args()
    bench = Bench()
    print(f"{bench.name}, {bench.device.platform.version.strip()}; microseconds, medians of {ROUNDS} rounds")
    found: dict[str, dict[str, float]] = {}
    for name, make in cases(bench).items():
        if options.only in name:
            found[name] = timed(make())
            print(table({name: found[name]}).splitlines()[-1], flush=True)
    text = table(found)
    print(text)
    if options.json:
        Path(options.json).write_text(json.dumps({"device": bench.name, "seconds": found}, indent=1))
    if options.markdown:
        Path(options.markdown).write_text(text + "\n")


if __name__ == "__main__":
    main()
