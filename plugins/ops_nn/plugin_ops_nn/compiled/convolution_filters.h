/* w = the products of x's positions with y, summed over all windows.  Returns 0, or 1 where there is no memory. */
typedef struct {
    const core_convolution *c;
    const core_conv_part *part;
    const int64_t *offsets;
    void *parts, *scratch; /* the sums of all pieces but the first, which makes w; copies */
    int64_t terms, piece, scratch_size, windows;
} core_LETTERconv_sums;

/* The sum of a vector's elements, by halves. */
static inline __attribute__((always_inline)) ELEMENT core_LETTERconv_total(const core_LETTERconv_vector *v)
{
    core_LETTERconv_quarter part[CORE_CONV_BYTES / 16];
    __builtin_memcpy(part, v, sizeof part);
#if CORE_CONV_BYTES >= 64
    part[0] += part[2];
    part[1] += part[3];
#endif
#if CORE_CONV_BYTES >= 32
    part[0] += part[1];
#endif
    ELEMENT total = part[0][0];
    CORE_CONV_EACH(i, (int)(16 / sizeof(ELEMENT)) - 1) total += part[0][i + 1];
    return total;
}

/* Where the products of a sum lie: ``runs`` of ``positions``, so far from each other. */
typedef struct {
    int64_t runs, positions, apart, pitch;
} core_LETTERconv_way;

/* sums[f][t] += sum of y[f][p] x[offsets[t] + p] over positions p, of ``rows`` filters and ``terms`` taps. */
static inline __attribute__((always_inline CORE_CONV_FAST)) void core_LETTERconv_dots(const int rows, const int terms,
    const core_LETTERconv_way *way, const int64_t *restrict offsets, const ELEMENT *restrict y,
    const ELEMENT *restrict x, ELEMENT *restrict sums, int64_t next)
{
    CORE_CONV_FUSED
    typedef core_LETTERconv_vector V;
    enum { lanes = core_LETTERconv_lanes };
    V sum[CORE_CONV_ROWS][CORE_CONV_DOTS];
    const ELEMENT *from[CORE_CONV_DOTS];
    CORE_CONV_EACH(t, terms) from[t] = x + offsets[t];
    CORE_CONV_EACH(f, rows) CORE_CONV_EACH(t, terms) sum[f][t] = (V){0};
    const int64_t pitch = way->pitch, apart = way->apart, end = way->runs * apart;
    for (int64_t first = 0; first < end; first += apart)
        for (int64_t p = first, stop = first + way->positions; p < stop; p += lanes) {
            V right[CORE_CONV_DOTS];
            CORE_CONV_EACH(t, terms) right[t] = *(const V *)(from[t] + p);
            CORE_CONV_EACH(f, rows) {
                const V left = *(const V *)(y + f * pitch + p);
                CORE_CONV_EACH(t, terms) sum[f][t] += left * right[t];
            }
        }
    CORE_CONV_EACH(f, rows) CORE_CONV_EACH(t, terms) sums[f * next + t] += core_LETTERconv_total(&sum[f][t]);
}

#define CORE_CONV_DOTS_OF(rows) \
    static __attribute__((noinline CORE_CONV_FAST)) void core_LETTERconv_dots_##rows(int64_t terms, \
        const core_LETTERconv_way *way, \
        const int64_t *offsets, const ELEMENT *y, const ELEMENT *x, ELEMENT *sums, int64_t next) \
    { \
        int64_t t = 0; \
        for (; t + CORE_CONV_DOTS <= terms; t += CORE_CONV_DOTS) \
            core_LETTERconv_dots(rows, CORE_CONV_DOTS, way, offsets + t, y, x, sums + t, next); \
        for (; t < terms; t++) core_LETTERconv_dots(rows, 1, way, offsets + t, y, x, sums + t, next); \
    }
