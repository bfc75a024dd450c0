/* sysv, hesv: a symmetric or Hermitian system, indefinite or not; x holds b, row by row. */

static int64_t core_LETTERsolve_symmetric(core_LETTERsysv sysv, int64_t n, int64_t k, const ELEMENT *a, int64_t rows,
    int64_t columns, ELEMENT *x, int lower, int hermitian, int check)
{
    CORE_LETTER_FINITE(check, 0, n, n, a, rows, columns);
    CORE_LETTER_FINITE(check, 1, n, k, x, k, 1);
    if (!n || !k) return 0;
    const int order = (int)n, width = (int)k, ask = -1;
    int info = 0, *pivots;
    ELEMENT room, *f = core_LETTERcopied(n, a, rows, columns, &pivots), *t;
    if (!f) return CORE_NO_MEMORY;
    const int turns = PARTS == 2 && hermitian && columns == 1;  /* LAPACK sees the conjugate */
    if (turns) core_LETTERconjugated(n * k, x);
    const char *triangle = (columns == 1) == lower ? "U" : "L";
    sysv(triangle, &order, &width, f, &order, pivots, x, &order, &room, &ask, &info);
    const int count = (int)core_LETTERreal_part(room) + 1;
    if (!(t = core_LETTERscratch(n * k + count, sizeof(ELEMENT)))) {
        free(f);
        return CORE_NO_MEMORY;
    }
    core_LETTERcopy(k, n, x, 1, k, t);
    sysv(triangle, &order, &width, f, &order, pivots, t, &order, t + n * k, &count, &info);
    core_LETTERcopy(n, k, t, 1, n, x);
    if (turns) core_LETTERconjugated(n * k, x);
    free(t);
    free(f);
    return info;
}
