/* gges: a = q s z' and b = q t z', column by column; a becomes s, and b becomes t. */
#ifndef CORE_LINALG_QZ_LETTER
#define CORE_LINALG_QZ_LETTER

/* Eigenvalues into ``values``: numerators, their imaginary parts where elements are real, and denominators. */
static int64_t core_LETTERqz(core_LETTERgges gges, int64_t n, ELEMENT *a, ELEMENT *b, ELEMENT *q, ELEMENT *z,
    ELEMENT *values, void *chooses, int *chosen)
{
    const int order = (int)n, ask = -1;
    const char *sort = chooses ? "S" : "N";
    int info = 0, *flags = core_LETTERscratch(9 * n, sizeof(REAL) > sizeof(int) ? sizeof(REAL) : sizeof(int));
    ELEMENT room, *work, *denominators = values + (3 - PARTS) * n;
    if (!flags) return CORE_NO_MEMORY;
    REAL *rwork = (REAL *)flags + n;
    gges("V", "V", sort, chooses, &order, a, &order, b, &order, chosen, values, IMAGINARY(values + n) denominators, q,
        &order, z, &order, &room, &ask, RWORK flags, &info);
    const int count = (int)core_LETTERreal_part(room) + 1;
    if ((work = core_LETTERscratch(count, sizeof(ELEMENT))))
        gges("V", "V", sort, chooses, &order, a, &order, b, &order, chosen, values, IMAGINARY(values + n) denominators,
            q, &order, z, &order, work, &count, RWORK flags, &info);
    (void)rwork;
    free(flags);
    free(work);
    return !work ? CORE_NO_MEMORY : info == n + 2 ? 0 : info;  /* n + 2: rounding has moved one over the border */
}

#endif
