/* Short transforms, of as many lines at once as there are lanes: Stockham's passes, which sort as they go. */
#ifndef CORE_FT_PASSES_LETTER
#define CORE_FT_PASSES_LETTER

enum { CORE_FT_RADIX = 64, CORE_FT_MOST_PASSES = 40 }; /* larger primes are never transformed by sums */

/* y[k] = sum of a[j] exp(-2 pi i j k / r) for few elements, in place. */
CORE_FT_INLINE void core_LETTERft_2(core_LETTERft_point *a)
{
    const core_LETTERft_point b = a[0];
    a[0] = core_LETTERft_plus(b, a[1]), a[1] = core_LETTERft_minus(b, a[1]);
}

CORE_FT_INLINE void core_LETTERft_4(core_LETTERft_point *a)
{
    const core_LETTERft_point s = core_LETTERft_plus(a[0], a[2]), d = core_LETTERft_minus(a[0], a[2]);
    const core_LETTERft_point t = core_LETTERft_plus(a[1], a[3]), e = core_LETTERft_minus(a[1], a[3]);
    a[0] = core_LETTERft_plus(s, t), a[2] = core_LETTERft_minus(s, t);
    a[1] = core_LETTERft_right(d, e), a[3] = core_LETTERft_left(d, e);
}

CORE_FT_INLINE void core_LETTERft_8(core_LETTERft_point *a)
{
    CORE_FT_FUSED
    const ELEMENT h = (ELEMENT)0.70710678118654752440;
    core_LETTERft_point b[4] = {a[0], a[2], a[4], a[6]}, c[4] = {a[1], a[3], a[5], a[7]};
    core_LETTERft_4(b);
    core_LETTERft_4(c);
    const core_LETTERft_point c1 = {h * (c[1].re + c[1].im), h * (c[1].im - c[1].re)};
    const core_LETTERft_point c3 = {h * (c[3].im - c[3].re), -h * (c[3].im + c[3].re)};
    a[0] = core_LETTERft_plus(b[0], c[0]), a[4] = core_LETTERft_minus(b[0], c[0]);
    a[1] = core_LETTERft_plus(b[1], c1), a[5] = core_LETTERft_minus(b[1], c1);
    a[2] = core_LETTERft_right(b[2], c[2]), a[6] = core_LETTERft_left(b[2], c[2]);
    a[3] = core_LETTERft_plus(b[3], c3), a[7] = core_LETTERft_minus(b[3], c3);
}

/* An odd number r of them, by sums and differences of those with conjugate factors; w: cosine, sine of 2 pi i / r. */
CORE_FT_INLINE void core_LETTERft_odd(const int r, core_LETTERft_point *a, const ELEMENT *w)
{
    CORE_FT_FUSED
    core_LETTERft_point sum[CORE_FT_RADIX / 2], difference[CORE_FT_RADIX / 2], whole = a[0];
    const core_LETTERft_point first = a[0];
    for (int j = 1; j <= r / 2; j++) {
        sum[j] = core_LETTERft_plus(a[j], a[r - j]), difference[j] = core_LETTERft_minus(a[j], a[r - j]);
        whole = core_LETTERft_plus(whole, sum[j]);
    }
    a[0] = whole;
    for (int k = 1; k <= r / 2; k++) {
        core_LETTERft_point even = first, odd = {{0}, {0}};
        for (int j = 1, i = k; j <= r / 2; j++, i = i + k < r ? i + k : i + k - r) {
            even.re += w[2 * i] * sum[j].re, even.im += w[2 * i] * sum[j].im;
            odd.re += w[2 * i + 1] * difference[j].re, odd.im += w[2 * i + 1] * difference[j].im;
        }
        a[k] = core_LETTERft_right(even, odd), a[r - k] = core_LETTERft_left(even, odd);
    }
}

/* One pass: m times s transforms of r elements, m s apart, turned by exp(-2 pi i k j / (r m)) and put s apart. */
CORE_FT_INLINE void core_LETTERft_pass(const int r, int64_t m, int64_t s, const core_LETTERft_point *restrict x,
    core_LETTERft_point *restrict y, const ELEMENT *w)
{
    const ELEMENT *const roots = w;
    if (r != 2 && r != 4 && r != 8) w += 2 * r;
    for (int64_t k = 0; k < m; k++) {
        for (int64_t q = 0; q < s; q++) {
            core_LETTERft_point a[CORE_FT_RADIX];
            for (int j = 0; j < r; j++) a[j] = x[q + s * (k + m * j)];
            if (r == 2) core_LETTERft_2(a);
            else if (r == 4) core_LETTERft_4(a);
            else if (r == 8) core_LETTERft_8(a);
            else core_LETTERft_odd(r, a, roots);
            core_LETTERft_point *to = y + q + s * r * k;
            to[0] = a[0];
            if (k == 0) for (int j = 1; j < r; j++) to[s * j] = a[j];
            else for (int j = 1; j < r; j++) to[s * j] = core_LETTERft_turned(a[j], w + 2 * (j - 1));
        }
        if (k > 0) w += 2 * (r - 1);
    }
}

#define CORE_FT_PASS(r, radix) \
    CORE_FT_CALLED void core_LETTERft_pass_##r(int radix_, int64_t m, int64_t s, const core_LETTERft_point *x, \
        core_LETTERft_point *y, const ELEMENT *w) \
    { \
        core_LETTERft_pass(radix, m, s, x, y, w); \
    }
CORE_FT_PASS(2, 2)
CORE_FT_PASS(3, 3)
CORE_FT_PASS(4, 4)
CORE_FT_PASS(5, 5)
CORE_FT_PASS(7, 7)
CORE_FT_PASS(8, 8)
CORE_FT_PASS(any, radix_)
#undef CORE_FT_PASS

typedef struct {
    int64_t n;
    int count, radix[CORE_FT_MOST_PASSES];
    ELEMENT *w; /* of each pass: the roots of an odd radix, then turns for each k but 0 */
} core_LETTERft_passes;

/* All passes over x, n points; y has room for as many.  Returns where the result is: x or y. */
CORE_FT_CALLED core_LETTERft_point *core_LETTERft_short(const core_LETTERft_passes *p, core_LETTERft_point *x,
    core_LETTERft_point *y)
{
    const ELEMENT *w = p->w;
    int64_t m = p->n, s = 1;
    for (int i = 0; i < p->count; i++) {
        const int r = p->radix[i];
        m /= r;
        if (r == 2) core_LETTERft_pass_2(r, m, s, x, y, w);
        else if (r == 3) core_LETTERft_pass_3(r, m, s, x, y, w);
        else if (r == 4) core_LETTERft_pass_4(r, m, s, x, y, w);
        else if (r == 5) core_LETTERft_pass_5(r, m, s, x, y, w);
        else if (r == 7) core_LETTERft_pass_7(r, m, s, x, y, w);
        else if (r == 8) core_LETTERft_pass_8(r, m, s, x, y, w);
        else core_LETTERft_pass_any(r, m, s, x, y, w);
        w += 2 * (r - 1) * (m - 1) + (r == 2 || r == 4 || r == 8 ? 0 : 2 * r);
        s *= r;
        core_LETTERft_point *const kept = x;
        x = y, y = kept;
    }
    return x;
}
#endif
