"""The C function that sorts one line: runs of eight by a network, merged two by two."""

from __future__ import annotations

from core import dtypes

_RUN = 8
_NETWORK = (  # Batcher's odd-even merge sort of eight: Knuth, volume 3, section 5.3.4
    *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
    *((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6)),
)


def sort_function(name: str, dtype: str, order: bool = False) -> str:
    """C of ``int name(const T *x, T *y, int64_t n)``: x in ascending order, NaN last; 0 where memory is lacking.

    order  another argument after ``y``, ``int64_t *order``: the index in x of each element.  Elements then travel with
           their index, which decides between equal ones, so that the first stays the first.
    """
    declared = f"struct {{ {_C_TYPE[dtype]} key; int64_t index; }}" if order else _C_TYPE[dtype]
    ends = _WITH_ORDER if order else _ALONE
    return (
        (
            _SORTED.replace("DECLARED", declared)
            .replace("BEFORE", _before(dtype, order))
            .replace("EXCHANGES", "\n        ".join(f"EXCHANGE(a[{i}], a[{j}]);" for i, j in _NETWORK))
            .replace("RUN", str(_RUN))
            + ends
        )
        .replace("NAME", name)
        .replace("TYPE", _C_TYPE[dtype])
    )


_C_TYPE = {
    "bool": "uint8_t",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float32": "float",
    "float64": "double",
}


def _before(dtype: str, order: bool) -> str:
    """Whether ``a`` must stand before ``b``."""
    a, b = ("a.key", "b.key") if order else ("a", "b")
    less = f"{a} < {b}" if dtype in dtypes.DISCRETE else f"({a} < {b}) | (({b} != {b}) & ({a} == {a}))"
    if not order:
        return less
    even = f"{a} == {b}" if dtype in dtypes.DISCRETE else f"({a} == {b}) | (({a} != {a}) & ({b} != {b}))"
    return f"({less}) | (({even}) & (a.index < b.index))"


_SORTED = """
extern void *malloc(size_t);
extern void free(void *);

typedef DECLARED NAME_item;

static inline int NAME_before(NAME_item a, NAME_item b)
{
    return BEFORE;
}

#define EXCHANGE(p, q) do { \\
    const NAME_item p_ = p, q_ = q; const int swap_ = NAME_before(q_, p_); \\
    p = swap_ ? q_ : p_; q = swap_ ? p_ : q_; } while (0)

static inline void NAME_run(NAME_item *a, int64_t n)
{
    if (n == RUN) {
        EXCHANGES
        return;
    }
    for (int64_t k = 1; k < n; k++)
        for (int64_t j = k; j > 0; j--) EXCHANGE(a[j - 1], a[j]);
}
#undef EXCHANGE

/* Two sorted runs side by side, of left and right items, become one.  Nothing here jumps on what items hold. */
static inline void NAME_merge(const NAME_item *restrict a, NAME_item *restrict to, int64_t left, int64_t right)
{
    const int64_t n = left + right;
    if (!right || !NAME_before(a[left], a[left - 1])) {
        for (int64_t k = 0; k < n; k++) to[k] = a[k];
        return;
    }
    const NAME_item *p = a, *q = a + left;
    if (left == right) { /* from both ends at once: half of the items cannot use up a run */
        const NAME_item *last_p = q - 1, *last_q = a + n - 1;
        for (int64_t k = 0; k < left; k++) {
            const int64_t second = NAME_before(*q, *p), first = NAME_before(*last_q, *last_p);
            to[k] = second ? *q : *p;
            to[n - 1 - k] = first ? *last_p : *last_q;
            q += second; p += 1 - second; last_p -= first; last_q -= 1 - first;
        }
        return;
    }
    const NAME_item *const end_p = q, *const end_q = a + n;
    for (int64_t k = 0; k < n; k++) {
        const int64_t second = q < end_q && (p == end_p || NAME_before(*q, *p));
        to[k] = second ? *q : *p;
        q += second; p += 1 - second;
    }
}

/* Sorts a with as much memory at b; which of the two holds the result. */
static NAME_item *NAME_sorted(NAME_item *a, NAME_item *b, int64_t n)
{
    for (int64_t k = 0; k < n; k += RUN) NAME_run(a + k, n - k < RUN ? n - k : RUN);
    for (int64_t width = RUN; width < n; width *= 2) {
        for (int64_t k = 0; k < n; k += 2 * width) {
            const int64_t left = n - k < width ? n - k : width, rest = n - k - left;
            NAME_merge(a + k, b + k, left, rest < width ? rest : width);
        }
        NAME_item *const merged = b; b = a; a = merged;
    }
    return a;
}
"""

_ALONE = """
static int NAME(const TYPE *x, TYPE *y, int64_t n)
{
    for (int64_t k = 0; k < n; k++) y[k] = x[k];
    NAME_item *const memory = malloc((size_t)n * sizeof(NAME_item) + 1);
    if (!memory) return 0;
    if (NAME_sorted(y, memory, n) == memory)
        for (int64_t k = 0; k < n; k++) y[k] = memory[k];
    free(memory);
    return 1;
}
"""

_WITH_ORDER = """
static int NAME(const TYPE *x, TYPE *y, int64_t *order, int64_t n)
{
    NAME_item *const memory = malloc((size_t)n * 2 * sizeof(NAME_item) + 1);
    if (!memory) return 0;
    for (int64_t k = 0; k < n; k++) { memory[k].key = x[k]; memory[k].index = k; }
    const NAME_item *const sorted = NAME_sorted(memory, memory + n, n);
    for (int64_t k = 0; k < n; k++) { y[k] = sorted[k].key; order[k] = sorted[k].index; }
    free(memory);
    return 1;
}
"""
