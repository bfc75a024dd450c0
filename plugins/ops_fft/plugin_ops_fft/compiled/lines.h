/* Lines between memory and lanes, and transforms of single lines. */
#ifndef CORE_FT_LINES_LETTER
#define CORE_FT_LINES_LETTER

/* Lines in memory: element j of line l has its real part at ``at[j * step + l * apart]``, the imaginary one ``more``
 * behind it, or none where that is 0.  ``swap``: the parts are exchanged, by which an inverse is a transform. */
typedef struct { ELEMENT *at; int64_t step, apart, more; int swap; } core_LETTERft_side;

/* ``count`` lines whose elements lie in a row, as points: a square at a time, copied where it is not full. */
CORE_FT_INLINE void core_LETTERft_from_rows(const ELEMENT *x, int64_t apart, int64_t n, int64_t count, int swap,
    core_LETTERft_point *to)
{
    enum { lanes = core_LETTERft_lanes, row = 2 * lanes };
    for (int64_t j = 0; j < n; j += lanes) {
        core_LETTERft_vector re[lanes], im[lanes];
        ELEMENT square[lanes * row];
        const int64_t some = core_ft_least(lanes, n - j), whole = some == lanes && count == lanes;
        const ELEMENT *from = whole ? x + 2 * j : square;
        const int64_t pitch = whole ? apart : row;
        if (!whole) {
            __builtin_memset(square, 0, sizeof square);
            for (int64_t l = 0; l < count; l++)
                for (int64_t i = 0; i < 2 * some; i++) square[l * row + i] = x[l * apart + 2 * j + i];
        }
        CORE_FT_EACH(l, lanes) {
            const core_LETTERft_point one = core_LETTERft_numbers(from + l * pitch, swap);
            re[l] = one.re, im[l] = one.im;
        }
        core_LETTERft_transpose(re);
        core_LETTERft_transpose(im);
        CORE_FT_EACH(i, lanes) to[j + i] = (core_LETTERft_point){re[i], im[i]};
    }
}

CORE_FT_INLINE void core_LETTERft_to_rows(const core_LETTERft_point *from, int64_t n, int64_t count, int swap,
    ELEMENT scale, ELEMENT *y, int64_t apart)
{
    enum { lanes = core_LETTERft_lanes, row = 2 * lanes };
    for (int64_t j = 0; j < n; j += lanes) {
        core_LETTERft_vector re[lanes], im[lanes];
        ELEMENT square[lanes * row];
        const int64_t some = core_ft_least(lanes, n - j), whole = some == lanes && count == lanes;
        ELEMENT *to = whole ? y + 2 * j : square;
        const int64_t pitch = whole ? apart : row;
        CORE_FT_EACH(i, lanes) re[i] = from[j + i].re * scale, im[i] = from[j + i].im * scale;
        core_LETTERft_transpose(re);
        core_LETTERft_transpose(im);
        CORE_FT_EACH(l, lanes)
            core_LETTERft_put_numbers(to + l * pitch, (core_LETTERft_point){re[l], im[l]}, swap);
        for (int64_t l = 0; !whole && l < count; l++)
            for (int64_t i = 0; i < 2 * some; i++) y[l * apart + 2 * j + i] = square[l * row + i];
    }
}

/* ``count`` lines, from ``first`` on, of n elements, as points; other lanes are 0. */
CORE_FT_CALLED void core_LETTERft_load_lines(const core_LETTERft_side *s, int64_t first, int64_t count, int64_t n,
    core_LETTERft_point *to)
{
    enum { lanes = core_LETTERft_lanes };
    const ELEMENT *x = s->at + first * s->apart;
    if (s->more == 1 && s->step == 2) {
        core_LETTERft_from_rows(x, s->apart, n, count, s->swap, to);
    } else if (s->more == 1 && s->apart == 2 && count == lanes) {
        for (int64_t j = 0; j < n; j++) to[j] = core_LETTERft_numbers(x + j * s->step, s->swap);
    } else if (s->apart == 1 && count == lanes && !s->swap) {
        for (int64_t j = 0; j < n; j++) {
            to[j].re = core_LETTERft_load(x + j * s->step);
            to[j].im = s->more ? core_LETTERft_load(x + j * s->step + s->more) : (core_LETTERft_vector){0};
        }
    } else {
        for (int64_t j = 0; j < n; j++) {
            core_LETTERft_point one = {{0}, {0}};
            for (int64_t l = 0; l < count; l++) {
                const ELEMENT *at = x + j * s->step + l * s->apart;
                const ELEMENT other = s->more ? at[s->more] : 0;
                one.re[l] = s->swap ? other : *at;
                one.im[l] = s->swap ? *at : other;
            }
            to[j] = one;
        }
    }
}

