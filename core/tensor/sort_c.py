"""The C function that sorts lines: many at once (sort_lanes.py), or one by one.

A short one by itself is sorted by runs of eight, merged two by two, a long one byte by byte.
"""

from __future__ import annotations

from core import dtypes
from core.tensor.sort_lanes import EIGHT, sort_in_lanes

_RUN = 8


def sort_function(name: str, dtype: str, order: bool = False) -> str:
    """C of ``int name(const T *x, T *y, int64_t lines, int64_t n)``: each line of x in ascending order, NaN last.

    It returns 0 where memory is lacking.

    order  another argument after ``y``, ``int64_t *order``: the index in its line of each element.  Elements then
           travel with their index, which decides between equal ones, so that the first stays the first.
    """
    declared = f"struct {{ {_C_TYPE[dtype]} key; int64_t index; }}" if order else _C_TYPE[dtype]
    unsigned = _UNSIGNED[dtype]
    size = int(unsigned[4:].rstrip("_t")) // 8
    merging = (
        _SORTED.replace("DECLARED", declared)
        .replace("BEFORE", _before(dtype, order))
        .replace("EXCHANGES", "\n        ".join(f"EXCHANGE(a[{i}], a[{j}]);" for i, j in EIGHT))
        .replace("RUN", str(_RUN))
    )
    by_bytes = (
        _BY_BYTES.replace("DECLARED", f"struct {{ {unsigned} key; uint32_t index; }}" if order else unsigned)
        .replace("FIELD", ".key" if order else "")
        .replace("BYTES", str(size))
        .replace("TO_KEY", _to_key(dtype, order))
    )
    ends = (_WITH_ORDER if order else _ALONE).replace("FROM_KEY", _from_key(dtype))
    text = merging + by_bytes + ends + sort_in_lanes(size, order) + (_LINES_WITH_ORDER if order else _LINES)
    text = text.replace("LONG", str(_long(dtype, size, order)))
    text = text.replace("SIGN_BIT", f"((UNSIGNED)1 << {8 * size - 1})")
    return text.replace("NAME", name).replace("TYPE", _C_TYPE[dtype]).replace("UNSIGNED", unsigned)


_C_TYPE = {
    "bool": "uint8_t",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float32": "float",
    "float64": "double",
}


