"""Systems, inverses and determinants on cuSOLVER and cuBLAS, for matrices that lie row by row; see decompositions.py.

Symmetric and Hermitian indefinite systems are solved by LU of the whole matrix: twice the operations of Bunch and
Kaufman's method, but versions of cuSOLVER before 12.4 have that for symmetric matrices only, and none for stacks.
Banded and tridiagonal ones are kernels of ours (banded.cu): cuSPARSE has no banded systems, and its stacks of
tridiagonal ones either exchange no rows, so that regular matrices fail, or take one right-hand side.  Few long ones are
cuSPARSE's, where it is installed.
"""

from __future__ import annotations

from typing import Any

from core.device.contract import Block, RoutineFailed, Scratch
from plugin_backend_cuda.cusparse import FEWEST_ROWS
from plugin_backend_cuda.matrices import WARP, Job, Matrices

NOT_SQUARE, WRONG_BAND = -8, -10  # see Op.library_error
STACKED = 256  # matrices up to this length are factored many at once
AS_IT_IS, TRANSPOSED, ADJOINT = 0, 1, 2  # which system; as LAPACK counts, and cuBLAS
ROWS_AT_ONCE = 1024  # of a tridiagonal system; a guess: what a kernel goes down in the time of a few launches
_WIDE = 256  # elements that a pivot of a band changes, from which on more than a warp changes them


def square(job: Job) -> int:
    """The length of the rows.  Errors: RoutineFailed."""
    m, n = job.operands[0].shape[-2:]
    if m != n:
        raise RoutineFailed(NOT_SQUARE)
    return n


def checked(job: Job, operand: int) -> int:
    """Which operand to look through for what is not finite: none where the op does not want it."""
    return operand if job.attributes.get("check_finite", True) else -1


def triangular(job: Job, a: Matrices, x: Matrices, lower: bool, which: int, unit: bool) -> None:
    """op(a) x = b; x holds b, row by row: X' op(A)' = B'.

    cuBLAS sees A' where a lies row by row, and the conjugate of that is its ADJOINT.  Where it sees A, the conjugate is
    none of what it offers: then x is conjugated, before and after.
    """
    n, k = x.shape
    if not n or not k:
        return
    turned = a.by_columns
    seen = {AS_IT_IS: TRANSPOSED, TRANSPOSED: AS_IT_IS, ADJOINT: AS_IT_IS}[which] if turned else which
    if turned and which == ADJOINT:
        job.conjugate(x)
    job.device.products.triangular(
        job.dtype, (lower != turned, seen, unit), (job.count, k, n), (a.places, x.places), (a.first, x.first),
        (a.leading, k),
    )  # fmt: skip
    if turned and which == ADJOINT:
        job.conjugate(x)


def _system(job: Job) -> tuple[Matrices, Matrices, Matrices | None]:
    """The matrices a and x, and b where it is not yet in the place of x."""
    square(job)
    a, x = job.given(job.operands[0]), job.given(job.results[0])
    return a, x, None if job.attributes["in_place"] else job.given(job.operands[1])


def _put(job: Job, a: Matrices, x: Matrices, b: Matrices | None) -> None:
    """b in the place of x; both looked through, if that is wanted."""
    if checked(job, 0) >= 0:
        job.copy(a, None, operand=0)
    if b is not None or checked(job, 1) >= 0:
        job.copy(x if b is None else b, x, operand=checked(job, 1))


def trtrs(job: Job, scratch: Scratch) -> Block | None:
    """A triangular system."""
    a, x, b = _system(job)
    job.begin(scratch)
    _put(job, a, x, b)
    lower, unit = (bool(job.attributes[name]) for name in ("lower", "unit_diagonal"))
    if not unit:
        job.run("singular", job.count, a.places, a.rows + a.columns, job.count, a.shape[0], job.at["numbers"])
    triangular(job, a, x, lower, int(job.attributes["transposed"]), unit)
    return job.numbers()


def potrs(job: Job, scratch: Scratch) -> Block | None:
    """A system with a Cholesky factor: two triangular ones."""
    a, x, b = _system(job)
    job.begin(scratch)
    _put(job, a, x, b)
    lower = bool(job.attributes["lower"])
    job.run("singular", job.count, a.places, a.rows + a.columns, job.count, a.shape[0], job.at["numbers"])
    _with_factor(job, a, x, lower)
    return job.numbers()