CORE_FT_CALLED void core_LETTERft_store_lines(const core_LETTERft_point *from, int64_t first, int64_t count, int64_t n,
    ELEMENT scale, const core_LETTERft_side *s)
{
    enum { lanes = core_LETTERft_lanes };
    ELEMENT *y = s->at + first * s->apart;
    if (s->more == 1 && s->step == 2) {
        core_LETTERft_to_rows(from, n, count, s->swap, scale, y, s->apart);
    } else if (s->more == 1 && s->apart == 2 && count == lanes) {
        for (int64_t j = 0; j < n; j++) {
            const core_LETTERft_point one = {from[j].re * scale, from[j].im * scale};
            core_LETTERft_put_numbers(y + j * s->step, one, s->swap);
        }
    } else if (s->apart == 1 && count == lanes) {
        for (int64_t j = 0; j < n; j++) {
            const core_LETTERft_vector re = from[j].re * scale, im = from[j].im * scale;
            core_LETTERft_store(y + j * s->step, s->swap ? im : re);
            if (s->more) core_LETTERft_store(y + j * s->step + s->more, s->swap ? re : im);
        }
    } else {
        for (int64_t j = 0; j < n; j++) {
            const core_LETTERft_vector re = from[j].re * scale, im = from[j].im * scale;
            for (int64_t l = 0; l < count; l++) {
                ELEMENT *at = y + j * s->step + l * s->apart;
                *at = s->swap ? im[l] : re[l];
                if (s->more) at[s->more] = s->swap ? re[l] : im[l];
            }
        }
    }
}

/* --- a line that is a matrix -------------------------------------------------------------------------------------- */

/* Points for two copies of the longest of n lengths, and elements that are read beyond it. */
static int64_t core_LETTERft_pair(int64_t n) { return 2 * (core_LETTERft_groups(n) + 1) * core_LETTERft_lanes; }

/* Columns, a group from ``begin`` to ``end`` at a time, transformed and turned: rows of groups in ``matrix``. */
CORE_FT_CALLED void core_LETTERft_columns(const core_LETTERft_plan *p, const ELEMENT *x, int swap, int64_t begin,
    int64_t end, core_LETTERft_point *matrix, core_LETTERft_point *pair)
{
    enum { lanes = core_LETTERft_lanes };
    const int64_t n1 = p->columns.n, n2 = p->rows.n, all = core_LETTERft_groups(n2), pitch = core_LETTERft_pitch(n2);
    for (int64_t g = begin; g < end; g++) {
        const int64_t count = core_ft_least(lanes, n2 - g * lanes);
        const ELEMENT *from = x + 2 * g * lanes;
        if (count == lanes)
            for (int64_t k = 0; k < n1; k++) pair[k] = core_LETTERft_numbers(from + 2 * k * n2, swap);
        else
            for (int64_t k = 0; k < n1; k++) {
                ELEMENT part[2 * lanes] = {0};
                __builtin_memcpy(part, from + 2 * k * n2, (size_t)count * 2 * sizeof(ELEMENT));
                pair[k] = core_LETTERft_numbers(part, swap);
            }
        const core_LETTERft_point *done = core_LETTERft_short(&p->columns, pair, pair + core_LETTERft_pair(n1) / 2);
        matrix[g] = done[0];
        for (int64_t k = 1; k < n1; k++) matrix[k * pitch + g] = core_LETTERft_times(done[k], p->turns[k * all + g]);
    }
}

/* Rows of that, a group at a time: element k1 + n1 k2 of the transform is element k2 of row k1. */
CORE_FT_CALLED void core_LETTERft_rows(const core_LETTERft_plan *p, const core_LETTERft_point *matrix, int64_t begin,
    int64_t end, ELEMENT *y, int swap, ELEMENT scale, core_LETTERft_point *pair)
{
    enum { lanes = core_LETTERft_lanes };
    const int64_t n1 = p->columns.n, n2 = p->rows.n, all = core_LETTERft_groups(n2), pitch = core_LETTERft_pitch(n2);
    for (int64_t g = begin; g < end; g++) {
        const int64_t count = core_ft_least(lanes, n1 - g * lanes);
        const core_LETTERft_point *from = matrix + g * lanes * pitch;
        for (int64_t j = 0; j < all; j++) {
            core_LETTERft_vector re[lanes], im[lanes];
            CORE_FT_EACH(l, lanes) {
                const core_LETTERft_point *one = from + (l < count ? l : 0) * pitch + j;
                re[l] = one->re, im[l] = one->im;
            }
            core_LETTERft_transpose(re);
            core_LETTERft_transpose(im);
            CORE_FT_EACH(l, lanes) pair[j * lanes + l] = (core_LETTERft_point){re[l], im[l]};
        }
        const core_LETTERft_point *done = core_LETTERft_short(&p->rows, pair, pair + core_LETTERft_pair(n2) / 2);
        ELEMENT *to = y + 2 * g * lanes;
        for (int64_t k = 0; k < n2; k++, to += 2 * n1) {
            const core_LETTERft_point one = {done[k].re * scale, done[k].im * scale};
            if (count == lanes) core_LETTERft_put_numbers(to, one, swap);
            else {
                ELEMENT part[2 * lanes];
                core_LETTERft_put_numbers(part, one, swap);
                __builtin_memcpy(to, part, (size_t)count * 2 * sizeof(ELEMENT));
            }
        }
    }
}

