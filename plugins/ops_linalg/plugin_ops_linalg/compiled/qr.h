/* QR of a is LQ of what LAPACK sees, its transpose: gelqf and orglq.  Of q the first ``across`` columns, as many rows of r. */

static int64_t core_LETTERqr(core_LETTERgelqf gelqf, core_LETTERORGLQ orglq, int64_t m, int64_t n, const ELEMENT *a,
    int64_t rows, int64_t columns, ELEMENT *q, ELEMENT *r, int64_t across)
{
    CORE_LETTER_FINITE(1, 0, m, n, a, rows, columns);
    const int64_t k = m < n ? m : n, count = 64 * ((m > n ? m : n) + 1), high = across > n ? across : n;
    if (!k) {
        for (int64_t i = 0; q && i < m * across; i++) q[i] = i % (across + 1) == 0;
        return 0;
    }
    const int below = (int)high, beside = (int)m, wide = (int)n, down = (int)across, inner = (int)k;
    const int room = count < 1 << 30 ? (int)count : 1 << 30;
    int info = 0;
    ELEMENT *f = core_LETTERscratch(m * high + k + room, sizeof(ELEMENT)), *tau = f + m * high, *work = tau + k;
    if (!f) return CORE_NO_MEMORY;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) f[i * high + j] = a[i * rows + j * columns];
    gelqf(&wide, &beside, f, &below, tau, work, &room, &info);
    for (int64_t i = 0; i < across; i++)
        for (int64_t j = 0; j < n; j++) r[i * n + j] = j < i ? 0 : f[i * high + j];
    if (q && !info) {
        orglq(&down, &beside, &inner, f, &below, tau, work, &room, &info);
        core_LETTERcopy(m, across, f, high, 1, q);
    }
    free(f);
    return info;
}
