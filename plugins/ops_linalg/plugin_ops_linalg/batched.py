"""The base of this pack's ops: a computation on single matrices, repeated over leading axes that broadcast.

What is checked here, once for all ops: dtypes, core shapes, finite elements, and what becomes of a matrix that fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.graph import Apply, DisconnectedType, Variable
from core.ir.clike.clibrary import Failure
from core.ir.expr import Expr
from core.ir.library import LibraryCall
from core.ir.view import broadcast_shapes
from core.op import Op
from core.options import config
from core.tensor import TensorType, TensorVariable, as_tensor, cast
from core.tensor.elementwise import broadcast_length
from core.tensor.stacks import in_front
from core.tensor.type import broadcast_static
from core.tensor.unbroadcast import unbroadcast
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.failures import explained

Sizes: TypeAlias = dict[str, Any]  # the length that each letter of a signature stands for

ON_ERROR = ("raise", "nan")


class BatchedOp(Op):
    """An op that says by ``signature`` which last axes it works on: "(n,n),(n,k)->(n,k)", as NumPy's gufuncs do.

    Inputs   tensors; the axes before those of the signature broadcast.  Cast to one dtype: float32, float64, complex64
             or complex128, that to which all promote, float64 for integers.
    Outputs  the broadcast leading axes, then those of the signature; dtypes as ``output_dtypes`` says.
    Errors   DTypeError for float16; ShapeError for too few axes or lengths that differ; LinAlgError where two axes of
             one input must be equal and are not; at once where lengths are known, else when it runs.

    A subclass gives ``compute`` (one matrix at a time, in NumPy and SciPy), and ``pullback`` and ``pushforward``, in
    which leading axes need no care.  ``on_error="nan"`` fills the result of a matrix that fails with NaN.
    """

    __props__ = ("on_error",)
    signature: str
    needs_finite = True  # whether LAPACK may not meet NaN and infinities, for it would not return, or return nonsense
    routine: str | None = None  # the library routine that computes it; see compiled/routines.py
    works_in: tuple[int, int] | None = None  # (output, input): the routine finds that input in that output's memory
    computes_empty = False  # whether ``compute`` takes matrices with an axis of length 0

    def __init__(self, on_error: str | None = None):
        self.on_error = checked_on_error(on_error)

    def compute(self, *arrays: np.ndarray) -> Any:
        """The outputs, one array or a tuple, for single matrices; no axis has length 0, unless ``computes_empty``.

        Errors: LinAlgError saying what is wrong with the matrix; the base adds op, shapes and place.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method compute")

    def compute_empty(self, outputs: Sequence[np.ndarray]) -> None:
        """Fill outputs, zero so far, for matrices without elements."""

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        """Dtypes of the outputs where the inputs have ``dtype``."""
        return [dtype] * len(parsed(self.signature)[1])

    def lengths(self, sizes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Lengths of outputs that no input has, from those of the inputs: ints or symbolic integers."""
        return {}

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """The gradient of each input, of the broadcast shape.  An entry of ``grads`` is None where there is none.

        For complex matrices: the transpose of the tangent map for the product ``Re sum(g * dx)``, without conjugation.
        """
        return super().grad(inputs, grads)

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """The tangent of each output.  An entry of ``tangents`` is None for an input that does not change."""
        return super().R_op(inputs, tangents)

    def why(self, number: int) -> str:
        """What the positive number means with which a routine of LAPACK failed."""
        return f"LAPACK did not converge (info {number})"

    def attributes(self) -> dict[str, Any]:
        """What a library routine must know of the op: its props."""
        return {name: getattr(self, name) for name in self.__props__}

    # --- building ---------------------------------------------------------------------------------------------------

    def make_node(self, *inputs: Any) -> Apply:
        takes, gives = parsed(self.signature)
        operands = self.operands(inputs)
        for x, letters in zip(operands, takes, strict=True):
            if x.ndim < len(letters):
                raise ShapeError(f"{self} needs ndim >= {len(letters)}, but {x} has ndim={x.ndim}", blame=x)
        leads, cores = zip(
            *(split(x.type.shape, letters) for x, letters in zip(operands, takes, strict=True)), strict=True
        )
        known: Sizes = {}
        for x, letters, core in zip(operands, takes, cores, strict=True):
            self._bind(known, letters, core, x.type.shape, x)
        try:
            lead = broadcast_static(*leads)
        except ShapeError as error:
            raise ShapeError(f"{self} cannot broadcast the leading axes of its inputs: {error}", blame=x) from error
        known.update({} if None in known.values() else self.lengths(known))
        shapes = [(*lead, *(_static(known.get(letter)) for letter in letters)) for letters in gives]
        kinds = self.output_dtypes(operands[0].dtype)
        return Apply(self, operands, [TensorType(d, shape) for d, shape in zip(kinds, shapes, strict=True)])

    def operands(self, inputs: Sequence[Any]) -> list[TensorVariable]:
        """The inputs as tensors of one dtype that LAPACK has."""
        takes = parsed(self.signature)[0]
        if len(inputs) != len(takes):
            raise ArgumentError(f"{self} needs {len(takes)} inputs, got {len(inputs)}")
        tensors = [as_tensor(x) for x in inputs]
        dtype = lapack_dtype(self, tensors)
        return [x if x.dtype == dtype else cast(x, dtype) for x in tensors]

    def _bind(self, sizes: Sizes, letters: Sequence[str], core: Sequence[Any], shape: Any, blame: Any) -> None:
        """Note what each letter stands for.  Errors: when a letter stands for two lengths."""
        own: Sizes = {}
        for letter, n in zip(letters, core, strict=True):
            if n is None:
                sizes.setdefault(letter, None)
                continue
            if own.get(letter, n) != n:
                raise LinAlgError(f"{self} needs square matrices, got shape {_shown(shape)}", blame=blame)
            own[letter] = n
            if sizes.get(letter) not in (None, n):
                raise ShapeError(
                    f"{self} of signature {self.signature} needs equal lengths {letter}, got {sizes[letter]} and "
                    f"{n} (shape {_shown(shape)})",
                    blame=blame,
                )
            sizes[letter] = n

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        takes, gives = parsed(self.signature)
        split_shapes = [split(shape, letters) for shape, letters in zip(input_shapes, takes, strict=True)]
        sizes = {
            letter: n
            for letters, (_, core) in zip(takes, split_shapes, strict=True)
            for letter, n in zip(letters, core, strict=True)
        }
        sizes.update(self.lengths(sizes))
        lead = _broadcast([s for s, _ in split_shapes])
        whole = {letters: core for letters, (_, core) in zip(takes, split_shapes, strict=True)}
        if self.works_in is not None:  # the output is where that input was, also if that turns out not to be square
            whole[takes[self.works_in[1]]] = split_shapes[self.works_in[1]][1]
        inferred = [[*lead, *whole.get(letters, [sizes[letter] for letter in letters])] for letters in gives]
        return [
            tuple(n if k is None else k for k, n in zip(out.type.shape, shape, strict=True))
            for out, shape in zip(node.outputs, inferred, strict=True)
        ]

    # --- computing --------------------------------------------------------------------------------------------------

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        takes, gives = parsed(self.signature)
        pairs = [split(x.shape, letters) for x, letters in zip(inputs, takes, strict=True)]
        sizes: Sizes = {}
        for letters, (_, core), x in zip(takes, pairs, inputs, strict=True):
            self._bind(sizes, letters, core, x.shape, node)
        try:
            lead = np.broadcast_shapes(*(shape for shape, _ in pairs))
        except ValueError as error:
            raise ShapeError(
                f"{self} cannot broadcast the leading axes of shapes {', '.join(str(x.shape) for x in inputs)}",
                blame=node,
            ) from error
        empty = 0 in sizes.values() and not self.computes_empty
        sizes.update({letter: int(n) for letter, n in self.lengths(sizes).items()})
        outputs = [
            np.zeros((*lead, *(sizes[letter] for letter in letters)), out.type.dtype)
            for out, letters in zip(node.outputs, gives, strict=True)
        ]
        if empty:
            self.compute_empty(outputs)
        else:
            stretched = [np.broadcast_to(x, (*lead, *core)) for x, (_, core) in zip(inputs, pairs, strict=True)]
            for place in np.ndindex(*lead):
                self._one(node, place, [x[place] for x in stretched], outputs)
        for cell, out in zip(output_storage, outputs, strict=True):
            cell[0] = out

    def _one(self, node: Apply, place: tuple, arrays: list[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Compute one matrix of the stack into its place."""
        try:
            if self.needs_finite:
                require_finite(arrays)
            with np.errstate(all="ignore"):
                found = self.compute(*arrays)
            for out, value in zip(outputs, found if isinstance(found, tuple) else (found,), strict=True):
                out[place] = value
        except np.linalg.LinAlgError as error:
            if self.on_error == "raise":
                where = f", matrix {place} of the stack" if place else ""
                shapes = " and ".join(str(x.shape) for x in arrays)
                raise LinAlgError(f"{self}: {error} (shape {shapes}{where})", blame=node) from error
            for out in outputs:
                out[place] = np.nan if out.dtype.name in dtypes.CONTINUOUS else 0

    def library_call(self, node: Apply) -> LibraryCall | None:
        """The routine, ``_complex`` behind its name for complex matrices, with what its operands have in common; of one
        operand rows and columns may differ until it runs, where they make a LinAlgError.
        """
        if self.routine is None:
            return None
        takes, gives = parsed(self.signature)
        batch = node.outputs[0].type.ndim - len(gives[0])
        in_place = self.works_in is not None and (len(takes) == 1 or batch == 0)
        return LibraryCall(
            self.routine + ("_complex" if node.inputs[0].type.dtype in dtypes.COMPLEXES else ""),
            tuple({**self.attributes(), "in_place": in_place}.items()),
            batch=batch,
            ranks=tuple(len(letters) for letters in takes),
            same=_equal_lengths(takes),
            overwrites=(self.works_in,) if in_place else (),
        )

    def library_error(self, node: Apply, failure: Failure) -> Exception:
        return explained(self, node, failure)

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable]:
        """A stack is one more leading axis, before those that broadcast."""
        takes = parsed(self.signature)[0]
        lead = max(x.ndim - len(letters) for x, letters in zip(node.inputs, takes, strict=True))
        aligned = [
            in_front(x, old, lead + len(letters)) for x, old, letters in zip(inputs, node.inputs, takes, strict=True)
        ]
        return self(*aligned, return_list=True)

    # --- derivatives ------------------------------------------------------------------------------------------------

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """What ``pullback`` says, summed over the leading axes along which an input was broadcast."""
        outputs = self(*inputs, return_list=True)
        grads = [None if isinstance(g.type, DisconnectedType) else g for g in output_grads]
        found = self.pullback(inputs, outputs, grads)
        leads = [_leading(x, letters) for x, letters in zip(inputs, parsed(self.signature)[0], strict=True)]
        return [
            unbroadcast(as_real(g, x), x, _others(leads, k, x)) if isinstance(g, TensorVariable) else g
            for k, (x, g) in enumerate(zip(inputs, found, strict=True))
        ]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """What ``pushforward`` says; see there."""
        if all(dx is None for dx in eval_points):
            return [None for _ in parsed(self.signature)[1]]
        return list(self.pushforward(inputs, self(*inputs, return_list=True), eval_points))

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[out.type.dtype in dtypes.CONTINUOUS for out in node.outputs] for _ in node.inputs]


