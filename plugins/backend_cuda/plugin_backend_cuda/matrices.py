"""Stacks of matrices on a device, their work memory, and the kernels of matrices.cu, for one call of a routine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from core import dtypes
from core.device.contract import Block, Scratch, Source, Strided
from core.ir.library import LibraryCall
from core.ir.nodes import Kernel
from plugin_backend_cuda.dialect import CUDA
from plugin_backend_cuda.libcuda import Packed

THREADS, BLOCKS = 256, 4096
_BOUNDARY = 256
_WORDS = {
    "float": {"REAL": "float", "LOG": "logf", "SQRT": "sqrtf", "HYPOT": "hypotf"},
    "double": {"REAL": "double", "LOG": "log", "SQRT": "sqrt", "HYPOT": "hypot"},
}
_SIGNATURES = {  # file -> the arguments of each of its kernels, as libcuda.Packed names them
    "matrices": {
        "gather": "PqqPqqqqqPqq", "clear": "Pqqqq", "identity": "Pqq", "fail": "PqqP", "no_numbers": "PqqP",
        "singular": "PqqqP", "determinant": "PPqqPP", "exchange": "PPqqqqq", "from_zero": "PPq", "halve": "Pqq",
        "symmetric": "PPqq", "note": "PPq", "scaled": "PPq", "cholesky": "PqqqqP", "whole": "PqqPqqqq",
        "paired": "PPPqq",
    },
    "banded": {"band": "PqqPqqqqq", "solve_band": "PPqqqqqPP",
        "diagonals": "PqqPqqq", "unsolved": "PqqP", "solved": "PPqqqP",
    },
}  # fmt: skip
_FILE = {name: file for file, kernels in _SIGNATURES.items() for name in kernels}
WARP = 32
_BLOCK_EACH = {"singular": WARP, "determinant": WARP, "cholesky": WARP, "solve_band": WARP}  # and its threads, at least


@cache
def source(file: str, dtype: str) -> str:
    """matrices.cu or banded.cu for one dtype."""
    package, is_complex = files("plugin_backend_cuda"), dtype in dtypes.COMPLEXES
    numbers = "numbers_complex.cu" if is_complex else "numbers_real.cu"
    text = "\n".join((package / name).read_text() for name in (numbers, f"{file}.cu"))
    real = "float" if dtypes.real_of(dtype) == "float32" else "double"
    for word, spelling in {"core_DTYPE_": f"core_{dtype}_", **_WORDS[real]}.items():
        text = text.replace(word, spelling)
    return f"{CUDA.preamble}\n{text}"


class Kernels:
    """Those of one dtype, loaded on one device, each file when the first of its kernels is asked for."""

    def __init__(self, device: Any, dtype: str):
        self._device, self._dtype = device, dtype
        self._code: dict[str, Any] = {}
        self._functions: dict[str, Any] = {}

    def __call__(self, name: str, elements: int, *arguments: int, threads: int = 0) -> None:
        """Queue one of them, for so many elements, or matrices; ``threads``: of a block that has a matrix to itself."""
        if elements == 0:
            return
        file = _FILE[name]
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._device.function(self._loaded(file), self._name(name))
        alone = name in _BLOCK_EACH
        threads = threads or _BLOCK_EACH.get(name, THREADS)
        blocks = elements if alone else -(-elements // THREADS)
        self._device.run(function, min(blocks, BLOCKS), threads, Packed(_SIGNATURES[file][name], arguments))

    def _name(self, kernel: str) -> str:
        return f"core_{self._dtype}_{kernel}"

    def _loaded(self, file: str) -> Any:
        if file not in self._code:
            kernels = tuple((Kernel(self._name(one), [], [], [], f"{one} of {file}"), ()) for one in _SIGNATURES[file])
            self._code[file] = self._device.build(Source(file, source(file, self._dtype), kernels))
        return self._code[file]


@dataclass
class Matrices:
    """A stack of matrices: where the first lies, where their addresses lie, and how far apart neighbours are."""

    shape: tuple[int, int]
    rows: int
    columns: int
    offsets: np.ndarray  # of each matrix, in bytes, from ``first``
    first: int = 0
    places: int = 0

    @property
    def by_columns(self) -> bool:
        return self.columns != 1

    @property
    def leading(self) -> int:
        """The distance of two rows, or of two columns where it lies by columns; libraries want at least 1."""
        turned = self.by_columns
        return max(self.columns if turned else self.rows, self.shape[0 if turned else 1], 1)

    def part(self, m: int, n: int) -> Matrices:
        """The first m rows and n columns of each."""
        return replace(self, shape=(m, n))

    def address(self, k: int) -> int:
        return self.first + int(self.offsets[k])


@dataclass
class Job:
    """One call: what it reads and writes, memory that it asks for, and the numbers of what fails.

    First all memory is asked for (``room``, ``own``), then ``begin`` gets it at once.
    """

    device: Any
    call: LibraryCall
    operands: Sequence[Strided]
    results: Sequence[Strided]
    _sizes: dict[str, int] = field(default_factory=dict)
    _own: list[tuple[Matrices, str]] = field(default_factory=list)
    _stacks: list[Matrices] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dtype = self.operands[0].dtype
        self.itemsize, self.is_complex = dtypes.size_bytes(self.dtype), self.dtype in dtypes.COMPLEXES
        self.lead = self.results[0].shape[: self.call.batch]
        self.count = math.prod(self.lead)
        self.attributes: dict[str, Any] = dict(self.call.attributes)
        self.room("numbers", 4 * self.count)
        self.room("said", 4 * self.count)

    # --- memory -----------------------------------------------------------------------------------------------------

    def room(self, name: str, size_bytes: int) -> None:
        """Ask for memory of this name."""
        self._sizes[name] = max(size_bytes, 1)

    def own(self, name: str, m: int, n: int, by_columns: bool = False) -> Matrices:
        """Matrices in memory of this call."""
        self.room(name, self.count * m * n * self.itemsize)
        step = np.arange(self.count, dtype="int64") * (m * n * self.itemsize)
        made = Matrices((m, n), 1 if by_columns else n, m if by_columns else 1, step)
        self._own.append((made, name))
        self._stacks.append(made)
        return made

    def given(self, array: Strided, ndim: int = 2) -> Matrices:
        """The matrices of an operand or result, as they lie; with ``ndim`` 1 vectors, as rows."""
        size = dtypes.size_bytes(array.dtype)
        pairs = list(zip(array.shape[:-ndim], array.strides[:-ndim], strict=True))
        pairs = [(n, 0) for n in self.lead[: len(self.lead) - len(pairs)]] + pairs  # stride 0: it has fewer axes
        offsets = np.zeros(self.lead, "int64")
        for axis, (n, stride) in enumerate(pairs):
            along = np.arange(n, dtype="int64") * (stride * size)
            offsets += along.reshape(-1, *(1,) * (len(self.lead) - axis - 1))
        m, n = (1, *array.shape[-ndim:])[-2:]
        rows, columns = (n, *array.strides[-ndim:])[-2:]
        first = array.block.pointer + array.offset * size
        made = Matrices((m, n), rows, columns, offsets.reshape(-1), first)
        self._stacks.append(made)
        return made

    def begin(self, scratch: Scratch) -> None:
        """Get the memory; addresses are known from here on, and nothing has failed so far."""
        self.room("places", 8 * self.count * len(self._stacks))
        at, total = {}, 0
        for name, size in self._sizes.items():
            at[name] = total
            total += -(-size // _BOUNDARY) * _BOUNDARY
        block = scratch(total)
        self.at = {name: block.pointer + offset for name, offset in at.items()}
        self._block, self._begins = block, at
        self.device.fill(block, 0, 4 * self.count, at["numbers"])
        for matrices, name in self._own:
            matrices.first = self.at[name]
        addresses = [matrices.first + matrices.offsets for matrices in self._stacks]
        for k, matrices in enumerate(self._stacks):
            matrices.places = self.at["places"] + 8 * self.count * k
        if addresses and self.count:
            listed = np.ascontiguousarray(np.concatenate(addresses))
            self.device.upload(Block(self.at["places"], listed.nbytes), listed, keep=False)

    # --- kernels ----------------------------------------------------------------------------------------------------

    def run(self, name: str, elements: int, *arguments: int, threads: int = 0) -> None:
        self.device.matrices(self.dtype)(name, elements, *arguments, threads=threads)

    def copy(
        self,
        source: Matrices,
        target: Matrices | None,
        operand: int = -1,
        turned: bool = False,
        conjugated: bool = False,
    ) -> None:
        """target = source, of the target's shape; or its transpose, its conjugate, or both.

        ``operand``: which one it is, if it is noted when it is not finite; without a target, that alone.
        """
        m, n = source.shape if target is None else target.shape
        steps = (source.columns, source.rows) if turned else (source.rows, source.columns)
        noted = 0 if operand < 0 else operand + 1 + 4 * turned
        to = (0, 0, 0) if target is None else (target.places, target.rows, target.columns)
        flags = (self.at["numbers"], noted, int(conjugated and self.is_complex))
        self.run("gather", self.count * m * n, source.places, *steps, *to, self.count, m, n, *flags)

    def conjugate(self, x: Matrices) -> None:
        """The conjugates of complex matrices, in their place."""
        if self.is_complex:
            self.copy(x, x, conjugated=True)

    def clear(self, matrices: Matrices, lower: bool) -> None:
        """0 in the other triangle."""
        m, n = matrices.shape
        self.run("clear", self.count * m * n, matrices.places, self.count, m, n, int(lower))

    def clear_flags(self, name: str) -> None:
        """A 0 for each matrix, in the memory of this name."""
        self.device.fill(self._block, 0, 4 * self.count, self._begins[name])

    def note(self) -> None:
        """Take over what the library said."""
        self.run("note", self.count, self.at["numbers"], self.at["said"], self.count)

    def numbers(self) -> Block | None:
        """How each matrix went; where that is asked for, those that failed are NaN now, and nothing has to be said."""
        if self.attributes.get("on_error") != "nan":
            return Block(self.at["numbers"], 4 * self.count)
        for out in self.results:  # of another dtype than the operands, perhaps: integers become 0
            size, itemsize = math.prod(out.shape[self.call.batch :]), dtypes.size_bytes(out.dtype)
            where = out.block.pointer + out.offset * itemsize
            numeric = out.dtype in dtypes.CONTINUOUS
            kernels = self.device.matrices(out.dtype if numeric else self.dtype)
            kernels("fail" if numeric else "no_numbers", self.count * size, where, self.count, size, self.at["numbers"])
        return None

    def result(self, k: int, place: int = 0) -> int:
        """Where a result lies, for one matrix of the stack."""
        out, size = self.results[k], dtypes.size_bytes(self.results[k].dtype)
        each = math.prod(out.shape[self.call.batch :])
        return out.block.pointer + (out.offset + place * each) * size

    def said(self, place: int) -> int:
        return self.at["said"] + 4 * place
