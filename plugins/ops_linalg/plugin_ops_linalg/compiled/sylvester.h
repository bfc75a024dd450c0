/* gees and trsyl: a x + x b = q, where x holds q, row by row.  Then b' x' + x' a' = q', with what LAPACK sees. */

static int64_t core_LETTERsylvester(core_LETTERgees gees, core_LETTERtrsyl trsyl, core_LETTERgemm gemm, int64_t m,
    int64_t n, const ELEMENT *a, int64_t arows, int64_t acolumns, const ELEMENT *b, int64_t brows, int64_t bcolumns, ELEMENT *x)
{
    CORE_LETTER_FINITE(1, 0, m, m, a, arows, acolumns);
    CORE_LETTER_FINITE(1, 1, n, n, b, brows, bcolumns);
    CORE_LETTER_FINITE(1, 2, m, n, x, n, 1);
    if (!m || !n) return 0;
    const int high = (int)n, wide = (int)m, plus = 1;
    const ELEMENT one = 1, zero = 0;
    REAL scale = 1;
    ELEMENT *r = core_LETTERscratch(2 * m * m + 2 * n * n + m * n, sizeof(ELEMENT));
    if (!r) return CORE_NO_MEMORY;
    ELEMENT *u = r + m * m, *s = u + m * m, *v = s + n * n, *t = v + n * n;
    int chosen, info = 0;
    core_LETTERcopy(m, m, a, arows, acolumns, r);
    core_LETTERcopy(n, n, b, brows, bcolumns, s);
    int64_t result = core_LETTERschur(gees, m, r, u, 0, &chosen);
    if (!result) result = core_LETTERschur(gees, n, s, v, 0, &chosen);
    if (result > 0) result = CORE_NOT_CONVERGED;
    if (!result) {
        gemm("C", "N", &high, &wide, &high, &one, v, &high, x, &high, &zero, t, &high);
        gemm("N", "N", &high, &wide, &wide, &one, t, &high, u, &wide, &zero, x, &high);
        trsyl("N", "N", &plus, &high, &wide, s, &high, r, &wide, x, &high, &scale, &info);
        for (int64_t i = 0; i < m * n; i++) x[i] /= scale;
        gemm("N", "N", &high, &wide, &high, &one, v, &high, x, &high, &zero, t, &high);
        gemm("N", "C", &high, &wide, &wide, &one, t, &high, u, &wide, &zero, x, &high);
        result = info;
    }
    free(r);
    return result;
}
