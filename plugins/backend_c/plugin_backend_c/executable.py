"""A loaded program: takes arrays, calls C, gives arrays.  Keeps nothing between calls: threads may call it at once."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from importlib import import_module
from pathlib import Path
from threading import local
from types import ModuleType
from typing import Any

import numpy as np

from core import dtypes
from core.errors import BackendError, IndexOutOfBounds, ShapeError, compute_error
from core.ir.clike import ccalls
from core.ir.clike.cinterface import Status, kernels_of, report_length
from core.ir.definitions import Value
from core.ir.guards import GuardFailed, StepFailed
from core.ir.layouts import first_address, passed
from core.ir.program import LibraryStep, OpCall, Program
from core.threads import get_num_threads
from plugin_backend_c import launcher, runtime
from plugin_backend_c.compiler import Compiler
from plugin_backend_c.planning import plan_of

_DECLARATIONS = """
typedef struct core_call core_call;
struct core_call {
    void *(*memory)(core_call *, void *, int64_t);
    int32_t (*python)(int32_t, void **, const int64_t *, void **, int64_t *);
    void (*busy)(core_call *);
    void (*run)(void (*)(void *, int64_t, int64_t, int64_t), void *, int64_t, int64_t, int64_t);
    int64_t work, threads;
    void **given;
};
typedef int32_t (*core_entry)(void **, const int64_t *, void **, void **, void **, int64_t *, int64_t *, core_call *);
typedef void (*core_release)(void *);
typedef void (*core_give)(void *, int64_t);
"""
_MEMORY = "void *(*)(core_call *, void *, int64_t)"
_RUN = "void (*)(void (*)(void *, int64_t, int64_t, int64_t), void *, int64_t, int64_t, int64_t)"
_PYTHON = "int32_t(int32_t, void **, const int64_t *, void **, int64_t *)"


@cache
def foreign_functions() -> Any:
    """cffi, which knows how C is called: imported for the first call that goes through it, as that takes 50 ms."""
    ffi = import_module("cffi").FFI()
    ffi.cdef(_DECLARATIONS)
    return ffi


class _Foreign:
    """An executable as cffi sees it."""

    def __init__(self, executable: Executable):
        self.ffi = ffi = foreign_functions()
        self.entry = ffi.cast("core_entry", executable._entry_address)
        self.release = ffi.cast("core_release", executable._release_address)
        self.constants = ffi.cast("void **", ctypes.addressof(executable._constant_pointers))
        self.routines = ffi.cast("void **", ctypes.addressof(executable._routines))
        program = executable.program
        self.host = ffi.callback(_PYTHON, executable._call_python) if program.host_nodes else ffi.NULL
        has_chunks = any(kernel.split for kernel in kernels_of(program)) or len(program.all) > 1
        self.busy = ffi.callback("void(core_call *)", executable._find_threads) if has_chunks else ffi.NULL
        self._compiler = executable._compiler
        self.memory, self.give = ffi.NULL, None

    def offer(self) -> Any:
        """What a call offers to its program; cffi lets other Python threads run meanwhile in any case."""
        offer = self.ffi.new("core_call *")
        offer.python, offer.busy, offer.memory = self.host, self.busy, self.memory
        offer.threads = get_num_threads() if self.busy else 1
        return offer

    def owned(self, pointer: Any, size: int) -> Any:
        """Memory that C has allocated, which goes with what is returned; large blocks wait for the next call."""
        if size >= runtime.LARGE and self.give is None:
            give, memory = (runtime.address(self._compiler, name) for name in ("core_give", "core_memory"))
            self.give = self.ffi.cast("core_give", give) if give else False
            self.memory = self.ffi.cast(_MEMORY, memory)
        if size >= runtime.LARGE and self.give:
            return self.ffi.gc(pointer, partial(_given, self.give, size))
        return self.ffi.gc(pointer, self.release)


def _given(give: Any, size: int, pointer: Any) -> None:
    """The end of an array: its memory is kept for the next."""
    give(pointer, size)


def _address(function: Any) -> int:
    """Where a function of a library lies."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class _Call:
    """What one call must keep: arrays that Python was given or made for C, and an exception on its way through C."""

    def __init__(self, given: dict[Value, np.ndarray]) -> None:
        self.arrays = given
        self.error: BaseException | None = None


