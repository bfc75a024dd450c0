"""A compilation that goes on while the function is called already: a thread that asks a compiler, and waits for it.

The thread is joined when Python ends, so that the next process finds in its cache what this one began to compile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextvars import copy_context
from threading import RLock, Thread
from typing import Any

# A process that forks while modules are imported here would leave its child with half of one, for ever: so it waits
_preparing = RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_preparing.acquire, after_in_parent=_preparing.release, after_in_child=_preparing.release
    )


class Compilation:
    """Calls ``prepare`` in a thread, under the options of its maker, then ``put`` with what that returned does.

    prepare  imports what it needs, and what is left to do
    error    what was raised
    done_s  how long it took; None while it is at work
    """

    def __init__(self, prepare: Callable[[], Callable[[], Any]], put: Callable[[Any], None]):
        self._prepare, self._put, self._context = prepare, put, copy_context()
        self.error: BaseException | None = None
        self.done_s: float | None = None
        self.is_reported = False
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        # a copy: in a child process the context itself counts as entered for ever
        self._thread = Thread(target=self._context.copy().run, args=(self._run,), name="core: compilation")
        self._thread.start()

    def _run(self) -> None:
        start = time.perf_counter()
        try:
            with _preparing:
                finish = self._prepare()
            self._put(finish())
        except BaseException as error:  # told to whoever calls or waits
            self.error = error
        finally:
            self.done_s = time.perf_counter() - start

    def go_on(self) -> None:
        """Begin again in a child process, which has no thread of its parent's."""
        if self.done_s is None and self._process != os.getpid():
            self._start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it is done, after so much time at most."""
        self.go_on()
        self._thread.join(timeout_s)
        return self.done_s is not None
