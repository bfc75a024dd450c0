/* The square root in place.  That of the transpose is its transpose. */

static int64_t core_LETTERsqrtm(core_LETTERgees gees, core_PARTNERgemm gemm, int64_t n, ELEMENT *a)
{
    CORE_LETTER_FINITE(1, 0, n, n, a, n, 1);
    if (!n) return 0;
    COMPLEX *t = core_LETTERscratch(3 * n * n, sizeof(COMPLEX)), *z = t + n * n, *r = z + n * n;
    if (!t) return CORE_NO_MEMORY;
    int64_t result = core_LETTERtriangularised(gees, n, a, t, z);
    if (result > 0) result = CORE_NOT_CONVERGED;
    if (!result) result = core_PARTNERroot_of(n, t, r);
    if (!result) result = core_LETTERcomposed(gemm, n, z, r, t, a);
    free(t);
    return result;
}
