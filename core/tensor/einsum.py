"""einsum: sums of products in Einstein's notation, as transpositions, products of matrices and sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from core.errors import ArgumentError, ShapeError
from core.tensor.diagonal import diagonal
from core.tensor.dimshuffle import dimshuffle
from core.tensor.products import matmul
from core.tensor.reduce import sum as sum_along
from core.tensor.reshape import reshape
from core.tensor.shape import length_product, shape_i
from core.tensor.type import TensorVariable, as_operands

__all__ = ["einsum"]

_ASSUMED_LENGTH = 16  # of axes of unknown length, when the order of products is chosen
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class _Term(NamedTuple):
    """A tensor, and a letter for each of its axes."""

    x: TensorVariable
    letters: str


def einsum(subscripts: Any, *operands: Any, optimize: Any = True) -> TensorVariable:
    """Sums of products: ``einsum("ij,jk->ik", a, b)`` is ``a @ b``, and so is ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.

    subscripts  a letter for each axis of each operand; "..." for axes that broadcast; behind "->" the letters of the
                output, by default those that occur once, in alphabetical order.  A letter that is not in the output is
                summed over; one that an operand has twice means its diagonal.  Numbers from 0 to 51, in a list behind
                each operand, and last one for the output, serve as well.
    optimize    NumPy's argument; a good order of products is taken in any case
    Errors      ArgumentError for subscripts that cannot be; ShapeError when lengths of one letter differ.
    Source      The order of products is that of numpy.einsum_path, for lengths that are known.
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _in_letters((subscripts, *operands))
    xs = as_operands(*operands)
    terms, out = _parsed(subscripts, xs)
    terms = [_diagonals(term) for term in terms]
    if len(terms) == 1:
        return _finished(terms[0], out)
    for group in _path(terms, out):
        taken = [terms[k] for k in group]
        terms = [term for k, term in enumerate(terms) if k not in group]
        while len(taken) > 1:
            left, right = taken.pop(0), taken.pop(0)
            needed = {*out, *(letter for term in (*terms, *taken) for letter in term.letters)}
            taken.insert(0, _product(left, right, needed))
        terms.append(taken[0])
    return _finished(terms[0], out)


# --- subscripts ----------------------------------------------------------------------------------------------------


