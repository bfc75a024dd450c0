/* gges: a = q s z' and b = q t z', column by column; a becomes s, and b becomes t. */
#ifndef CORE_LINALG_QZ_LETTER
#define CORE_LINALG_QZ_LETTER

/* Eigenvalues (real + i imaginary) / divisor into ``values``: three vectors. */
static int64_t core_LETTERqz(core_LETTERgges gges, int64_t n, REAL *a, REAL *b, REAL *q, REAL *z, REAL *values,
    void *chooses, int *chosen)
{
    const int order = (int)n, ask = -1;
    const char *sort = chooses ? "S" : "N";
    int info = 0, *flags = core_LETTERscratch(n, sizeof(int));
    REAL room, *work, *imaginary = values + n, *divisor = imaginary + n;
    if (!flags) return CORE_NO_MEMORY;
    gges("V", "V", sort, chooses, &order, a, &order, b, &order, chosen, values, imaginary, divisor, q, &order, z, &order,
        &room, &ask, flags, &info);
    const int count = (int)room + 1;
    if ((work = core_LETTERscratch(count, sizeof(REAL))))
        gges("V", "V", sort, chooses, &order, a, &order, b, &order, chosen, values, imaginary, divisor, q, &order, z,
            &order, work, &count, flags, &info);
    free(flags);
    free(work);
    return !work ? CORE_NO_MEMORY : info == n + 2 ? 0 : info;  /* n + 2: rounding has moved one over the border */
}

#endif
