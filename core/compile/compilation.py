"""A compilation that goes on while the function is called already: a thread that waits for a compiler.

The thread is joined when Python ends, so that the next process finds in its cache what this one began to compile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextvars import copy_context
from threading import Thread
from typing import Any


class Compilation:
    """Calls ``finish`` in a thread, under the options of its maker, then ``put`` with what that returned.

    error   what ``finish`` raised
    done_s  how long it took; None while it is at work
    """

    def __init__(self, finish: Callable[[], Any], put: Callable[[Any], None]):
        self._finish, self._put, self._context = finish, put, copy_context()
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
            self._put(self._finish())
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
