/* Square roots of triangular matrices, column by column: Björck, Hammarling (1983). */
#ifndef CORE_LINALG_TRIANGLES_PARTNER
#define CORE_LINALG_TRIANGLES_PARTNER

/* Upper triangular r with r r = t; 0 where there is one. */
static int64_t core_PARTNERroot_of(int64_t n, const COMPLEX *t, COMPLEX *r)
{
    for (int64_t j = 0; j < n; j++) {
        COMPLEX *column = r + j * n;
        for (int64_t i = 0; i < n; i++) column[i] = i <= j ? t[j * n + i] : 0;
        column[j] = core_PARTNERroot(t[j * n + j]);
        for (int64_t i = j - 1; i >= 0; i--) {  /* column[i] has lost r[i, k] r[k, j] for i < k < j by now */
            const COMPLEX divisor = r[i * n + i] + column[j];
            if (divisor == 0 && column[i] != 0) return 1;
            column[i] = divisor == 0 ? 0 : core_PARTNERover(column[i], divisor);
            for (int64_t k = 0; k < i; k++) column[k] -= core_PARTNERtimes(r[i * n + k], column[i]);
        }
    }
    return 0;
}

#endif
