"""The routines of linear algebra for matrices that lie row by row, on cuSOLVER and cuBLAS, which want them by columns.

What lies row by row is, by columns, the transpose: the lower triangle is then the upper one, A X = B is X' A' = B'.
Where that does not serve, matrices are turned.  Names and attributes are those of LAPACK and of plugin-ops-linalg.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.device.contract import Block, Routine, RoutineFailed, Scratch, Strided
from core.ir.library import LibraryCall
from plugin_backend_cuda.cublas import ONCE
from plugin_backend_cuda.matrices import WARP, Job, Matrices

NOT_SQUARE = -8  # see Op.library_error
STACKED = 256  # matrices up to this length are factored many at once


def _square(job: Job) -> int:
    m, n = job.operands[0].shape[-2:]
    if m != n:
        raise RoutineFailed(NOT_SQUARE)
    return n


def _checked(job: Job, operand: int) -> int:
    """Which operand to look through for what is not finite: none where the op does not want it."""
    return operand if job.attributes.get("check_finite", True) else -1


# --- Cholesky -----------------------------------------------------------------------------------------------------


def potrf(job: Job, scratch: Scratch) -> Block | None:
    """a = L L', or U' U, in place; 0 in the other triangle.

    cuSOLVER takes twice the time and more for what is, by columns, an upper triangle: a large matrix is turned for it.
    """
    n, lower = _square(job), bool(job.attributes["lower"])
    if n <= WARP:
        job.begin(scratch)
        check, count = int(_checked(job, 0) >= 0), job.count if n else 0
        job.run("cholesky", count, job.result(0), count, n, int(lower), check, job.at["numbers"])
        return job.numbers()
    out = job.given(job.results[0])
    together = job.count > 1 and n <= STACKED
    one_by_one = job.count if not together else 0
    turned = job.own("turned", n, n, by_columns=True) if lower and one_by_one else None
    room = job.device.solver.potrf_room(job.dtype, False, n, n) if one_by_one else 0
    job.room("work", room * job.itemsize)
    job.begin(scratch)
    if turned is not None:
        job.copy(out, turned, operand=_checked(job, 0))
    elif _checked(job, 0) >= 0:
        job.copy(out, out, operand=0)
    if together:
        job.device.solver.potrf_stack(job.dtype, lower, n, out.places, n, job.at["said"], job.count)
    for k in range(one_by_one):
        place = (out if turned is None else turned).address(k)
        job.device.solver.potrf(job.dtype, False, n, place, n, job.at["work"], room, job.said(k))
    job.note()
    if turned is not None:
        job.copy(turned, out)
    job.clear(out, lower)
    return job.numbers()


def potrf_gradient(job: Job, scratch: Scratch) -> Block | None:
    """The gradient of a matrix from that of its lower factor L: the lower triangle of X + X', with the diagonal of X.

    X = L'^-1 P L^-1, where P is the lower triangle of L' g with half its diagonal: Murray (2016), equation 10.
    """
    n, given, g, out = _square(job), job.given(job.operands[0]), job.given(job.operands[1]), job.given(job.results[0])
    factor, inner = job.own("factor", n, n), job.own("inner", n, n)
    job.begin(scratch)
    if not n:
        return None
    if not job.attributes["in_place"]:
        job.copy(g, out)
    job.copy(given, factor)
    job.clear(factor, True)
    job.clear(out, True)
    step = n * n
    job.device.products.products(
        job.dtype, (False, True), (job.count, n, n, n), (out.first, factor.first, inner.first), (n, n, n), (step,) * 3,
        "float32", ONCE,
    )  # fmt: skip
    job.run("halve", job.count * step, inner.first, job.count, n)
    _triangular(job, factor, inner, lower=True, transposed=True, unit=False)
    job.device.products.triangular(
        job.dtype, (True, False, False), (job.count, n, n), (factor.places, inner.places), (factor.first, inner.first),
        (n, n), left=True,
    )  # fmt: skip
    job.run("symmetric", job.count * step, inner.first, out.first, job.count, n)
    return None


# --- systems ------------------------------------------------------------------------------------------------------


def _triangular(job: Job, a: Matrices, x: Matrices, lower: bool, transposed: bool, unit: bool) -> None:
    """op(a) x = b; x holds b, row by row: X' op(A)' = B'."""
    n, k = x.shape
    if not n or not k:
        return
    turned = a.by_columns
    job.device.products.triangular(
        job.dtype, (lower != turned, transposed != turned, unit), (job.count, k, n), (a.places, x.places),
        (a.first, x.first), (a.leading, k),
    )  # fmt: skip


