/* A circulant system; x holds b. */

/* The first eigenvalue that counts as 0, from 1, or 0; where ``skips``, it is left out. */
static int64_t core_LETTERsolve_circulant(int64_t n, const REAL *c, int64_t stride, REAL *x, int skips, double least)
{
    CORE_LETTER_FINITE(1, 0, n, 1, c, stride, 1);
    CORE_LETTER_FINITE(1, 1, n, 1, x, 1, 1);
    if (!n) return 0;
    core_fourier_plan plan;
    core_point *f = core_LETTERscratch(2 * n, sizeof(core_point)), *g = f + n;
    if (!f) return CORE_NO_MEMORY;
    if (!core_fourier_planned(n, &plan)) {
        free(f);
        return CORE_NO_MEMORY;
    }
    for (int64_t i = 0; i < n; i++) f[i] = (core_point){c[i * stride], 0}, g[i] = (core_point){x[i], 0};
    core_fourier(&plan, f);
    core_fourier(&plan, g);
    double largest = 0;
    for (int64_t i = 0; i < n; i++) {
        const double size = __builtin_hypot(f[i].re, f[i].im);
        largest = size > largest ? size : largest;
    }
    if (least < 0) least = largest * n * EPSILON;
    int64_t result = 0;
    for (int64_t i = 0; i < n; i++) {
        const double size = __builtin_hypot(f[i].re, f[i].im);
        if (size <= least) {
            if (!skips && !result) result = i + 1;
            g[i] = (core_point){0, 0};
            continue;
        }
        const core_point q = core_turned(g[i], (core_point){f[i].re / size, -f[i].im / size});
        g[i] = (core_point){q.re / size, -q.im / size};  /* conjugated: the transform is then the one back */
    }
    core_fourier(&plan, g);
    for (int64_t i = 0; i < n; i++) x[i] = (REAL)(g[i].re / (double)n);
    free(plan.roots);
    free(f);
    return result;
}
