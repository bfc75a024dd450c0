/* a x a^H - x + q = 0, where x holds q, row by row.  With what LAPACK sees, a'^H x' a' - x' + q' = 0. */

/* y with t^H y t - y + f = 0 for upper triangular t, by columns, over f; w is room for a column. */
static int64_t core_PARTNERstein(int64_t n, const COMPLEX *t, COMPLEX *f, COMPLEX *w)
{
    for (int64_t k = 0; k < n; k++) {
        COMPLEX *y = f + k * n;
        const COMPLEX own = t[k * n + k];
        for (int64_t i = 0; i < n; i++) w[i] = 0;
        for (int64_t j = 0; j < k; j++)
            for (int64_t i = 0; i < n; i++) w[i] += core_PARTNERtimes(f[j * n + i], t[k * n + j]);
        for (int64_t i = 0; i < n; i++) {  /* w[l] holds y[l] own, too, where y[l] is known */
            const COMPLEX *column = t + i * n, turned = core_PARTNERconjugate(column[i]);
            COMPLEX sum = y[i];
            for (int64_t l = 0; l <= i; l++) sum += core_PARTNERtimes(core_PARTNERconjugate(column[l]), w[l]);
            const COMPLEX product = core_PARTNERtimes(own, turned);
            if (core_PARTNERsize(1 - product) <= EPSILON * (1 + core_PARTNERsize(product))) return 1;
            y[i] = core_PARTNERover(sum, 1 - product);
            w[i] += core_PARTNERtimes(y[i], own);
        }
    }
    return 0;
}

static int64_t core_LETTERdiscrete_lyapunov(core_LETTERgees gees, core_PARTNERgemm gemm, int64_t n, const ELEMENT *a,
    int64_t rows, int64_t columns, ELEMENT *x)
{
    CORE_LETTER_FINITE(1, 0, n, n, a, rows, columns);
    CORE_LETTER_FINITE(1, 1, n, n, x, n, 1);
    if (!n) return 0;
    const int order = (int)n;
    const COMPLEX one = 1, zero = 0;
    const int64_t size = n * n;
    COMPLEX *t = core_LETTERscratch(4 * size + n, sizeof(COMPLEX)), *z = t + size, *f = z + size, *g = f + size;
    if (!t) return CORE_NO_MEMORY;
    core_LETTERcopy(n, n, a, rows, columns, (ELEMENT *)g);
    int64_t result = core_LETTERtriangularised(gees, n, (ELEMENT *)g, t, z);
    if (result > 0) result = CORE_NOT_CONVERGED;
    if (!result) {
        for (int64_t i = 0; i < size; i++) f[i] = x[i];
        gemm("C", "N", &order, &order, &order, &one, z, &order, f, &order, &zero, g, &order);
        gemm("N", "N", &order, &order, &order, &one, g, &order, z, &order, &zero, f, &order);
        result = core_PARTNERstein(n, t, f, g);
    }
    if (!result) {
        gemm("N", "N", &order, &order, &order, &one, z, &order, f, &order, &zero, g, &order);
        gemm("N", "C", &order, &order, &order, &one, g, &order, z, &order, &zero, f, &order);
        for (int64_t i = 0; i < size; i++) x[i] = AS_ELEMENT(f[i]);
    }
    free(t);
    return result;
}