def _with_factor(job: Job, factor: Matrices, x: Matrices, lower: bool) -> None:
    """x, which holds b: L L^H x = b, or U^H U x = b."""
    for which in (AS_IT_IS, ADJOINT) if lower else (ADJOINT, AS_IT_IS):
        triangular(job, factor, x, lower, which, False)


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


def _general(job: Job, scratch: Scratch, hermitian: bool | None = None) -> Block | None:
    """A system by LU: of a, or of what a triangle of it describes, ``hermitian`` or symmetric."""
    a, x, b = _system(job)
    n = a.shape[0]
    whole = a if hermitian is None else job.own("whole", n, n)
    lu, turned = _Lu(job, whole), job.own("turned", *x.shape, by_columns=True)
    job.begin(scratch)
    if whole is not a:
        if checked(job, 0) >= 0:
            job.copy(a, None, operand=0)
        read = (job.count, n, int(job.attributes["lower"]), int(bool(hermitian)))
        job.run("whole", job.count * n * n, a.places, a.rows, a.columns, whole.places, *read)
    lu.factor(checked(job, 0) if whole is a else -1)
    job.copy(x if b is None else b, turned, operand=checked(job, 1))
    lu.solve(turned, transposed=not whole.by_columns)
    job.copy(turned, x)
    return job.numbers()


def gesv(job: Job, scratch: Scratch) -> Block | None:
    """A general system."""
    return _general(job, scratch)


def sysv(job: Job, scratch: Scratch) -> Block | None:
    """A symmetric system, indefinite or not, of which a triangle is read."""
    return _general(job, scratch, hermitian=False)


def hesv(job: Job, scratch: Scratch) -> Block | None:
    """A Hermitian one."""
    return _general(job, scratch, hermitian=True)


def _banded(job: Job, scratch: Scratch, n: int, below: int, above: int, dense: bool) -> Block | None:
    """A system with a band that lies as diagonals, or where ``dense`` as a matrix, of which the diagonals are read."""
    a, x = job.given(job.operands[0]), job.given(job.results[0])
    b = None if job.attributes["in_place"] else job.given(job.operands[1])
    width, k = 2 * below + above + 1, x.shape[1]
    job.room("band", job.count * n * width * job.itemsize)
    is_long = below == above == 1 and k > 0 and n >= FEWEST_ROWS and job.count * ROWS_AT_ONCE <= n
    sparse = job.device.sparse if is_long else None
    found = None if sparse is None else _reserve(job, sparse, n, k)
    job.begin(scratch)
    _put(job, a, x, b)
    flags = 0
    if found is not None:
        flags = _by_parts(job, sparse, a, x, found, dense)
    band, shape = job.at["band"], (job.count, n, below, above, int(dense))
    job.run("band", job.count * n * width, a.places, a.rows, a.columns, band, *shape)
    threads = WARP if below * (below + above + k) < _WIDE else 256
    what = (band, x.places, job.count, n, k, below, above, job.at["numbers"], flags)
    job.run("solve_band", job.count if n else 0, *what, threads=threads)
    if found is not None:
        job.run("solved", job.count * n * k, found.first, x.places, job.count, n, k, flags)
    return job.numbers()


def _reserve(job: Job, sparse: Any, n: int, k: int) -> Matrices:
    """Memory for cuSPARSE, and where its solutions lie."""
    job.room("diagonals", 3 * job.count * n * job.itemsize)
    job.room("flags", 4 * job.count)
    job.room("work", sparse.gtsv_room(job.dtype, n, k))
    return job.own("found", n, k, by_columns=True)


def _by_parts(job: Job, sparse: Any, a: Matrices, x: Matrices, found: Matrices, dense: bool) -> int:
    """Solutions of long tridiagonal systems, and where flags lie that say which are not finite: elimination has to find
    the pivot of these, if there is one that is 0."""
    n, k = x.shape
    diagonals, flags = job.at["diagonals"], job.at["flags"]
    job.run("diagonals", 3 * job.count * n, a.places, a.rows, a.columns, diagonals, job.count, n, int(dense))
    job.copy(x, found)
    for place in range(job.count):
        three = [diagonals + (which * job.count + place) * n * job.itemsize for which in range(3)]
        sparse.gtsv(job.dtype, n, k, tuple(three), found.address(place), job.at["work"])
    job.clear_flags("flags")
    job.run("unsolved", job.count * n * k, found.first, job.count, n * k, flags)
    return flags


