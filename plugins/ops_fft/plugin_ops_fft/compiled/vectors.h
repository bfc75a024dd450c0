/* Vectors of elements of type ELEMENT, named with LETTER: s for float, d for double; lines lie in their lanes, side by
 * side, real and imaginary parts apart.
 */
#ifndef CORE_FT
#define CORE_FT

#if defined(__AVX512F__)
#define CORE_FT_BYTES_d 64
#define CORE_FT_BYTES_s 32 /* as many lanes as doubles have: lines of length 64 fill those, and not twice as many */
#define CORE_FT_LANES_d 8
#define CORE_FT_LANES_s 8
#elif defined(__AVX__)
#define CORE_FT_BYTES_d 32
#define CORE_FT_BYTES_s 32
#define CORE_FT_LANES_d 4
#define CORE_FT_LANES_s 8
#else
#define CORE_FT_BYTES_d 16
#define CORE_FT_BYTES_s 16
#define CORE_FT_LANES_d 2
#define CORE_FT_LANES_s 4
#endif

/* Products are fused with the sums they are added to, which the rest of a program's text must not be. */
#if defined(__clang__)
#define CORE_FT_FAST
#define CORE_FT_FUSED _Pragma("clang fp contract(fast)")
#elif defined(__GNUC__)
#define CORE_FT_FAST , optimize("fp-contract=fast")
#define CORE_FT_FUSED
#endif
#define CORE_FT_INLINE static inline __attribute__((always_inline CORE_FT_FAST))
#if defined(__clang__)
#define CORE_FT_CALLED static __attribute__((noinline))
#define CORE_FT_RARE static __attribute__((noinline, cold))
#else
#define CORE_FT_CALLED static __attribute__((noinline, noclone CORE_FT_FAST))
#define CORE_FT_RARE static __attribute__((noinline, noclone, cold)) /* what is done once for a length: made small */
#endif
#define CORE_FT_EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

/* Elements of two vectors by turns, the first half and the second half of all; those at even and at odd places. */
#define CORE_FT_LOW_2 0, 2
#define CORE_FT_HIGH_2 1, 3
#define CORE_FT_EVEN_2 0, 2
#define CORE_FT_ODD_2 1, 3
#define CORE_FT_BACK_2 1, 0
#define CORE_FT_LOW_4 0, 4, 1, 5
#define CORE_FT_HIGH_4 2, 6, 3, 7
#define CORE_FT_EVEN_4 0, 2, 4, 6
#define CORE_FT_ODD_4 1, 3, 5, 7
#define CORE_FT_BACK_4 3, 2, 1, 0
#define CORE_FT_LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define CORE_FT_HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define CORE_FT_EVEN_8 0, 2, 4, 6, 8, 10, 12, 14
#define CORE_FT_ODD_8 1, 3, 5, 7, 9, 11, 13, 15
#define CORE_FT_BACK_8 7, 6, 5, 4, 3, 2, 1, 0
#define CORE_FT_JOINED(order, lanes) CORE_FT_##order##_##lanes
#define CORE_FT_ORDER(order, lanes) CORE_FT_JOINED(order, lanes)
#if defined(__clang__) || __GNUC__ >= 12
#define CORE_FT_MIXED(type, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CORE_FT_MIXED(type, a, b, ...) __builtin_shuffle(a, b, (type){__VA_ARGS__})
#endif

