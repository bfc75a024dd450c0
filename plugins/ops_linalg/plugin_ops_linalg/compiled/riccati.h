/* The discrete Riccati equation by the stable subspace of a pencil: Van Dooren (1981), balanced: Benner (2001). */

/* h and j, of 2 m + n by 2 m + n, column by column, with h - z j singular where z is an eigenvalue of the closed loop. */
static void core_LETTERpencil(int64_t m, int64_t n, const ELEMENT *a, int64_t arows, int64_t acolumns, const ELEMENT *b,
    int64_t brows, int64_t bcolumns, const ELEMENT *q, int64_t qrows, int64_t qcolumns, const ELEMENT *r, int64_t rrows,
    int64_t rcolumns, ELEMENT *h, ELEMENT *j)
{
    const int64_t size = 2 * m + n;
    for (int64_t i = 0; i < size * size; i++) h[i] = j[i] = 0;
    for (int64_t i = 0; i < m; i++) {
        for (int64_t k = 0; k < m; k++) {
            h[k * size + i] = a[i * arows + k * acolumns];
            j[(m + i) * size + m + k] = core_LETTERconjugate(a[i * arows + k * acolumns]);
            h[k * size + m + i] =
                -(q[i * qrows + k * qcolumns] + core_LETTERconjugate(q[k * qrows + i * qcolumns])) / 2;
        }
        for (int64_t k = 0; k < n; k++) {
            h[(2 * m + k) * size + i] = b[i * brows + k * bcolumns];
            j[(m + i) * size + 2 * m + k] = -core_LETTERconjugate(b[i * brows + k * bcolumns]);
        }
        h[(m + i) * size + m + i] = j[i * size + i] = 1;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++)
            h[(2 * m + k) * size + 2 * m + i] =
                (r[i * rrows + k * rcolumns] + core_LETTERconjugate(r[k * rrows + i * rcolumns])) / 2;
}

/* Powers of 2 into ``scale``, those of the second m the reciprocals of the first; ``work`` is room for a matrix. */
static void core_LETTERbalance(core_BASEgebal gebal, int64_t m, int64_t n, ELEMENT *h, ELEMENT *j, REAL *scale,
    REAL *work)
{
    const int64_t size = 2 * m + n;
    const int order = (int)size;
    int low, high, info = 0;
    for (int64_t i = 0; i < size * size; i++) work[i] = i % (size + 1) ? core_LETTERsize(h[i]) + core_LETTERsize(j[i]) : 0;
    gebal("S", &order, work, &order, &low, &high, scale, &info);
    for (int64_t i = 0; i < m; i++) {
        int first, second;
        (void)FREXP(scale[i], &first);
        (void)FREXP(scale[m + i], &second);
        scale[i] = LDEXP(1, (second - first) / 2);
        scale[m + i] = 1 / scale[i];
    }
    for (int64_t i = 0; i < size * size; i++) {
        const REAL factor = scale[i % size] / scale[i / size];
        h[i] *= factor, j[i] *= factor;
    }
}

/* The last 2 m rows of q' h and q' j, of 2 m columns, close together; q' makes the last n columns of h triangular. */
static int64_t core_LETTERdeflate(core_LETTERgeqrf geqrf, core_LETTERORMQR ormqr, int64_t m, int64_t n, ELEMENT *h, ELEMENT *j,
    ELEMENT *work)
{
    const int64_t size = 2 * m + n, room = 64 * size;
    const int high = (int)size, wide = (int)n, both = (int)(2 * m), count = (int)room;
    int info = 0;
    geqrf(&high, &wide, h + 2 * m * size, &high, work, work + n, &count, &info);
    ELEMENT *matrices[] = {h, j};
    for (int k = 0; k < 2 && !info; k++) {
        ELEMENT *x = matrices[k];
        ormqr("L", TRANSPOSED, &high, &both, &wide, h + 2 * m * size, &high, work, x, &high, work + n, &count, &info);
    }
    for (int k = 0; k < 2; k++)
        for (int64_t c = 0; c < 2 * m; c++)
            for (int64_t i = 0; i < 2 * m; i++) matrices[k][c * 2 * m + i] = matrices[k][c * size + n + i];
    return info;
}

