/* gbsv and gtsv: a system given by its diagonals; x holds b, row by row. */

static int64_t core_LETTERsolve_banded(core_LETTERgbsv gbsv, core_LETTERgtsv gtsv, int64_t n, int64_t k, const ELEMENT *ab,
    int64_t rows, int64_t columns, ELEMENT *x, int below, int above, int check)
{
    CORE_LETTER_FINITE(check, 0, below + above + 1, n, ab, rows, columns);
    CORE_LETTER_FINITE(check, 1, n, k, x, k, 1);
    if (!n || !k) return 0;
    const int64_t high = 2 * below + above + 1;
    ELEMENT *f = core_LETTERscratch(high * n + n * k + n, sizeof(ELEMENT) > sizeof(int) ? sizeof(ELEMENT) : sizeof(int));
    if (!f) return CORE_NO_MEMORY;
    ELEMENT *t = f + high * n;
    int64_t result;
    if (below == 1 && above == 1) {
        for (int64_t i = 0; i < n; i++) {
            f[n + i] = ab[rows + i * columns];
            if (i + 1 == n) continue;
            f[i] = ab[2 * rows + i * columns];
            f[2 * n + i] = ab[(i + 1) * columns];
        }
        result = core_LETTERtridiagonal(gtsv, n, k, f, f + n, f + 2 * n, x, t);
    } else {
        const int order = (int)n, width = (int)k, leading = (int)high;
        int info = 0, *pivots = (int *)(t + n * k);
        for (int64_t j = 0; j < n; j++)
            for (int64_t r = 0; r < high; r++)
                f[j * high + r] = r < below ? 0 : ab[(r - below) * rows + j * columns];
        ELEMENT *own = core_LETTERcolumns(n, k, x, t);
        gbsv(&order, &below, &above, &width, f, &leading, pivots, own, &order, &info);
        if (own != x) core_LETTERcopy(n, k, own, 1, n, x);
        result = info;
    }
    free(f);
    return result;
}
