/* x, strictly lower triangular, for which x t - t x has the strict lower triangle of m; its transpose where ``transposed``. */

static int64_t core_LETTERschur_turn(int64_t n, const ELEMENT *t, int64_t trows, int64_t tcolumns, const ELEMENT *m,
    int64_t mrows, int64_t mcolumns, ELEMENT *x, int transposed)
{
    REAL least = 0;
    for (int64_t i = 0; i < n; i++) least += EPSILON * core_LETTERsize(t[i * (trows + tcolumns)]);
    for (int64_t i = 0; i < n * n; i++) x[i] = 0;
    for (int64_t step = 1; step < n; step++) {
        const int64_t apart = transposed ? step : n - step;
        for (int64_t j = 0; j < n - apart; j++) {
            const int64_t i = j + apart;
            ELEMENT sum = m[i * mrows + j * mcolumns];
            for (int64_t k = transposed ? j + 1 : 0; k < (transposed ? i : j); k++)
                sum -= core_LETTERtimes(x[i * n + k], transposed ? t[j * trows + k * tcolumns] : t[k * trows + j * tcolumns]);
            for (int64_t k = transposed ? j + 1 : i + 1; k < (transposed ? i : n); k++)
                sum += core_LETTERtimes(transposed ? t[k * trows + i * tcolumns] : t[i * trows + k * tcolumns], x[k * n + j]);
            const ELEMENT gap = t[j * (trows + tcolumns)] - t[i * (trows + tcolumns)];
            x[i * n + j] = core_LETTERsize(gap) <= least ? 0 : core_LETTERover(sum, gap);
        }
    }
    return 0;
}
