/* gees: a = z t z', column by column. */
#ifndef CORE_LINALG_SCHUR_LETTER
#define CORE_LINALG_SCHUR_LETTER

/* a becomes t; of real numbers, with a block of 2 by 2 for each pair of complex eigenvalues. */
static int64_t core_LETTERschur(core_LETTERgees gees, int64_t n, ELEMENT *a, ELEMENT *z, void *chooses, int *chosen)
{
    const int order = (int)n, ask = -1;
    int info = 0, *flags;
    ELEMENT room, *w = core_LETTERscratch(4 * n, sizeof(ELEMENT) > sizeof(int) ? sizeof(ELEMENT) : sizeof(int)), *work;
    if (!w) return CORE_NO_MEMORY;
    REAL *rwork = (REAL *)(w + n);
    flags = (int *)(w + 2 * n);
    const char *sort = chooses ? "S" : "N";
    gees("V", sort, chooses, &order, a, &order, chosen, w, IMAGINARY(w + n) z, &order, &room, &ask, RWORK flags, &info);
    const int count = (int)core_LETTERreal_part(room) + 1;
    work = core_LETTERscratch(count, sizeof(ELEMENT));
    if (work)
        gees("V", sort, chooses, &order, a, &order, chosen, w, IMAGINARY(w + n) z, &order, work, &count, RWORK flags,
            &info);
    (void)rwork;
    free(w);
    free(work);
    return !work ? CORE_NO_MEMORY : info == n + 2 ? 0 : info;  /* n + 2: rounding has moved one over the border */
}

#endif