def _system(job: Job) -> tuple[Matrices, Matrices, Matrices | None]:
    """The matrices a and x, and b where it is not yet in the place of x."""
    _square(job)
    a, x = job.given(job.operands[0]), job.given(job.results[0])
    return a, x, None if job.attributes["in_place"] else job.given(job.operands[1])


def _put(job: Job, a: Matrices, x: Matrices, b: Matrices | None) -> None:
    """b in the place of x; both looked through, if that is wanted."""
    if _checked(job, 0) >= 0:
        job.copy(a, None, operand=0)
    if b is not None or _checked(job, 1) >= 0:
        job.copy(x if b is None else b, x, operand=_checked(job, 1))


def trtrs(job: Job, scratch: Scratch) -> Block | None:
    """A triangular system."""
    a, x, b = _system(job)
    job.begin(scratch)
    _put(job, a, x, b)
    lower, transposed, unit = (bool(job.attributes[name]) for name in ("lower", "transposed", "unit_diagonal"))
    if not unit:
        job.run("singular", job.count, a.places, a.rows + a.columns, job.count, a.shape[0], job.at["numbers"])
    _triangular(job, a, x, lower, transposed, unit)
    return job.numbers()


def potrs(job: Job, scratch: Scratch) -> Block | None:
    """A system with a Cholesky factor: two triangular ones."""
    a, x, b = _system(job)
    job.begin(scratch)
    _put(job, a, x, b)
    lower = bool(job.attributes["lower"])
    job.run("singular", job.count, a.places, a.rows + a.columns, job.count, a.shape[0], job.at["numbers"])
    _triangular(job, a, x, lower, not lower, False)
    _triangular(job, a, x, lower, lower, False)
    return job.numbers()


class _Lu:
    """LU factors of a copy of the matrices, as they lie: of the transposes, where that is row by row."""

    def __init__(self, job: Job, a: Matrices):
        self.job, self.n = job, a.shape[0]
        self.a, self.copied = a, job.own("factors", self.n, self.n, by_columns=a.by_columns)
        self.together = job.count > 1 and self.n <= STACKED
        room = 0 if not self.n or self.together else job.device.solver.getrf_room(job.dtype, self.n, self.n)
        job.room("work", room * job.itemsize)
        job.room("pivots", 4 * self.n * job.count)

    def factor(self, operand: int) -> None:
        job, n = self.job, self.n
        job.copy(self.a, self.copied, operand=operand)
        if not n:
            return
        pivots = job.at["pivots"]
        if self.together:
            job.device.products.getrf_stack(job.dtype, n, self.copied.places, n, pivots, job.at["said"], job.count)
        for k in range(0 if self.together else job.count):
            where = (self.copied.address(k), job.at["work"], pivots + 4 * n * k, job.said(k))
            job.device.solver.getrf(job.dtype, n, n, *where)
        job.note()

    def solve(self, x: Matrices, transposed: bool) -> None:
        """For x, whose columns follow each other; ``transposed``: with the transpose of what was factored."""
        job, n, k = self.job, self.n, x.shape[1]
        if not n or not k:
            return
        if self.together:
            job.device.products.getrs_stack(
                job.dtype, transposed, (job.count, n, k), (self.copied.places, x.places), job.at["pivots"]
            )
        for place in range(0 if self.together else job.count):
            factors, pivots = self.copied.address(place), job.at["pivots"] + 4 * n * place
            job.device.solver.getrs(
                job.dtype, transposed, n, k, factors, n, pivots, x.address(place), job.said(place)
            )  # fmt: skip


def gesv(job: Job, scratch: Scratch) -> Block | None:
    """A general system."""
    a, x, b = _system(job)
    lu, turned = _Lu(job, a), job.own("turned", *x.shape, by_columns=True)
    job.begin(scratch)
    lu.factor(_checked(job, 0))
    job.copy(x if b is None else b, turned, operand=_checked(job, 1))
    lu.solve(turned, transposed=not a.by_columns)
    job.copy(turned, x)
    return job.numbers()


def getri(job: Job, scratch: Scratch) -> Block | None:
    """The inverse, in place; that of the transpose is the transpose of the inverse."""
    n, out = _square(job), job.given(job.results[0])
    lu = _Lu(job, out)
    job.begin(scratch)
    lu.factor(_checked(job, 0))
    job.run("identity", job.count * n * n, out.places, job.count, n)
    lu.solve(out, transposed=False)
    return job.numbers()


