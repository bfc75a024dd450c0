/* The logarithm in place, by inverse scaling and squaring: Al-Mohy, Higham (2012).  That of the transpose is its transpose. */

/* root^(1 / 2^count) - 1 without cancellation: Al-Mohy (2012). */
static COMPLEX core_PARTNERroot_less_one(COMPLEX x, int count)
{
    if (!count) return x - 1;
    int left = count;
    COMPLEX product = 1, start = x;
    if (ATAN2(__imag__ x, __real__ x) >= 1.5707963267948966) start = core_PARTNERroot(start), left--;
    const COMPLEX above = start - 1;
    if (left == 0) return above;
    for (int k = 0; k < left; k++) {
        start = core_PARTNERroot(start);
        product = core_PARTNERtimes(product, 1 + start);
    }
    return core_PARTNERover(above, product);
}

static REAL core_PARTNERnorm_less_one(int64_t n, const COMPLEX *t)
{
    REAL largest = 0;
    for (int64_t j = 0; j < n; j++) {
        REAL sum = 0;
        for (int64_t i = 0; i <= j; i++) sum += core_PARTNERsize(t[j * n + i] - (i == j));
        largest = sum > largest ? sum : largest;
    }
    return largest;
}

/* u += weight (1 + node r)^-1 r, r upper triangular; x is room. */
static void core_PARTNERadd_fraction(int64_t n, REAL weight, REAL node, const COMPLEX *r, COMPLEX *x, COMPLEX *u)
{
    for (int64_t j = 0; j < n; j++) {
        COMPLEX *column = x + j * n;
        for (int64_t i = 0; i <= j; i++) column[i] = r[j * n + i];
        for (int64_t i = j; i >= 0; i--) {
            column[i] = core_PARTNERover(column[i], 1 + node * r[i * n + i]);
            const COMPLEX scaled = node * column[i];
            for (int64_t k = 0; k < i; k++) column[k] -= core_PARTNERtimes(r[i * n + k], scaled);
        }
        for (int64_t i = 0; i <= j; i++) u[j * n + i] += weight * column[i];
    }
}

/* Element (j - 1, j) of the logarithm from a block of 2 by 2: Higham (2008), equation 11.28. */
static COMPLEX core_PARTNERlog_beside(COMPLEX first, COMPLEX last, COMPLEX beside)
{
    const COMPLEX gap = last - first, sum = last + first;
    if (gap == 0) return core_PARTNERover(beside, first);
    if (core_PARTNERsize(gap) > core_PARTNERsize(sum) / 2)
        return core_PARTNERtimes(beside, core_PARTNERover(core_PARTNERlog(last) - core_PARTNERlog(first), gap));
    const COMPLEX z = core_PARTNERover(gap, sum);
    const COMPLEX square = core_PARTNERtimes(z, z);
    COMPLEX series = 0;
    for (int k = 21; k >= 1; k -= 2) series = (REAL)1 / k + core_PARTNERtimes(square, series);
    const COMPLEX atanh = core_PARTNERsize(z) < (REAL)0.1 ? core_PARTNERtimes(z, series)
                                                         : core_PARTNERlog(core_PARTNERover(1 + z, 1 - z)) / 2;
    const REAL turns = __imag__(core_PARTNERlog(last) - core_PARTNERlog(first));
    const REAL unwound = __builtin_ceil((turns - 3.141592653589793) / 6.283185307179586);
    const COMPLEX turned = atanh + core_PARTNERmade(0, unwound * (REAL)3.141592653589793);
    return core_PARTNERtimes(beside, core_PARTNERover(2 * turned, gap));
}

