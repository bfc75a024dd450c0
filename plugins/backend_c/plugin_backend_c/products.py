"""Products of matrices in C: products.c for each type, and how generated code calls it.

It is built by the installer (ready.py), or here, once for each compiler, where that could not.

BLAS serves what is large; where it comes from is in blas.py.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from core.dataclass import replace
from core.errors import BackendError
from core.ir.clike.routine import Routine
from plugin_backend_c import blas, compiler
from plugin_backend_c import cache as libraries
from plugin_backend_c.ready import LETTERS, STRUCTURE, products, products_text

if TYPE_CHECKING:
    from core.ir.clike.clibrary import Call
    from core.ir.program import LibraryStep

_DTYPES = {letter: dtype for dtype, letter in LETTERS.items()}
STRUCTURES = dict(zip(("core_product", "core_stack"), STRUCTURE.split("\n\n"), strict=True))
# Functions of their own, for a C compiler's time grows with what is written out at each of many products
_MULTIPLY = """\
static __attribute__((noinline)) void core_multiply(
    core_call *call, core_task task, int64_t (*plan)(void *), void (*end)(void *), core_product *p)
{
    const int64_t piece = plan(p);
    core_parallel(call, task, p, p->deep ? p->k : p->columns ? p->n : p->m, piece);
    if (p->deep) end(p);
}"""
_MULTIPLY_ALL = """\
static __attribute__((noinline)) void core_multiply_all(
    core_call *call, core_task task, int64_t (*plan)(void *), core_stack *p)
{
    const int64_t piece = plan(p);
    core_parallel(call, task, p, p->count * p->pieces, piece);
}"""
HELPERS = {**STRUCTURES, "core_multiply": _MULTIPLY, "core_multiply_all": _MULTIPLY_ALL}


def library(dtype: str) -> ctypes.CDLL:
    """The library for one type.  Errors: BackendError without a compiler, CompileError."""
    found, why = compiler.find()
    if found is None:
        raise BackendError(f"products need a C compiler: {why}")
    # its vectors are written as such: -O3 would only take longer
    flags = ["-O2" if flag == "-O3" else flag for flag in found.flags]
    return _library(dtype, replace(found, flags=(*flags, "-ffp-contract=fast")))


@cache
def _library(dtype: str, builder: compiler.Compiler) -> ctypes.CDLL:
    made = _from_installer(dtype) or libraries.load([products_text(dtype)], builder)[0]
    threads = blas.threads()
    if threads is not None:
        made.core_product_threads(*map(ctypes.c_void_p, threads))
    return made


def _from_installer(dtype: str) -> ctypes.CDLL | None:
    binary = products(dtype)
    try:
        return None if binary is None else libraries.opened(binary)
    except OSError:  # for another C library
        return None


def address(function: str) -> int:
    """Where a function of BLAS or of products.c is."""
    if function not in _OWN:
        return blas.address(function)
    return ctypes.cast(getattr(library(_DTYPES[function[0]]), f"core_{function}"), ctypes.c_void_p).value or 0


def _asked(step: LibraryStep) -> Sequence[str]:
    """The functions for the type that a product has."""
    letter, kind = LETTERS[step.outputs[0].dtype], "stack" if step.call.batch else "product"
    end = [] if step.call.batch else [f"{letter}product_end"]
    return [f"{letter}gemm", f"{letter}{kind}", f"{letter}{kind}_plan", *end]


def _gemm(call: Call) -> Iterator[str]:
    """A product or a stack: of what, and in which pieces.  A vector is a row on the left, a column on the right."""
    a, b, *more = call.operands
    (c,), start, factor = call.outputs, more[0].pointer if more else "0", repr(call.attributes.get("alpha", 1.0))
    if len(more) > 1:
        factor = f"{factor} * *{more[1].pointer}"
    letter = LETTERS[c.dtype]
    pointers = [call.address(f"{letter}gemm"), a.pointer, b.pointer, start, c.pointer]
    rows, a_steps = (c.shape[0], a.strides) if len(a.shape) == 2 else ("1", ("0", *a.strides))
    columns, b_steps = (c.shape[-1], b.strides) if len(b.shape) == 2 else ("1", (*b.strides, "1"))
    sizes = [rows, columns, a.shape[-1], *a_steps, *b_steps, columns]
    one = f"{{{', '.join([*pointers, *sizes, factor])}, 0, 0, 0, 0}}"
    if call.stack:
        moves = ", ".join([call.stack, a.next, b.next, more[0].next if more else "0", c.next])
        kind, helper, last = "stack", "core_multiply_all", ()
        yield f"core_stack core_p = {{(core_product){one}, {moves}, 0, 0}};"
    else:
        kind, helper, last = "product", "core_multiply", (call.function(f"{letter}product_end"),)
        yield f"core_product core_p = {one};"
    task, plan = f"(core_task){call.address(f'{letter}{kind}')}", call.function(f"{letter}{kind}_plan")
    yield f"{helper}({', '.join(['call', task, plan, *last, '&core_p'])});"


_OWN = {
    f"{letter}{name}": prototype
    for letter in LETTERS.values()
    for name, prototype in (
        ("product", "void {}(void *, int64_t, int64_t, int64_t)"),
        ("product_plan", "int64_t {}(void *)"),
        ("product_end", "void {}(void *)"),
        ("stack", "void {}(void *, int64_t, int64_t, int64_t)"),
        ("stack_plan", "int64_t {}(void *)"),
    )
}
_PRODUCT = Routine({**blas.GEMM, **_OWN}, address, _gemm, helpers=HELPERS, asked=_asked, stacks=True)
ROUTINES = dict.fromkeys(("gemm", "gemv", "gemm_add", "complex_gemm", "complex_gemv"), _PRODUCT)
