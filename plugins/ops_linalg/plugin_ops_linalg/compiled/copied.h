#ifndef CORE_LINALG_COPIED_LETTER
#define CORE_LINALG_COPIED_LETTER

/* A copy of a matrix for LAPACK, as it lies: transposed where that is row by row; and room for its pivots. */
static ELEMENT *core_LETTERcopied(int64_t n, const ELEMENT *a, int64_t rows, int64_t columns, int **pivots)
{
    const int by_columns = columns != 1;
    ELEMENT *f = core_LETTERscratch(n * n + n, sizeof(ELEMENT) > sizeof(int) ? sizeof(ELEMENT) : sizeof(int));
    if (!f) return 0;
    core_LETTERcopy(n, n, a, by_columns ? columns : rows, 1, f);
    *pivots = (int *)(f + n * n);
    return f;
}

#endif
