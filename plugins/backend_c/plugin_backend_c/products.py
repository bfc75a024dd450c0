"""Products of matrices in C: products.c, built here once for each compiler, and how generated code calls it.

BLAS serves what is large; where it comes from is in blas.py.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from core.errors import BackendError
from core.ir.clibrary import Call, Routine
from plugin_backend_c import blas, compiler
from plugin_backend_c import cache as libraries

LETTERS = {"float32": "s", "float64": "d"}
_TYPES = {"float32": "float", "float64": "double"}
_INTEL = {"float32": ("ps", ""), "float64": ("pd", "d")}  # how immintrin.h calls functions and vectors
STRUCTURE = (Path(__file__).parent / "product.h").read_text()


def source() -> str:
    """products.c, and products_of.h for each type: one text, as the cache wants it."""
    here = Path(__file__).parent
    body = (here / "products_of.h").read_text()
    parts = [(here / "products.c").read_text().replace('#include "product.h"\n', STRUCTURE)]
    for dtype, letter in LETTERS.items():
        function, vector = _INTEL[dtype]
        parts.append(f"""
#define T {_TYPES[dtype]}
#define NAME(x) core_{letter}##x
#ifdef WIDE
#define LOAD_PART(p, n) (NAME(vector))_mm512_maskz_loadu_{function}((1u << (n)) - 1, p)
#define STORE_PART(p, n, v) _mm512_mask_storeu_{function}(p, (1u << (n)) - 1, (__m512{vector})(v))
#endif
{body}
#undef T
#undef NAME
#undef LOAD_PART
#undef STORE_PART
""")
    return "".join(parts)


def library() -> ctypes.CDLL:
    """The library made of it.  Errors: BackendError without a compiler, CompileError."""
    found, why = compiler.find()
    if found is None:
        raise BackendError(f"products need a C compiler: {why}")
    return _library(replace(found, flags=(*found.flags, "-ffp-contract=fast")))


@cache
def _library(builder: compiler.Compiler) -> ctypes.CDLL:
    made, _ = libraries.load([source()], builder)
    threads = blas.threads()
    if threads is not None:
        made.core_product_threads(*map(ctypes.c_void_p, threads))
    return made


def address(function: str) -> int:
    """Where a function of BLAS or of products.c is."""
    if function not in _OWN:
        return blas.address(function)
    return ctypes.cast(getattr(library(), f"core_{function}"), ctypes.c_void_p).value or 0


def _gemm(call: Call) -> Iterator[str]:
    """One product: what it is made of, and its pieces.  A vector is a row on the left, a column on the right."""
    a, b, *more = call.operands
    (c,), start, factor = call.outputs, more[0].pointer if more else "0", repr(call.attributes.get("alpha", 1.0))
    if len(more) > 1:
        factor = f"{factor} * *{more[1].pointer}"
    letter = LETTERS[c.dtype]
    pointers = [call.address(f"{letter}gemm"), a.pointer, b.pointer, start, c.pointer]
    rows, a_steps = (c.shape[0], a.strides) if len(a.shape) == 2 else ("1", ("0", *a.strides))
    columns, b_steps = (c.shape[-1], b.strides) if len(b.shape) == 2 else ("1", (*b.strides, "1"))
    sizes = [rows, columns, a.shape[-1], *a_steps, *b_steps, columns]
    yield f"core_product core_p = {{{', '.join([*pointers, *sizes, factor])}, 0, 0}};"
    yield f"const int64_t core_piece = {call.function('product_plan')}(&core_p);"
    task, length = f"(core_task){call.address(f'{letter}product')}", "core_p.columns ? core_p.n : core_p.m"
    yield f"core_parallel(call, {task}, &core_p, {length}, core_piece);"


_OWN = {
    **{f"{letter}product": "void {}(void *, int64_t, int64_t, int64_t)" for letter in LETTERS.values()},
    "product_plan": "int64_t {}(void *)",
}
_PRODUCT = Routine({**blas.GEMM, **_OWN}, address, _gemm, helpers={"core_product": STRUCTURE})
ROUTINES = dict.fromkeys(("gemm", "gemv", "gemm_add"), _PRODUCT)
