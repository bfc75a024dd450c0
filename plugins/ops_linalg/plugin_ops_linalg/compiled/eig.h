/* geev: eigenvalues and, unless ``v`` is 0, eigenvectors, complex and row by row. */

static int64_t core_LETTEReig(core_LETTERgeev geev, int64_t n, const ELEMENT *a, int64_t rows, int64_t columns,
    COMPLEX *w, COMPLEX *v)
{
    CORE_LETTER_FINITE(1, 0, n, n, a, rows, columns);
    if (!n) return 0;
    const int order = (int)n, ask = -1;
    const char *right = v ? "V" : "N";
    int info = 0;
    ELEMENT room, none, *f = core_LETTERscratch(2 * n * n + 4 * n, sizeof(ELEMENT)), *work;
    if (!f) return CORE_NO_MEMORY;
    ELEMENT *vectors = f + n * n, *values = vectors + n * n;
    REAL *rwork = (REAL *)(values + 2 * n);
    core_LETTERcopy(n, n, a, columns, rows, f);
    geev("N", right, &order, f, &order, values, IMAGINARY(values + n) &none, &order, vectors, &order, &room, &ask, RWORK
        &info);
    const int count = (int)core_LETTERreal_part(room) + 1;
    if ((work = core_LETTERscratch(count, sizeof(ELEMENT))))
        geev("N", right, &order, f, &order, values, IMAGINARY(values + n) &none, &order, vectors, &order, work, &count,
            RWORK &info);
    (void)rwork;
    for (int64_t j = 0; j < n && work; j++) {
#if PARTS == 2
        w[j] = values[j];
        for (int64_t i = 0; v && i < n; i++) v[i * n + j] = vectors[j * n + i];
#else
        const REAL turn = values[n + j];  /* of a pair the first is above the real axis, and the vectors are x + i y, x - i y */
        w[j] = core_PARTNERmade(values[j], turn);
        const REAL *x = vectors + (turn < 0 ? j - 1 : j) * n, *y = x + n;
        for (int64_t i = 0; v && i < n; i++)
            v[i * n + j] = core_PARTNERmade(x[i], turn == 0 ? 0 : turn > 0 ? y[i] : -y[i]);
#endif
    }
    free(f);
    free(work);
    return work ? info : CORE_NO_MEMORY;
}