# --- signatures ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def parsed(signature: str) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """The letters of each input and of each output: "(n,n)->(n),()" is ((n, n),), ((n,), ())."""
    sides = signature.replace(" ", "").split("->")
    both = [
        tuple(tuple(filter(None, part.strip("()").split(","))) for part in side.replace("),(", ")|(").split("|"))
        for side in sides
    ]
    return both[0], both[1]


def split(shape: Sequence[Any], letters: Sequence[str]) -> tuple[tuple, tuple]:
    """Leading and own lengths of one input."""
    at = len(shape) - len(letters)
    return tuple(shape[:at]), tuple(shape[at:])


@lru_cache(maxsize=256)
def _equal_lengths(takes: Sequence[Sequence[str]]) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """Pairs of (operand, axis from the end) that stand for one length in two operands."""
    first: dict[str, tuple[int, int]] = {}
    pairs = []
    for operand, letters in enumerate(takes):
        for axis, letter in enumerate(letters):
            here = (operand, axis - len(letters))
            if letter in first and first[letter][0] != operand:
                pairs.append((first[letter], here))
            first.setdefault(letter, here)
    return tuple(pairs)


def _static(n: Any) -> int | None:
    return n if n is None or isinstance(n, int) else int(n) if isinstance(n, np.integer) else None


