/* Where the elements of a line lie, and what they are: complex, real, or half of a spectrum whose other half is its
 * mirror image.  Lines are numbered (i0, i1, i2): of the axes before, of a further factor of the length, of those behind.
 * Element j of a line is element J = j * step + i1 * step1 of the whole axis, and lies at i0 * before + J * behind + i2. */

typedef struct {
    REAL re, im;
} core_number;

enum { COMPLEX = 0, OF_REAL = 1, HALF = 2, HALF_SHARED = 3 /* halves of what is there twice; conjugated */ };

CORE_FUNCTION core_number core_read(CORE_GLOBAL const REAL *x, int64_t at, int64_t behind, int64_t J, int64_t whole,
    int64_t kind)
{
    core_number v;
    if (kind == OF_REAL) {
        v.re = x[at + J * behind];
        v.im = 0;
        return v;
    }
    const int64_t mirrored = kind != COMPLEX && 2 * J > whole;
    const int64_t k = mirrored ? whole - J : J;
    v.re = x[2 * (at + k * behind)];
    v.im = x[2 * (at + k * behind) + 1];
    if (kind == COMPLEX) return v;
    if (k == 0 || 2 * k == whole) {
        v.im = 0;
    } else if (kind == HALF_SHARED) {
        v.re = v.re / 2;
        v.im = -v.im / 2;
    }
    if (mirrored) v.im = -v.im;
    return v;
}

CORE_FUNCTION void core_write(CORE_GLOBAL REAL *y, int64_t at, int64_t behind, int64_t J, int64_t whole, int64_t kind,
    core_number v)
{
    if (kind == OF_REAL) {
        y[at + J * behind] = v.re;
        return;
    }
    if (kind != COMPLEX) {
        if (2 * J > whole) return;
        if (J == 0 || 2 * J == whole) {
            v.im = 0;
        } else if (kind == HALF_SHARED) {
            v.re = v.re * 2;
            v.im = -v.im * 2;
        }
    }
    y[2 * (at + J * behind)] = v.re;
    y[2 * (at + J * behind) + 1] = v.im;
}

/* w[k], or its conjugate where the sign is -1 */
CORE_FUNCTION core_number core_turn(CORE_GLOBAL const REAL *w, int64_t k, REAL sign)
{
    core_number v;
    v.re = w[2 * k];
    v.im = sign * w[2 * k + 1];
    return v;
}

CORE_FUNCTION core_number core_times(core_number a, core_number b)
{
    core_number v;
    v.re = a.re * b.re - a.im * b.im;
    v.im = a.re * b.im + a.im * b.re;
    return v;
}
