/* The exponential in place, by scaling and squaring: Higham (2005).  That of the transpose is its transpose. */

/* y += b x; on the diagonal too where x is 0: the identity. */
static void core_LETTERadd(int64_t n, REAL b, const ELEMENT *x, ELEMENT *y)
{
    if (!x) for (int64_t i = 0; i < n; i++) y[i * (n + 1)] += b;
    else for (int64_t i = 0; i < n * n; i++) y[i] += b * x[i];
}

static void core_LETTERmultiply(core_LETTERgemm gemm, int order, const ELEMENT *x, const ELEMENT *y, ELEMENT *out)
{
    const ELEMENT one = 1, zero = 0;
    gemm("N", "N", &order, &order, &order, &one, x, &order, y, &order, &zero, out, &order);
}

/* u and v, for which (v - u) r = v + u gives the approximation r of that degree; powers: room for a^2, a^4, a^6, a^8. */
static void core_LETTERpade(core_LETTERgemm gemm, int order, int degree, const REAL *b, const ELEMENT *a, ELEMENT *powers,
    ELEMENT *u, ELEMENT *v, ELEMENT *t)
{
    const int64_t n = order, size = n * n;
    const int count = degree == 13 ? 3 : degree / 2;
    for (int k = 0; k < count; k++)
        core_LETTERmultiply(gemm, order, k ? powers : a, k ? powers + (k - 1) * size : a, powers + k * size);
    for (int64_t i = 0; i < size; i++) t[i] = v[i] = 0;
    if (degree == 13) {
        for (int k = 0; k < 3; k++) {
            core_LETTERadd(n, b[9 + 2 * k], powers + k * size, t);
            core_LETTERadd(n, b[8 + 2 * k], powers + k * size, v);
        }
        core_LETTERmultiply(gemm, order, powers + 2 * size, t, u);
        core_LETTERmultiply(gemm, order, powers + 2 * size, v, t);
        for (int64_t i = 0; i < size; i++) v[i] = t[i], t[i] = u[i];
    }
    for (int k = -1; k < count; k++) {
        core_LETTERadd(n, b[3 + 2 * k], k < 0 ? 0 : powers + k * size, t);
        core_LETTERadd(n, b[2 + 2 * k], k < 0 ? 0 : powers + k * size, v);
    }
    core_LETTERmultiply(gemm, order, a, t, u);
}

static int64_t core_LETTERexpm(core_LETTERgemm gemm, core_LETTERgetrf getrf, core_LETTERgetrs getrs, int64_t n, ELEMENT *a)
{
    static const int degrees[] = {3, 5, 7, 9, 13};
    static const double single[] = {4.258730016922831e-1, 1.880152677804762, 3.925724783138660};
    static const double twice[] = {
        1.495585217958292e-2, 2.539398330063230e-1, 9.504178996162932e-1, 2.097847961257068, 5.371920351148152};
    static const double coefficients[][14] = {
        {120, 60, 12, 1}, {30240, 15120, 3360, 420, 30, 1}, {17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1},
        {17643225600, 8821612800, 2075673600, 302702400, 30270240, 2162160, 110880, 3960, 90, 1},
        {64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
            670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1}};
    CORE_LETTER_FINITE(1, 0, n, n, a, n, 1);
    if (!n) return 0;
    const int order = (int)n, last = sizeof(REAL) == 4 ? 2 : 4;
    const double *limits = sizeof(REAL) == 4 ? single : twice;
    const int64_t size = n * n;
    double norm = 0;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) sum += core_LETTERsize(a[i * n + j]);
        norm = sum > norm ? sum : norm;
    }
    int choice = 0, squarings = 0, info = 0;
    while (choice < last && norm > limits[choice]) choice++;
    while (norm > limits[last]) norm /= 2, squarings++;
    ELEMENT *powers = core_LETTERscratch(7 * size + n, sizeof(ELEMENT) > sizeof(int) ? sizeof(ELEMENT) : sizeof(int));
    REAL b[14], scale = 1;
    if (!powers) return CORE_NO_MEMORY;
    ELEMENT *u = powers + 4 * size, *v = u + size, *t = v + size;
    int *pivots = (int *)(t + size);
    for (int k = 0; k < 14; k++) b[k] = (REAL)coefficients[choice][k];
    for (int k = 0; k < squarings; k++) scale /= 2;
    for (int64_t i = 0; i < size; i++) a[i] *= scale;
    core_LETTERpade(gemm, order, degrees[choice], b, a, powers, u, v, t);
    for (int64_t i = 0; i < size; i++) t[i] = v[i] - u[i], a[i] = v[i] + u[i];
    getrf(&order, &order, t, &order, pivots, &info);
    if (!info) getrs("N", &order, &order, t, &order, pivots, a, &order, &info);
    for (int k = 0; k < squarings && !info; k++) {
        core_LETTERmultiply(gemm, order, a, a, t);
        for (int64_t i = 0; i < size; i++) a[i] = t[i];
    }
    free(powers);
    return info;
}
