/* What the three share, of elements of type ELEMENT, named with LETTER: s for float, d for double.
 *
 * A source (images, or the windows of a transposed convolution) is copied, with zeros around it, a few images or rows
 * at a time, so that all elements that one tap meets lie one behind the other, and those of other taps at a distance
 * that the tap alone decides.  Where windows are ``step`` apart there is a plane for each remainder.  A row of the copy
 * is as long as it must be for all taps, so there are positions at its end that are no windows: what is computed there
 * is dropped.
 */
#ifndef CORE_CONVOLUTION
#define CORE_CONVOLUTION

#if defined(__AVX512F__)
#define CORE_CONV_BYTES 64
enum { CORE_CONV_ROWS = 8, CORE_CONV_DOTS = 3 }; /* 16 or 24 sums, in 32 registers */
#elif defined(__AVX__)
#define CORE_CONV_BYTES 32
enum { CORE_CONV_ROWS = 6, CORE_CONV_DOTS = 3 }; /* 12 sums, in 16 registers */
#else
#define CORE_CONV_BYTES 16
enum { CORE_CONV_ROWS = 6, CORE_CONV_DOTS = 3 };
#endif
/* Products are fused with the sums they are added to, which the rest of a program's text must not be. */
#if defined(__clang__)
#define CORE_CONV_FAST
#define CORE_CONV_FUSED _Pragma("clang fp contract(fast)")
#elif defined(__GNUC__)
#define CORE_CONV_FAST , optimize("fp-contract=fast")
#define CORE_CONV_FUSED
#endif
#define CORE_CONV_EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

enum { CORE_CONV_SOURCE = 1 << 18 }; /* bytes of a copy that stay in the second cache */
enum { CORE_CONV_POSITIONS = 1024 }; /* of which all sums of a few rows do, too */

/* x (images, groups * channels, n), w (groups * filters, channels, k), y (images, groups * filters, o); strides in
 * elements.  Three spatial axes; of fewer, those in the middle, and then the first, have length 1. */
typedef struct {
    void *x, *w, *y;
    int64_t images, groups, channels, filters;
    int64_t n[3], k[3], o[3], step[3], apart[3], before[3];
    int64_t x_by[5], w_by[5], y_by[5];
} core_convolution;

/* One way to go through a source: ``planes`` remainders along each axis, of which the first begins with element
 * ``first``; ``count`` positions, ``more`` elements behind them for the last tap; and where results go. */
typedef struct {
    int64_t planes[3], first[3], step[3], count[3], more[3], to[3], to_step[3];
    int64_t rows, images; /* positions along the first axis, and images, of one copy */
    int64_t width[3], plane, channel; /* lengths of a plane, and elements of one, and of a channel of the copy */
    int64_t tiles, blocks;
} core_conv_part;

