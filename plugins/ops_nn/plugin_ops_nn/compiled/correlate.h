/* Sums of products of a source's positions with filters: a convolution, and what a transposed one becomes. */
#ifndef CORE_CORRELATION
#define CORE_CORRELATION
/* ``terms`` products for each of ``filters`` results per group; w holds them block by block, and group by group. */
typedef struct {
    const core_conv_part *part;
    const void *source, *w;
    void *out, *scratch;
    const int64_t *offsets, *n, *source_by;
    int64_t size[3]; /* lengths of the results */
    int64_t terms, groups, channels, filters, images, scratch_size, sums;
} core_correlation;
#endif

#ifndef CORE_CORRELATION_LETTER
#define CORE_CORRELATION_LETTER

/* out[i][p] = sum of w[t][i] source[offsets[t] + p], of ``rows`` filters and the positions of ``vectors`` vectors. */
static inline __attribute__((always_inline CORE_CONV_FAST)) void core_LETTERconv_block(const int rows,
    const int vectors, int64_t terms, const int64_t *restrict offsets, const ELEMENT *restrict w,
    const ELEMENT *restrict source, ELEMENT *restrict out, int64_t pitch)
{
    CORE_CONV_FUSED
    typedef core_LETTERconv_vector V;
    V sum[CORE_CONV_ROWS][2];
    CORE_CONV_EACH(i, rows) CORE_CONV_EACH(j, vectors) sum[i][j] = (V){0};
    for (int64_t t = 0; t < terms; t++, w += rows) {
        const ELEMENT *from = source + offsets[t];
        V x[2];
        CORE_CONV_EACH(j, vectors) x[j] = *(const V *)(from + j * core_LETTERconv_lanes);
        CORE_CONV_EACH(i, rows) CORE_CONV_EACH(j, vectors) sum[i][j] += w[i] * x[j];
    }
    CORE_CONV_EACH(i, rows) CORE_CONV_EACH(j, vectors) *(V *)(out + i * pitch + j * core_LETTERconv_lanes) = sum[i][j];
}

#define CORE_CONV_LINE(rows) \
    static __attribute__((noinline CORE_CONV_FAST)) void core_LETTERconv_line_##rows(int64_t terms, \
        const int64_t *offsets, \
        const ELEMENT *w, const ELEMENT *source, int64_t positions, ELEMENT *out, int64_t pitch) \
    { \
        enum { lanes = core_LETTERconv_lanes }; \
        int64_t p = 0; \
        for (; p + lanes < positions; p += 2 * lanes) \
            core_LETTERconv_block(rows, 2, terms, offsets, w, source + p, out + p, pitch); \
        if (p < positions) core_LETTERconv_block(rows, 1, terms, offsets, w, source + p, out + p, pitch); \
    }
#if defined(__AVX512F__)
CORE_CONV_LINE(8)
#else
CORE_CONV_LINE(6)
#endif
CORE_CONV_LINE(4)
CORE_CONV_LINE(2)
CORE_CONV_LINE(1)
#undef CORE_CONV_LINE

