/* 2 m real numbers as m complex ones: from their transform to half a spectrum of m + 1, and back.
 *
 * With a, b elements k and m - k, and w = exp(-2 pi i k / 2m); a line goes through lanes, lines go side by side.
 */
#ifndef CORE_FT_HALVES_LETTER
#define CORE_FT_HALVES_LETTER

/* e = (a + b*) / 2, o = -i (a - b*) / 2: the spectrum has e + w o and (e - w o)*; ``transposed``: twice conjugates. */
CORE_FT_INLINE void core_LETTERft_to_half(core_LETTERft_point *a, core_LETTERft_point *b, core_LETTERft_point w,
    int transposed)
{
    CORE_FT_FUSED
    const ELEMENT h = transposed ? 1 : (ELEMENT)0.5;
    const core_LETTERft_point e = {h * (a->re + b->re), h * (a->im - b->im)};
    const core_LETTERft_point o = {h * (a->im + b->im), h * (b->re - a->re)}, t = core_LETTERft_times(o, w);
    *a = core_LETTERft_plus(e, t), *b = core_LETTERft_minus(e, t);
    if (transposed) a->im = -a->im;
    else b->im = -b->im;
}

/* s = a + b*, t = i w* (a - b*): the transform of twice the numbers has s + t and (s - t)*; ``transposed``: of half the
 * conjugates of a and b. */
CORE_FT_INLINE void core_LETTERft_from_half(core_LETTERft_point *a, core_LETTERft_point *b, core_LETTERft_point w,
    int transposed)
{
    CORE_FT_FUSED
    const ELEMENT h = transposed ? (ELEMENT)0.5 : 1, i = transposed ? -h : h;
    const core_LETTERft_point s = {h * (a->re + b->re), i * (a->im - b->im)};
    const core_LETTERft_point d = {h * (a->re - b->re), i * (a->im + b->im)};
    const core_LETTERft_point t = {d.re * w.im - d.im * w.re, d.re * w.re + d.im * w.im};
    *a = core_LETTERft_plus(s, t), *b = core_LETTERft_minus(s, t);
    b->im = -b->im;
}

/* Of lines side by side: m points become m + 1, or m + 1 become m, real and imaginary parts exchanged. */
CORE_FT_CALLED void core_LETTERft_points_to_half(core_LETTERft_point *z, int64_t m, const ELEMENT *w, int transposed)
{
    const core_LETTERft_point first = z[0];
    z[0] = (core_LETTERft_point){first.re + first.im, {0}}, z[m] = (core_LETTERft_point){first.re - first.im, {0}};
    for (int64_t k = 1; k <= m / 2; k++) {
        const core_LETTERft_vector none = {0};
        core_LETTERft_point a = z[k], b = z[m - k];
        core_LETTERft_to_half(&a, &b, (core_LETTERft_point){none + w[2 * k], none + w[2 * k + 1]}, transposed);
        z[k] = a, z[m - k] = b;
    }
}

CORE_FT_CALLED void core_LETTERft_points_from_half(core_LETTERft_point *z, int64_t m, const ELEMENT *w, int transposed)
{
    z[0] = (core_LETTERft_point){z[0].re - z[m].re, z[0].re + z[m].re};
    for (int64_t k = 1; k <= m / 2; k++) {
        const core_LETTERft_vector none = {0};
        core_LETTERft_point a = z[k], b = z[m - k];
        core_LETTERft_from_half(&a, &b, (core_LETTERft_point){none + w[2 * k], none + w[2 * k + 1]}, transposed);
        z[k] = (core_LETTERft_point){a.im, a.re}, z[m - k] = (core_LETTERft_point){b.im, b.re};
    }
}

CORE_FT_INLINE core_LETTERft_point core_LETTERft_backwards(core_LETTERft_point a)
{
    return (core_LETTERft_point){CORE_FT_TAKE_LETTER(BACK, a.re, a.re), CORE_FT_TAKE_LETTER(BACK, a.im, a.im)};
}

/* Of a line whose elements lie one behind the other, m / 2 no less than there are lanes; z and y are apart. */
CORE_FT_INLINE void core_LETTERft_along(const int to_half, const ELEMENT *z, int64_t m, const ELEMENT *w,
    int transposed, ELEMENT scale, ELEMENT *y)
{
    enum { lanes = core_LETTERft_lanes };
    for (int64_t next = 1; next <= m / 2; next += lanes) {
        const int64_t k = core_ft_least(next, m / 2 - lanes + 1), behind = m - k - lanes + 1;
        core_LETTERft_point a = core_LETTERft_numbers(z + 2 * k, 0), b = core_LETTERft_numbers(z + 2 * behind, 0);
        b = core_LETTERft_backwards(b);
        if (to_half) core_LETTERft_to_half(&a, &b, core_LETTERft_numbers(w + 2 * k, 0), transposed);
        else core_LETTERft_from_half(&a, &b, core_LETTERft_numbers(w + 2 * k, 0), transposed);
        a = (core_LETTERft_point){a.re * scale, a.im * scale}, b = (core_LETTERft_point){b.re * scale, b.im * scale};
        core_LETTERft_put_numbers(y + 2 * k, a, 0);
        core_LETTERft_put_numbers(y + 2 * behind, core_LETTERft_backwards(b), 0);
    }
}

CORE_FT_CALLED void core_LETTERft_line_to_half(const ELEMENT *z, int64_t m, const ELEMENT *w, int transposed,
    ELEMENT scale, ELEMENT *y)
{
    core_LETTERft_along(1, z, m, w, transposed, scale, y);
    const ELEMENT re = z[0] * scale, im = z[1] * scale;
    y[0] = re + im, y[1] = 0, y[2 * m] = re - im, y[2 * m + 1] = 0;
}

CORE_FT_CALLED void core_LETTERft_line_from_half(const ELEMENT *y, int64_t m, const ELEMENT *w, int transposed,
    ELEMENT *z)
{
    core_LETTERft_along(0, y, m, w, transposed, 1, z);
    z[0] = y[0] + y[2 * m], z[1] = y[0] - y[2 * m];
}
#endif