def _broadcast(leads: Sequence[tuple]) -> Sequence[Any]:
    """The lengths to which leading shapes broadcast: ints, symbolic integers, or lengths of the loop IR."""
    if any(isinstance(n, Expr) for lead in leads for n in lead):
        return broadcast_shapes(*leads)
    out: list[Any] = []
    for axis in range(-max(map(len, leads), default=0), 0):
        here = [lead[axis] for lead in leads if len(lead) >= -axis]
        found = here[0]
        for n in here[1:]:
            found = broadcast_length(found, n)
        out.append(found)
    return out


def _leading(x: TensorVariable, letters: Sequence[str]) -> tuple[int | None, ...]:
    return split(x.type.shape, letters)[0]


def _others(leads: Sequence[tuple], position: int, x: TensorVariable) -> list[TensorVariable]:
    """What ``unbroadcast`` asks of the other inputs: tensors of their leading axes, with the axes of ``x`` behind."""
    behind = x.ndim - len(leads[position])
    return [TensorType(x.dtype, (*lead, *(1,) * behind))() for k, lead in enumerate(leads) if k != position]


def _shown(shape: Sequence[Any]) -> str:
    return f"({', '.join('?' if n is None else str(n) for n in shape)}{',' * (len(shape) == 1)})"


# --- dtypes and values -----------------------------------------------------------------------------------------------


