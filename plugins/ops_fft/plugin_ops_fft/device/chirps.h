/* Bluestein's transform of any length n is a convolution with a chirp, c[k] = exp(-pi i k k / n), by transforms of a
 * longer length m; and elements that are moved to where others want them.  Work-items take ``share`` elements in turn. */

#define OF_EACH(e, count) \
    for (int64_t core_first = CORE_ITEM * share; core_first < count; core_first += CORE_ITEMS * share) \
        for (int64_t e = core_first; e < core_first + share && e < count; e++)

/* z[line][k] = x[k] c[k], and zeros behind them */
CORE_KERNEL core_chirped(CORE_GLOBAL REAL *z, CORE_GLOBAL const REAL *x, CORE_GLOBAL const REAL *c, int64_t n,
    int64_t m, int64_t lines, int64_t share, int64_t behind, int64_t x_at, int64_t x_before, int64_t x_kind,
    int64_t inverse)
{
    const REAL sign = inverse ? -1 : 1;
    OF_EACH(e, lines * m) {
        const int64_t line = e / m, k = e % m;
        core_number v;
        v.re = v.im = 0;
        if (k < n) {
            v = core_read(x, x_at + line / behind * x_before + line % behind, behind, k, n, x_kind);
            v = core_times(v, core_turn(c, k, sign));
        }
        z[2 * e] = v.re;
        z[2 * e + 1] = v.im;
    }
}

/* z[line][k] times what the chirp becomes */
CORE_KERNEL core_convolved(CORE_GLOBAL REAL *z, CORE_GLOBAL const REAL *spectrum, int64_t m, int64_t lines,
    int64_t share, int64_t inverse)
{
    const REAL sign = inverse ? -1 : 1;
    OF_EACH(e, lines * m) {
        const core_number v = core_times(core_turn(z, e, 1), core_turn(spectrum, e % m, sign));
        z[2 * e] = v.re;
        z[2 * e + 1] = v.im;
    }
}

/* y[k] = z[k] c[k], times the factor that lies behind the ``turns`` c[k], or behind the one for all k */
CORE_KERNEL core_unchirped(CORE_GLOBAL REAL *y, CORE_GLOBAL const REAL *z, CORE_GLOBAL const REAL *c, int64_t n,
    int64_t turns, int64_t lines, int64_t share, int64_t behind, int64_t z_before, int64_t z_step, int64_t z_behind,
    int64_t y_at, int64_t y_before, int64_t y_kind, int64_t inverse)
{
    const REAL sign = inverse ? -1 : 1, scale = c[2 * turns];
    OF_EACH(e, lines * n) {
        const int64_t i2 = e % behind, k = e / behind % n, i0 = e / behind / n;
        core_number v = core_turn(z, i0 * z_before + k * z_step + i2 * z_behind, 1);
        if (turns > 1) v = core_times(v, core_turn(c, k, sign));
        v.re *= scale;
        v.im *= scale;
        core_write(y, y_at + i0 * y_before + i2, behind, k, n, y_kind, v);
    }
}

/* to[at + e] = from[...], element by element of ``parts`` numbers, where ``from`` lies as distances of four axes say */
CORE_KERNEL core_moved(CORE_GLOBAL REAL *to, CORE_GLOBAL const REAL *from, int64_t count, int64_t share, int64_t parts,
    int64_t to_at, int64_t from_at, int64_t n1, int64_t n2, int64_t n3, int64_t s0, int64_t s1, int64_t s2, int64_t s3)
{
    OF_EACH(e, count) {
        const int64_t i3 = e % n3, i2 = e / n3 % n2, i1 = e / (n3 * n2) % n1, i0 = e / (n3 * n2 * n1);
        for (int64_t part = 0; part < parts; part++)
            to[(to_at + e) * parts + part] = from[(from_at + i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3) * parts + part];
    }
}
