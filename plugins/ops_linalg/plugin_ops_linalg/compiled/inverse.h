/* getrf and getri: the inverse in place.  That of the transpose is the transpose of the inverse. */

static int64_t core_LETTERinverse(core_LETTERgetrf getrf, core_LETTERgetri getri, int64_t n, ELEMENT *a, int check)
{
    CORE_LETTER_FINITE(check, 0, n, n, a, n, 1);
    if (n == 0) return 0;
    if (n <= SMALL) {
        ELEMENT f[SMALL * SMALL];
        int32_t pivots[SMALL];
        for (int64_t i = 0; i < n * n; i++) f[i] = a[i];
        const int64_t zero = core_LETTERlu_small(n, f, pivots);
        if (zero) return zero;
        for (int64_t i = 0; i < n * n; i++) a[i] = i % (n + 1) == 0;
        core_LETTERexchange(n, n, pivots, 1, a, 0);
        core_LETTERlu_substitute(n, n, f, a);
        return 0;
    }
    const int order = (int)n, room = n < 1 << 24 ? order * 64 : order;
    int info = 0;
    ELEMENT *work = core_LETTERscratch((int64_t)room + n, sizeof(ELEMENT));
    if (!work) return CORE_NO_MEMORY;
    int *pivots = (int *)(work + room);
    getrf(&order, &order, a, &order, pivots, &info);
    if (!info) getri(&order, a, &order, pivots, work, &room, &info);
    free(work);
    return info;
}
