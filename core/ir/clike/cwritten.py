"""Words in which kernels are written by hand once for every C-like language of devices: a dialect says what they are.

    CORE_KERNEL, CORE_FUNCTION       what stands before a kernel, and before a function that kernels use
    CORE_GLOBAL, CORE_LOCAL          before what lies in the device's memory, and in memory that a group shares
    CORE_LOCAL_POINTER               before what a pointer to the latter leads to
    CORE_ITEM, CORE_ITEMS            the number of this work-item along x, and how many there are
    CORE_ROW, CORE_ROWS              the same along y
    CORE_LANE, CORE_LANES            this work-item's number along x in its group, and how many the group has
    CORE_BARRIER                     the statement at which the work-items of a group meet; nothing where each is alone

``int8_t`` to ``uint64_t``, ``float`` and ``double`` are there in all of them, and the functions of C99's <math.h>.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.ir.clike.cfamily import Dialect


def in_words_of(dialect: Dialect, text: str, words: Mapping[str, str], groups: bool) -> str:
    """A translation unit of ``text``.

    words   more of them, of whoever wrote it: REAL: "float"
    groups  whether work-items of a group share work; else each group has one
    """
    work = dialect.work
    assert work is not None
    known = {
        "CORE_KERNEL": dialect.kernel,
        "CORE_FUNCTION": dialect.function,
        "CORE_GLOBAL": dialect.pointer,
        "CORE_LOCAL": work.local,
        "CORE_LOCAL_POINTER": work.local_pointer,
        "CORE_ITEM": f"({work.item})",
        "CORE_ITEMS": f"({work.items})",
        "CORE_ROW": f"({work.row})",
        "CORE_ROWS": f"({work.rows})",
        "CORE_LANE": f"({work.lane})" if groups else "0",
        "CORE_LANES": f"({work.lanes})" if groups else "1",
        "CORE_BARRIER": work.barrier if groups else "",
        **words,
    }
    return "\n".join([dialect.preamble, *(f"#define {word} {known[word]}".rstrip() for word in known), "", text, ""])
