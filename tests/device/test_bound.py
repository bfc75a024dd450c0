"""What a driver is told of calls that it may queue by itself; here it queues them in Python, on a device of NumPy."""

import numpy as np
import pytest

import core
import core.tensor as ct
from core.compile.function import function
from core.dataclass import replace
from core.device.array import DeviceArray
from core.device.opened import Opened
from core.device.space import Space
from core.ir.target import Target
from core.testing.devices import NumpyDevice


class Recording:
    """Queues what it was told of, for values of its inputs."""

    is_broken = False

    def __init__(self, call):
        self.call = call

    def fits(self, values, shapes):
        return all(
            shape == expected and (only is None or only() is value.memory)
            for value, shape, (_, expected, *_, only) in zip(values, shapes, self.call.inputs, strict=True)
        )

    def queue(self, values):
        call, made = self.call, []
        for value, (dtype, shape, _, uses, _) in zip(values, call.inputs, strict=True):
            assert value.dtype == dtype and value.shape == shape and value.space is call.space
            self._put(uses, value)
        for k, uses in enumerate(call.outputs):
            made.append(call.new_output(k))
            self._put(uses, made[k])
        for launcher, blocks in call.launchers:
            for position, block in blocks.items():
                launcher.set(position, block)
            launcher()
        return [made[k] for k in call.results]

    def _put(self, uses, value):
        for k, position in uses:
            self.call.launchers[k][0].set(position, value.memory.block)


class BindingDevice(NumpyDevice):
    """``bound``: how many calls it has queued by itself."""

    def __init__(self, target):
        super().__init__(target)
        self.bound = 0

    def bind(self, current, slow_path, reads, writes, layout, n_args, n_results):
        def call(*args):
            for recording in current[0].recordings:
                values = [*args, *(cell[0] for cell in reads)]
                shapes = [np.shape(value) for value in values]
                if all(type(v) is DeviceArray for v in values) and recording.fits(values, shapes):
                    results = recording.queue(values)
                    self.bound += 1
                    for cell, value in zip(writes, results[n_results:], strict=True):
                        cell[0] = value
                    return results[0] if layout == "one" else None
            return slow_path(*args)

        return call

    def record(self, call):
        return Recording(call)


@pytest.fixture
def backend():
    return Opened("numpy", Space(BindingDevice(Target(units=3, lanes=4, piece=2))))


def test_a_call_that_waits_for_nothing_is_described_in_full(backend):
    w, v = core.shared(np.arange(6.0).reshape(2, 3)), core.shared(np.ones(3))
    new = w - w.sum(axis=0) * ct.constant([1.0, 2.0, 3.0])
    step = function([], updates={w: new, v: v * new[0]}, backend=backend)
    expected_w, expected_v = w.get_value(), v.get_value()
    for k in range(6):
        step()
        expected_w = expected_w - expected_w.sum(axis=0) * [1, 2, 3]
        expected_v = expected_v * expected_w[0]
        assert backend.space.device.bound == max(0, k - 1), "it takes two calls to know"
    assert np.allclose(w.get_value(), expected_w) and np.allclose(v.get_value(), expected_v)


def test_each_set_of_lengths_has_a_recording_of_its_own(backend):
    x = ct.vector("x")
    f = function([x], core.Out(x + 1, borrow=True), backend=backend)
    values = [backend.space.place(np.arange(float(n))) for n in (0, 1, 4)]
    for _ in range(3):
        results = [f(value) for value in values]
    assert backend.space.device.bound == 3
    assert [result.numpy().tolist() for result in results] == [[], [1.0], [1.0, 2.0, 3.0, 4.0]]


def test_recordings_that_are_broken_are_made_again_and_free_forgets_them(backend):
    w = core.shared(np.zeros(3))
    step = function([], updates={w: w + 1}, backend=backend)
    step(), step(), step()
    (first,) = step._run._main.recordings
    first.is_broken = True
    program = step._run._main
    repeat = next(iter(program._repeats.values()))
    assert repeat.wants_recording
    program.run([w.cell[0]], (False,))
    (second,) = program.recordings
    assert second is not first and not repeat.wants_recording
    step.free()
    assert program.recordings == []


@pytest.mark.parametrize("what", ["a result on the host", "a check of an index", "a dtype that is stored as another"])
def test_other_calls_are_not_recorded(what):
    device = BindingDevice(Target(units=3, lanes=4, piece=2))
    if what.startswith("a dtype"):
        device.facts = replace(device.facts, stored={"float64": "float32"})
    backend = Opened("numpy", Space(device))
    x, i, w = ct.vector("x"), ct.lvector("i"), core.shared(np.zeros(3, "float32"))
    if what.startswith("a result"):
        f, argument = function([x], x + 1, backend=backend), np.ones(3)
    elif what.startswith("a check"):
        f, argument = function([i], updates={w: w[i]}, backend=backend), np.arange(3)  # another place each time
    else:
        f, argument = function([x], updates={w: w + x.astype("float32")}, backend=backend), np.ones(3)
    for _ in range(4):
        f(argument)
    assert f._run._main.recordings == [] and device.bound == 0


def test_a_call_whose_checks_passed_for_the_same_arguments_is_recorded_for_these_alone(backend):
    w, i = core.shared(np.zeros(3)), core.shared(np.array([2, 0]))
    step = function([], updates={w: ct.inc_subtensor(w[i], 1.0)}, backend=backend)
    step(), step(), step()
    (recording,) = step._run._main.recordings
    (only,) = (only for *_, only in recording.call.inputs if only is not None)
    assert only() is i.cell[0].memory
    i.set_value(np.array([1, 1]))
    step()
    assert only() is None, "what is no longer used is not kept"
    step()
    (again,) = step._run._main.recordings
    assert again is not recording and [only() for *_, only in again.call.inputs if only] == [i.cell[0].memory]