def gtsv(job: Job, scratch: Scratch) -> Block | None:
    """A system with a matrix of which three diagonals are read."""
    return _banded(job, scratch, square(job), 1, 1, dense=True)


def gbsv(job: Job, scratch: Scratch) -> Block | None:
    """A banded system, given by its diagonals."""
    below, above = (int(job.attributes[name]) for name in ("below", "above"))
    diagonals, n = job.operands[0].shape[-2:]
    if diagonals != below + above + 1:
        raise RoutineFailed(WRONG_BAND)
    return _banded(job, scratch, n, below, above, dense=False)


def getri(job: Job, scratch: Scratch) -> Block | None:
    """The inverse, in place; that of the transpose is the transpose of the inverse."""
    n, out = square(job), job.given(job.results[0])
    lu = _Lu(job, out)
    job.begin(scratch)
    lu.factor(checked(job, 0))
    job.run("identity", job.count * n * n, out.places, job.count, n)
    lu.solve(out, transposed=False)
    return job.numbers()


def determinant(job: Job, scratch: Scratch) -> Block | None:
    """The determinant, or its sign and the logarithm of its absolute value; a singular matrix has one too."""
    n, lu = square(job), _Lu(job, job.given(job.operands[0]))
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
    job.copy(a, copied, operand=checked(job, 0))
    for place in range(job.count if k else 0):
        where = (copied.address(place), job.at["work"], job.at["pivots"] + 4 * k * place, job.said(place))
        job.device.solver.getrf(job.dtype, m, n, *where)
    job.copy(copied, out)
    exchanges = job.results[1].block.pointer + 4 * job.results[1].offset
    job.run("from_zero", job.count * k, job.at["pivots"], exchanges, job.count * k)
    return job.numbers()


def _with_factors(job: Job, lu: Matrices, pivots: Matrices, x: Matrices, which: int) -> None:
    """x, which holds b: exchanges and two triangular systems."""
    n, k = x.shape
    job.run("singular", job.count, lu.places, lu.rows + lu.columns, job.count, n, job.at["numbers"])
    exchange = (x.places, pivots.places, pivots.columns, job.count, n, k)
    if which == AS_IT_IS:
        job.run("exchange", job.count * k, *exchange, 0)
    for lower in (True, False) if which == AS_IT_IS else (False, True):
        triangular(job, lu, x, lower, which, unit=lower)
    if which != AS_IT_IS:
        job.run("exchange", job.count * k, *exchange, 1)


def getrs(job: Job, scratch: Scratch) -> Block | None:
    """A system with LU factors."""
    square(job)
    lu, pivots, x = job.given(job.operands[0]), job.given(job.operands[1], ndim=1), job.given(job.results[0])
    b = x if job.attributes["in_place"] else job.given(job.operands[2])
    job.begin(scratch)
    if checked(job, 0) >= 0:
        job.copy(lu, None, operand=0)
    if b is not x or checked(job, 2) >= 0:
        job.copy(b, x, operand=checked(job, 2))
    _with_factors(job, lu, pivots, x, int(job.attributes["transposed"]))
    return job.numbers()


def lu_inverse(job: Job, scratch: Scratch) -> Block | None:
    """The inverse from LU factors: the system whose right-hand side is the identity."""
    n, lu, pivots = square(job), job.given(job.operands[0]), job.given(job.operands[1], ndim=1)
    x = job.given(job.results[0])
    job.begin(scratch)
    job.run("identity", job.count * n * n, x.places, job.count, n)
    _with_factors(job, lu, pivots, x, AS_IT_IS)
    return job.numbers()


def potri(job: Job, scratch: Scratch) -> Block | None:
    """The inverse from a Cholesky factor, in its place; a triangle of it where it is not ``whole``."""
    n, out, lower = square(job), job.given(job.results[0]), bool(job.attributes["lower"])
    factor = job.own("factor", n, n)
    job.begin(scratch)
    job.copy(out, factor)
    job.run("singular", job.count, factor.places, n + 1, job.count, n, job.at["numbers"])
    job.run("identity", job.count * n * n, out.places, job.count, n)
    _with_factor(job, factor, out, lower)
    if not job.attributes["whole"]:
        job.clear(out, lower)
    return job.numbers()
