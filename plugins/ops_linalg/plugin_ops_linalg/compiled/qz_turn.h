/* x and y, strictly lower triangular, for which x s - s y and x t - t y have the strict lower triangles of p and q. */

static int64_t core_LETTERqz_turn(int64_t n, const ELEMENT *s, int64_t srows, int64_t scolumns, const ELEMENT *t,
    int64_t trows, int64_t tcolumns, const ELEMENT *p, int64_t prows, int64_t pcolumns, const ELEMENT *q, int64_t qrows,
    int64_t qcolumns, ELEMENT *x, ELEMENT *y, int transposed)
{
    REAL sizes = 0, others = 0;
    for (int64_t i = 0; i < n; i++) {
        sizes += core_LETTERsize(s[i * (srows + scolumns)]);
        others += core_LETTERsize(t[i * (trows + tcolumns)]);
    }
    for (int64_t i = 0; i < n * n; i++) x[i] = y[i] = 0;
    for (int64_t step = 1; step < n; step++) {
        const int64_t apart = transposed ? step : n - step;
        for (int64_t j = 0; j < n - apart; j++) {
            const int64_t i = j + apart, last = transposed ? i : n;
            const ELEMENT si = s[i * (srows + scolumns)], sj = s[j * (srows + scolumns)];
            const ELEMENT ti = t[i * (trows + tcolumns)], tj = t[j * (trows + tcolumns)];
            const ELEMENT gap = core_LETTERtimes(si, tj) - core_LETTERtimes(sj, ti);
            if (core_LETTERsize(gap) <= EPSILON * sizes * others) continue;
            ELEMENT u = p[i * prows + j * pcolumns], v = q[i * qrows + j * qcolumns];
            if (transposed) {
                v = -v;
                for (int64_t k = j + 1; k < last; k++) {
                    u -= core_LETTERtimes(x[i * n + k], s[j * srows + k * scolumns]);
                    u -= core_LETTERtimes(y[i * n + k], t[j * trows + k * tcolumns]);
                    v -= core_LETTERtimes(s[k * srows + i * scolumns], x[k * n + j]);
                    v -= core_LETTERtimes(t[k * trows + i * tcolumns], y[k * n + j]);
                }
                x[i * n + j] = core_LETTERover(core_LETTERtimes(tj, v) - core_LETTERtimes(ti, u), gap);
                y[i * n + j] = core_LETTERover(core_LETTERtimes(si, u) - core_LETTERtimes(sj, v), gap);
                continue;
            }
            for (int64_t k = 0; k < j; k++) {
                u -= core_LETTERtimes(x[i * n + k], s[k * srows + j * scolumns]);
                v -= core_LETTERtimes(x[i * n + k], t[k * trows + j * tcolumns]);
            }
            for (int64_t k = i + 1; k < last; k++) {
                u += core_LETTERtimes(s[i * srows + k * scolumns], y[k * n + j]);
                v += core_LETTERtimes(t[i * trows + k * tcolumns], y[k * n + j]);
            }
            x[i * n + j] = core_LETTERover(core_LETTERtimes(si, v) - core_LETTERtimes(ti, u), gap);
            y[i * n + j] = core_LETTERover(core_LETTERtimes(sj, v) - core_LETTERtimes(tj, u), gap);
        }
    }
    return 0;
}