#if defined(__AVX512F__)
CORE_CONV_DOTS_OF(8)
#endif
CORE_CONV_DOTS_OF(4)
CORE_CONV_DOTS_OF(1)
#undef CORE_CONV_DOTS_OF

/* Images that are not finite must not meet the zeros between windows: row by row. */
static void core_LETTERconv_rows_of_dots(const core_LETTERconv_sums *all, int64_t images, int64_t rows,
    const ELEMENT *y, int64_t pitch, const ELEMENT *x, ELEMENT *sums)
{
    const core_conv_part *const p = all->part;
    for (int64_t f = 0; f < all->c->filters; f++)
        for (int64_t t = 0; t < all->terms; t++)
            for (int64_t line = 0; line < images * rows * p->count[1]; line++) {
                const int64_t b = line / p->count[1] / rows, u = line / p->count[1] % rows, v = line % p->count[1];
                const int64_t at = b * p->plane + (u * p->width[1] + v) * p->width[2];
                const ELEMENT *left = y + f * pitch + at, *right = x + all->offsets[t] + at;
                ELEMENT sum = 0;
                for (int64_t q = 0; q < p->count[2]; q++) sum += left[q] * right[q];
                sums[f * all->terms + t] += sum;
            }
}

/* Windows of y, so that they lie as their positions do: 0 where there is none. */
static void core_LETTERconv_spread(const core_LETTERconv_sums *all, const ELEMENT *y, int64_t images, int64_t top,
    int64_t rows, int64_t pitch, ELEMENT *out)
{
    const core_convolution *const c = all->c;
    const core_conv_part *const p = all->part;
    __builtin_memset(out, 0, (size_t)(c->filters * pitch) * sizeof(ELEMENT));
    for (int64_t f = 0; f < c->filters; f++)
        for (int64_t b = 0; b < images; b++)
            for (int64_t u = 0; u < rows; u++)
                for (int64_t v = 0; v < c->o[1]; v++) {
                    const ELEMENT *row = y + b * c->y_by[0] + f * c->y_by[1] + (top + u) * c->y_by[2] + v * c->y_by[3];
                    ELEMENT *to = out + f * pitch + b * p->plane + (u * p->width[1] + v) * p->width[2];
                    core_LETTERconv_row(row, c->o[2], c->y_by[4], 0, 1, c->o[2], to);
                }
}

static void core_LETTERconv_sum(void *given, int64_t begin, int64_t end, int64_t worker)
{
    enum { lanes = core_LETTERconv_lanes };
    const core_LETTERconv_sums *const all = given;
    const core_convolution *const c = all->c;
    const core_conv_part *const p = all->part;
    const int64_t size = c->groups * c->filters * all->terms, filled = c->channels * p->channel;
    ELEMENT *const copy = (ELEMENT *)((char *)all->scratch + worker * all->scratch_size),
        *const windows = copy + all->windows;
    ELEMENT *const sums = begin ? (ELEMENT *)all->parts + (begin / all->piece - 1) * size : (ELEMENT *)c->w;
    __builtin_memset(sums, 0, (size_t)size * sizeof(ELEMENT));
    for (int64_t item = begin; item < end; item++) {
        const int64_t first = item / p->tiles * p->images, top = item % p->tiles * p->rows;
        const int64_t images = core_conv_least(p->images, c->images - first);
        const int64_t rows = core_conv_least(p->rows, p->count[0] - top);
        const int64_t pitch = core_conv_upwards(core_conv_positions(p, images, rows) + lanes, lanes) * lanes;
        const int64_t runs = core_conv_runs(p, images, rows, lanes);
        const core_LETTERconv_way way = {runs, core_conv_positions(p, images / runs, rows), p->plane, pitch};
        for (int64_t g = 0; g < c->groups; g++) {
            const ELEMENT *x = (const ELEMENT *)c->x + first * c->x_by[0] + g * c->channels * c->x_by[1];
            const ELEMENT *y = (const ELEMENT *)c->y + first * c->y_by[0] + g * c->filters * c->y_by[1];
            if (images < p->images || rows < p->rows) __builtin_memset(copy, 0, (size_t)filled * sizeof(ELEMENT));
            core_LETTERconv_copy(p, x, c->n, c->x_by, c->channels, images, top, rows, copy);
            core_LETTERconv_spread(all, y, images, top, rows, pitch, windows);
            ELEMENT *to = sums + g * c->filters * all->terms;
            if (!core_LETTERconv_finite(copy, filled)) {
                core_LETTERconv_rows_of_dots(all, images, rows, windows, pitch, copy, to);
                __builtin_memset(copy, 0, (size_t)filled * sizeof(ELEMENT));
                continue;
            }
            int64_t f = 0;
#if defined(__AVX512F__)
            for (; f + 8 <= c->filters; f += 8)
                core_LETTERconv_dots_8(all->terms, &way, all->offsets, windows + f * pitch, copy,
                    to + f * all->terms, all->terms);
#endif
            for (; f + 4 <= c->filters; f += 4)
                core_LETTERconv_dots_4(all->terms, &way, all->offsets, windows + f * pitch, copy,
                    to + f * all->terms, all->terms);
            for (; f < c->filters; f++)
                core_LETTERconv_dots_1(all->terms, &way, all->offsets, windows + f * pitch, copy,
                    to + f * all->terms, all->terms);
        }
    }
}

