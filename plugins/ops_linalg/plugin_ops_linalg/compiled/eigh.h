/* syevd: eigenvalues and eigenvectors. */
#ifndef CORE_LINALG_EIGH_LETTER
#define CORE_LINALG_EIGH_LETTER

static void core_LETTERturn(int64_t n, ELEMENT *a)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) {
            const ELEMENT other = a[i * n + j];
            a[i * n + j] = a[j * n + i], a[j * n + i] = other;
        }
}

/* Eigenvalues into w; a, row by row, becomes the vectors if ``vectors``, and is lost if not. */
static int64_t core_LETTEReigh(core_LETTERSYEVD syevd, int64_t n, ELEMENT *a, REAL *w, int lower, int vectors)
{
    CORE_LETTER_FINITE(1, 0, n, n, a, n, 1);
    const int order = (int)n, ask = -1;
    int info = 0, integers;
    ELEMENT room;
    if (n == 0) return 0;
    core_LETTERturn(n, a);  /* to the triangle that is meant: the signs of the vectors are then those of NumPy */
    const char *job = vectors ? "V" : "N", *triangle = lower ? "L" : "U";
#if PARTS == 2
    REAL reals;
    syevd(job, triangle, &order, a, &order, w, &room, &ask, &reals, &ask, &integers, &ask, &info);
    const int count = (int)core_LETTERreal_part(room) + 1, further = (int)reals + 1;
#else
    syevd(job, triangle, &order, a, &order, w, &room, &ask, &integers, &ask, &info);
    const int count = (int)room + 1, further = 0;
#endif
    ELEMENT *work = core_LETTERscratch(
        (int64_t)count + further + integers, sizeof(ELEMENT) > sizeof(int) ? sizeof(ELEMENT) : sizeof(int));
    if (!work) return CORE_NO_MEMORY;
    REAL *rwork = (REAL *)(work + count);
    int *iwork = (int *)(work + count + further);
#if PARTS == 2
    syevd(job, triangle, &order, a, &order, w, work, &count, rwork, &further, iwork, &integers, &info);
#else
    syevd(job, triangle, &order, a, &order, w, work, &count, iwork, &integers, &info);
    (void)rwork;
#endif
    free(work);
    if (!info && vectors) core_LETTERturn(n, a);
    return info;
}

static int64_t core_LETTEReigenvalues(core_LETTERSYEVD syevd, int64_t n, const ELEMENT *a, int64_t rows, int64_t columns,
    REAL *w, int lower)
{
    ELEMENT *f = core_LETTERscratch(n * n, sizeof(ELEMENT));
    if (!f) return CORE_NO_MEMORY;
    core_LETTERcopy(n, n, a, rows, columns, f);
    const int64_t info = core_LETTEReigh(syevd, n, f, w, lower, 0);
    free(f);
    return info;
}

#endif