static int64_t core_LETTERft_matrix_points(const core_LETTERft_plan *p)
{
    return p->columns.n * core_LETTERft_pitch(p->rows.n);
}

/* --- single lines ------------------------------------------------------------------------------------------------- */

/* Bytes of work memory. */
static int64_t core_LETTERft_line_room(const core_LETTERft_plan *p)
{
    const int64_t point = sizeof(core_LETTERft_point);
    if (p->is_matrix) {
        const int64_t pair = core_LETTERft_pair(core_ft_most(p->columns.n, p->rows.n));
        return core_padded((core_LETTERft_matrix_points(p) + pair) * point);
    }
    if (p->is_short) return core_padded(core_LETTERft_pair(p->n) * point);
    return core_padded(2 * p->longer->n * (int64_t)sizeof(ELEMENT)) + core_LETTERft_line_room(p->longer);
}

static void core_LETTERft_line(const core_LETTERft_plan *p, const ELEMENT *x, int swap, ELEMENT *y, int swapped,
    ELEMENT scale, void *room);

CORE_FT_CALLED void core_LETTERft_convolved(const core_LETTERft_plan *p, const ELEMENT *x, int swap, ELEMENT *y,
    int swapped, ELEMENT scale, ELEMENT *z)
{
    CORE_FT_FUSED
    const int64_t n = p->n, m = p->longer->n;
    const ELEMENT *c = p->chirp, *f = p->filter;
    void *room = (char *)z + core_padded(2 * m * (int64_t)sizeof(ELEMENT));
    for (int64_t k = 0; k < n; k++) {
        const ELEMENT re = x[2 * k + swap], im = x[2 * k + !swap];
        z[2 * k] = re * c[2 * k] - im * c[2 * k + 1], z[2 * k + 1] = re * c[2 * k + 1] + im * c[2 * k];
    }
    __builtin_memset(z + 2 * n, 0, (size_t)(m - n) * 2 * sizeof(ELEMENT));
    core_LETTERft_line(p->longer, z, 0, z, 0, 1, room);
    for (int64_t k = 0; k < m; k++) {
        const ELEMENT re = z[2 * k], im = z[2 * k + 1];
        z[2 * k] = re * f[2 * k] - im * f[2 * k + 1], z[2 * k + 1] = re * f[2 * k + 1] + im * f[2 * k];
    }
    core_LETTERft_line(p->longer, z, 1, z, 1, scale, room);
    for (int64_t k = 0; k < n; k++) {
        const ELEMENT re = z[2 * k], im = z[2 * k + 1];
        y[2 * k + swapped] = re * c[2 * k] - im * c[2 * k + 1];
        y[2 * k + !swapped] = re * c[2 * k + 1] + im * c[2 * k];
    }
}

/* The transform of a line whose elements lie one behind the other, as those of the result, which may be the same. */
static void core_LETTERft_line(const core_LETTERft_plan *p, const ELEMENT *x, int swap, ELEMENT *y, int swapped,
    ELEMENT scale, void *room)
{
    core_LETTERft_point *points = room;
    if (p->is_matrix) {
        core_LETTERft_point *pair = points + core_LETTERft_matrix_points(p);
        core_LETTERft_columns(p, x, swap, 0, core_LETTERft_groups(p->rows.n), points, pair);
        core_LETTERft_rows(p, points, 0, core_LETTERft_groups(p->columns.n), y, swapped, scale, pair);
    } else if (p->is_short) {
        const core_LETTERft_side from = {(ELEMENT *)x, 2, 0, 1, swap}, to = {y, 2, 0, 1, swapped};
        core_LETTERft_load_lines(&from, 0, 1, p->n, points);
        points = core_LETTERft_short(&p->whole, points, points + core_LETTERft_pair(p->n) / 2);
        core_LETTERft_store_lines(points, 0, 1, p->n, scale, &to);
    } else
        core_LETTERft_convolved(p, x, swap, y, swapped, scale, room);
}
#endif
