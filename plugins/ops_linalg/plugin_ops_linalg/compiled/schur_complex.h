/* a = z t z' with triangular t and unitary z, both complex, column by column: schur.h, and rotations that split its blocks. */
#ifndef CORE_LINALG_TRIANGULARISED_LETTER
#define CORE_LINALG_TRIANGULARISED_LETTER

/* Rows or columns x and y become c x + s y and c y - s x, conjugated where they must be. */
static void core_PARTNERrotate(int64_t count, COMPLEX *x, COMPLEX *y, int64_t stride, COMPLEX c, REAL s, int columns)
{
    const COMPLEX other = core_PARTNERconjugate(c);
    const COMPLEX first = columns ? c : other, second = columns ? other : c;
    for (int64_t k = 0; k < count; k++) {
        const COMPLEX kept = x[k * stride], moved = y[k * stride];
        x[k * stride] = core_PARTNERtimes(first, kept) + s * moved;
        y[k * stride] = core_PARTNERtimes(second, moved) - s * kept;
    }
}

static int64_t core_LETTERtriangularised(core_LETTERgees gees, int64_t n, const ELEMENT *a, COMPLEX *t, COMPLEX *z)
{
    int chosen;
#if PARTS == 2
    for (int64_t i = 0; i < n * n; i++) t[i] = a[i];
    return core_LETTERschur(gees, n, t, z, 0, &chosen);
#else
    ELEMENT *f = core_LETTERscratch(2 * n * n, sizeof(ELEMENT)), *q = f + n * n;
    if (!f) return CORE_NO_MEMORY;
    for (int64_t i = 0; i < n * n; i++) f[i] = a[i];
    const int64_t info = core_LETTERschur(gees, n, f, q, 0, &chosen);
    for (int64_t i = 0; i < n * n; i++) t[i] = f[i], z[i] = q[i];
    free(f);
    for (int64_t m = n - 1; m > 0 && !info; m--) {
        const REAL below = __real__ t[(m - 1) * n + m];
        const COMPLEX last = t[m * n + m], before = t[(m - 1) * n + m - 1];
        if (MAGNITUDE(below) > EPSILON * (core_PARTNERsize(last) + core_PARTNERsize(before))) {
            const COMPLEX half = (before - last) / 2, right = t[m * n + m - 1];
            const COMPLEX turn = half + core_PARTNERroot(core_PARTNERtimes(half, half) + right * below);
            const REAL length = HYPOT(core_PARTNERsize(turn), below);
            const COMPLEX c = turn / length;
            const REAL s = below / length;
            core_PARTNERrotate(n - m + 1, t + (m - 1) * n + m - 1, t + (m - 1) * n + m, n, c, s, 0);
            core_PARTNERrotate(m + 1, t + (m - 1) * n, t + m * n, 1, c, s, 1);
            core_PARTNERrotate(n, z + (m - 1) * n, z + m * n, 1, c, s, 1);
        }
        t[(m - 1) * n + m] = 0;
    }
    return info;
#endif
}

/* a = z x z'; of a real matrix up to rounding, or else 2; 1 where it is not a number.  t and x are lost. */
static int64_t core_LETTERcomposed(core_PARTNERgemm gemm, int64_t n, const COMPLEX *z, COMPLEX *x, COMPLEX *t, ELEMENT *a)
{
    const int order = (int)n;
    const COMPLEX one = 1, zero = 0;
    REAL largest = 0, imaginary = 0;
    gemm("N", "N", &order, &order, &order, &one, z, &order, x, &order, &zero, t, &order);
    gemm("N", "C", &order, &order, &order, &one, t, &order, z, &order, &zero, x, &order);
    for (int64_t i = 0; i < n * n; i++) {
        const REAL size = core_PARTNERsize(x[i]), beside = MAGNITUDE(__imag__ x[i]);
        if (size != size) return 1;
        largest = size > largest ? size : largest;
        imaginary = beside > imaginary ? beside : imaginary;
        a[i] = AS_ELEMENT(x[i]);
    }
    return PARTS == 1 && imaginary > 1000 * EPSILON * largest ? 2 : 0;
}

#endif
