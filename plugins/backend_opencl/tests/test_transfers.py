"""Copies on a queue of their own: who waits for whom, by order and not by time; the right numbers whatever overlaps."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pyopencl as cl
import pytest

import core
import core.tensor as ct
from core.device.opened import Opened
from core.device.space import Space
from core.errors import IndexOutOfBounds
from plugin_backend_opencl import transfers
from plugin_backend_opencl.device import ClDevice

OPTIONS = {
    "opencl.schedule": "auto",
    "opencl.float64": "error",
    "opencl.deterministic": False,
    "opencl.products": "kernels",
    "opencl.zero_copy": False,
}
LARGE = 100_000
NO_KERNELS = ("up", "down", "fill")


@pytest.fixture
def backend(device):
    """A backend on a device of its own, which has memory of its own."""
    return Opened("opencl", Space(ClDevice(device, OPTIONS)))


@dataclass
class Command:
    """What was queued: the kernel's name, or "up" or "down"; ``waits`` are the commands it waits for."""

    name: str
    queue: object
    event: object
    waits: list


@pytest.fixture
def commands(monkeypatch):
    """Everything that is queued, in order."""
    log = []

    def noted(real, name_of):
        def queue(queue, *arguments, wait_for=None, **named):
            event = real(queue, *arguments, wait_for=wait_for, **named)
            waits = [one for given in wait_for or () for one in log if one.event is given]
            assert len(waits) == len(wait_for or ())
            log.append(Command(name_of(*arguments), queue, event, waits))
            return event

        return queue

    def direction(target, source):
        return "down" if isinstance(target, np.ndarray) else "up" if isinstance(source, np.ndarray) else "copy"

    def kernel_name(kernel, *rest):
        return kernel.function_name

    monkeypatch.setattr(cl, "enqueue_nd_range_kernel", noted(cl.enqueue_nd_range_kernel, kernel_name))
    monkeypatch.setattr(cl, "enqueue_copy", noted(cl.enqueue_copy, direction))
    monkeypatch.setattr(cl, "enqueue_fill_buffer", noted(cl.enqueue_fill_buffer, lambda *rest: "fill"))
    return log


def apart(backend):
    """A function of a vector and a matrix, each of which has kernels of its own."""
    x, y = ct.vector("x"), ct.matrix("y")
    f = core.function([x, y], [ct.exp(x), y * 2], backend=backend)
    values = np.linspace(-1, 1, LARGE), np.ones((50, 30))
    return f, values, [np.exp(values[0]), values[1] * 2]


