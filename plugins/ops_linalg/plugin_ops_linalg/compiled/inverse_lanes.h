/* Inverses of as many matrices as there are lanes, in place; 0 where one fails, and then none is changed. */

static inline int core_LETTERinverse_lanes(int64_t n, REAL *a, int64_t next, int check)
{
    if (n > SMALL) return 0;
    core_LETTERlanes f[SMALL * SMALL], t[SMALL * SMALL], sign = {0};
    const core_LETTERlanes zero = {0};
    core_LETTERmask bad = {0};
    core_LETTERgathered_matrix(n, n, a, n, 1, next, f, check, &bad);
    for (int64_t i = 0; i < n * n; i++) t[i] = zero + (REAL)(i % (n + 1) == 0);
    core_LETTEReliminate(n, n, f, t, &sign, &bad);
    if (core_LETTERany(bad)) return 0;
    core_LETTERsubstitute(n, n, f, t);
    for (int64_t i = 0; i < n * n; i++) core_LETTERscattered(t[i], a + i, next);
    return 1;
}