static inline int64_t core_conv_least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t core_conv_upwards(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Decide how much is copied at once. */
static void core_conv_divide(core_conv_part *p, int64_t images, int64_t channels, int64_t size)
{
    for (int a = 0; a < 3; a++) p->width[a] = p->count[a] + p->more[a];
    const int64_t line = p->width[1] * p->width[2];
    const int64_t all = channels * p->planes[0] * p->planes[1] * p->planes[2] * line * size; /* bytes of a row */
    int64_t rows = core_conv_least(CORE_CONV_SOURCE / (all + 1), CORE_CONV_POSITIONS / (line + 1) + 1) - p->more[0];
    const int64_t least = p->more[0] + 1; /* else more is copied twice than once */
    if (rows < least) rows = least;
    if (rows > p->count[0]) rows = p->count[0];
    p->tiles = rows > 0 ? core_conv_upwards(p->count[0], rows) : 1;
    p->rows = core_conv_upwards(p->count[0], p->tiles);
    p->width[0] = p->rows + p->more[0];
    p->plane = p->width[0] * line;
    p->images = 1;
    if (p->tiles == 1) {
        const int64_t few = core_conv_least(CORE_CONV_SOURCE / (all * p->width[0] + 1),
            CORE_CONV_POSITIONS / (p->plane + 1));
        p->images = few < 1 ? 1 : core_conv_least(few, images > 0 ? images : 1);
    }
    p->blocks = core_conv_upwards(images, p->images);
    p->channel = p->planes[0] * p->planes[1] * p->planes[2] * p->images * p->plane;
}

/* Where a tap's elements begin in the copy: it is in the plane ``in``, and ``at`` elements further on. */
static int64_t core_conv_offset(const core_conv_part *p, const int64_t *in, const int64_t *at)
{
    const int64_t plane = (in[0] * p->planes[1] + in[1]) * p->planes[2] + in[2];
    return plane * p->images * p->plane + (at[0] * p->width[1] + at[1]) * p->width[2] + at[2];
}

/* Positions of so many images and rows, up to the last that is a window. */
static int64_t core_conv_positions(const core_conv_part *p, int64_t images, int64_t rows)
{
    const int64_t last = ((rows - 1) * p->width[1] + p->count[1] - 1) * p->width[2] + p->count[2];
    return (images - 1) * p->plane + last;
}

/* Into how many runs of positions a copy is divided: each image has its own where what lies between them is longer than
 * what a run's last vector reads too much. */
static int64_t core_conv_runs(const core_conv_part *p, int64_t images, int64_t rows, int64_t lanes)
{
    return core_conv_upwards(core_conv_positions(p, 1, rows), lanes) * lanes <= p->plane ? images : 1;
}

/* The plan of a convolution that reads x. */
static core_conv_part core_conv_forwards(const core_convolution *c)
{
    core_conv_part p = {{0}};
    for (int a = 0; a < 3; a++) {
        const int64_t far = (c->k[a] - 1) * c->apart[a];
        p.planes[a] = core_conv_least(c->step[a], far + 1);
        p.first[a] = -c->before[a];
        p.step[a] = c->step[a];
        p.count[a] = c->o[a];
        p.more[a] = far / c->step[a];
        p.to[a] = 0;
        p.to_step[a] = 1;
    }
    return p;
}

/* Offsets of all taps of all channels, as a filter lists them. */
static void core_conv_tap_offsets(const core_convolution *c, const core_conv_part *p, int64_t *offsets)
{
    int64_t place = 0;
    for (int64_t channel = 0; channel < c->channels; channel++)
        for (int64_t i = 0; i < c->k[0]; i++)
            for (int64_t j = 0; j < c->k[1]; j++)
                for (int64_t l = 0; l < c->k[2]; l++) {
                    const int64_t t[3] = {i * c->apart[0], j * c->apart[1], l * c->apart[2]};
                    int64_t in[3], at[3];
                    for (int a = 0; a < 3; a++) in[a] = t[a] % c->step[a], at[a] = t[a] / c->step[a];
                    offsets[place++] = channel * p->channel + core_conv_offset(p, in, at);
                }
}
#endif

#ifndef CORE_CONVOLUTION_LETTER
#define CORE_CONVOLUTION_LETTER

enum { core_LETTERconv_lanes = CORE_CONV_BYTES / sizeof(ELEMENT) };
typedef ELEMENT core_LETTERconv_vector __attribute__((vector_size(CORE_CONV_BYTES), aligned(sizeof(ELEMENT)),
    may_alias));

typedef ELEMENT core_LETTERconv_quarter __attribute__((vector_size(16), aligned(sizeof(ELEMENT)), may_alias));

/* What memcpy does, without a call: most rows are short. */
static inline __attribute__((always_inline)) void core_LETTERconv_move(const ELEMENT *from, int64_t n, ELEMENT *to)
{
    enum { lanes = core_LETTERconv_lanes, few = 16 / sizeof(ELEMENT) };
    int64_t q = 0;
    for (; q + lanes <= n; q += lanes)
        *(core_LETTERconv_vector *)(to + q) = *(const core_LETTERconv_vector *)(from + q);
    if (q == n) return;
    if (n >= lanes) { /* the last ones, some of them once more */
        *(core_LETTERconv_vector *)(to + n - lanes) = *(const core_LETTERconv_vector *)(from + n - lanes);
        return;
    }
    for (; q + few <= n; q += few)
        *(core_LETTERconv_quarter *)(to + q) = *(const core_LETTERconv_quarter *)(from + q);
    if (q < n && n >= few)
        *(core_LETTERconv_quarter *)(to + n - few) = *(const core_LETTERconv_quarter *)(from + n - few);
    else
        for (; q < n; q++) to[q] = from[q];
}

static int core_LETTERconv_finite(const ELEMENT *x, int64_t n)
{
    UINT bad = 0;
    for (int64_t i = 0; i < n; i++) {
        UINT bits;
        __builtin_memcpy(&bits, x + i, sizeof bits);
        bad |= (bits & EXPONENT) == EXPONENT;
    }
    return !bad;
}

/* out[j] = x[first + j step], or 0 where that is outside. */
static void core_LETTERconv_row(const ELEMENT *x, int64_t n, int64_t by, int64_t first, int64_t step,
    int64_t width, ELEMENT *out)
{
    int64_t low = first < 0 ? core_conv_upwards(-first, step) : 0;
    int64_t high = first < n ? core_conv_upwards(n - first, step) : 0;
    low = core_conv_least(low, width);
    high = core_conv_least(high, width);
    if (high < low) high = low;
    for (int64_t j = 0; j < low; j++) out[j] = 0;
    x += first * by;
    if (step * by == 1)
        core_LETTERconv_move(x + low, high - low, out + low);
    else
        for (int64_t j = low; j < high; j++) out[j] = x[j * step * by];
    for (int64_t j = high; j < width; j++) out[j] = 0;
}

/* Copy ``images`` of a source from ``x`` on, ``rows`` positions from ``top`` on, all planes of ``channels``. */
static void core_LETTERconv_copy(const core_conv_part *p, const ELEMENT *x, const int64_t *n, const int64_t *by,
    int64_t channels, int64_t images, int64_t top, int64_t rows, ELEMENT *out)
{
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < p->planes[0]; i++)
            for (int64_t j = 0; j < p->planes[1]; j++)
                for (int64_t l = 0; l < p->planes[2]; l++) {
                    const int64_t number = (i * p->planes[1] + j) * p->planes[2] + l;
                    ELEMENT *plane = out + c * p->channel + number * p->images * p->plane;
                    for (int64_t b = 0; b < images; b++, plane += p->plane)
                        for (int64_t u = 0; u < rows + p->more[0]; u++) {
                            const int64_t at0 = p->first[0] + i + (top + u) * p->step[0];
                            for (int64_t v = 0; v < p->width[1]; v++) {
                                const int64_t at1 = p->first[1] + j + v * p->step[1];
                                ELEMENT *row = plane + (u * p->width[1] + v) * p->width[2];
                                if (at0 < 0 || at0 >= n[0] || at1 < 0 || at1 >= n[1])
                                    for (int64_t q = 0; q < p->width[2]; q++) row[q] = 0;
                                else
                                    core_LETTERconv_row(x + b * by[0] + c * by[1] + at0 * by[2] + at1 * by[3],
                                        n[2], by[4],
                                        p->first[2] + l, p->step[2], p->width[2], row);
                            }
                        }
                }
}
#endif
