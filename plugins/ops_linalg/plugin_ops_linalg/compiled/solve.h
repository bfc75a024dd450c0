/* getrf and getrs: a general system; x holds b, row by row. */

static int64_t core_LETTERsolve(core_LETTERgetrf getrf, core_LETTERgetrs getrs, int64_t n, int64_t k, const ELEMENT *a,
    int64_t rows, int64_t columns, ELEMENT *x, int check)
{
    CORE_LETTER_FINITE(check, 0, n, n, a, rows, columns);
    CORE_LETTER_FINITE(check, 1, n, k, x, k, 1);
    if (n == 0) return 0;
    if (n <= SMALL) {
        ELEMENT own[SMALL * SMALL];
        int32_t exchanged[SMALL];
        core_LETTERcopy(n, n, a, rows, columns, own);
        const int64_t zero = core_LETTERlu_small(n, own, exchanged);
        if (zero) return zero;
        core_LETTERexchange(n, k, exchanged, 1, x, 0);
        core_LETTERlu_substitute(n, k, own, x);
        return 0;
    }
    const int order = (int)n, width = (int)k;
    const char *trans = columns == 1 ? "T" : "N";
    int info = 0, *pivots;
    ELEMENT *f = core_LETTERcopied(n, a, rows, columns, &pivots);
    if (!f) return CORE_NO_MEMORY;
    getrf(&order, &order, f, &order, pivots, &info);
    if (!info && k == 1) getrs(trans, &order, &width, f, &order, pivots, x, &order, &info);
    else if (!info && k) {
        ELEMENT *t = core_LETTERscratch(n * k, sizeof(ELEMENT));
        if (!t) {
            free(f);
            return CORE_NO_MEMORY;
        }
        core_LETTERcopy(k, n, x, 1, k, t);
        getrs(trans, &order, &width, f, &order, pivots, t, &order, &info);
        core_LETTERcopy(n, k, t, 1, n, x);
        free(t);
    }
    free(f);
    return info;
}
