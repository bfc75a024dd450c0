"""Commands that are run: several at once, with a time limit, and ended with whoever started them.

By ``posix_spawn`` itself: importing subprocess and tempfile took a tenth of the time of a first function in Python.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple


class Finished(NamedTuple):
    """How a command ended: its exit status, or minus the signal that ended it, and what it said."""

    returncode: int
    stdout: str
    stderr: str


class TakesTooLong(Exception):
    """A command did not end in time."""


_PAUSE_S = 0.002  # between looks at processes, where the system does not say when one ends

# Reads which groups of processes are at work, a line for each change, until whoever writes is gone, even if killed.  A
# word says that all is done: a process that was forked meanwhile may hold the other end of the pipe for long.
_WATCH = """\
while read -r line; do [ "$line" = done ] && exit; groups=$line; done
for group in $groups; do kill -9 -$group; done"""


def run(command: Sequence[str], timeout_s: float, watcher: Watcher | None = None) -> Finished:
    """Run one command.  Errors: as ``run_all``."""
    return run_all([command], timeout_s, watcher)[0]


def run_all(commands: Sequence[Sequence[str]], timeout_s: float, watcher: Watcher | None = None) -> list[Finished]:
    """Run commands, as many at once as there are processors.  How each ended, in their order.

    When one takes too long, or this is interrupted or killed, what they have started ends with them.  ``watcher``: one
    that also watches other commands, before or after.
    Errors: TakesTooLong; OSError for a command that is not there.
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
                running[_Process(command)] = number
            watcher.tell(running)
            process = _first_to_end(running, deadline)
            if process is None:
                raise TakesTooLong(f"{next(iter(running)).command[0]} took more than {timeout_s} s")
            done[running.pop(process)] = process.finished()
    finally:
        for process in running:
            process.stop()
        watcher.tell(())
    return [done[number] for number in range(len(commands))]


def _first_to_end(running: Collection[_Process], deadline: float) -> _Process | None:
    """Wait for one of them; None when none has ended by then."""
    while time.monotonic() < deadline:
        with suppress(AttributeError, OSError), ExitStack() as opened:  # where the system can say that a process ended
            waiter = select.poll()
            for process in running:
                descriptor = os.pidfd_open(process.group)
                opened.callback(os.close, descriptor)
                waiter.register(descriptor, select.POLLIN)
            waiter.poll(1000 * max(deadline - time.monotonic(), 0))
        ended = next((process for process in running if process.has_ended()), None)
        if ended is not None:
            return ended
        time.sleep(_PAUSE_S)
    return None


class _Process:
    """A command at work, in a group of its own.  What it says goes to files: a pipe that nobody reads stops it."""

    def __init__(self, command: Sequence[str]):
        self.command = command
        self._returncode: int | None = None
        with ExitStack() as opened:
            files = [_open(opened, os.open(os.devnull, os.O_RDONLY)), *(_open(opened, _unnamed()) for _ in range(2))]
            self.group = _started(command, files)
            self._said = files[1:]
            self._files = opened.pop_all()

    def has_ended(self) -> bool:
        return self._wait(os.WNOHANG)

    def _wait(self, how: int) -> bool:
        if self._returncode is None:
            try:
                process, status = os.waitpid(self.group, how)
            except ChildProcessError:  # somebody else has waited for it, and nobody knows how it ended
                process, status = self.group, 0
            if process:
                self._returncode = os.waitstatus_to_exitcode(status)
        return self._returncode is not None

    def finished(self) -> Finished:
        """How it ended."""
        with self._files:
            self._wait(0)
            out, err = (_content(file) for file in self._said)
            return Finished(self._returncode or 0, out, err)

    def stop(self) -> None:
        with self._files, suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)
            self._wait(0)


def _started(command: Sequence[str], files: Sequence[int]) -> int:
    """The number of a new process and of its group.  ``files`` are its standard input, output and errors."""
    actions = [(os.POSIX_SPAWN_DUP2, file, number) for number, file in enumerate(files)]
    environment = {**os.environ, "LC_ALL": "C"}
    asleep_here = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores them, and what it starts would do so too
    return os.posix_spawnp(command[0], command, environment, file_actions=actions, setpgroup=0, setsigdef=asleep_here)


def _open(opened: ExitStack, file: int) -> int:
    """A descriptor that is closed with ``opened``, and is none of those that a process begins with."""
    opened.callback(os.close, file)
    return file if file > 2 else _open(opened, os.dup(file))


def _unnamed() -> int:
    """A file that goes when it is closed."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("core")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _content(file: int) -> str:
    return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")


class Watcher:
    """A shell that outlives this process, to end the commands of one that was killed; without a shell, nobody does."""

    def __enter__(self) -> Watcher:
        self._shell = None
        with suppress(OSError), ExitStack() as opened:
            reads, writes = (_open(opened, file) for file in os.pipe())
            nothing = _open(opened, os.open(os.devnull, os.O_WRONLY))
            self._shell = _started(["/bin/sh", "-c", _WATCH], [reads, nothing, nothing])
            self._pipe = os.dup(writes)
        return self

    def tell(self, running: Iterable[_Process]) -> None:
        """Say what is at work now."""
        self._say(" ".join(str(process.group) for process in running))

    def _say(self, line: str) -> None:
        if self._shell is not None:
            with suppress(OSError):
                os.write(self._pipe, f"{line}\n".encode())

    def __exit__(self, *error: object) -> None:
        if self._shell is not None:
            self._say("done")
            os.close(self._pipe)
            with suppress(ChildProcessError):
                os.waitpid(self._shell, 0)


def first_line(done: Finished) -> str:
    """What a command that failed said first, or how it ended."""
    said = done.stderr.strip()
    if done.returncode < 0:  # by the system when memory runs out, as a rule
        return f"killed by signal {-done.returncode}"
    return said.splitlines()[0] if said else f"exit status {done.returncode}"


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
