/* gtsv: a system of which three diagonals are read; x holds b, row by row. */

static int64_t core_LETTERsolve_tridiagonal(core_LETTERgtsv gtsv, int64_t n, int64_t k, const ELEMENT *a, int64_t rows,
    int64_t columns, ELEMENT *x, int check)
{
    CORE_LETTER_FINITE(check, 0, n, n, a, rows, columns);
    CORE_LETTER_FINITE(check, 1, n, k, x, k, 1);
    if (!n || !k) return 0;
    ELEMENT *d = core_LETTERscratch(3 * n + n * k, sizeof(ELEMENT));
    if (!d) return CORE_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        d[n + i] = a[i * (rows + columns)];
        if (i + 1 == n) continue;
        d[i] = a[(i + 1) * rows + i * columns];
        d[2 * n + i] = a[i * rows + (i + 1) * columns];
    }
    const int64_t info = core_LETTERtridiagonal(gtsv, n, k, d, d + n, d + 2 * n, x, d + 3 * n);
    free(d);
    return info;
}