def queued_by(commands, f, values, want):
    commands.clear()
    for got, expected in zip(f(*values), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    ups, downs = ([c for c in commands if c.name == name] for name in ("up", "down"))
    kernels = [c for c in commands if c.name not in NO_KERNELS]
    assert (len(ups), len(downs), len(kernels)) == (2, 2, 2)
    return ups, kernels, downs


def test_an_argument_travels_while_kernels_run_that_do_not_need_it(backend, commands):
    ups, kernels, _ = queued_by(commands, *apart(backend))
    assert [kernel.waits for kernel in kernels] == [[ups[0]], [ups[1]]], "each waits for its own argument alone"
    assert ups[0].queue is ups[1].queue is not kernels[0].queue


def test_a_result_leaves_while_kernels_behind_it_run(backend, commands):
    _, kernels, downs = queued_by(commands, *apart(backend))
    assert [down.waits for down in downs] == [[kernels[0]], [kernels[1]]], "each waits for its own kernel alone"
    assert downs[0].queue is not kernels[0].queue


def test_an_argument_of_the_next_call_waits_for_who_reads_the_last_one(backend, commands):
    w, x = core.shared(np.zeros(LARGE)), ct.vector("x")
    step = core.function([x], updates={w: w + x}, backend=backend)
    for _ in range(3):
        step(np.ones(LARGE))
    *_, before, kernel = [c for c in commands if c.name not in NO_KERNELS]
    *_, up = [c for c in commands if c.name == "up"]
    assert up.waits == [before] and kernel.waits == [up]
    assert np.array_equal(w.get_value(), np.full(LARGE, 3.0))


def test_who_writes_where_a_result_leaves_waits_and_who_reads_does_not(backend, commands):
    device = backend.space.device
    a, b, array = device.allocate(800), device.allocate(800), np.empty(100)
    device.upload(a, np.arange(100.0), keep=False)
    device.copy(a, b, 800)  # waits for the upload, so that later ones need not
    device.download(a, array)
    up, _, down = commands[-3:]
    assert (up.name, down.name) == ("up", "down")
    device.copy(a, b, 800)
    device.fill(a, 0, 800)
    device.fill(a, 1, 800)
    assert [command.waits for command in commands[-3:]] == [[], [down], []]
    device.synchronize()
    assert np.array_equal(array, np.arange(100.0))


@pytest.fixture
def gate(backend):
    """What holds up the queue of kernels from here on, until it is opened."""
    event = cl.UserEvent(backend.space.device.queue.context)
    yield event
    if event.command_execution_status != cl.command_execution_status.COMPLETE:
        event.set_status(cl.command_execution_status.COMPLETE)


def is_over(event):
    return event.command_execution_status == cl.command_execution_status.COMPLETE


def test_copies_run_while_the_queue_of_kernels_stands_still(backend, gate):
    device = backend.space.device
    block, out = device.allocate(800), np.zeros(100)
    device.synchronize()
    cl.enqueue_barrier(device.queue, wait_for=[gate])
    device.upload(block, np.arange(100.0), keep=False)
    device.download(block, out)
    deadline = time.monotonic() + 600
    while not is_over(block.leaves):
        assert time.monotonic() < deadline, "the copies wait for kernels that they do not need"
        time.sleep(0.001)
    device.fill(block, 0, 800)  # behind the gate
    device.download(block, again := np.ones(100))
    time.sleep(0.01)
    assert not is_over(block.leaves), "that one has to wait"
    gate.set_status(cl.command_execution_status.COMPLETE)
    device.synchronize()
    assert np.array_equal(out, np.arange(100.0)) and not again.any()


@pytest.mark.parametrize("piece, pinned", [(1000, 2000), (4096, 4096), (999, 3333), (1 << 20, 1 << 20)])
def test_arrays_go_through_pinned_memory_piece_by_piece(backend, monkeypatch, piece, pinned):
    monkeypatch.setattr(transfers, "_PIECE", piece)
    monkeypatch.setattr(transfers, "_PINNED", pinned)
    x, y = ct.vector("x"), ct.imatrix("y")
    f = core.function([x, y], [x * 2, y + 1, x[::-1]], backend=backend)
    for n in (0, 1, 125, 2000, 12345):
        a, b = np.arange(float(n)), np.arange(3 * n, dtype="int32").reshape(3, n)
        for got, want in zip(f(a, b), [a * 2, b + 1, a[::-1]], strict=True):
            assert np.array_equal(got, want)


def test_many_calls_updates_and_failing_calls_give_what_numpy_gives(backend, monkeypatch):
    monkeypatch.setattr(transfers, "_PIECE", 5000)
    monkeypatch.setattr(transfers, "_PINNED", 12345)
    rng = np.random.default_rng(0)
    start = rng.normal(size=(40, 30))
    w, n = core.shared(start.copy(), name="w"), core.shared(0.0, name="n")
    x, i = ct.matrix("x"), ct.lvector("i")
    moved = w + 0.1 * (x.T @ x)[:, :30]
    step = core.function([x], updates={w: moved, n: n + 1}, backend=backend)
    take = core.function([i], [w[i], w.sum()], updates={n: n + 10}, backend=backend)
    kept = core.function([x], core.Out(x + w[: x.shape[0], :1], borrow=True), backend=backend)
    want, count, held = start.copy(), 0.0, []
    for turn in range(150):
        for _ in range(3):
            a = rng.normal(size=(rng.integers(1, 30), 40))
            want, count = want + 0.1 * (a.T @ a)[:, :30], count + 1
            step(given := a.copy())
            given[...] = np.nan  # the caller may do what it likes
        at = rng.integers(0, 40, 5)
        if turn % 7 == 3:
            with pytest.raises(IndexOutOfBounds):
                take(np.append(at, 40))
        else:
            rows, total = take(at)
            count += 10
            np.testing.assert_allclose(rows, want[at], rtol=1e-9)
            np.testing.assert_allclose(total, want.sum(), rtol=1e-7, atol=1e-7)
        held.append((kept(a), a + want[: len(a), :1]))
    np.testing.assert_allclose(w.get_value(), want, rtol=1e-9)
    assert n.get_value() == count
    for array, expected in held:
        np.testing.assert_allclose(np.asarray(array), expected, rtol=1e-9)


def test_threads_share_the_two_queues(backend):
    x = ct.vector("x")
    f = core.function([x], [x * 2, x.sum()], backend=backend)

    def call(k):
        doubled, total = f(np.full(50 if k % 2 else LARGE, float(k)))
        return np.all(doubled == 2 * k) and total == k * doubled.size

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(200)))


def test_what_is_not_waited_for_keeps_few_arrays(device):
    shared = ClDevice(device, {**OPTIONS, "opencl.zero_copy": True})
    w, x = core.shared(np.zeros(1000)), ct.vector("x")
    step = core.function([x], updates={w: w + x}, backend=Opened("opencl", Space(shared)))
    for _ in range(300):
        step(np.ones(1000))
        assert len(shared._copies) <= 64
    assert np.array_equal(w.get_value(), np.full(1000, 300.0))
    assert not shared._copies, "all have run"


def test_a_copy_to_the_host_that_another_call_lost_is_an_error(backend):
    device = backend.space.device
    moving = device.transfers
    block = device.allocate(800)
    device.download(block, np.empty(100))

    def lost():
        raise cl.RuntimeError("this copy is lost")

    (copy,) = moving._staging.copies
    copy.event.wait()
    copy.event = SimpleNamespace(wait=lost)

    def fails_meanwhile():
        moving._kernels = device.queue
        moving.forget()

    moving._kernels = SimpleNamespace(finish=fails_meanwhile)
    with pytest.raises(cl.RuntimeError, match="this copy is lost"):
        moving.finish(device.lock)
    device.upload(block, np.arange(100.0), keep=False)
    device.download(block, array := np.empty(100))
    device.synchronize()
    assert np.array_equal(array, np.arange(100.0)), "and it goes on"
