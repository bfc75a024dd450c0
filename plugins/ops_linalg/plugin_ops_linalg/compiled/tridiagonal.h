/* gtsv: three diagonals; x holds b, row by row. */
#ifndef CORE_LINALG_TRIDIAGONAL_LETTER
#define CORE_LINALG_TRIDIAGONAL_LETTER

/* Columns one after the other for LAPACK, in ``t``, unless there is one: then x itself. */
static ELEMENT *core_LETTERcolumns(int64_t n, int64_t k, ELEMENT *x, ELEMENT *t)
{
    if (k == 1) return x;
    core_LETTERcopy(k, n, x, 1, k, t);
    return t;
}

/* Row i of the matrix has a[i below] before and a[i above] behind its diagonal; below, middle, above are lost. */
static int64_t core_LETTERtridiagonal(core_LETTERgtsv gtsv, int64_t n, int64_t k, ELEMENT *below, ELEMENT *middle, ELEMENT *above,
    ELEMENT *x, ELEMENT *t)
{
    const int order = (int)n, width = (int)k;
    int info = 0;
    ELEMENT *columns = core_LETTERcolumns(n, k, x, t);
    gtsv(&order, &width, below, middle, above, columns, &order, &info);
    if (columns != x) core_LETTERcopy(n, k, columns, 1, n, x);
    return info;
}

#endif
