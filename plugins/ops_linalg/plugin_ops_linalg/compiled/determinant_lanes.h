/* Determinants of as many matrices as there are lanes, or their signs and logarithms; 0 where one is of 0, or not finite. */

static inline int core_LETTERdeterminant_lanes(int64_t n, const REAL *a, int64_t rows, int64_t columns, int64_t next,
    REAL *sign, int64_t signs, REAL *logabs, int64_t logs)
{
    if (n > SMALL) return 0;
    core_LETTERlanes f[SMALL * SMALL], product = {0};
    core_LETTERmask bad = {0}, exponents = {0};
    core_LETTERgathered_matrix(n, n, a, rows, columns, next, f, 1, &bad);
    product += 1;
    core_LETTEReliminate(n, 0, f, 0, &product, &bad);
    if (!logabs) {
        if (core_LETTERany(bad)) return 0;
        for (int64_t i = 0; i < n; i++) product *= f[i * n + i];
        core_LETTERscattered(product, sign, signs);
        return 1;
    }
    core_LETTERlanes mantissa = {0};  /* a product of numbers from 1 to 2, and the sum of their exponents */
    mantissa += 1;
    for (int64_t i = 0; i < n; i++) {
        const core_LETTERmask bits = (core_LETTERmask)core_LETTERsizes(f[i * n + i]);
        product = core_LETTERchosen((core_LETTERmask)(f[i * n + i] < 0), -product, product);
        exponents += (bits >> MANTISSA) - (SIGNED)(EXPONENT >> (MANTISSA + 1));
        mantissa *= (core_LETTERlanes)((bits & (SIGNED)~EXPONENT) | (SIGNED)(EXPONENT >> 1 & EXPONENT));
    }
    if (core_LETTERany(bad)) return 0;
    for (int64_t lane = 0; lane < CORE_LETTER_LANES; lane++) {
        sign[lane * signs] = product[lane];
        logabs[lane * logs] = LOG(mantissa[lane]) + (REAL)exponents[lane] * (REAL)0.6931471805599453;
    }
    return 1;
}
