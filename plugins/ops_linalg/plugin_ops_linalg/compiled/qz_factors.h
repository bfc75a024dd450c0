/* gges: all four factors, row by row, and the eigenvalues unless ``alpha`` is 0. */

static int64_t core_LETTERqz_factors(core_LETTERgges gges, int64_t n, const ELEMENT *a, int64_t arows, int64_t acolumns,
    const ELEMENT *b, int64_t brows, int64_t bcolumns, ELEMENT *s, ELEMENT *t, ELEMENT *q, ELEMENT *z, void *chooses, COMPLEX *alpha,
    ELEMENT *beta)
{
    CORE_LETTER_FINITE(1, 0, n, n, a, arows, acolumns);
    CORE_LETTER_FINITE(1, 1, n, n, b, brows, bcolumns);
    if (!n) return 0;
    const int64_t size = n * n;
    ELEMENT *f = core_LETTERscratch(4 * size + 3 * n, sizeof(ELEMENT)), *g = f + size, *left = g + size, *right = left + size;
    int chosen = 0;
    if (!f) return CORE_NO_MEMORY;
    core_LETTERcopy(n, n, a, acolumns, arows, f);
    core_LETTERcopy(n, n, b, bcolumns, brows, g);
    const int64_t info = core_LETTERqz(gges, n, f, g, left, right, right + size, chooses, &chosen);
    core_LETTERcopy(n, n, f, 1, n, s);
    core_LETTERcopy(n, n, g, 1, n, t);
    core_LETTERcopy(n, n, left, 1, n, q);
    core_LETTERcopy(n, n, right, 1, n, z);
    for (int64_t i = 0; alpha && i < n; i++) {
#if PARTS == 2
        alpha[i] = right[size + i];
#else
        __real__ alpha[i] = right[size + i];
        __imag__ alpha[i] = right[size + n + i];
#endif
        beta[i] = right[size + (3 - PARTS) * n + i];
    }
    free(f);
    return info;
}
