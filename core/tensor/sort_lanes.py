"""C that sorts many lines at once, one in each vector lane: Batcher's odd-even merge sort.

Which elements a network compares depends on their number alone, so all lanes do the same, and nothing jumps on what
they hold.  Source: Knuth, volume 3, section 5.2.2, algorithm M, here from short runs to long ones.
"""

from __future__ import annotations

from collections.abc import Sequence

LANE_BYTES = 64  # of the lanes of one element
ENOUGH = 5  # lines that are sorted together in less time than one after the other, as measured
MOST = {1: 127, 2: 8192, 4: 8192, 8: 8192}  # elements of a line, by their size: an index is as wide, and caches end

Pairs = Sequence[tuple[int, int]]

EIGHT: Pairs = (  # sorts so many: Knuth, volume 3, section 5.3.4
    *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
    *((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6)),
)
_NETWORKS: dict[str, Pairs] = {  # what is compared, in this order, of elements that lie ``step`` apart
    "eight": EIGHT,
    "two": ((0, 1),),
    # The first two steps of a merge: elements of two runs that lie half of a run apart; the second half may be lacking
    "four": ((0, 2), (1, 3), (1, 2)),
    "three": ((0, 2), (1, 2)),
    # Its last three steps, which compare elements 4, 2 and 1 apart, for eight elements and the three before them, whose
    # share waits for these; then the end of a run
    "eleven": (
        *((3, 7), (4, 8), (5, 9), (6, 10), (1, 3), (2, 4), (5, 7), (6, 8)),
        *((0, 1), (2, 3), (4, 5), (6, 7)),
    ),
    "six": ((1, 3), (2, 4), (0, 1), (2, 3), (4, 5)),
}


