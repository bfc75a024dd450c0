/* QR with columns in the order p, largest first: geqp3 and orgqr.  Of q the first ``across`` columns, as many rows of r. */

static int64_t core_LETTERqr_pivoted(core_LETTERgeqp3 geqp3, core_LETTERORGQR orgqr, int64_t m, int64_t n, const ELEMENT *a,
    int64_t rows, int64_t columns, ELEMENT *q, ELEMENT *r, int32_t *p, int64_t across)
{
    CORE_LETTER_FINITE(1, 0, m, n, a, rows, columns);
    const int64_t k = m < n ? m : n, widest = across > n ? across : n;
    for (int64_t j = 0; j < n; j++) p[j] = 0;
    if (!k) {
        for (int64_t i = 0; q && i < m * across; i++) q[i] = i % (across + 1) == 0;
        for (int64_t j = 0; j < n; j++) p[j] = (int32_t)j;
        return 0;
    }
    const int64_t count = 64 * ((m > widest ? m : widest) + 1) + 2 * n, reals = PARTS == 1 ? 0 : 2 * n;
    const int high = (int)m, wide = (int)n, inner = (int)k, taken = (int)across;
    const int room = count < 1 << 30 ? (int)count : 1 << 30;
    int info = 0;
    ELEMENT *f = core_LETTERscratch(m * widest + k + room + reals, sizeof(ELEMENT)), *tau = f + m * widest, *work = tau + k;
    if (!f) return CORE_NO_MEMORY;
    REAL *rwork = (REAL *)(work + room);
    (void)rwork;
    core_LETTERcopy(n, m, a, columns, rows, f);
    geqp3(&high, &wide, f, &high, p, tau, work, &room, RWORK &info);
    for (int64_t i = 0; i < across; i++)
        for (int64_t j = 0; j < n; j++) r[i * n + j] = j < i ? 0 : f[j * m + i];
    if (q && !info) {
        orgqr(&high, &taken, &inner, f, &high, tau, work, &room, &info);
        core_LETTERcopy(m, across, f, 1, m, q);
    }
    for (int64_t j = 0; j < n; j++) p[j]--;
    free(f);
    return info;
}
