/* QR of a is LQ of what LAPACK sees, its transpose: gelqf and orglq. */

static int64_t core_LETTERqr(core_LETTERgelqf gelqf, core_LETTERorglq orglq, int64_t m, int64_t n, const REAL *a,
    int64_t rows, int64_t columns, REAL *q, REAL *r)
{
    if (!core_LETTERfinite(m, n, a, rows, columns)) return CORE_NOT_FINITE(0);
    const int64_t k = m < n ? m : n, count = 64 * ((m > n ? m : n) + 1);
    if (!k) return 0;
    const int below = (int)n, beside = (int)m, inner = (int)k, room = count < 1 << 30 ? (int)count : 1 << 30;
    int info = 0;
    REAL *f = core_LETTERscratch(m * n + k + room, sizeof(REAL)), *tau = f + m * n, *work = tau + k;
    if (!f) return CORE_NO_MEMORY;
    core_LETTERcopy(m, n, a, rows, columns, f);
    gelqf(&below, &beside, f, &below, tau, work, &room, &info);
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < n; j++) r[i * n + j] = j < i ? 0 : f[i * n + j];
    if (q && !info) {
        orglq(&inner, &beside, &inner, f, &below, tau, work, &room, &info);
        core_LETTERcopy(m, k, f, n, 1, q);
    }
    free(f);
    return info;
}
