/* The gradient of a Cholesky factorisation: Murray (2016), section 3.  g holds that of the factor, then of the matrix. */

/* Row by row within one block; rows are so many elements apart in l and in g. */
static void core_LETTERcholesky_gradient_block(int64_t n, const REAL *l, int64_t apart, REAL *g, int64_t g_apart)
{
    for (int64_t k = n - 1; k >= 0; k--) {
        const REAL *own = l + k * apart;
        REAL *mine = g + k * g_apart, pivot = mine[k];
        for (int64_t i = k + 1; i < n; i++) {
            g[i * g_apart + k] /= own[k];
            pivot -= l[i * apart + k] * g[i * g_apart + k];
        }
        pivot /= own[k];
        for (int64_t j = 0; j < k; j++) mine[j] -= pivot * own[j];
        for (int64_t i = k + 1; i < n; i++) {
            const REAL below = g[i * g_apart + k];
            const REAL *restrict row = l + i * apart;
            REAL *restrict changed = g + i * g_apart;
            for (int64_t j = 0; j < k; j++) {
                mine[j] -= below * row[j];
                changed[j] -= below * own[j];
            }
        }
        mine[k] = pivot / 2;
    }
}

/* Block by block from the last: R before the diagonal block D, B before C below it; all that lies row by row is, for
   BLAS, the transpose, so factors change places. */
static int64_t core_LETTERcholesky_gradient(core_LETTERgemm gemm, core_LETTERtrsm trsm, int64_t n, const REAL *given,
    int64_t rows, int64_t columns, REAL *g)
{
    const REAL *l = given;
    REAL *copy = 0;
    int64_t apart = rows;
    if (columns != 1 && n > 1) {
        if (!(l = copy = core_LETTERscratch(n * n, sizeof(REAL)))) return CORE_NO_MEMORY;
        core_LETTERcopy(n, n, given, rows, columns, copy);
        apart = n;
    }
    enum { WIDTH = 48 };
    REAL both[WIDTH * WIDTH];
    const REAL one = 1, minus = -1;
    const int of_l = (int)apart, of_g = (int)n, of_both = WIDTH;
    for (int64_t end = n; end > 0; end -= WIDTH) {
        const int64_t start = end > WIDTH ? end - WIDTH : 0;
        const int width = (int)(end - start), below = (int)(n - end), before = (int)start;
        const REAL *d = l + start * apart + start, *r = l + start * apart, *b = l + end * apart, *c = b + start;
        REAL *gd = g + start * n + start, *gr = g + start * n, *gb = g + end * n, *gc = gb + start;
        if (below) {
            trsm("L", "U", "N", "N", &width, &below, &one, d, &of_l, gc, &of_g);
            if (before)
                gemm("N", "N", &before, &below, &width, &minus, r, &of_l, gc, &of_g, &one, gb, &of_g);
            gemm("N", "T", &width, &width, &below, &minus, c, &of_l, gc, &of_g, &one, gd, &of_g);
        }
        core_LETTERcholesky_gradient_block(width, d, apart, gd, n);
        if (!before) continue;
        if (below) gemm("N", "T", &before, &width, &below, &minus, b, &of_l, gc, &of_g, &one, gr, &of_g);
        for (int64_t i = 0; i < width; i++)
            for (int64_t j = 0; j <= i; j++) {
                both[i * WIDTH + j] = gd[i * n + j] + (i == j ? gd[i * n + j] : 0);
                both[j * WIDTH + i] = both[i * WIDTH + j];
            }
        gemm("N", "N", &before, &width, &width, &minus, r, &of_l, both, &of_both, &one, gr, &of_g);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++) g[i * n + j] = 0;
    free(copy);
    return 0;
}
