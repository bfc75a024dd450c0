/* Systems of as many matrices as there are lanes; 0 where one fails, and then none is solved. */

static inline int core_LETTERsolve_lanes(int64_t n, int64_t k, const REAL *a, int64_t rows, int64_t columns, int64_t anext,
    const REAL *b, int64_t brows, int64_t bcolumns, int64_t bnext, REAL *x, int64_t xnext, int check)
{
    if (n > SMALL || k > SMALL) return 0;
    core_LETTERlanes f[SMALL * SMALL], t[SMALL * SMALL], sign = {0};
    core_LETTERmask bad = {0};
    core_LETTERgathered_matrix(n, n, a, rows, columns, anext, f, check, &bad);
    core_LETTERgathered_matrix(n, k, b, brows, bcolumns, bnext, t, check, &bad);
    core_LETTEReliminate(n, k, f, t, &sign, &bad);
    if (core_LETTERany(bad)) return 0;
    core_LETTERsubstitute(n, k, f, t);
    for (int64_t i = 0; i < n * k; i++) core_LETTERscattered(t[i], x + i, xnext);
    return 1;
}
