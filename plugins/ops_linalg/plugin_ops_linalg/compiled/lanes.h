/* As many small matrices of a stack at once as fit in a vector register: each register holds one element of all of them. */
#ifndef CORE_LINALG_LANES_LETTER
#define CORE_LINALG_LANES_LETTER

typedef REAL core_LETTERlanes __attribute__((vector_size(64)));
typedef SIGNED core_LETTERmask __attribute__((vector_size(64)));

enum { CORE_LETTER_LANES = 64 / sizeof(REAL) };

static inline __attribute__((always_inline)) core_LETTERlanes core_LETTERgathered(const REAL *a, int64_t next)
{
    core_LETTERlanes x;
    for (int64_t lane = 0; lane < CORE_LETTER_LANES; lane++) x[lane] = a[lane * next];
    return x;
}

static inline __attribute__((always_inline)) void core_LETTERscattered(core_LETTERlanes x, REAL *a, int64_t next)
{
    for (int64_t lane = 0; lane < CORE_LETTER_LANES; lane++) a[lane * next] = x[lane];
}

static inline __attribute__((always_inline)) core_LETTERlanes core_LETTERchosen(core_LETTERmask mask, core_LETTERlanes x,
    core_LETTERlanes y)
{
    return (core_LETTERlanes)((mask & (core_LETTERmask)x) | (~mask & (core_LETTERmask)y));
}

static inline __attribute__((always_inline)) core_LETTERlanes core_LETTERsizes(core_LETTERlanes x)
{
    return (core_LETTERlanes)((core_LETTERmask)x & (SIGNED)(~(UINT)0 >> 1));
}

static inline __attribute__((always_inline)) core_LETTERlanes core_LETTERroots(core_LETTERlanes x)
{
    for (int64_t lane = 0; lane < CORE_LETTER_LANES; lane++) x[lane] = ROOT(x[lane]);
    return x;
}

static inline __attribute__((always_inline)) int core_LETTERany(core_LETTERmask mask)
{
    SIGNED found = 0;
    for (int64_t lane = 0; lane < CORE_LETTER_LANES; lane++) found |= mask[lane];
    return found != 0;
}

/* Adds to ``bad`` where x is not finite, if that is asked for. */
static inline __attribute__((always_inline)) void core_LETTERchecked(core_LETTERlanes x, int check, core_LETTERmask *bad)
{
    if (check) *bad |= (core_LETTERmask)(((core_LETTERmask)x & (SIGNED)EXPONENT) == (SIGNED)EXPONENT);
}

static inline __attribute__((always_inline)) void core_LETTERgathered_matrix(int64_t m, int64_t n, const REAL *a,
    int64_t rows, int64_t columns, int64_t next, core_LETTERlanes *out, int check, core_LETTERmask *bad)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            out[i * n + j] = core_LETTERgathered(a + i * rows + j * columns, next);
            core_LETTERchecked(out[i * n + j], check, bad);
        }
}

#endif