/* How many of ``left`` filters make a block. */
static inline int core_LETTERconv_rows(int64_t left)
{
    return left >= CORE_CONV_ROWS ? CORE_CONV_ROWS : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void core_LETTERconv_line(int rows, int64_t terms, const int64_t *offsets, const ELEMENT *w,
    const ELEMENT *source, int64_t positions, ELEMENT *out, int64_t pitch)
{
    if (rows == 4) core_LETTERconv_line_4(terms, offsets, w, source, positions, out, pitch);
    else if (rows == 2) core_LETTERconv_line_2(terms, offsets, w, source, positions, out, pitch);
    else if (rows == 1) core_LETTERconv_line_1(terms, offsets, w, source, positions, out, pitch);
#if defined(__AVX512F__)
    else core_LETTERconv_line_8(terms, offsets, w, source, positions, out, pitch);
#else
    else core_LETTERconv_line_6(terms, offsets, w, source, positions, out, pitch);
#endif
}

/* The sums of one filter go where they belong. */
static __attribute__((noinline)) void core_LETTERconv_deal(const core_conv_part *p, const int64_t *size, int64_t images,
    int64_t top, int64_t rows, const ELEMENT *sums, ELEMENT *out, int64_t next_image)
{
    const int64_t n = p->count[2], step = p->to_step[2], lines = p->count[1], width = p->width[2];
    const int64_t along = p->to_step[1] * size[2], down = p->to_step[0] * size[1] * size[2];
    out += top * down + (p->to[0] * size[1] + p->to[1]) * size[2] + p->to[2];
    for (int64_t b = 0; b < images; b++, sums += p->plane, out += next_image) {
        const ELEMENT *from = sums;
        ELEMENT *to = out;
        for (int64_t u = 0; u < rows; u++, from += p->width[1] * width, to += down)
            for (int64_t v = 0; v < lines; v++) {
                const ELEMENT *line = from + v * width;
                ELEMENT *row = to + v * along;
                if (step == 1) core_LETTERconv_move(line, n, row);
                else
                    for (int64_t q = 0; q < n; q++) row[q * step] = line[q];
            }
    }
}

static void core_LETTERcorrelate(void *given, int64_t begin, int64_t end, int64_t worker)
{
    const core_correlation *const c = given;
    const core_conv_part *const p = c->part;
    ELEMENT *const copy = (ELEMENT *)((char *)c->scratch + worker * c->scratch_size), *const sums = copy + c->sums;
    const int64_t whole = c->size[0] * c->size[1] * c->size[2], next_image = c->groups * c->filters * whole;
    for (int64_t item = begin; item < end; item++) {
        const int64_t first = item / p->tiles * p->images, top = item % p->tiles * p->rows;
        const int64_t images = core_conv_least(p->images, c->images - first);
        const int64_t rows = core_conv_least(p->rows, p->count[0] - top);
        const int64_t runs = core_conv_runs(p, images, rows, core_LETTERconv_lanes);
        const int64_t positions = core_conv_positions(p, images / runs, rows);
        const int64_t all = core_conv_positions(p, images, rows) + core_LETTERconv_lanes;
        const int64_t pitch = core_conv_upwards(all, core_LETTERconv_lanes) * core_LETTERconv_lanes;
        for (int64_t g = 0; g < c->groups; g++) {
            const ELEMENT *source = (const ELEMENT *)c->source + first * c->source_by[0]
                + g * c->channels * c->source_by[1];
            const ELEMENT *w = (const ELEMENT *)c->w + g * c->filters * c->terms;
            core_LETTERconv_copy(p, source, c->n, c->source_by, c->terms ? c->channels : 0, images, top, rows, copy);
            for (int64_t f = 0; f < c->filters;) {
                const int together = core_LETTERconv_rows(c->filters - f);
                for (int64_t b = 0; b < runs; b++)
                    core_LETTERconv_line(together, c->terms, c->offsets, w + f * c->terms, copy + b * p->plane,
                        positions,
                        sums + b * p->plane, pitch);
                for (int i = 0; i < together; i++)
                    core_LETTERconv_deal(p, c->size, images, top, rows, sums + i * pitch,
                        (ELEMENT *)c->out + first * next_image + (g * c->filters + f + i) * whole, next_image);
                f += together;
            }
        }
    }
}

/* Run a correlation whose part, source, filters and results are known.  Returns whether there was memory. */
static int core_LETTERconv_run(core_call *call, core_correlation *c, core_conv_part *p)
{
    enum { lanes = core_LETTERconv_lanes };
    if (p->count[0] < 1 || p->count[1] < 1 || p->count[2] < 1 || c->filters < 1 || c->images < 1) return 1;
    const int64_t most = core_conv_positions(p, p->images, p->rows) + 3 * lanes, items = p->blocks * p->tiles;
    const double work = (double)items * most * c->terms * c->filters * c->groups;
    int64_t piece = work < 1 << 21 ? items : core_conv_upwards(items, 64); /* of lengths alone */
    if (piece < 1) piece = 1;
    c->part = p;
    c->sums = core_padded((c->channels * p->channel + 3 * lanes) * sizeof(ELEMENT)) / sizeof(ELEMENT);
    c->scratch_size = core_padded((c->sums + CORE_CONV_ROWS * most) * sizeof(ELEMENT));
    const int64_t workers = core_workers(call, items, piece), bytes = workers * c->scratch_size;
    c->scratch = aligned_alloc(64, (size_t)core_padded(bytes));
    if (!c->scratch) return 0;
    for (int64_t k = 0; k < workers; k++) /* what is read behind the copy counts for nothing, but shall be numbers */
        __builtin_memset((char *)c->scratch + k * c->scratch_size, 0, (size_t)c->sums * sizeof(ELEMENT));
    core_parallel(call, core_LETTERcorrelate, c, items, piece);
    free(c->scratch);
    return 1;
}
#endif
