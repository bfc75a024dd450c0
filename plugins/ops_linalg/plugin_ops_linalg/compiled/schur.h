/* gees: a = z t z' with real factors, column by column. */
#ifndef CORE_LINALG_SCHUR_LETTER
#define CORE_LINALG_SCHUR_LETTER

/* a becomes t, with a block of 2 by 2 for each pair of complex eigenvalues. */
static int64_t core_LETTERschur(core_LETTERgees gees, int64_t n, REAL *a, REAL *z, void *chooses, int *chosen)
{
    const int order = (int)n, ask = -1;
    int info = 0, *flags;
    REAL room, *w = core_LETTERscratch(3 * n, sizeof(REAL) > sizeof(int) ? sizeof(REAL) : sizeof(int)), *work;
    if (!w) return CORE_NO_MEMORY;
    flags = (int *)(w + 2 * n);
    const char *sort = chooses ? "S" : "N";
    gees("V", sort, chooses, &order, a, &order, chosen, w, w + n, z, &order, &room, &ask, flags, &info);
    const int count = (int)room + 1;
    work = core_LETTERscratch(count, sizeof(REAL));
    if (work) gees("V", sort, chooses, &order, a, &order, chosen, w, w + n, z, &order, work, &count, flags, &info);
    free(w);
    free(work);
    return !work ? CORE_NO_MEMORY : info == n + 2 ? 0 : info;  /* n + 2: rounding has moved an eigenvalue over the border */
}

#endif
