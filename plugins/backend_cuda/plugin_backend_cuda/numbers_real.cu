/* Elements that are real, for matrices.cu. */

typedef REAL ELEMENT;

static __device__ __forceinline__ int core_DTYPE_finite(ELEMENT x) { return x - x == 0; }
/* The part that is not finite, where one is not. */
static __device__ __forceinline__ REAL core_DTYPE_worst(ELEMENT x) { return x; }
static __device__ __forceinline__ REAL core_DTYPE_real(ELEMENT x) { return x; }
static __device__ __forceinline__ ELEMENT core_DTYPE_conjugate(ELEMENT x) { return x; }
static __device__ __forceinline__ REAL core_DTYPE_size(ELEMENT x) { return x < 0 ? -x : x; }
/* How large, as pivots are compared. */
static __device__ __forceinline__ REAL core_DTYPE_weight(ELEMENT x) { return x < 0 ? -x : x; }
static __device__ __forceinline__ ELEMENT core_DTYPE_divide(ELEMENT a, ELEMENT b) { return a / b; }
/* x / |x|, and x itself where that is 0 or NaN. */
static __device__ __forceinline__ ELEMENT core_DTYPE_sign(ELEMENT x) { return x > 0 ? (REAL)1 : x < 0 ? (REAL)-1 : x; }
static __device__ __forceinline__ ELEMENT core_DTYPE_from(ELEMENT x, int lane) { return __shfl_sync(0xffffffffu, x, lane); }
static __device__ __forceinline__ ELEMENT core_DTYPE_other(ELEMENT x, int d) { return __shfl_xor_sync(0xffffffffu, x, d); }