/* u = log(t) for upper triangular t, which is lost; r and x are room, and ``diagonal`` for two of them. */
static void core_PARTNERlog_of(int64_t n, COMPLEX *t, COMPLEX *r, COMPLEX *x, COMPLEX *u, COMPLEX *diagonal)
{
    static const double limits[] = {1.10e-5, 1.82e-3, 1.62e-2, 5.39e-2, 1.14e-1, 1.87e-1, 2.64e-1};
    static const double nodes[] = {  /* of Gauss and Legendre on [-1, 1], those not below 0, for 1 to 7 of them */
        0, 0.5773502691896257, 0, 0.7745966692414834, 0.3399810435848563, 0.8611363115940526, 0, 0.5384693101056831,
        0.9061798459386640, 0.2386191860831969, 0.6612093864662645, 0.9324695142031521, 0, 0.4058451513773972,
        0.7415311855993945, 0.9491079123427585};
    static const double weights[] = {2, 1, 0.8888888888888888, 0.5555555555555556, 0.6521451548625461,
        0.3478548451374538, 0.5688888888888889, 0.4786286704993665, 0.2369268850561891, 0.4679139345726910,
        0.3607615730481386, 0.1713244923791704, 0.4179591836734694, 0.3818300505051189, 0.2797053914892766,
        0.1294849661688697};
    const int64_t size = n * n;
    int squarings = 0, degree = 1, at = 0;
    for (int64_t j = 0; j < n; j++) {
        diagonal[j] = t[j * n + j];
        diagonal[n + j] = j ? t[j * n + j - 1] : 0;
    }
    REAL norm;
    while ((norm = core_PARTNERnorm_less_one(n, t)) > (REAL)limits[6] && squarings < 100) {
        core_PARTNERroot_of(n, t, r);
        for (int64_t i = 0; i < size; i++) t[i] = r[i];
        squarings++;
    }
    while (degree < 7 && norm > (REAL)limits[degree - 1]) degree++;
    for (int k = 1; k < degree; k++) at += (k + 1) / 2;
    for (int64_t i = 0; i < size; i++) r[i] = t[i], u[i] = 0;
    for (int64_t j = 0; j < n; j++) r[j * n + j] = core_PARTNERroot_less_one(diagonal[j], squarings);
    for (int k = 0; k < (degree + 1) / 2; k++)
        for (int sign = nodes[at + k] == 0 ? 1 : -1; sign <= 1; sign += 2)
            core_PARTNERadd_fraction(
                n, (REAL)(weights[at + k] / 2), (REAL)((1 + sign * nodes[at + k]) / 2), r, x, u);
    REAL scale = 1;
    for (int k = 0; k < squarings; k++) scale *= 2;
    for (int64_t i = 0; i < size; i++) u[i] *= scale;
    for (int64_t j = 0; j < n; j++) {  /* these two diagonals have formulas that lose nothing */
        u[j * n + j] = core_PARTNERlog(diagonal[j]);
        if (j) u[j * n + j - 1] = core_PARTNERlog_beside(diagonal[j - 1], diagonal[j], diagonal[n + j]);
    }
}

static int64_t core_LETTERlogm(core_LETTERgees gees, core_PARTNERgemm gemm, int64_t n, ELEMENT *a)
{
    CORE_LETTER_FINITE(1, 0, n, n, a, n, 1);
    if (!n) return 0;
    COMPLEX *t = core_LETTERscratch(5 * n * n + 2 * n, sizeof(COMPLEX)), *z = t + n * n, *r = z + n * n;
    if (!t) return CORE_NO_MEMORY;
    int64_t result = core_LETTERtriangularised(gees, n, a, t, z);
    REAL largest = 0;
    for (int64_t i = 0; i < n * n; i++) largest = core_PARTNERsize(t[i]) > largest ? core_PARTNERsize(t[i]) : largest;
    if (result > 0) result = CORE_NOT_CONVERGED;
    for (int64_t j = 0; j < n && !result; j++) result = core_PARTNERsize(t[j * n + j]) <= n * EPSILON * largest;
    if (!result) {
        COMPLEX *x = r + n * n, *u = x + n * n;
        core_PARTNERlog_of(n, t, r, x, u, u + n * n);
        result = core_LETTERcomposed(gemm, n, z, u, t, a);
    }
    free(t);
    return result;
}
