"""A call that is made beside what its caller does: a thread, and what it returned or raised."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from threading import Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """Calls ``function`` in a thread, under the options of its maker.  As a context, it waits for the end."""

    def __init__(self, function: Callable[..., T], *arguments: Any):
        self._answer: list[T] = []
        self._error: BaseException | None = None
        call = copy_context().run
        self._thread = Thread(target=call, args=(self._run, function, *arguments), name=f"core: {function.__name__}")
        self._thread.start()

    def _run(self, function: Callable[..., T], *arguments: Any) -> None:
        try:
            self._answer.append(function(*arguments))
        except BaseException as error:  # raised again where the result is asked for
            self._error = error

    def result(self) -> T:
        """What the call returned.  Errors: what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._answer[0]

    def __enter__(self) -> Aside[T]:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join()
