/* Cholesky factors of as many matrices as there are lanes, in place; 0 where one fails, and then none is changed. */

static inline int core_LETTERcholesky_lanes(int64_t n, REAL *a, int64_t next, int lower, int check)
{
    if (n > SMALL) return 0;
    const int64_t rows = lower ? n : 1, columns = lower ? 1 : n;
    core_LETTERlanes f[SMALL * SMALL];
    core_LETTERmask bad = {0};
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            if (j > i && !check) continue;
            const core_LETTERlanes x = core_LETTERgathered(a + i * rows + j * columns, next);
            core_LETTERchecked(x, check, &bad);
            if (j <= i) f[i * n + j] = x;
        }
    for (int64_t j = 0; j < n; j++) {
        core_LETTERlanes pivot = f[j * n + j];
        for (int64_t k = 0; k < j; k++) pivot -= f[j * n + k] * f[j * n + k];
        bad |= ~(core_LETTERmask)(pivot > 0);
        pivot = core_LETTERroots(pivot);
        f[j * n + j] = pivot;
        for (int64_t i = j + 1; i < n; i++) {
            core_LETTERlanes sum = f[i * n + j];
            for (int64_t k = 0; k < j; k++) sum -= f[i * n + k] * f[j * n + k];
            f[i * n + j] = sum / pivot;
        }
    }
    if (core_LETTERany(bad)) return 0;
    const core_LETTERlanes zero = {0};
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            core_LETTERscattered(j <= i ? f[i * n + j] : zero, a + i * rows + j * columns, next);
    return 1;
}
