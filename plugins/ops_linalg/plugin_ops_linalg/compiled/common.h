/* What all routines share.  ELEMENT and LETTER stand for double and d, or float and s; rows and columns are strides. */
#ifndef CORE_LINALG_COMMON_LETTER
#define CORE_LINALG_COMMON_LETTER

/* Numbers of failures that LAPACK does not know; those of LAPACK are above 0. */
#ifndef CORE_LINALG_NUMBERS
#define CORE_LINALG_NUMBERS
#define CORE_NOT_FINITE(input, kind, place) (-16 - ((place) * 12 + (kind) * 4 + (input)))
#define CORE_NOT_CONVERGED (-7)
#define CORE_GIVEN(argument) argument,
#define CORE_NONE(argument)
#define CORE_NOT_SQUARE (-8)
#define CORE_NO_MEMORY (-9)
#endif

static void *core_LETTERscratch(int64_t count, int64_t itemsize)
{
    return aligned_alloc(64, (size_t)core_padded(count * itemsize));
}

/* Which element is not finite, and how, as a number of a failure, or 0. */
static int64_t core_LETTERnot_finite(int input, int64_t m, int64_t n, const ELEMENT *a, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            for (int part = 0; part < PARTS; part++) {
                const REAL x = ((const REAL *)(a + i * rows + j * columns))[part];
                if (x - x != 0) return CORE_NOT_FINITE(input, x != x ? 0 : x > 0 ? 1 : 2, i * n + j);
            }
    return 0;
}

/* That number; the exponents of all elements first, as integers, so that the loop becomes SIMD. */
static int64_t core_LETTERfinite(int input, int64_t m, int64_t n, const ELEMENT *a, int64_t rows, int64_t columns)
{
    UINT bad = 0;
    const int turned = rows < columns;
    const int64_t high = turned ? n : m, wide = turned ? m : n, far = turned ? columns : rows, near = turned ? rows : columns;
    for (int64_t i = 0; i < high; i++)
        for (int64_t j = 0; j < wide; j++) {
            UINT bits[PARTS];
            __builtin_memcpy(bits, a + i * far + j * near, sizeof bits);
            for (int part = 0; part < PARTS; part++) bad |= (bits[part] & EXPONENT) == EXPONENT;
        }
    return bad ? core_LETTERnot_finite(input, m, n, a, rows, columns) : 0;
}

#define CORE_LETTER_FINITE(check, ...) \
    do { \
        const int64_t core_bad = (check) ? core_LETTERfinite(__VA_ARGS__) : 0; \
        if (core_bad) return core_bad; \
    } while (0)

/* out[i * n + j] = a[i, j], in squares, so that neither side leaves the cache line by line. */
static void core_LETTERcopy(int64_t m, int64_t n, const ELEMENT *restrict a, int64_t rows, int64_t columns,
    ELEMENT *restrict out)
{
    if (columns == 1) {
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) out[i * n + j] = a[i * rows + j];
        return;
    }
    for (int64_t top = 0; top < m; top += 16)
        for (int64_t left = 0; left < n; left += 16)
            for (int64_t i = top; i < m && i < top + 16; i++)
                for (int64_t j = left; j < n && j < left + 16; j++) out[i * n + j] = a[i * rows + j * columns];
}

static int64_t core_LETTERzero_on_diagonal(int64_t n, const ELEMENT *a, int64_t stride)
{
    for (int64_t i = 0; i < n; i++)
        if (a[i * stride] == 0) return i + 1;
    return 0;
}

static void core_LETTERconjugated(int64_t count, ELEMENT *a)
{
    for (int64_t i = 0; i < count; i++) a[i] = core_LETTERconjugate(a[i]);
}

#endif
