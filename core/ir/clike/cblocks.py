"""Steps that go block by block, in C: a function that runs them, and the entry function of what is done with one block.

That is written by centry.py as any other, but for its outputs: whoever calls it says where these lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core import dtypes
from core.dataclass import dataclass
from core.ir.axes import product
from core.ir.definitions import Value
from core.ir.expr import Expr
from core.ir.program import BlockStep, Program
from core.ir.row_blocks import Part, Way

_MEMORY = """\
/* A call of a body: the memory of one block, or step, serves for the next. */
typedef struct {
    core_call call;
    void *block;
    int64_t size, wanted;
} core_body_call;

static void *core_body_memory(core_call *call, void *block, int64_t size)
{
    core_body_call *own = (core_body_call *)call;
    void *kept = own->block;
    if (block) {
        if (kept) free(kept);
        own->block = block;
        own->size = size;
        return 0;
    }
    own->block = 0;
    if (kept && own->size >= size) return kept;
    if (kept) free(kept);
    own->wanted = size;
    return core_own_memory(call, 0, size);
}
"""

_RUN = """\
/* Where an array of a block lies: so many bytes behind ``at`` for each row, and for each block before.  What ``pieces``
 * grow in lies there, ``size`` bytes for each piece but the first. */
typedef struct {
    char *at;
    int64_t row, block;
    char *pieces;
    int64_t size;
} core_part;

typedef int32_t (*core_body)(void **, const int64_t *, void **, void **, void **, int64_t *, int64_t *, core_call *);

/* ``body`` is to run for each block of ``rows`` of ``count``, of ``piece`` rows one block after the other.  ``arrays``
 * are its inputs, then its outputs; ``lengths`` what it takes, the first still open.  ``failed``: ``lacked`` bytes were
 * not to be had. */
typedef struct {
    core_body body;
    void **routines;
    const core_part *arrays;
    const int64_t *limits, *lengths;
    int64_t inputs, outputs, limited, known, count, rows, piece, failed, lacked;
} core_blocks;

