/* One triangular system; x holds b, row by row. */

static int64_t core_LETTERsolve_triangular(core_LETTERtrsm trsm, core_LETTERtrsv trsv, int64_t n, int64_t k,
    const REAL *a, int64_t rows, int64_t columns, REAL *x, int lower, int trans, int unit, int check)
{
    if (check && !core_LETTERfinite(n, n, a, rows, columns)) return CORE_NOT_FINITE(0);
    if (check && !core_LETTERfinite(n, k, x, k, 1)) return CORE_NOT_FINITE(1);
    const int64_t zero = unit ? 0 : core_LETTERzero_on_diagonal(n, a, rows + columns);
    if (!zero) core_LETTERtriangular(trsm, trsv, n, k, a, rows, columns, x, lower, trans, unit);
    return zero;
}