def lapack_dtype(op: Any, operands: Sequence[TensorVariable]) -> str:
    """The dtype that LAPACK computes with.  Errors: DTypeError for float16, as in NumPy."""
    dtype = dtypes.promote(*(x.dtype for x in operands))
    if dtype in dtypes.DISCRETE:
        return "float64"
    if dtype == "float16":
        raise DTypeError(
            f"{op} needs float32, float64, complex64 or complex128, got float16; cast it", blame=operands[0]
        )
    return dtype


def as_real(g: TensorVariable, x: TensorVariable) -> TensorVariable:
    """The gradient of a real input: the imaginary part of what belongs to a complex one says nothing of it."""
    if g.dtype in dtypes.COMPLEXES and x.dtype not in dtypes.COMPLEXES:
        g = g.real
    return g if g.dtype == x.dtype else cast(g, x.dtype)


def checked_on_error(on_error: str | None) -> str:
    """What to do with a matrix that fails: ``on_error``, by default the option ``linalg.on_error``."""
    chosen = config["linalg.on_error"] if on_error is None else on_error
    if chosen not in ON_ERROR:
        raise ArgumentError(f"on_error needs 'raise' or 'nan', got {on_error!r}")
    return chosen


def require_finite(arrays: Sequence[np.ndarray]) -> None:
    """Errors: LinAlgError saying which input holds NaN or an infinity, and where the first is."""
    for position, x in enumerate(arrays):
        if not np.isfinite(x).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
            parts = (x[where].real, x[where].imag)
            wrong = next(part for part in parts if not np.isfinite(part))
            raise LinAlgError(f"input {position} is {wrong} at {where}, not finite")