def determinant(job: Job, scratch: Scratch) -> Block | None:
    """The determinant, or its sign and the logarithm of its absolute value; a singular matrix has one too."""
    n, lu = _square(job), _Lu(job, job.given(job.operands[0]))
    job.begin(scratch)
    lu.factor(-1)
    logabs = job.result(1) if len(job.results) > 1 else 0
    job.run("determinant", job.count, lu.copied.places, job.at["pivots"], job.count, n, job.result(0), logabs)
    return None


# --- from LU factors --------------------------------------------------------------------------------------------------


def getrf(job: Job, scratch: Scratch) -> Block | None:
    """Both factors in one matrix, row by row, and the exchanges, from 0; a singular matrix has them too."""
    m, n = job.operands[0].shape[-2:]
    k = min(m, n)
    a, copied, out = job.given(job.operands[0]), job.own("matrix", m, n, by_columns=True), job.given(job.results[0])
    room = job.device.solver.getrf_room(job.dtype, m, n) if k else 0
    job.room("work", room * job.itemsize)
    job.room("pivots", 4 * k * job.count)
    job.begin(scratch)
    job.copy(a, copied, operand=_checked(job, 0))
    for place in range(job.count if k else 0):
        where = (copied.address(place), job.at["work"], job.at["pivots"] + 4 * k * place, job.said(place))
        job.device.solver.getrf(job.dtype, m, n, *where)
    job.copy(copied, out)
    exchanges = job.results[1].block.pointer + 4 * job.results[1].offset
    job.run("from_zero", job.count * k, job.at["pivots"], exchanges, job.count * k)
    return job.numbers()


def _with_factors(job: Job, lu: Matrices, pivots: Matrices, x: Matrices, transposed: bool) -> None:
    """x, which holds b: exchanges and two triangular systems."""
    n, k = x.shape
    job.run("singular", job.count, lu.places, lu.rows + lu.columns, job.count, n, job.at["numbers"])
    exchange = (x.places, pivots.places, pivots.columns, job.count, n, k)
    if not transposed:
        job.run("exchange", job.count * k, *exchange, 0)
    for lower in (not transposed, transposed):
        _triangular(job, lu, x, lower, transposed, unit=lower)
    if transposed:
        job.run("exchange", job.count * k, *exchange, 1)


def getrs(job: Job, scratch: Scratch) -> Block | None:
    """A system with LU factors."""
    _square(job)
    lu, pivots, x = job.given(job.operands[0]), job.given(job.operands[1], ndim=1), job.given(job.results[0])
    b = x if job.attributes["in_place"] else job.given(job.operands[2])
    job.begin(scratch)
    if _checked(job, 0) >= 0:
        job.copy(lu, None, operand=0)
    if b is not x or _checked(job, 2) >= 0:
        job.copy(b, x, operand=_checked(job, 2))
    _with_factors(job, lu, pivots, x, bool(job.attributes["transposed"]))
    return job.numbers()


def lu_inverse(job: Job, scratch: Scratch) -> Block | None:
    """The inverse from LU factors: the system whose right-hand side is the identity."""
    n, lu, pivots = _square(job), job.given(job.operands[0]), job.given(job.operands[1], ndim=1)
    x = job.given(job.results[0])
    job.begin(scratch)
    job.run("identity", job.count * n * n, x.places, job.count, n)
    _with_factors(job, lu, pivots, x, transposed=False)
    return job.numbers()


def potri(job: Job, scratch: Scratch) -> Block | None:
    """The inverse from a Cholesky factor, in its place; a triangle of it where it is not ``whole``."""
    n, out, lower = _square(job), job.given(job.results[0]), bool(job.attributes["lower"])
    factor = job.own("factor", n, n)
    job.begin(scratch)
    job.copy(out, factor)
    job.run("singular", job.count, factor.places, n + 1, job.count, n, job.at["numbers"])
    job.run("identity", job.count * n * n, out.places, job.count, n)
    _triangular(job, factor, out, lower, not lower, False)
    _triangular(job, factor, out, lower, lower, False)
    if not job.attributes["whole"]:
        job.clear(out, lower)
    return job.numbers()


# --- eigenvalues, singular values, QR -------------------------------------------------------------------------------