def _in_letters(arguments: Sequence[Any]) -> tuple[str, list[Any]]:
    """``a, [0, 1], b, [1, 2], [0, 2]`` as "AB,BC->AC" and the operands; letters in the order of the numbers."""
    operands, lists = list(arguments[: len(arguments) // 2 * 2 : 2]), list(arguments[1::2])
    letters = "".join(sorted(_LETTERS))

    def letter(label: Any) -> str:
        if label is Ellipsis:
            return "..."
        if not isinstance(label, int) or not 0 <= label < len(letters):
            raise ArgumentError(f"einsum needs integers from 0 to {len(letters) - 1} or '...' as labels, got {label!r}")
        return letters[label]

    def text(labels: Any) -> str:
        if not isinstance(labels, (list, tuple)):
            raise ArgumentError(f"einsum needs its subscripts as text, or a list behind each operand, got {labels!r}")
        return "".join(map(letter, labels))

    out = f"->{text(arguments[-1])}" if len(arguments) % 2 else ""
    return ",".join(map(text, lists)) + out, operands


def _parsed(subscripts: str, xs: Sequence[TensorVariable]) -> tuple[list[_Term], str]:
    """Each operand with its letters, and those of the output; axes of "..." have got letters of their own."""
    text = subscripts.replace(" ", "")
    left, arrow, out = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(xs):
        raise ArgumentError(f"einsum({subscripts!r}) needs {len(parts)} operands, got {len(xs)}")
    free = [letter for letter in _LETTERS if letter not in text]
    widths = [x.ndim - len(part.replace("...", "")) if "..." in part else 0 for x, part in zip(xs, parts, strict=True)]
    batch = "".join(free[: max([*widths, 0])])
    terms = []
    for x, part, width in zip(xs, parts, widths, strict=True):
        letters = part.replace("...", batch[len(batch) - width :] if width > 0 else "")
        if not all(letter.isalpha() for letter in letters) or width < 0 or len(letters) != x.ndim:
            raise ArgumentError(f"einsum({subscripts!r}) has {part!r} for {x}, which has ndim={x.ndim}", blame=x)
        terms.append(_Term(x, letters))
    seen = Counter("".join(term.letters for term in terms))
    if not arrow:
        out = ("..." if batch else "") + "".join(sorted(c for c, n in seen.items() if n == 1 and c not in batch))
    out = out.replace("...", batch)
    if len(set(out)) != len(out) or not set(out) <= set(seen):
        raise ArgumentError(f"einsum({subscripts!r}) needs letters of its operands, each once, in the output")
    _check_lengths(subscripts, terms)
    return terms, out


def _check_lengths(subscripts: str, terms: Iterable[_Term]) -> None:
    known: dict[str, int] = {}
    for x, letters in terms:
        for letter, n in zip(letters, x.type.shape, strict=True):
            if n not in (None, 1) and known.setdefault(letter, n) != n:
                raise ShapeError(
                    f"einsum({subscripts!r}) needs one length for {letter!r}, got {known[letter]} and {n}", blame=x
                )


def _path(terms: Sequence[_Term], out: str) -> list[tuple[int, ...]]:
    """Which operands are multiplied, one after another; the product then stands last."""
    if len(terms) == 2:
        return [(0, 1)]
    lengths: dict[str, int] = {}
    for x, letters in terms:
        for letter, n in zip(letters, x.type.shape, strict=True):
            lengths[letter] = max(lengths.get(letter, 1), _ASSUMED_LENGTH if n is None else n, 1)
    shapes = [tuple(lengths[letter] for letter in letters) for _, letters in terms]
    dummies = [np.broadcast_to(np.zeros(()), shape) for shape in shapes]
    text = ",".join(letters for _, letters in terms) + "->" + out
    return [tuple(step) for step in np.einsum_path(text, *dummies, optimize="greedy")[0][1:]]


# --- products ------------------------------------------------------------------------------------------------------


def _diagonals(term: _Term) -> _Term:
    """Letters that an operand has twice: its diagonal, whose axis is the last."""
    x, letters = term
    while repeated := next((c for c in letters if letters.count(c) > 1), None):
        a = letters.index(repeated)
        b = letters.index(repeated, a + 1)
        x = diagonal(x, 0, a, b)
        letters = letters[:a] + letters[a + 1 : b] + letters[b + 1 :] + repeated
    return _Term(x, letters)


def _finished(term: _Term, out: str) -> TensorVariable:
    """The term summed over what the output lacks, its axes in the order of the output."""
    x, letters = _summed(term, set(out))
    return dimshuffle(x, [letters.index(letter) for letter in out])


def _summed(term: _Term, needed: set[str]) -> _Term:
    x, letters = term
    gone = [axis for axis, letter in enumerate(letters) if letter not in needed]
    return _Term(sum_along(x, gone, x.dtype) if gone else x, "".join(c for c in letters if c in needed))


def _product(left: _Term, right: _Term, needed: set[str]) -> _Term:
    """The product of two terms, summed over letters that nobody ``needed`` any more."""
    left = _summed(left, needed | set(right.letters))
    right = _summed(right, needed | set(left.letters))
    shared = [c for c in left.letters if c in right.letters]
    stretched = [c for c in shared if _is_one(left, c) != _is_one(right, c)]
    summed = [c for c in shared if c not in needed]
    if not summed or stretched:
        letters = "".join(dict.fromkeys(left.letters + right.letters))
        product = _laid(left, letters) * _laid(right, letters)
        return _summed(_Term(product, letters), needed)
    batch = [c for c in shared if c in needed]
    own = [[c for c in term.letters if c not in shared] for term in (left, right)]
    a = _grouped(left, batch, own[0], summed)
    b = _grouped(right, batch, summed, own[1])
    out = matmul(a, b)
    lengths = [_length(left, c) for c in (*batch, *own[0])] + [_length(right, c) for c in own[1]]
    letters = "".join((*batch, *own[0], *own[1]))
    return _Term(out if len(own[0]) == len(own[1]) == 1 else reshape(out, lengths), letters)


def _is_one(term: _Term, letter: str) -> bool:
    return term.x.type.shape[term.letters.index(letter)] == 1


def _length(term: _Term, letter: str) -> TensorVariable:
    return shape_i(term.x, term.letters.index(letter))


def _laid(term: _Term, letters: str) -> TensorVariable:
    """The tensor with an axis for each of ``letters``, of length 1 where it has none."""
    return dimshuffle(term.x, [term.letters.index(c) if c in term.letters else "x" for c in letters])


def _grouped(term: _Term, batch: Sequence[str], rows: Sequence[str], columns: Sequence[str]) -> TensorVariable:
    """Matrices, stacked along the axes ``batch``, with ``rows`` and ``columns`` merged into one axis each."""
    moved = dimshuffle(term.x, [term.letters.index(c) for c in (*batch, *rows, *columns)])
    if len(rows) == len(columns) == 1:
        return moved
    merged = [length_product([_length(term, c) for c in group]) for group in (rows, columns)]
    return reshape(moved, [*(_length(term, c) for c in batch), *merged])