static __attribute__((noinline)) int core_LETTERconvolution_filters(core_call *call, const core_convolution *c)
{
    enum { lanes = core_LETTERconv_lanes, MOST_PIECES = 16 };
    const int64_t terms = c->channels * c->k[0] * c->k[1] * c->k[2], size = c->groups * c->filters * terms;
    core_conv_part p = core_conv_forwards(c);
    core_conv_divide(&p, c->images, c->channels, sizeof(ELEMENT));
    const int64_t items = p.blocks * p.tiles, most = core_conv_positions(&p, p.images, p.rows) + 2 * lanes;
    const double work = (double)items * most * size;
    int64_t pieces = work < 1 << 22 ? 1 : core_conv_least(MOST_PIECES,
        ((int64_t)1 << 25) / (size * sizeof(ELEMENT) + 1) + 1);
    core_LETTERconv_sums all = {.c = c, .part = &p, .terms = terms, .piece = core_conv_upwards(items, pieces)};
    if (all.piece < 1) all.piece = 1;
    pieces = core_conv_upwards(items, all.piece);
    all.windows = core_padded((c->channels * p.channel + 2 * lanes) * sizeof(ELEMENT)) / sizeof(ELEMENT);
    all.scratch_size = core_padded((all.windows + c->filters * most) * sizeof(ELEMENT));
    const int64_t workers = core_workers(call, items, all.piece);
    int64_t *offsets = aligned_alloc(64, (size_t)core_padded((terms + 1) * sizeof(int64_t)));
    all.scratch = aligned_alloc(64, (size_t)(workers * all.scratch_size));
    all.parts = aligned_alloc(64, (size_t)core_padded((pieces * size + 1) * sizeof(ELEMENT)));
    all.offsets = offsets;
    const int failed = !offsets || !all.scratch || !all.parts;
    if (!failed) {
        for (int64_t k = 0; k < workers; k++)
            __builtin_memset((char *)all.scratch + k * all.scratch_size, 0, (size_t)all.windows * sizeof(ELEMENT));
        core_conv_tap_offsets(c, &p, offsets);
        core_parallel(call, core_LETTERconv_sum, &all, items, all.piece);
        for (int64_t part = 1; part < pieces; part++)
            for (int64_t i = 0; i < size; i++) ((ELEMENT *)c->w)[i] += ((ELEMENT *)all.parts)[(part - 1) * size + i];
    }
    free(offsets);
    free(all.scratch);
    free(all.parts);
    return failed;
}
