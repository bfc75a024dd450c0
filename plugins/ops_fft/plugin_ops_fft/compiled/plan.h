/* Plans: how a length is divided, and the factors that its transforms need.  They are made in making.h.
 *
 * A short length is a few passes over points, whose lanes are lines.  A long line is a matrix of n1 rows and n2
 * columns: transforms of its columns, turned, then of its rows, so that lanes have work where there is but one line.  A
 * length with a large prime is a convolution, by transforms of a length that is none: Bluestein (1970).
 */
#ifndef CORE_FT_PLAN_LETTER
#define CORE_FT_PLAN_LETTER

enum { CORE_FT_LARGEST_PRIME = 61, CORE_FT_LEAST_MATRIX = 32 };
enum { CORE_FT_NARROW = 128 }; /* up to here as many lines as there are lanes stay in the first cache */

typedef struct core_LETTERft_plan core_LETTERft_plan;
struct core_LETTERft_plan {
    int64_t n;
    int real; /* whether it is for 2 n real numbers; then ``halves`` are exp(-2 pi i k / 2n), 0 <= k <= n / 2 */
    int is_short, is_matrix;
    int by_sides; /* whether many lines cost less side by side than as matrices, one by one */
    core_LETTERft_passes whole, columns, rows; /* of lengths n, n1 and n2 */
    core_LETTERft_point *turns; /* exp(-2 pi i k j / n) for row k, and the lanes of a group of columns j */
    core_LETTERft_plan *longer; /* of a convolution */
    ELEMENT *chirp, *filter, *halves;
    int64_t users, used;
};

static inline int64_t core_LETTERft_groups(int64_t n) { return core_ft_upwards(n, core_LETTERft_lanes); }
/* How far the rows of a matrix are apart, in points. */
static inline int64_t core_LETTERft_pitch(int64_t n) { return core_LETTERft_groups(n) | 1; }

/* exp(-2 pi i k / n), 0 <= k < n: of an angle below pi / 4, found without rounding. */
CORE_FT_RARE void core_LETTERft_root(int64_t k, int64_t n, ELEMENT *w)
{
    const int64_t eight = 8 * k, octant = eight / n, rest = eight % n;
    const double angle = 0.78539816339744830962 * ((double)(octant % 2 ? n - rest : rest) / (double)n);
    const double c = __builtin_cos(angle), s = __builtin_sin(angle);
    static const signed char signs[8][3] = {{1, 1, 0}, {1, 1, 1}, {-1, 1, 1}, {-1, 1, 0}, {-1, -1, 0}, {-1, -1, 1},
        {1, -1, 1}, {1, -1, 0}}; /* of cosine and sine, and whether they are each other's */
    const signed char *of = signs[octant];
    w[0] = (ELEMENT)(of[0] * (of[2] ? s : c));
    w[1] = (ELEMENT)(-of[1] * (of[2] ? c : s));
}
#endif