/* x = u10 inverse(u00), Hermitian, and by columns its adjoint, of the halves of m columns u, over ``work``; 1 where there is none, or it is not symmetric. */
static int64_t core_LETTERfrom_subspace(core_LETTERgetrf getrf, core_LETTERgetrs getrs, core_LETTERgecon gecon,
    core_LETTERgemm gemm, int64_t m, const ELEMENT *u, ELEMENT *x, ELEMENT *work, int *pivots)
{
    const int order = (int)m, twice = (int)(2 * m);
    const ELEMENT one = 1, zero = 0;
    ELEMENT *f = work, *t = f + m * m;
    REAL largest = 0, apart = 0, norm = 0, rest;
    int info = 0;
    gemm("C", "N", &order, &order, &order, &one, u, &twice, u + m, &twice, &zero, t, &order);
    for (int64_t k = 0; k < m; k++) {
        REAL sum = 0, difference = 0, of_column = 0;
        for (int64_t i = 0; i < m; i++) {
            f[k * m + i] = u[k * 2 * m + i];
            x[i * m + k] = core_LETTERconjugate(u[k * 2 * m + m + i]);
            of_column += core_LETTERsize(f[k * m + i]);
            sum += core_LETTERsize(t[k * m + i]);
            difference += core_LETTERsize(t[k * m + i] - core_LETTERconjugate(t[i * m + k]));
        }
        norm = of_column > norm ? of_column : norm;
        largest = sum > largest ? sum : largest;
        apart = difference > apart ? difference : apart;
    }
    if (!(apart <= (largest > 10000 * EPSILON ? largest / 10 : 1000 * EPSILON))) return 1;
    getrf(&order, &order, f, &order, pivots, &info);
    if (info) return 1;
#if PARTS == 2
    gecon("1", &order, f, &order, &norm, &rest, t, (REAL *)(t + 2 * m), &info);
#else
    gecon("1", &order, f, &order, &norm, &rest, t, pivots + m, &info);
#endif
    if (!(rest >= EPSILON)) return 1;
    getrs("C", &order, &order, f, &order, pivots, x, &order, &info);
    return 0;
}

static int64_t core_LETTERriccati(core_BASEgebal gebal, core_LETTERgeqrf geqrf, core_LETTERORMQR ormqr,
    core_LETTERgges gges, core_LETTERgetrf getrf, core_LETTERgetrs getrs, core_LETTERgecon gecon, core_LETTERgemm gemm,
    int64_t m, int64_t n, const ELEMENT *a, int64_t arows, int64_t acolumns, const ELEMENT *b, int64_t brows,
    int64_t bcolumns, const ELEMENT *q, int64_t qrows, int64_t qcolumns, const ELEMENT *r, int64_t rrows, int64_t rcolumns,
    ELEMENT *x)
{
    CORE_LETTER_FINITE(1, 0, m, m, a, arows, acolumns);
    CORE_LETTER_FINITE(1, 1, m, n, b, brows, bcolumns);
    CORE_LETTER_FINITE(1, 2, m, m, q, qrows, qcolumns);
    CORE_LETTER_FINITE(1, 3, n, n, r, rrows, rcolumns);
    if (!m || !n) return 0;
    const int64_t size = 2 * m + n, square = size * size;
    ELEMENT *h = core_LETTERscratch(4 * square + 72 * size + 4 * m, sizeof(ELEMENT) > sizeof(int) ? sizeof(ELEMENT) : sizeof(int));
    if (!h) return CORE_NO_MEMORY;
    ELEMENT *j = h + square, *left = j + square, *right = left + square, *work = right + square + size;
    REAL *scale = (REAL *)(right + square);
    int chosen = 0, *pivots = (int *)(work + 71 * size);
    core_LETTERpencil(m, n, a, arows, acolumns, b, brows, bcolumns, q, qrows, qcolumns, r, rrows, rcolumns, h, j);
    core_LETTERbalance(gebal, m, n, h, j, scale, (REAL *)left);
    int64_t result = core_LETTERdeflate(geqrf, ormqr, m, n, h, j, work);
    if (!result) result = core_LETTERqz(gges, 2 * m, h, j, left, right, work, (void *)core_LETTERiuc_of_pair, &chosen);
    if (result > 0) result = CORE_NOT_CONVERGED;
    if (!result && chosen != m) result = 1;
    if (!result) result = core_LETTERfrom_subspace(getrf, getrs, gecon, gemm, m, right, left, h, pivots);
    for (int64_t i = 0; i < m && !result; i++)
        for (int64_t k = 0; k < m; k++)
            x[i * m + k] =
                (core_LETTERconjugate(left[i * m + k]) + left[k * m + i]) / 2 * scale[i] * scale[k];
    free(h);
    return result;
}
