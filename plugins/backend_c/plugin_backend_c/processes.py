"""Commands that are run: several at once, with a time limit, and ended with whoever started them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from typing import Any, TypeAlias

Finished: TypeAlias = "subprocess.CompletedProcess[str]"

# Held while a command is started, and by who forks: ``Popen`` waits for the end of a pipe, which a process that another
# thread forks just then would keep open as long as it lives.
_starting = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_starting.release)

_PAUSE_S = 0.002  # between looks at processes, where the system does not say when one ends

# Waits until whoever writes is gone, even if killed, and ends its own group of processes, itself among them.  A word
# says that all is done: a process that was forked meanwhile may hold the other end of the pipe for long.
_WATCH = 'read -r line && [ "$line" = done ] || kill -9 0'


def run(command: Sequence[str], timeout_s: float, watcher: Watcher | None = None) -> Finished:
    """Run one command.  Errors: as ``run_all``."""
    return run_all([command], timeout_s, watcher)[0]


def run_all(commands: Sequence[Sequence[str]], timeout_s: float, watcher: Watcher | None = None) -> list[Finished]:
    """Run commands, as many at once as there are processors.  How each ended, in their order.

    When one takes too long, or this is interrupted or killed, what they have started ends with them.  ``watcher``: one
    that also watches other commands, before or after.
    Errors: TimeoutExpired; OSError for a command that is not there.
    """
    if watcher is None:
        with Watcher() as own:
            return run_all(commands, timeout_s, own)
    waiting = list(enumerate(commands))[::-1]
    running: dict[_Process, int] = {}
    done: dict[int, Finished] = {}
    deadline = time.monotonic() + timeout_s
    try:
        while waiting or running:
            while waiting and len(running) < processors():
                number, command = waiting.pop()
                running[_Process(command, watcher.group)] = number
            process = _first_to_end(running, deadline)
            if process is None:
                raise subprocess.TimeoutExpired(next(iter(running)).command, timeout_s)
            done[running.pop(process)] = process.finished()
    finally:
        for process in running:
            process.stop()
    return [done[number] for number in range(len(commands))]


def _first_to_end(running: Collection[_Process], deadline: float) -> _Process | None:
    """Wait for one of them; None when none has ended by then."""
    while time.monotonic() < deadline:
        with suppress(AttributeError, OSError), ExitStack() as opened:  # where the system can say that a process ended
            waiter = select.poll()
            for process in running:
                descriptor = os.pidfd_open(process.pid)
                opened.callback(os.close, descriptor)
                waiter.register(descriptor, select.POLLIN)
            waiter.poll(1000 * max(deadline - time.monotonic(), 0))
        ended = next((process for process in running if process.has_ended()), None)
        if ended is not None:
            return ended
        time.sleep(_PAUSE_S)
    return None


def _started(command: Sequence[str], group: int, **options: Any) -> subprocess.Popen[bytes]:
    """A process in a group; in one of its own where that is 0."""
    with _starting:
        return subprocess.Popen(command, process_group=group, **options)


class _Process:
    """A command at work, in a group.  What it says goes to files: a pipe that nobody reads stops it."""

    def __init__(self, command: Sequence[str], group: int):
        self.command = command
        with ExitStack() as files:
            self._out, self._err = (
                files.enter_context(tempfile.TemporaryFile(mode="w+", errors="replace")) for _ in range(2)
            )
            self._process = _started(
                command,
                group,
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=self._err,
                env={**os.environ, "LC_ALL": "C"},
            )
            self._files = files.pop_all()
        self._group = group or self.pid

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def finished(self) -> Finished:
        """How it ended."""
        with self._files:
            self._out.seek(0)
            self._err.seek(0)
            return subprocess.CompletedProcess(
                self._process.args, self._process.wait(), self._out.read(), self._err.read()
            )

    def stop(self) -> None:
        """End it, and all of its group."""
        with self._files:
            with suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)
            self._process.wait()


class Watcher:
    """A group of processes that ends with this one, even if it is killed: a shell in it sees to that.

    A command is in the group before it begins, so that at no moment it would be left.  Without a shell, nobody does.
    """

    def __enter__(self) -> Watcher:
        self._shell = None
        with suppress(OSError):
            self._shell = _started(
                ["/bin/sh", "-c", _WATCH],
                0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        return self

    @property
    def group(self) -> int:
        """Its number; 0 where there is none."""
        return self._shell.pid if self._shell is not None and self._shell.poll() is None else 0

    def __exit__(self, *error: object) -> None:
        if self._shell is not None and self._shell.stdin is not None:
            with suppress(OSError):
                self._shell.stdin.write(b"done\n")
                self._shell.stdin.close()
            self._shell.wait()


def first_line(done: Finished) -> str:
    """What a command that failed said first, or how it ended."""
    said = done.stderr.strip()
    if done.returncode < 0:  # by the system when memory runs out, as a rule
        return f"killed by signal {-done.returncode}"
    return said.splitlines()[0] if said else f"exit status {done.returncode}"


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
