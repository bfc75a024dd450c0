/* gesdd: singular values and vectors. */

/* With a copy of a that lies column by column: the signs of the vectors are then those of NumPy. */
static int64_t core_LETTERsvd(core_LETTERgesdd gesdd, int64_t m, int64_t n, const ELEMENT *a, int64_t rows,
    int64_t columns, ELEMENT *u, REAL *s, ELEMENT *vh, const char *job)
{
    CORE_LETTER_FINITE(1, 0, m, n, a, rows, columns);
    const int64_t k = m < n ? m : n, across = job[0] == 'A' ? m : job[0] == 'S' ? k : 0;
    const int64_t down = job[0] == 'A' ? n : across;
    if (!k && job[0] == 'A') {
        for (int64_t i = 0; i < m * m; i++) u[i] = i % (m + 1) == 0;
        for (int64_t i = 0; i < n * n; i++) vh[i] = i % (n + 1) == 0;
    }
    if (!k) return 0;
    const int high = (int)m, wide = (int)n, ask = -1, leading = down ? (int)down : 1;
    int info = 0;
    const int64_t longer = m > n ? m : n, reals = PARTS == 1 ? 0 : k * (5 * k + 7 > 2 * longer + 2 * k + 1 ? 5 * k + 7 : 2 * longer + 2 * k + 1);
    ELEMENT room, *f = core_LETTERscratch(m * n + m * across + down * n + 8 * k + reals, sizeof(ELEMENT));
    if (!f) return CORE_NO_MEMORY;
    ELEMENT *left = f + m * n, *right = left + m * across;
    int *iwork = (int *)(right + down * n);
    REAL *rwork = (REAL *)(right + down * n + 8 * k);
    (void)rwork;
    core_LETTERcopy(n, m, a, columns, rows, f);
    gesdd(job, &high, &wide, f, &high, s, left, &high, right, &leading, &room, &ask, RWORK iwork, &info);
    const int count = (int)core_LETTERreal_part(room) + 1;
    ELEMENT *work = core_LETTERscratch(count, sizeof(ELEMENT));
    if (work) gesdd(job, &high, &wide, f, &high, s, left, &high, right, &leading, work, &count, RWORK iwork, &info);
    if (across) core_LETTERcopy(m, across, left, 1, m, u);
    if (down) core_LETTERcopy(down, n, right, 1, down, vh);
    free(f);
    free(work);
    return work ? info : CORE_NO_MEMORY;
}