static void core_piece(void *given, int64_t first, int64_t last, int64_t worker)
{
    core_blocks *all = given;
    const int64_t number = first / all->piece;
    core_body_call own = {.call = {.memory = core_body_memory, .threads = 1}};
    void *arrays[MOST_ARRAYS];
    int64_t lengths[MOST_LENGTHS], report[64];
    (void)worker;
    __builtin_memcpy(lengths, all->lengths, (size_t)all->known * sizeof *lengths);
    for (int64_t k = 0; k < all->inputs; k++) {
        const core_part *p = all->arrays + k;
        if (p->pieces && number) __builtin_memset(p->pieces + (number - 1) * p->size, 0, (size_t)p->size);
    }
    for (int64_t at = first; at < last; at += all->rows) {
        const int64_t rows = last - at < all->rows ? last - at : all->rows;
        lengths[0] = rows;
        lengths[1] = at;
        for (int64_t k = 0; k < all->limited; k++) {
            const int64_t left = all->limits[k] - at;
            lengths[2 + k] = left < 0 ? 0 : left < rows ? left : rows;
        }
        for (int64_t k = 0; k < all->inputs + all->outputs; k++) {
            const core_part *p = all->arrays + k;
            arrays[k] = p->pieces && number ? p->pieces + (number - 1) * p->size
                                            : p->at + at * p->row + at / all->rows * p->block;
        }
        if (all->body(arrays, lengths, 0, all->routines, arrays + all->inputs, 0, report, &own.call)) {
            __atomic_store_n(&all->lacked, own.wanted, __ATOMIC_RELAXED);
            __atomic_store_n(&all->failed, 1, __ATOMIC_RELAXED);
            break;
        }
    }
    if (own.block) free(own.block);
}
"""


def run(program: Program) -> str:
    """What runs the blocks of a program, or its steps, stands on; for a program with bodies."""
    steps = [step for step in program.steps if isinstance(step, BlockStep)]
    if not steps:
        return _MEMORY
    most = max(1 + len(step.parts) for step in steps), max(len(_lengths(step, str)) for step in steps)
    return _MEMORY + "\n" + _RUN.replace("MOST_ARRAYS", str(most[0])).replace("MOST_LENGTHS", str(most[1]))


@dataclass(frozen=True)
class Around:
    """What writing a step needs of the entry function around it, as functions that give C text."""

    pointer: Callable[[Value], str]
    length: Callable[[Expr], str]
    shape: Callable[[Value], tuple[Expr, ...]]
    failed: Callable[[str], str]  # of the bytes that there were not
    types: Mapping[str, str]


def call_lines(step: BlockStep, around: Around) -> list[str]:
    """The lines that run a step: what grows starts as it should, and has its pieces added to it."""
    blocks = step.blocks
    grown = [part for part in blocks.outputs if part.way is Way.GROWN]
    text = around.length
    lengths = _lengths(step, text)
    arrays = ["{0, 0, 0, 0, 0}", *(_part(part, around) for part in step.parts)]
    limits = ", ".join(map(text, blocks.limits)) or "0"
    inputs, outputs = 1 + len(blocks.inputs), len(blocks.outputs)
    counts = [inputs, outputs, len(blocks.limits), len(lengths), text(blocks.count), "core_rows"]
    return [
        "{",
        *(f"    {line}" for part in grown for line in _started(part, around)),
        f"    const core_part core_arrays[] = {{{', '.join(arrays)}}};",
        f"    const int64_t core_limits[] = {{{limits}}}, core_lengths[] = {{{', '.join(lengths)}}};",
        f"    const int64_t core_rows = {text(blocks.rows)}, core_piece_rows = core_rows * ({text(blocks.together)});",
        f"    core_blocks core_b = {{{step.body.name}, routines, core_arrays, core_limits, core_lengths,",
        f"                          {', '.join(map(str, counts))}, core_piece_rows, 0, 0}};",
        "    core_busy(call);",
        "    core_parallel(call, core_piece, &core_b, core_b.count, core_piece_rows);",
        f"    if (core_b.failed) {around.failed('core_b.lacked')}",
        *(f"    {line}" for part in grown for line in _folded(part, around)),
        "}",
    ]


def _lengths(step: BlockStep, text: Callable[[Expr], str]) -> list[str]:
    """The lengths that a block's program takes: those that each block has of its own are open."""
    known = [*("0" for _ in step.blocks.limits), *map(text, step.blocks.lengths)]
    unused = sum(len(step.body.shapes[value]) for value in step.body.inputs[1:])  # those of the other inputs
    return ["0", "0", *known, *("0" for _ in range(unused))]


def _part(part: Part, around: Around) -> str:
    size = dtypes.size_bytes(part.value.dtype)
    row, block = (
        f"(int64_t)({around.length(product(around.shape(part.value)[1:]) * size)})" if part.way is way else "0"
        for way in (Way.ROWS, Way.EACH)
    )
    pieces, whole = "0", "0"
    if part.pieces is not None:
        pieces = f"(char *){around.pointer(part.pieces)}"
        whole = around.length(product(around.shape(part.value)) * size)
    return f"{{(char *){around.pointer(part.value)}, {row}, {block}, {pieces}, {whole}}}"


def _started(part: Part, around: Around) -> list[str]:
    """What grows is, before the first block, another value or nothing."""
    target = around.pointer(part.value)
    size = f"(size_t)({around.length(product(around.shape(part.value)) * dtypes.size_bytes(part.value.dtype))})"
    if part.start is None:
        return [f"__builtin_memset({target}, 0, {size});"]
    return [f"__builtin_memcpy({target}, {around.pointer(part.start)}, {size});"]


def _folded(part: Part, around: Around) -> list[str]:
    """What the pieces have grown to, added up in their order."""
    assert part.pieces is not None
    target, pieces = around.pointer(part.value), around.pointer(part.pieces)
    count, size = map(around.length, around.shape(part.pieces))
    return [
        f"for (int64_t piece = 0; piece < {count}; piece++) {{",
        f"    const {around.types[part.value.dtype]} *more = {pieces} + piece * ({size});",
        f"    for (int64_t e = 0; e < {size}; e++) {target}[e] += more[e];",
        "}",
    ]