_UNSIGNED = {
    "bool": "uint8_t",
    **{f"{sign}int{bits}": f"uint{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float32": "uint32_t",
    "float64": "uint64_t",
}


def _long(dtype: str, size: int, order: bool) -> int:
    """The length from which sorting by ``size`` bytes takes less time than merging, as measured.

    Merges that move plain integers are cheap; all others cost the same, and what a byte costs beforehand is its counts.
    """
    return 48 * size if dtype in dtypes.DISCRETE and not order else 16 + 14 * size


def _to_key(dtype: str, order: bool) -> str:
    """C that makes of ``bits``, those of x, an unsigned number in the order of x: its sign first, NaN last.

    With ``order`` equal numbers must have equal keys, so -0.0 has that of 0.0.
    """
    if dtype in ("bool", "uint8", "uint16", "uint32", "uint64"):
        return ""
    if dtype in dtypes.DISCRETE:
        return "bits ^= SIGN_BIT;"
    zero = "if (x == 0) bits = 0;\n    " if order else ""
    return f"{zero}bits = x != x ? (UNSIGNED)-1 : bits & SIGN_BIT ? ~bits : bits | SIGN_BIT;"


def _from_key(dtype: str) -> str:
    """C that undoes ``_to_key``."""
    if dtype in ("bool", "uint8", "uint16", "uint32", "uint64"):
        return ""
    return "bits ^= SIGN_BIT;" if dtype in dtypes.DISCRETE else "bits = bits & SIGN_BIT ? bits ^ SIGN_BIT : ~bits;"


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

_BY_BYTES = """
typedef DECLARED NAME_digits;

static inline UNSIGNED NAME_key(TYPE x)
{
    UNSIGNED bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    TO_KEY
    return bits;
}

/* Sorts a, with as much memory at b, by the lowest byte, then by the next, each time keeping the order of equal ones;
   which of the two holds the result.  n < 2**32.  Knuth, volume 3, section 5.2.5. */
static NAME_digits *NAME_by_bytes(NAME_digits *a, NAME_digits *b, int64_t n)
{
    uint32_t count[BYTES][256];
    __builtin_memset(count, 0, sizeof count);
    for (int64_t k = 0; k < n; k++)
        for (int byte = 0; byte < BYTES; byte++) count[byte][(a[k]FIELD >> (8 * byte)) & 255]++;
    for (int byte = 0; byte < BYTES; byte++) {
        uint32_t *const place = count[byte], start = 0;
        if (place[(a[0]FIELD >> (8 * byte)) & 255] == (uint32_t)n) continue; /* all are alike */
        for (int digit = 0; digit < 256; digit++) {
            const uint32_t here = place[digit];
            place[digit] = start;
            start += here;
        }
        for (int64_t k = 0; k < n; k++) b[place[(a[k]FIELD >> (8 * byte)) & 255]++] = a[k];
        NAME_digits *const sorted = b; b = a; a = sorted;
    }
    return a;
}
"""

_ALONE = """
static inline TYPE NAME_number(UNSIGNED bits)
{
    TYPE x;
    FROM_KEY
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

static int NAME_line(const TYPE *x, TYPE *y, int64_t n)
{
    if (n >= LONG && n < ((int64_t)1 << 32)) {
        NAME_digits *const memory = malloc((size_t)n * 2 * sizeof(NAME_digits));
        if (!memory) return 0;
        for (int64_t k = 0; k < n; k++) memory[k] = NAME_key(x[k]);
        const NAME_digits *const sorted = NAME_by_bytes(memory, memory + n, n);
        for (int64_t k = 0; k < n; k++) y[k] = NAME_number(sorted[k]);
        free(memory);
        return 1;
    }
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
static int NAME_line(const TYPE *x, TYPE *y, int64_t *order, int64_t n)
{
    if (n >= LONG && n < ((int64_t)1 << 32)) {
        NAME_digits *const memory = malloc((size_t)n * 2 * sizeof(NAME_digits));
        if (!memory) return 0;
        for (int64_t k = 0; k < n; k++) { memory[k].key = NAME_key(x[k]); memory[k].index = (uint32_t)k; }
        const NAME_digits *const sorted = NAME_by_bytes(memory, memory + n, n);
        for (int64_t k = 0; k < n; k++) { order[k] = sorted[k].index; y[k] = x[order[k]]; }
        free(memory);
        return 1;
    }
    NAME_item *const memory = malloc((size_t)n * 2 * sizeof(NAME_item) + 1);
    if (!memory) return 0;
    for (int64_t k = 0; k < n; k++) { memory[k].key = x[k]; memory[k].index = k; }
    const NAME_item *const sorted = NAME_sorted(memory, memory + n, n);
    for (int64_t k = 0; k < n; k++) { y[k] = sorted[k].key; order[k] = sorted[k].index; }
    free(memory);
    return 1;
}
"""

_LINES = """
static int NAME(const TYPE *x, TYPE *y, int64_t lines, int64_t n)
{
    for (int64_t line = NAME_in_lanes(x, y, lines, n); line < lines; line++)
        if (!NAME_line(x + line * n, y + line * n, n)) return 0;
    return 1;
}
"""

_LINES_WITH_ORDER = """
static int NAME(const TYPE *x, TYPE *y, int64_t *order, int64_t lines, int64_t n)
{
    for (int64_t line = NAME_in_lanes(x, y, order, lines, n); line < lines; line++)
        if (!NAME_line(x + line * n, y + line * n, order + line * n, n)) return 0;
    return 1;
}
"""
