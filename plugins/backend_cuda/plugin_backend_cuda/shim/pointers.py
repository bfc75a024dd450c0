"""Functions of the driver, as C calls them, that call a driver of Python: what calls.c is given on a CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_int, c_size_t, c_uint, c_void_p
from typing import Any

from plugin_backend_cuda.libcuda import CudaError


class At:
    """Arguments that lie somewhere, as ``launch`` takes them; they stay as they are while it runs."""

    def __init__(self, address: int):
        self.address = address

    def copy(self) -> At:
        return self


class Pointers:
    """``addresses`` in the order of calls.FUNCTIONS.

    driver   what is called;  numbers  gives things numbers, and knows what a number is of
    """

    def __init__(self, driver: Any, numbers: Any):
        self._driver, self._numbers = driver, numbers
        self._functions = [
            ctypes.CFUNCTYPE(c_int, *kinds)(self._guarded(act))
            for act, kinds in (
                (self._use, (c_void_p,)),
                (self._launch, (c_void_p, *(c_uint,) * 7, c_void_p, c_void_p, c_void_p)),
                (self._replay, (c_void_p, c_void_p)),
                (self._copy_in, (c_void_p, c_void_p, c_size_t, c_void_p)),
                (self._finish, (c_void_p,)),
                (self._new_event, (POINTER(c_void_p), c_uint)),
                (self._record, (c_void_p, c_void_p)),
                (self._status, (c_void_p,)),
                (self._wait, (c_void_p,)),
                (self._free_event, (c_void_p,)),
            )
        ]
        self.addresses = tuple(ctypes.cast(one, c_void_p).value or 0 for one in self._functions)

    def _guarded(self, act: Callable[..., Any]) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            try:
                return act(*arguments) or 0
            except CudaError as error:
                return error.code

        return call

    def _use(self, context: Any) -> None:
        self._driver.use(context or 0)

    def _launch(self, function: int, *more: Any) -> None:
        grid, block, (shared, stream, arguments, _) = more[:3], more[3:6], more[6:]
        self._driver.launch(
            self._numbers.thing(function), grid, block, shared, self._numbers.thing(stream), At(arguments)
        )

    def _replay(self, graph: int, stream: int) -> None:
        self._driver.replay(self._numbers.thing(graph), self._numbers.thing(stream))

    def _copy_in(self, to: int, host: int, size: int, stream: int) -> None:
        self._driver.copy_in(to, host, size, self._numbers.thing(stream))

    def _finish(self, stream: int) -> None:
        self._driver.finish(self._numbers.thing(stream))

    def _new_event(self, out: Any, flags: int) -> None:
        out[0] = self._numbers.number(self._driver.new_event())

    def _record(self, event: int, stream: int) -> None:
        self._driver.record(self._numbers.thing(event), self._numbers.thing(stream))

    def _status(self, event: int) -> int:
        return self._driver.status(self._numbers.thing(event))

    def _wait(self, event: int) -> None:
        self._driver.wait_event(self._numbers.thing(event))

    def _free_event(self, event: int) -> None:
        self._driver.free_event(self._numbers.thing(event))
