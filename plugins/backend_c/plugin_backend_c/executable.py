"""A loaded program: takes arrays, calls C, gives arrays.  Keeps nothing between calls: threads may call it at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from threading import local
from types import ModuleType
from typing import Any

import numpy as np

from core import dtypes
from core.errors import BackendError, IndexOutOfBounds, ShapeError
from core.ir.centry import Status
from core.ir.program import GuardFailed, LibraryStep, Program, Value
from plugin_backend_c import launcher

DECLARATIONS = """
typedef int32_t (*core_host_call)(int32_t, void **, const int64_t *, void **, int64_t *);
typedef void *(*core_memory)(void *, void *, int64_t);
int32_t {name}(void **, const int64_t *, void **, void **, core_host_call, void **, int64_t *, int64_t *, core_memory,
               void *);
void core_release(void *);
"""


class _Call:
    """What one call must keep: arrays that Python made for C, and an exception on its way through C."""

    def __init__(self) -> None:
        self.arrays: dict[Value, np.ndarray] = {}
        self.error: BaseException | None = None


class Executable:
    """A program as a function of arrays.

    sources  file name -> C text;  program  what it was printed from
    """

    def __init__(
        self,
        program: Program,
        ffi: Any,
        library: Any,
        sources: dict[str, str],
        routines: Sequence[int],
        extension: ModuleType | None = None,
    ):
        self.program, self.sources, self._extension = program, sources, extension
        self._ffi, self._library, self._entry = ffi, library, getattr(library, program.name)
        self._calls = local()
        self._constants = {v: np.ascontiguousarray(a).reshape(a.shape) for v, a in program.constants.items()}
        self._constant_pointers = self._pointers(list(self._constants.values()))
        self._routines = ffi.new("void *[]", [ffi.cast("void *", address) for address in routines] or [ffi.NULL])
        self._host = ffi.callback("core_host_call", self._call_python) if program.host_nodes else ffi.NULL
        self._made = [(v, np.dtype(v.dtype), len(program.shapes[v])) for v in program.made]
        self._lengths_out = sum(ndim for _, _, ndim in self._made)
        self._report_length = 4 + max((len(shape) for shape in program.shapes.values()), default=0)
        self._plain = [value for value, _, _ in self._made] == program.outputs
        kept = (library, self._constant_pointers, self._routines)
        addresses = (self._entry, self._constant_pointers[0], self._routines)
        self.launcher = launcher.launchable(
            extension, program, tuple(int(ffi.cast("intptr_t", p)) for p in addresses), self._constants, kept
        )

    def bind(self, current: list[Any], *how: Any) -> Callable[..., Any] | None:
        """Calls that need no Python, where there is a launcher: see core's Caller.fastest."""
        return None if self.launcher is None else launcher.bound(self._extension, self.program, current, *how)

    def free(self) -> None:
        """Give memory back that is kept for the next call."""
        if self._extension is not None:
            self._extension.release_memory()

    def _pointers(self, arrays: Sequence[np.ndarray]) -> Any:
        buffers = [self._ffi.from_buffer(array) for array in arrays]
        pointers = self._ffi.new("void *[]", buffers or [self._ffi.NULL])
        return pointers, buffers

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Errors: GuardFailed where lengths do not fit; MemoryError, IndexOutOfBounds, what a host op raises."""
        ffi = self._ffi
        arrays = [array if array.flags.carray else _contiguous(array) for array in arrays]
        lengths = [n for array in arrays for n in array.shape]
        inputs, _alive = self._pointers(arrays)
        outputs = ffi.new("void *[]", max(len(self._made), 1))
        output_lengths = ffi.new("int64_t[]", max(self._lengths_out, 1))
        report = ffi.new("int64_t[]", self._report_length)
        call = outer = None
        if self._host:
            call, outer = _Call(), getattr(self._calls, "current", None)
            self._calls.current = call
        try:
            status = self._entry(
                inputs,
                ffi.new("int64_t[]", lengths or [0]),
                self._constant_pointers[0],
                self._routines,
                self._host,
                outputs,
                output_lengths,
                report,
                ffi.NULL,
                ffi.NULL,
            )
        finally:
            if self._host:
                self._calls.current = outer
        if status != Status.DONE:
            self._raise(status, report, call)
        made = self._wrapped(outputs, output_lengths)
        return made if self._plain else self._all_outputs(made, arrays, call)

    # --- results ----------------------------------------------------------------------------------------------------

    def _wrapped(self, outputs: Any, lengths: Any) -> list[np.ndarray]:
        """Arrays that own the memory which C allocated."""
        made, first = [], 0
        for k, (_, dtype, ndim) in enumerate(self._made):
            shape = tuple(lengths[first : first + ndim])
            first += ndim
            made.append(self._array(self._ffi.gc(outputs[k], self._library.core_release), dtype, shape))
        return made

    def _array(self, pointer: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        size = dtype.itemsize
        for n in shape:
            size *= n
        if not size:
            return np.empty(shape, dtype)
        return np.frombuffer(self._ffi.buffer(pointer, size), dtype).reshape(shape)

    def _all_outputs(
        self, made: list[np.ndarray], arrays: Sequence[np.ndarray], call: _Call | None
    ) -> list[np.ndarray]:
        """Outputs in their order, also those that no step writes; each is memory of its own."""
        program = self.program
        known = dict(zip((value for value, _, _ in self._made), made, strict=True))
        results: list[np.ndarray] = []
        for value in program.outputs:
            if value in known:
                results.append(known.pop(value))
            elif value in program.outputs[: len(results)]:
                results.append(results[program.outputs.index(value)].copy())
            elif value in program.inputs:
                results.append(np.array(arrays[program.inputs.index(value)]))
            elif value in self._constants:
                results.append(self._constants[value].copy())
            else:
                assert call is not None
                results.append(np.array(call.arrays[value]))
        return results

    # --- the way back into Python -----------------------------------------------------------------------------------

    def _call_python(self, number: int, inputs: Any, lengths: Any, outputs: Any, output_lengths: Any) -> int:
        """What C calls for an op that only Python can compute."""
        call = self._calls.current
        try:
            step = next(s for s in self.program.steps if getattr(s, "index", None) == number)
            arrays, first = [], 0
            for k, value in enumerate(step.inputs):
                ndim = len(self.program.shapes[value])
                shape = tuple(lengths[first : first + ndim])
                first += ndim
                array = self._array(inputs[k], np.dtype(value.dtype), shape)
                arrays.append(array.copy())  # the op may keep it, but C frees or reuses what it was made from
            results = self.program.host_calls[number](arrays)
            first = 0
            for k, (value, result) in enumerate(zip(step.outputs, results, strict=True)):
                array = np.array(result, order="C") if result.base is not None else _contiguous(result)
                call.arrays[value] = array
                outputs[k] = self._ffi.from_buffer(array) if array.size else self._ffi.NULL
                for n in array.shape:
                    output_lengths[first] = n
                    first += 1
        except BaseException as error:  # C cannot carry it: it is raised again behind the call
            call.error = error
            return 1
        return 0

    def _raise(self, status: int, report: Any, call: _Call | None) -> None:
        if status == Status.GUARD:
            raise GuardFailed(self.program.guards[report[0]], report[1], report[2])
        if status == Status.MEMORY:
            raise self._no_memory(report)
        if status == Status.CHECK:
            step = self.program.steps[report[0]]
            raise IndexOutOfBounds(step.message, blame=step.node)
        if status == Status.LIBRARY:
            step = self.program.steps[report[0]]
            raise BackendError(
                f"{step.call.name} of backend 'c' needs lengths below 2**31, got {report[1]}",
                blame=step.outputs[0].node,
            )
        if status == Status.ROUTINE:
            raise self._routine_failed(self.program.steps[report[0]], report[1])
        assert call is not None and call.error is not None
        raise call.error

    def _routine_failed(self, step: LibraryStep, number: int) -> Exception:
        node, routine = step.outputs[0].node, self.program.routines[step.call.name]
        if routine.failed is not None:
            return routine.failed(node, number)
        return BackendError(f"{step.call.name} of {_what(step.outputs[0])} failed with {number}", blame=node)

    def _no_memory(self, report: Any) -> Exception:
        if report[0] < 0:
            return MemoryError(f"intermediate values need {report[1]} bytes, more than there are")
        value = list(self.program.shapes)[report[0]]
        shape = tuple(report[1 : 1 + len(self.program.shapes[value])])
        if any(n < 0 for n in shape):
            return ShapeError(f"{_what(value)} needs lengths of 0 or more, got shape {shape}", blame=value.node)
        size = math.prod(shape) * dtypes.size_bytes(value.dtype)
        return MemoryError(f"{_what(value)} needs {size} bytes for shape {shape} of {value.dtype}, more than there are")


def _what(value: Value) -> str:
    """How messages call a value."""
    return str(value.node.op) if value.node is not None else str(value)


def _contiguous(array: np.ndarray) -> np.ndarray:
    """The same array in row-major order, aligned; 0-d arrays stay 0-d."""
    return np.require(array, requirements=["C", "A"]).reshape(array.shape)