static inline int64_t core_ft_least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t core_ft_most(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t core_ft_upwards(int64_t a, int64_t b) { return (a + b - 1) / b; }
#endif

#ifndef CORE_FT_LETTER
#define CORE_FT_LETTER

enum { core_LETTERft_lanes = CORE_FT_LANES_LETTER };
typedef ELEMENT core_LETTERft_vector __attribute__((vector_size(CORE_FT_BYTES_LETTER)));
typedef ELEMENT core_LETTERft_stored
    __attribute__((vector_size(CORE_FT_BYTES_LETTER), aligned(sizeof(ELEMENT)), may_alias));
typedef SIGNED core_LETTERft_places __attribute__((vector_size(CORE_FT_BYTES_LETTER)));
typedef struct { core_LETTERft_vector re, im; } core_LETTERft_point; /* an element of each line */

#define CORE_FT_TAKE_LETTER(order, a, b) \
    CORE_FT_MIXED(core_LETTERft_places, a, b, CORE_FT_ORDER(order, CORE_FT_LANES_LETTER))

CORE_FT_INLINE core_LETTERft_vector core_LETTERft_load(const ELEMENT *x)
{
    return (core_LETTERft_vector)*(const core_LETTERft_stored *)x;
}

CORE_FT_INLINE void core_LETTERft_store(ELEMENT *x, core_LETTERft_vector value)
{
    *(core_LETTERft_stored *)x = (core_LETTERft_stored)value;
}

/* As many complex numbers, one behind the other, as there are lanes; ``swap``: i times their conjugates. */
CORE_FT_INLINE core_LETTERft_point core_LETTERft_numbers(const ELEMENT *x, int swap)
{
    const core_LETTERft_vector a = core_LETTERft_load(x), b = core_LETTERft_load(x + core_LETTERft_lanes);
    const core_LETTERft_vector even = CORE_FT_TAKE_LETTER(EVEN, a, b), odd = CORE_FT_TAKE_LETTER(ODD, a, b);
    return swap ? (core_LETTERft_point){odd, even} : (core_LETTERft_point){even, odd};
}

CORE_FT_INLINE void core_LETTERft_put_numbers(ELEMENT *x, core_LETTERft_point value, int swap)
{
    const core_LETTERft_vector a = swap ? value.im : value.re, b = swap ? value.re : value.im;
    core_LETTERft_store(x, CORE_FT_TAKE_LETTER(LOW, a, b));
    core_LETTERft_store(x + core_LETTERft_lanes, CORE_FT_TAKE_LETTER(HIGH, a, b));
}

/* A square of elements transposed, by mixing the first half with the second once for each bit of a place. */
CORE_FT_INLINE void core_LETTERft_transpose(core_LETTERft_vector *x)
{
    enum { lanes = core_LETTERft_lanes, half = lanes / 2 };
    CORE_FT_EACH(bit, lanes == 2 ? 1 : lanes == 4 ? 2 : 3) {
        core_LETTERft_vector y[lanes];
        CORE_FT_EACH(i, half) {
            y[2 * i] = CORE_FT_TAKE_LETTER(LOW, x[i], x[i + half]);
            y[2 * i + 1] = CORE_FT_TAKE_LETTER(HIGH, x[i], x[i + half]);
        }
        CORE_FT_EACH(i, lanes) x[i] = y[i];
    }
}

CORE_FT_INLINE core_LETTERft_point core_LETTERft_plus(core_LETTERft_point a, core_LETTERft_point b)
{
    return (core_LETTERft_point){a.re + b.re, a.im + b.im};
}

CORE_FT_INLINE core_LETTERft_point core_LETTERft_minus(core_LETTERft_point a, core_LETTERft_point b)
{
    return (core_LETTERft_point){a.re - b.re, a.im - b.im};
}

/* a + i b, a - i b */
CORE_FT_INLINE core_LETTERft_point core_LETTERft_left(core_LETTERft_point a, core_LETTERft_point b)
{
    return (core_LETTERft_point){a.re - b.im, a.im + b.re};
}

CORE_FT_INLINE core_LETTERft_point core_LETTERft_right(core_LETTERft_point a, core_LETTERft_point b)
{
    return (core_LETTERft_point){a.re + b.im, a.im - b.re};
}

/* a times one number, or times one for each lane. */
CORE_FT_INLINE core_LETTERft_point core_LETTERft_turned(core_LETTERft_point a, const ELEMENT *w)
{
    CORE_FT_FUSED
    return (core_LETTERft_point){a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]};
}

CORE_FT_INLINE core_LETTERft_point core_LETTERft_times(core_LETTERft_point a, core_LETTERft_point w)
{
    CORE_FT_FUSED
    return (core_LETTERft_point){a.re * w.re - a.im * w.im, a.re * w.im + a.im * w.re};
}
#endif
