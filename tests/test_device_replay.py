"""Commands that are recorded and replayed: when, and what happens when one fails."""

import pytest

from core.device.replay import Replays, can_replay


class Device:
    """Notes commands, or runs them."""

    records = True

    def __init__(self):
        self.ran, self.noting, self.log = [], None, []

    def begin_recording(self):
        self.noting = []
        self.log.append("begin")

    def end_recording(self):
        noted, self.noting = self.noting, None
        self.log.append("end")
        return lambda: self.ran.extend(noted)

    def abandon_recording(self):
        self.noting = None
        self.log.append("abandon")

    def command(self, name):
        def run():
            (self.ran if self.noting is None else self.noting).append(name)

        return run


@pytest.fixture
def device():
    return Device()


def test_the_second_time_is_recorded_and_every_time_runs(device):
    replays = Replays(device)
    for _ in range(4):
        replays.queue("here", [device.command("a"), device.command("b")])
    assert device.ran == ["a", "b"] * 4
    assert device.log == ["begin", "end"]


def test_values_that_lie_by_turns_in_two_places_have_two_recordings(device):
    replays = Replays(device)
    for k in range(8):
        replays.queue(k % 2, [device.command(k % 2)])
    assert device.ran == [0, 1] * 4
    assert device.log == ["begin", "end"] * 2


def test_places_that_never_come_again_are_never_recorded(device):
    replays = Replays(device)
    for k in range(50):
        replays.queue(k, [device.command(k)])
    assert device.ran == list(range(50)) and not device.log


def test_a_failure_while_recording_ends_it_and_the_next_time_is_right(device):
    replays = Replays(device)
    replays.queue("here", [device.command("a")])

    def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        replays.queue("here", [device.command("a"), fails])
    assert device.log == ["begin", "abandon"] and device.noting is None
    replays.queue("here", [device.command("a")])
    assert device.ran == ["a", "a"]


def test_a_device_that_cannot_record_is_not_asked_to():
    assert can_replay(Device())
    assert not can_replay(object())
