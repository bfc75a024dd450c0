/* A circulant system; x holds b. */

static inline core_point core_LETTERpoint(ELEMENT x)
{
    core_point made = {core_LETTERreal_part(x), 0};
#if PARTS == 2
    made.im = __imag__ x;
#endif
    return made;
}

static inline ELEMENT core_LETTERelement(double re, double im)
{
#if PARTS == 2
    return core_LETTERmade((REAL)re, (REAL)im);
#else
    return (void)im, (REAL)re;
#endif
}

/* The first eigenvalue that counts as 0, from 1, or 0; where ``skips``, it is left out. */
static int64_t core_LETTERsolve_circulant(int64_t n, const ELEMENT *c, int64_t stride, ELEMENT *x, int skips, double least)
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
    for (int64_t i = 0; i < n; i++) f[i] = core_LETTERpoint(c[i * stride]), g[i] = core_LETTERpoint(x[i]);
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
    for (int64_t i = 0; i < n; i++) x[i] = core_LETTERelement(g[i].re / (double)n, -g[i].im / (double)n);
    free(plan.roots);
    free(f);
    return result;
}
