"""The routines of linear algebra for matrices that lie row by row, on cuSOLVER and cuBLAS, which want them by columns.

What lies row by row is, by columns, the transpose: the lower triangle is then the upper one, A X = B is X' A' = B', and
a Hermitian matrix is its conjugate.  Where that does not serve, matrices are turned.  Names and attributes are those of
LAPACK and of plugin-ops-linalg; complex matrices have ``_complex`` behind the name.  Systems are in systems.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from core.device.contract import Block, Routine, Scratch, Strided
from core.ir.library import LibraryCall
from plugin_backend_cuda import systems
from plugin_backend_cuda.cublas import ONCE
from plugin_backend_cuda.matrices import WARP, Job
from plugin_backend_cuda.systems import AS_IT_IS, STACKED, TRANSPOSED, checked, square, triangular

# --- Cholesky -----------------------------------------------------------------------------------------------------


def potrf(job: Job, scratch: Scratch) -> Block | None:
    """a = L L^H, or U^H U, in place; 0 in the other triangle.

    cuSOLVER takes twice the time and more for what is, by columns, an upper triangle: a large matrix is turned for it.
    """
    n, lower = square(job), bool(job.attributes["lower"])
    if n <= WARP:
        job.begin(scratch)
        check, count = int(checked(job, 0) >= 0), job.count if n else 0
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
        job.copy(out, turned, operand=checked(job, 0))
    elif checked(job, 0) >= 0:
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
    n, given, g, out = square(job), job.given(job.operands[0]), job.given(job.operands[1]), job.given(job.results[0])
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
    triangular(job, factor, inner, lower=True, which=TRANSPOSED, unit=False)
    job.device.products.triangular(
        job.dtype, (True, AS_IT_IS, False), (job.count, n, n), (factor.places, inner.places),
        (factor.first, inner.first), (n, n), left=True,
    )  # fmt: skip
    job.run("symmetric", job.count * step, inner.first, out.first, job.count, n)
    return None


# --- eigenvalues, singular values, QR -------------------------------------------------------------------------------


def syevd(job: Job, scratch: Scratch) -> Block | None:
    """Eigenvalues, and vectors as columns, of symmetric or Hermitian matrices of which a triangle is read.

    What is decomposed is the transpose, so for complex matrices the conjugate, and so are the vectors.
    """
    n, vectors, upper = square(job), len(job.results) > 1, bool(job.attributes["lower"])
    a, work = job.given(job.operands[0]), job.own("matrix", n, n)
    out = job.given(job.results[1]) if vectors else None
    solver, together = job.device.solver, job.count > 1 and n <= WARP
    if not n:
        room = 0
    elif together:
        room = solver.syevj_room(job.dtype, vectors, upper, n, job.count)
    else:
        room = solver.syevd_room(job.dtype, vectors, upper, n)
    job.room("work", room * job.itemsize)
    job.begin(scratch)
    job.copy(a if out is None or not job.attributes["in_place"] else out, work, operand=0)
    if together and n:
        where = (work.first, job.result(0), job.at["work"], room, job.at["said"])
        solver.syevj_stack(job.dtype, vectors, upper, n, *where, job.count)
    for k in range(job.count if n and not together else 0):
        where = (work.address(k), job.result(0, k), job.at["work"], room, job.said(k))
        solver.syevd(job.dtype, vectors, upper, n, *where)
    if n:
        job.note()
    if out is not None:
        job.copy(work, out, turned=True, conjugated=True)
    return job.numbers()


def geev(job: Job, scratch: Scratch) -> Block | None:
    """Eigenvalues, and vectors as columns, of general matrices: complex, also where these are real."""
    n, vectors = square(job), len(job.results) > 1
    a, copied = job.given(job.operands[0]), job.own("matrix", n, n, by_columns=True)
    v = job.own("vectors", n, n, by_columns=True) if vectors else None
    out = job.given(job.results[1]) if vectors else None
    room = job.device.solver.geev_room(job.dtype, vectors, n) if n else 0
    job.room("work", room * job.itemsize)
    job.begin(scratch)
    job.copy(a, copied, operand=0)
    for k in range(job.count if n else 0):
        where = (copied.address(k), job.result(0, k), v.address(k) if v is not None else 0)
        job.device.solver.geev(job.dtype, vectors, n, *where, job.at["work"], room, job.said(k))
    if n:
        job.note()
    if v is not None and job.is_complex:
        job.copy(v, out)
    elif v is not None:
        job.run("paired", job.count * n * n, v.first, job.result(0), job.result(1), job.count, n)
    return job.numbers()


def gesdd(job: Job, scratch: Scratch) -> Block | None:
    """Singular values, and vectors.  cuSOLVER takes matrices with no more columns than rows: others are turned.

    A matrix that lies row by row is turned already: a' = V S U', so that what comes out by columns is vh and u.
    """
    m, n = job.operands[0].shape[-2:]
    k, vectors = min(m, n), len(job.results) > 1
    if job.count > 1 and 0 < k and max(m, n) <= WARP:
        return _many_singular_values(job, scratch)
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


def _many_singular_values(job: Job, scratch: Scratch) -> Block | None:
    """Those of small matrices, all at once: with a' = V S U', what comes out is all of V and of conj(U)."""
    m, n = job.operands[0].shape[-2:]
    vectors, sizes = len(job.results) > 1, (job.count, n, m)
    a, copied = job.given(job.operands[0]), job.own("matrix", m, n)
    vh, u = (job.own("vh", n, n), job.own("u", m, m, by_columns=True)) if vectors else (None, None)
    results = [job.given(job.results[2]), job.given(job.results[0])] if vectors else []
    room = job.device.solver.gesvdj_room(job.dtype, vectors, n, m, job.count)
    job.room("work", room * job.itemsize)
    job.begin(scratch)
    job.copy(a, copied, operand=0)
    places = (vh.first if vh else 0, u.first if u else 0)
    where = (copied.first, job.result(1 if vectors else 0), *places, job.at["work"], room, job.at["said"])
    job.device.solver.gesvdj_stack(job.dtype, vectors, sizes, *where)
    job.note()
    for mine, out in zip((vh, u), results, strict=False):
        job.copy(mine.part(*out.shape), out, conjugated=mine is u)
    return job.numbers()


def geqrf(job: Job, scratch: Scratch) -> Block | None:
    """Q, whose columns are orthonormal, and R; or R alone.  Q has as many columns as the result for it."""
    m, n = job.operands[0].shape[-2:]
    k, has_q = min(m, n), len(job.results) > 1
    columns = job.results[0].shape[-1] if has_q else k
    a, copied = job.given(job.operands[0]), job.own("matrix", m, max(n, columns), by_columns=True)
    q, r = job.given(job.results[0]) if has_q else None, job.given(job.results[-1])
    room = job.device.solver.qr_room(job.dtype, m, n, columns) if k else 0
    job.room("tau", job.count * k * job.itemsize)
    job.room("work", room * job.itemsize)
    job.begin(scratch)
    if not k:
        if q is not None:
            job.run("identity", job.count * m * columns, q.places, job.count, m)
        return None

    def steps() -> Iterator[tuple[int, int, int, int, int]]:
        for place in range(job.count):
            tau = job.at["tau"] + place * k * job.itemsize
            yield copied.address(place), tau, job.at["work"], room, job.said(place)

    job.copy(a, copied.part(m, n), operand=0)
    for step in steps():
        job.device.solver.geqrf(job.dtype, m, n, *step)
    job.note()
    job.copy(copied, r)
    job.clear(r, False)
    if q is not None:
        for step in steps():
            job.device.solver.orgqr(job.dtype, m, columns, k, *step)
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


_REAL = {"potrf_gradient": potrf_gradient}  # complex matrices have rules instead
_ALL = {
    **{
        write.__name__: write
        for write in (
            *(potrf, syevd, gesdd, geqrf),
            *(systems.trtrs, systems.potrs, systems.potri, systems.gesv, systems.sysv, systems.hesv, systems.gtsv),
            *(systems.gbsv, systems.getri, systems.getrf, systems.getrs, systems.lu_inverse, systems.determinant),
        )
    },
    "geqrf_complete": geqrf,
}
GENERAL = {name: _routine(geev) for name in ("geev", "geev_complex")}  # which old versions of cuSOLVER lack
ROUTINES = {
    name: _routine(write)
    for name, write in (*_REAL.items(), *_ALL.items(), *((f"{name}_complex", write) for name, write in _ALL.items()))
}
