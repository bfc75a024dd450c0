/* Complex numbers: without C's detours for infinities, and without the library that has them. */
#ifndef CORE_LINALG_PRODUCTS_PARTNER
#define CORE_LINALG_PRODUCTS_PARTNER

static inline COMPLEX core_PARTNERmade(REAL real, REAL imaginary)
{
    COMPLEX z;
    __real__ z = real;
    __imag__ z = imaginary;
    return z;
}

static inline COMPLEX core_PARTNERtimes(COMPLEX x, COMPLEX y)
{
    return core_PARTNERmade(
        __real__ x * __real__ y - __imag__ x * __imag__ y, __real__ x * __imag__ y + __imag__ x * __real__ y);
}

/* Smith (1962). */
static inline COMPLEX core_PARTNERover(COMPLEX x, COMPLEX y)
{
    const REAL a = __real__ y, b = __imag__ y;
    if (MAGNITUDE(a) >= MAGNITUDE(b)) {
        const REAL ratio = b / a, divisor = a + b * ratio;
        return core_PARTNERmade(
            (__real__ x + __imag__ x * ratio) / divisor, (__imag__ x - __real__ x * ratio) / divisor);
    }
    const REAL ratio = a / b, divisor = a * ratio + b;
    return core_PARTNERmade((__real__ x * ratio + __imag__ x) / divisor, (__imag__ x * ratio - __real__ x) / divisor);
}

static inline COMPLEX core_PARTNERconjugate(COMPLEX x)
{
    return core_PARTNERmade(__real__ x, -__imag__ x);
}

static inline REAL core_PARTNERreal_part(COMPLEX x)
{
    return __real__ x;
}

static inline REAL core_PARTNERsize(COMPLEX x)
{
    return HYPOT(__real__ x, __imag__ x);
}

/* By which LAPACK chooses pivots. */
static inline REAL core_PARTNERone_norm(COMPLEX x)
{
    return MAGNITUDE(__real__ x) + MAGNITUDE(__imag__ x);
}

static inline COMPLEX core_PARTNERroot(COMPLEX x)
{
    const REAL a = __real__ x, b = __imag__ x, size = core_PARTNERsize(x);
    if (size == 0) return 0;
    const REAL half = ROOT((size + MAGNITUDE(a)) / 2);
    return a >= 0 ? core_PARTNERmade(half, b / (2 * half))
                  : core_PARTNERmade(MAGNITUDE(b) / (2 * half), COPYSIGN(half, b));
}

static inline COMPLEX core_PARTNERlog(COMPLEX x)
{
    return core_PARTNERmade(LOG(core_PARTNERsize(x)), ATAN2(__imag__ x, __real__ x));
}

#endif
