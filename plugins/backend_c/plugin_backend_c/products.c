/* Products of matrices: blocks of registers for what is small or narrow, BLAS for the rest.
 *
 * products.py makes a unit of this text, of product.h, of products_of.h or products_complex.h for a type, and of
 * products_parts.h; it is built when a program first multiplies matrices of that type, and kept.  Nothing here knows Python or NumPy.
 */

typedef __INT32_TYPE__ int32_t;
typedef __INT64_TYPE__ int64_t;
extern void *memcpy(void *, const void *, __SIZE_TYPE__);
extern void *malloc(__SIZE_TYPE__);
extern void free(void *);

/* of a vector; of a block */
#if defined(__AVX512F__) && defined(__AVX512VL__)
#define WIDE 1
#define BYTES 64
enum { ROWS = 8 }; /* 16 sums, in 32 registers */
#elif defined(__AVX__)
#define BYTES 32
enum { ROWS = 6 }; /* 12 sums, in 16 registers */
#else
#define BYTES 16
enum { ROWS = 6 };
#endif

#define INLINE static inline __attribute__((always_inline))
#define ALONE static __attribute__((noinline))
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

enum { NARROW = 8 }; /* vectors of a row that fits into registers */
enum { DEPTH = 384 }; /* of one pass over k, at most: so many rows of two vectors of B are quickly read again */
enum { PACKED = 3 << 17 }; /* bytes of A, of one pass over k, that stay in the second */

#include "product.h"

/* --- threads of BLAS -----------------------------------------------------------------------------------------------
 *
 * Products are divided by whoever calls; a library that also starts threads would only fight for the same cores.  While
 * any call of ours runs it works with one, and afterwards with as many as before.  Units of two types count apart: the
 * one that began first puts the number back, the other found 1 and leaves it. */

static int (*get_threads)(void);
static void (*set_threads)(int);
static int busy, calls, threads_before;

void core_product_threads(int (*get)(void), void (*set)(int))
{
    get_threads = get;
    set_threads = set;
}

static void count_calls(int change)
{
    if (!get_threads) return;
    /* a process that was forked meanwhile finds it busy for ever: then nobody else is there to wait for */
    for (int tries = 0; __atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE) && tries < 1 << 20; tries++) {
    }
    if (change > 0 && calls == 0) {
        threads_before = get_threads();
        if (threads_before != 1) set_threads(1);
    }
    calls += change;
    if (calls == 0 && threads_before != 1) set_threads(threads_before);
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

/* --- which way ----------------------------------------------------------------------------------------------------- */

static int is_long(const core_product *p)
{
    const int64_t most = __INT_MAX__;
    return p->m > most || p->n > most || p->k > most || p->a_row > most || p->a_column > most || p->b_row > most
        || p->b_column > most || p->c_row > most;
}

static int at_least(int a, int b)
{
    const int more = a > b ? a : b;
    return more > 1 ? more : 1;
}

/* Whether blocks of registers beat BLAS, as measured against OpenBLAS 0.3.30 on Zen 4.  ``a_turned``, ``b_turned``: columns
 * lie side by side, not rows. */
static int is_ours(double m, double n, double k, int a_turned, int b_turned, double size)
{
    const double work = m * n * k;
    if (m == 1 || n == 1 || work <= 1 << 12) return 1;
#ifdef WIDE
    if (work <= 1e6) return b_turned && !a_turned; /* up to here it has blocks of registers, too, for such processors */
#else
    (void)a_turned, (void)b_turned;
    if (work <= 1e6) return 1;
#endif
    return m <= 16 || n <= 192 || n * k * size <= (m <= 96 ? 1 << 22 : 3 << 19);
}

/* The same for complex elements, which own blocks of registers would gain little for. */
static int is_ours_complex(double m, double n, double k)
{
    return m == 1 || n == 1 || m * n * k <= 1 << 11;
}

/* Whether C is X' X or X X', so large that its upper half is made alone, and copied to the lower one. */
static int is_symmetric(const core_product *p)
{
    return p->a == p->b && p->a_row == p->b_column && p->a_column == p->b_row && p->m == p->n && !p->start
        && p->m >= 192 && p->k >= 64;
}

/* Whether a vector meets a matrix whose rows lie across it: pieces would read a part of each row, and memory in steps. */
static int is_across(const core_product *p)
{
    return (p->m == 1 && p->b_column == 1) || (p->n == 1 && p->a_row == 1);
}

/* In products of terms, as long as those of two matrices take: a vector does not let a matrix be read but once. */
static double work_of(const core_product *p)
{
    return (double)p->m * p->n * p->k * (p->m == 1 || p->n == 1 ? 4 : 1);
}

/* Into what pieces C is divided for threads: sets ``columns`` and ``symmetric``, and returns how many columns, or rows,
 * make a piece.  Of lengths alone, so that no element depends on how many threads there are.  BLAS copies all of one
 * factor for each piece, which a piece must be long enough to be worth. */
static int64_t plan(core_product *p, int may_be_symmetric)
{
    enum { LONG = 512, MOST = 64, OF_A_HALF = 96 };
    p->columns = p->n > p->m;
    p->symmetric = may_be_symmetric && is_symmetric(p);
    if (p->symmetric) return p->m / MOST > OF_A_HALF ? p->m / MOST : OF_A_HALF;
    const int64_t length = p->columns ? p->n : p->m;
    const double work = work_of(p);
    if (work < 1 << 22 || (is_across(p) && length < LONG)) return length > 0 ? length : 1;
    int64_t pairs = (length + LONG - 1) / LONG; /* of pieces: two threads are the most common number */
    if (pairs > work / (1 << 21)) pairs = work / (1 << 21);
    if (pairs > MOST / 2) pairs = MOST / 2;
    const int64_t piece = (length + 2 * pairs - 1) / (2 * pairs);
    return (piece + 15) / 16 * 16;
}

/* Where C has few elements, and each is a long sum, pieces are along k: each makes all of a matrix like C, and these are
 * added up in their order.  Returns how many terms make a piece, and 0 where C itself is divided. */
static int64_t plan_sums(core_product *p, int64_t size)
{
    enum { FEW = 1 << 14, MOST = 16, LONGER = 32 };
    const int64_t elements = p->m * p->n, most = p->m > p->n ? p->m : p->n;
    const double work = work_of(p);
    if (p->symmetric || work < 1 << 22 || p->k / LONGER < most || elements > FEW) return 0;
    const int64_t pieces = work < (double)MOST * (1 << 21) ? work / (1 << 21) : MOST;
    const int64_t piece = ((p->k + pieces - 1) / pieces + 63) / 64 * 64, others = (p->k - 1) / piece;
    if (others == 0 || !(p->parts = malloc(others * elements * size))) return 0;
    return p->deep = piece;
}

/* How many pieces of products make a piece of a stack: threads take small products by the dozen, and large ones apart. */
static int64_t plan_stack(void *stack)
{
    core_stack *s = stack;
    enum { MOST = 64 };
    s->piece = plan(&s->one, s->a_next == s->b_next);
    const int64_t length = s->one.columns ? s->one.n : s->one.m;
    s->pieces = s->count == 0 || length == 0 ? 0 : (length + s->piece - 1) / s->piece;
    if (s->pieces > 1) return 1;
    const double work = (double)s->one.m * s->one.n * s->one.k + 1;
    if (work * s->count < 1 << 22) return s->count > 0 ? s->count : 1;
    const int64_t enough = work < 1 << 21 ? (1 << 21) / work : 1, least = (s->count + MOST - 1) / MOST;
    return enough > least ? enough : least;
}