class Executable:
    """A program as a function of arrays.

    sources   file name -> C text;  program  what it was printed from
    compiler  builds the pool of threads, when it is first needed
    layouts   of its arguments: None where one is to lie row by row
    plan      how the launcher calls it, if it does;  binary  the file of its library
    runs_ops  whether the authors of ops wrote some of its C
    """

    def __init__(
        self,
        program: Program,
        library: ctypes.CDLL,
        sources: dict[str, str],
        routines: Sequence[int],
        compiler: Compiler | None = None,
        extension: ModuleType | None = None,
    ):
        self.program, self.sources, self._extension = program, sources, extension
        self._entry_address = _address(getattr(library, program.name))
        self._release_address = _address(library.core_release)
        self._compiler, self._calls = compiler, local()
        self._constants = {v: np.ascontiguousarray(a).reshape(a.shape) for v, a in program.constants.items()}
        self._constant_pointers = launcher.pointers([launcher.address_of(a) for a in self._constants.values()])
        self._routines = launcher.pointers(routines)
        self._made = [(v, np.dtype(v.dtype), len(program.shapes[v])) for v in program.made]
        self._lengths_out = sum(ndim for _, _, ndim in self._made)
        self._report_length = report_length(program)
        self.layouts = [program.layouts.get(value) for value in program.inputs]
        self._plain = [value for value, _, _ in self._made] == program.outputs
        self._library = library
        self.plan, self.binary = plan_of(program), Path(library._name)
        self.launcher = launcher.launchable(extension, self.plan, library, routines)
        self.runs_ops = any(isinstance(step, OpCall) for one in program.all for step in one.steps)
        self._counts = len(program.inputs), len(program.outputs)

    def bind(self, current: list[Any], *how: Any) -> Callable[..., Any] | None:
        """Calls that need no Python, where there is a launcher: see core's Caller.fastest."""
        return None if self.launcher is None else launcher.bound(self._extension, self._counts, current, *how)

    def free(self) -> None:
        """Give memory back that is kept for the next call."""
        if self._extension is not None:
            self._extension.release_memory()
        elif "_through_cffi" in vars(self) and self._through_cffi.give:
            runtime.library(self._compiler).core_release_memory()

    @cached_property
    def _through_cffi(self) -> _Foreign:
        return _Foreign(self)

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Errors: GuardFailed where lengths do not fit; MemoryError, IndexOutOfBounds, what a host op raises."""
        arrays = [
            array if layout is not None or array.flags.carray else launcher.contiguous(array)
            for array, layout in zip(arrays, self.layouts, strict=True)
        ]
        if self.launcher is None:
            return self._call_by_cffi(*arrays)
        return launcher.called(self._extension, self, self._counts, arrays, self._call_by_cffi)

    def _call_by_cffi(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Where there is no launcher, and where that met an error, to find out which.  Errors: as of a call."""
        foreign = self._through_cffi
        ffi = foreign.ffi
        layouts = self.layouts
        lengths = [n for array, layout in zip(arrays, layouts, strict=True) for n in passed(array, layout)]
        alive = [
            ffi.from_buffer(array) if layout is None else ffi.cast("void *", first_address(array))
            for array, layout in zip(arrays, layouts, strict=True)
        ]
        inputs = ffi.new("void *[]", alive or [ffi.NULL])
        outputs = ffi.new("void *[]", max(len(self._made), 1))
        output_lengths = ffi.new("int64_t[]", max(self._lengths_out, 1))
        report = ffi.new("int64_t[]", self._report_length)
        call = outer = None
        if foreign.host:
            call, outer = (
                _Call(dict(zip(self.program.inputs, arrays, strict=True))),
                getattr(self._calls, "current", None),
            )
            self._calls.current = call
        try:
            status = foreign.entry(
                inputs,
                ffi.new("int64_t[]", lengths or [0]),
                foreign.constants,
                foreign.routines,
                outputs,
                output_lengths,
                report,
                foreign.offer(),
            )
        finally:
            if foreign.host:
                self._calls.current = outer
        if status != Status.DONE:
            self._raise(status, report, call)
        made = self._wrapped(outputs, output_lengths)
        return made if self._plain else self._all_outputs(made, arrays, call)

    def _find_threads(self, offer: Any) -> None:
        """What C calls before long work."""
        run = runtime.address(self._compiler, "core_pool_run")
        if run:
            offer.run = foreign_functions().cast(_RUN, run)

    # --- results ----------------------------------------------------------------------------------------------------

    def _wrapped(self, outputs: Any, lengths: Any) -> list[np.ndarray]:
        """Arrays that own the memory which C allocated."""
        foreign, made, first = self._through_cffi, [], 0
        for k, (_, dtype, ndim) in enumerate(self._made):
            shape = tuple(lengths[first : first + ndim])
            first += ndim
            made.append(self._array(foreign.owned(outputs[k], math.prod(shape) * dtype.itemsize), dtype, shape))
        return made

    def _array(self, pointer: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        size = dtype.itemsize
        for n in shape:
            size *= n
        if not size:
            return np.empty(shape, dtype)
        return np.frombuffer(foreign_functions().buffer(pointer, size), dtype).reshape(shape)

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
                array = call.arrays[value]
                results.append(array.copy() if any(array is other for other in results) else array)
        return results

    # --- the way back into Python -----------------------------------------------------------------------------------

    def _call_python(self, number: int, inputs: Any, lengths: Any, outputs: Any, output_lengths: Any) -> int:
        """What C calls for an op that only Python can compute."""
        call = self._calls.current
        try:
            step = next(s for s in self.program.steps if getattr(s, "index", None) == number)
            compute = self.program.host_calls[number]
            lends = getattr(compute, "leaves_inputs_alone", False)
            arrays, first = [], 0
            for k, value in enumerate(step.inputs):
                ndim = len(self.program.shapes[value])
                shape = tuple(lengths[first : first + ndim])
                first += ndim
                array = call.arrays.get(value) if lends else None
                if array is None or array.shape != shape or not array.flags.c_contiguous:
                    # a copy: the op may change or keep it, and C frees or reuses what it is made from
                    array = self._array(inputs[k], np.dtype(value.dtype), shape).copy()
                arrays.append(array)
            results = compute(arrays)
            first = 0
            for k, (value, result) in enumerate(zip(step.outputs, results, strict=True)):
                is_new = result.base is None and not any(result is array for array in arrays)
                array = launcher.contiguous(result) if is_new else np.array(result, order="C")
                call.arrays[value] = array
                outputs[k] = foreign_functions().from_buffer(array) if array.size else foreign_functions().NULL
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
            raise self._routine_failed(self.program.steps[report[0]], list(report)[1:])
        if status == Status.STEP:
            raise StepFailed(str(self.program.steps[report[0]].node.op))
        if status == Status.BRANCH:
            step, side, inner = self.program.steps[report[0]], report[1], report[2]
            if inner == Status.GUARD:
                raise GuardFailed(step.guards[side][report[3]], report[4], report[5])
            raise StepFailed(str(step.node.op))
        if status == Status.OP:
            raise self._op_failed(self.program.steps[report[0]], list(report)[1 : 1 + ccalls.REPORT_LENGTH - 1])
        assert call is not None and call.error is not None
        raise call.error

    def _op_failed(self, step: OpCall, report: Sequence[int]) -> Exception:
        """What an op's own C said, as an exception of that type."""
        kind, message = ccalls.read_error(report)
        return compute_error(kind, f"{step.node.op} failed: {message}", blame=step.node)

    def _routine_failed(self, step: LibraryStep, report: Sequence[int]) -> Exception:
        from core.ir.clike.clibrary import read_failure  # few calls fail

        node, routine, failure = step.outputs[0].node, self.program.routines[step.call.name], read_failure(step, report)
        if routine.failed is not None:
            return routine.failed(node, failure)
        return BackendError(f"{step.call.name} of {_what(step.outputs[0])} failed with {failure.number}", blame=node)

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
