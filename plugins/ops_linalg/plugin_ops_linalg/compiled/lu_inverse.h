/* getri: the inverse from LU factors, row by row. */

static int64_t core_LETTERlu_inverse(core_LETTERgetri getri, int64_t n, const ELEMENT *f, int64_t rows, int64_t columns,
    const int32_t *pivots, int64_t stride, ELEMENT *out)
{
    const int64_t zero = core_LETTERzero_on_diagonal(n, f, rows + columns);
    if (zero || !n) return zero;
    const int order = (int)n, room = n < 1 << 24 ? order * 64 : order;
    int info = 0;
    ELEMENT *t = core_LETTERscratch(n * n + room + n, sizeof(ELEMENT)), *work = t + n * n;
    if (!t) return CORE_NO_MEMORY;
    int *own = (int *)(work + room);
    core_LETTERcopy(n, n, f, columns, rows, t);
    for (int64_t i = 0; i < n; i++) own[i] = pivots[i * stride] + 1;
    getri(&order, t, &order, own, work, &room, &info);
    core_LETTERcopy(n, n, t, 1, n, out);
    free(t);
    return info;
}
