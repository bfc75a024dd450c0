/* potri: the inverse of a = L L' in place of its factor, row by row; all of it, or the triangle of the factor. */

/* By the inverse w of L: w' w. */
static int64_t core_LETTERcholesky_inverse_small(int64_t n, ELEMENT *a, int64_t rows, int64_t columns)
{
    ELEMENT w[SMALL * SMALL];
    for (int64_t j = 0; j < n; j++) {
        const ELEMENT pivot = a[j * (n + 1)];
        if (pivot == 0) return j + 1;
        for (int64_t k = 0; k <= j; k++) {
            ELEMENT sum = j == k;
            for (int64_t i = k; i < j; i++) sum -= core_LETTERtimes(a[j * rows + i * columns], w[i * SMALL + k]);
            w[j * SMALL + k] = core_LETTERover(sum, pivot);
        }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            ELEMENT sum = 0;
            for (int64_t k = i; k < n; k++)
                sum += core_LETTERtimes(core_LETTERconjugate(w[k * SMALL + i]), w[k * SMALL + j]);
            a[i * rows + j * columns] = sum;
        }
    return 0;
}

static int64_t core_LETTERcholesky_inverse(core_LETTERpotri potri, int64_t n, ELEMENT *a, int lower, int whole)
{
    const int64_t rows = lower ? n : 1, columns = lower ? 1 : n;
    const int order = (int)n;
    int info = 0;
    if (n <= SMALL) info = (int)core_LETTERcholesky_inverse_small(n, a, rows, columns);
    else potri(lower ? "U" : "L", &order, a, &order, &info);
    if (info) return info;
    enum { TILE = 16 };
    for (int64_t top = 0; top < n; top += TILE)  /* in squares, for one side is read or written across its lines */
        for (int64_t left = 0; left <= top; left += TILE)
            for (int64_t i = top; i < n && i < top + TILE; i++)
                for (int64_t j = left; j < i && j < left + TILE; j++)
                    a[j * rows + i * columns] = whole ? core_LETTERconjugate(a[i * rows + j * columns]) : 0;
    return 0;
}