def syevd(job: Job, scratch: Scratch) -> Block | None:
    """Eigenvalues, and vectors as columns, of symmetric matrices of which a triangle is read."""
    n, vectors, upper = _square(job), len(job.results) > 1, bool(job.attributes["lower"])
    a, work = job.given(job.operands[0]), job.own("matrix", n, n)
    out = job.given(job.results[1]) if vectors else None
    room = job.device.solver.syevd_room(job.dtype, vectors, upper, n) if n else 0
    job.room("work", room * job.itemsize)
    job.begin(scratch)
    job.copy(a if out is None or not job.attributes["in_place"] else out, work, operand=0)
    for k in range(job.count if n else 0):
        where = (work.address(k), job.result(0, k), job.at["work"], room, job.said(k))
        job.device.solver.syevd(job.dtype, vectors, upper, n, *where)
    if n:
        job.note()
    if out is not None:
        job.copy(work, out, turned=True)
    return job.numbers()


def gesdd(job: Job, scratch: Scratch) -> Block | None:
    """Singular values, and vectors.  cuSOLVER takes matrices with no more columns than rows: others are turned.

    A matrix that lies row by row is turned already: a' = V S U', so that what comes out by columns is vh and u.
    """
    m, n = job.operands[0].shape[-2:]
    k, vectors = min(m, n), len(job.results) > 1
    job_kind = "N" if not vectors else "A" if job.attributes["full_matrices"] else "S"
    wide = m <= n
    a, copied = job.given(job.operands[0]), job.own("matrix", m, n, by_columns=not wide)
    u, vh = (job.given(job.results[0]), job.given(job.results[2])) if vectors else (None, None)
    turned = None if wide or not vectors else (job.own("u", *u.shape, True), job.own("vh", *vh.shape, True))
    room = job.device.solver.gesvd_room(job.dtype, max(m, n), k) if k else 0
    job.room("work", room * job.itemsize)
    job.begin(scratch)
    if not k and vectors:
        for one in (u, vh):
            job.run("identity", job.count * one.shape[0] * one.shape[1], one.places, job.count, one.shape[0])
        return None
    job.copy(a, copied, operand=0)
    for place in range(job.count if k else 0):
        s = job.result(1 if vectors else 0, place)
        left, right = (0, 0)
        if vectors:
            first, second = (vh, u) if wide else turned
            left, right = first.address(place), second.address(place)
        where = (copied.address(place), s, left, right, job.at["work"], room, job.said(place))
        job.device.solver.gesvd(job.dtype, job_kind, max(m, n), k, *where)
    if k:
        job.note()
    if turned is not None:
        job.copy(turned[0], u)
        job.copy(turned[1], vh)
    return job.numbers()


def geqrf(job: Job, scratch: Scratch) -> Block | None:
    """Q, whose columns are orthonormal, and R; or R alone."""
    m, n = job.operands[0].shape[-2:]
    k = min(m, n)
    a, copied = job.given(job.operands[0]), job.own("matrix", m, n, by_columns=True)
    q, r = (
        (job.given(job.results[0]), job.given(job.results[1]))
        if len(job.results) > 1
        else (None, job.given(job.results[0]))
    )
    room = job.device.solver.qr_room(job.dtype, m, n) if k else 0
    job.room("tau", job.count * k * job.itemsize)
    job.room("work", room * job.itemsize)
    job.begin(scratch)

    def tau(place: int) -> int:
        return job.at["tau"] + place * k * job.itemsize

    job.copy(a, copied, operand=0)
    for place in range(job.count if k else 0):
        where = (copied.address(place), tau(place), job.at["work"], room, job.said(place))
        job.device.solver.geqrf(job.dtype, m, n, *where)
    if k:
        job.note()
    job.copy(copied, r)
    job.clear(r, False)
    if q is None:
        return job.numbers()
    for place in range(job.count if k else 0):
        where = (copied.address(place), tau(place), job.at["work"], room, job.said(place))
        job.device.solver.orgqr(job.dtype, m, k, *where)
    if k:
        job.note()
    job.copy(copied, q)
    return job.numbers()


def _routine(write: Callable[[Job, Scratch], Block | None]) -> Routine:
    def queue(
        device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided], scratch: Scratch
    ) -> Block | None:
        job = Job(device, call, operands, results)
        return write(job, scratch) if job.count else None

    return Routine(queue, fails=True)


ROUTINES = {
    write.__name__: _routine(write)
    for write in (
        *(potrf, potrf_gradient, potri, potrs, trtrs, gesv, getri, getrf, getrs, lu_inverse, determinant),
        *(syevd, gesdd, geqrf),
    )
}