def sort_in_lanes(size: int, order: bool) -> str:
    """C of ``int64_t NAME_in_lanes(const TYPE *x, TYPE *y, int64_t lines, int64_t n)``: how many lines it has sorted.

    It leaves those that are too few or too long, and all where memory is lacking.  Elements have ``size`` bytes;
    ``NAME_key`` makes a number of type UNSIGNED of each, and ``NAME_number`` undoes that.  With ``order``, there is
    another argument after ``y``, ``int64_t *order``: the index of each element, of which the lower stands first among
    equal ones.
    """
    networks = "".join(_network(name, pairs, order) for name, pairs in _NETWORKS.items())
    text = _LANE + networks + _MERGING + (_TOGETHER_WITH_ORDER if order else _TOGETHER) + _IN_LANES
    text = text.replace("TAKES_ORDER", ", int64_t *order" if order else "").replace(
        "GIVES_ORDER", ", order + line * n" if order else ""
    )
    for word, value in (("LANES", LANE_BYTES // size), ("ENOUGH", ENOUGH), ("MOST", MOST[size]), ("ARRAYS", 1 + order)):
        text = text.replace(word, str(value))
    return text.replace("LANE", f"int{8 * size}_t")


def _network(name: str, pairs: Pairs, order: bool) -> str:
    """C of a function that does it in all lanes, with elements in registers.  ``far`` from each lies its index."""
    places = range(1 + max(j for _, j in pairs))
    body = [f"LANE {a} = t[{k} * step * LANES + lane{far}];" for k in places for a, far in _parts(k, order)]
    body += [f"{'INDEXED' if order else 'EXCHANGE'}({i}, {j})" for i, j in pairs]
    body += [f"t[{k} * step * LANES + lane{far}] = {a};" for k in places for a, far in _parts(k, order)]
    inside = "\n        ".join(body)
    return f"""
static inline void NAME_{name}(LANE *t, int64_t far, int64_t step)
{{
    #pragma omp simd
    for (int lane = 0; lane < LANES; lane++) {{
        {inside}
    }}
}}
"""


def _parts(k: int, order: bool) -> list[tuple[str, str]]:
    return [(f"a{k}", ""), (f"i{k}", " + far")] if order else [(f"a{k}", "")]


_LANE = """
#define EXCHANGE(p, q) { \\
    const LANE p_ = a##p, q_ = a##q; \\
    a##p = p_ < q_ ? p_ : q_; a##q = p_ < q_ ? q_ : p_; }
#define INDEXED(p, q) { \\
    const LANE p_ = a##p, q_ = a##q, i_ = i##p, j_ = i##q; \\
    const int swap_ = (q_ < p_) | ((q_ == p_) & (j_ < i_)); \\
    a##p = swap_ ? q_ : p_; a##q = swap_ ? p_ : q_; i##p = swap_ ? j_ : i_; i##q = swap_ ? i_ : j_; }
"""

_MERGING = """
#undef EXCHANGE
#undef INDEXED

/* Two sorted runs side by side become one, the first of p elements, both together of n, a multiple of 8. */
static __attribute__((noinline)) void NAME_merge_lanes(LANE *t, int64_t far, int64_t p, int64_t n)
{
    if (p == 8) {
        for (int64_t i = 0; i < 8; i++) NAME_two(t + i * LANES, far, 8);
    } else {
        const int64_t half = p / 2;
        for (int64_t i = 0; i < half && i + p < n; i++)
            if (i + p + half < n) NAME_four(t + i * LANES, far, half);
            else NAME_three(t + i * LANES, far, half);
        for (int64_t k = p / 4; k >= 8; k /= 2)
            for (int64_t first = k; first + k < n; first += 2 * k)
                for (int64_t i = first; i < first + k && i + k < n; i++) NAME_two(t + i * LANES, far, k);
    }
    for (int64_t i = 1; i + 11 <= n; i += 8) NAME_eleven(t + i * LANES, far, 1);
    NAME_six(t + (n - 7) * LANES, far, 1);
}

static __attribute__((noinline)) void NAME_sort_lanes(LANE *t, int64_t far, int64_t n)
{
    for (int64_t k = 0; k < n; k += 8) NAME_eight(t + k * LANES, far, 1);
    for (int64_t p = 8; p < n; p *= 2)
        for (int64_t k = 0; k + p < n; k += 2 * p)
            NAME_merge_lanes(t + k * LANES, far, p, n - k < 2 * p ? n - k : 2 * p);
}

static inline LANE NAME_to_lane(TYPE x)
{
    return (LANE)(NAME_key(x) ^ SIGN_BIT);
}
"""

_TOGETHER = """
/* Sorts so many lines of n elements; whole is n or a few more, which are put behind them and stay there. */
static __attribute__((noinline)) void NAME_together(
    const TYPE *x, TYPE *y, int64_t many, int64_t n, LANE *t, int64_t whole)
{
    int64_t from[LANES];
    for (int64_t lane = 0; lane < LANES; lane++) from[lane] = (lane < many ? lane : many - 1) * n;
    for (int64_t k = 0; k < n; k++)
        for (int lane = 0; lane < LANES; lane++) t[k * LANES + lane] = NAME_to_lane(x[from[lane] + k]);
    for (int64_t k = n * LANES; k < whole * LANES; k++) t[k] = (LANE)~SIGN_BIT;
    NAME_sort_lanes(t, 0, whole);
    for (int64_t k = 0; k < n; k++)
        for (int64_t lane = 0; lane < many; lane++)
            y[lane * n + k] = NAME_number((UNSIGNED)t[k * LANES + lane] ^ SIGN_BIT);
}
"""

_TOGETHER_WITH_ORDER = """
/* Sorts so many lines of n elements; whole is n or a few more, which are put behind them and stay there. */
static __attribute__((noinline)) void NAME_together(
    const TYPE *x, TYPE *y, int64_t *order, int64_t many, int64_t n, LANE *t, int64_t whole)
{
    LANE *const at = t + whole * LANES;
    int64_t from[LANES];
    for (int64_t lane = 0; lane < LANES; lane++) from[lane] = (lane < many ? lane : many - 1) * n;
    for (int64_t k = 0; k < n; k++)
        for (int lane = 0; lane < LANES; lane++) t[k * LANES + lane] = NAME_to_lane(x[from[lane] + k]);
    for (int64_t k = n * LANES; k < whole * LANES; k++) t[k] = (LANE)~SIGN_BIT;
    for (int64_t k = 0; k < whole; k++)
        for (int lane = 0; lane < LANES; lane++) at[k * LANES + lane] = (LANE)k;
    NAME_sort_lanes(t, whole * LANES, whole);
    for (int64_t lane = 0; lane < many; lane++)
        for (int64_t k = 0; k < n; k++) {
            const int64_t place = at[k * LANES + lane];
            order[lane * n + k] = place;
            y[lane * n + k] = x[lane * n + place];
        }
}
"""

_IN_LANES = """
static int64_t NAME_in_lanes(const TYPE *x, TYPE *yTAKES_ORDER, int64_t lines, int64_t n)
{
    const int64_t whole = (n + 7) / 8 * 8;
    if (lines < ENOUGH || n < 2 || n > MOST) return 0;
    char *const memory = malloc((size_t)whole * ARRAYS * LANES * sizeof(LANE) + 64);
    if (!memory) return 0;
    LANE *const t = (LANE *)(((size_t)memory + 63) / 64 * 64);
    int64_t line = 0;
    while (lines - line >= ENOUGH) {
        const int64_t many = lines - line < LANES ? lines - line : LANES;
        NAME_together(x + line * n, y + line * nGIVES_ORDER, many, n, t, whole);
        line += many;
    }
    free(memory);
    return line;
}
"""
