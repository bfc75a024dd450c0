/* Elements that are complex, for matrices.cu: two numbers side by side, as every library has them. */

struct ELEMENT {
    REAL re, im;
    ELEMENT() = default;
    __device__ __forceinline__ ELEMENT(REAL x, REAL y = 0) : re(x), im(y) {}
    __device__ __forceinline__ ELEMENT operator-() const { return ELEMENT(-re, -im); }
    __device__ __forceinline__ ELEMENT operator+(ELEMENT b) const { return ELEMENT(re + b.re, im + b.im); }
    __device__ __forceinline__ ELEMENT operator-(ELEMENT b) const { return ELEMENT(re - b.re, im - b.im); }
    __device__ __forceinline__ ELEMENT operator*(ELEMENT b) const { return ELEMENT(re * b.re - im * b.im, re * b.im + im * b.re); }
    __device__ __forceinline__ ELEMENT operator/(REAL b) const { return ELEMENT(re / b, im / b); }
    __device__ __forceinline__ ELEMENT &operator-=(ELEMENT b) { return *this = *this - b; }
    __device__ __forceinline__ ELEMENT &operator*=(ELEMENT b) { return *this = *this * b; }
    __device__ __forceinline__ bool operator==(REAL b) const { return re == b && im == 0; }
};

static __device__ __forceinline__ int core_DTYPE_finite(ELEMENT x) { return x.re - x.re == 0 && x.im - x.im == 0; }
/* The part that is not finite, where one is not. */
static __device__ __forceinline__ REAL core_DTYPE_worst(ELEMENT x) { return x.re - x.re == 0 ? x.im : x.re; }
static __device__ __forceinline__ REAL core_DTYPE_real(ELEMENT x) { return x.re; }
static __device__ __forceinline__ ELEMENT core_DTYPE_conjugate(ELEMENT x) { return ELEMENT(x.re, -x.im); }
static __device__ __forceinline__ REAL core_DTYPE_size(ELEMENT x) { return HYPOT(x.re, x.im); }
/* How large, as LAPACK compares pivots. */
static __device__ __forceinline__ REAL core_DTYPE_weight(ELEMENT x) { return (x.re < 0 ? -x.re : x.re) + (x.im < 0 ? -x.im : x.im); }
/* Scaled by the larger part of b, so that no square overflows: Smith (1962), CACM 5, algorithm 116. */
static __device__ __forceinline__ ELEMENT core_DTYPE_divide(ELEMENT a, ELEMENT b)
{
    if ((b.re < 0 ? -b.re : b.re) >= (b.im < 0 ? -b.im : b.im)) {
        const REAL ratio = b.im / b.re, below = b.re + b.im * ratio;
        return ELEMENT((a.re + a.im * ratio) / below, (a.im - a.re * ratio) / below);
    }
    const REAL ratio = b.re / b.im, below = b.re * ratio + b.im;
    return ELEMENT((a.re * ratio + a.im) / below, (a.im * ratio - a.re) / below);
}
/* x / |x|, and 0 where that is 0. */
static __device__ __forceinline__ ELEMENT core_DTYPE_sign(ELEMENT x)
{
    const REAL size = core_DTYPE_size(x);
    return size == 0 ? ELEMENT(0) : x / size;
}
static __device__ __forceinline__ ELEMENT core_DTYPE_from(ELEMENT x, int lane)
{
    return ELEMENT(__shfl_sync(0xffffffffu, x.re, lane), __shfl_sync(0xffffffffu, x.im, lane));
}
static __device__ __forceinline__ ELEMENT core_DTYPE_other(ELEMENT x, int d)
{
    return ELEMENT(__shfl_xor_sync(0xffffffffu, x.re, d), __shfl_xor_sync(0xffffffffu, x.im, d));
}
