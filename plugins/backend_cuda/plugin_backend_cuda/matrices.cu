/* What linear algebra needs besides the libraries, for stacks of matrices whose addresses lie in arrays.  REAL is float
   or double.  ``rows`` and ``columns`` say how far apart neighbours lie; numbers of failures are one a matrix. */

/* The number that says of which input (0 to 3) an element is not finite, what it is, and where: see failures.py of
   plugin-ops-linalg. */
static __device__ __forceinline__ int32_t core_REAL_not_finite(int64_t input, REAL x, int64_t place)
{
    const int64_t most = (0x7fffffff - 64) / 12;
    return (int32_t)(-16 - ((place < most ? place : most) * 12 + (x != x ? 0 : x > 0 ? 1 : 2) * 4 + input));
}

/* Of several such numbers of one input the first place stays, and of several inputs the one that came first. */
static __device__ __forceinline__ void core_REAL_said(int32_t *number, int32_t code)
{
    int32_t old = *number;
    while (old == 0 || (old <= -16 && old < code && (-16 - old) % 4 == (-16 - code) % 4)) {
        const int32_t seen = atomicCAS(number, old, code);
        if (seen == old) return;
        old = seen;
    }
}

/* to[i, j] = from[i, j].  Where ``input`` is not 0, an element of that input, from 1, that is not finite is noted, and
   becomes 0, for iterations may not end with one; where ``to`` is null, it is noted only.  From 5 on, it is the element
   (j, i) of the input that has ``input`` - 4. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_gather(const REAL *const *from, int64_t rows,
    int64_t columns, REAL *const *to, int64_t to_rows, int64_t to_columns, int64_t count, int64_t m, int64_t n,
    int32_t *numbers, int64_t input)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * m * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t k = e / (m * n), i = e / n % m, j = e % n;
        REAL x = from[k][i * rows + j * columns];
        if (input != 0 && !(x - x == 0)) {
            const int64_t place = input > 4 ? j * m + i : i * n + j;
            core_REAL_said(numbers + k, core_REAL_not_finite((input - 1) % 4, x, place));
            x = 0;
        }
        if (to) to[k][i * to_rows + j * to_columns] = x;
    }
}

/* 0 above the diagonal where ``lower``, else below it; rows follow each other. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_clear(REAL *const *a, int64_t count, int64_t m, int64_t n,
    int64_t lower)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * m * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t i = e / n % m, j = e % n;
        if (lower ? j > i : j < i) a[e / (m * n)][i * n + j] = 0;
    }
}

extern "C" __global__ void __launch_bounds__(256) core_REAL_identity(REAL *const *a, int64_t count, int64_t n)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * n * n; e += gridDim.x * (int64_t)blockDim.x)
        a[e / (n * n)][e % (n * n)] = e / n % n == e % n ? 1 : 0;
}

/* NaN in each matrix that failed. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_fail(REAL *a, int64_t count, int64_t size,
    const int32_t *numbers)
{
    const REAL zero = 0;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * size; e += gridDim.x * (int64_t)blockDim.x)
        if (numbers[e / size] != 0) a[e] = zero / zero;
}

/* The first 0 on each diagonal, counted from 1. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_singular(const REAL *const *a, int64_t step, int64_t count,
    int64_t n, int32_t *numbers)
{
    for (int64_t k = blockIdx.x; k < count; k += gridDim.x) {
        int first = 0x7fffffff;
        for (int64_t i = threadIdx.x; i < n; i += 32)
            if (a[k][i * step] == 0 && i + 1 < first) first = (int)(i + 1);
        for (int d = 16; d > 0; d /= 2) {
            const int other = __shfl_xor_sync(0xffffffffu, first, d);
            first = other < first ? other : first;
        }
        if (threadIdx.x == 0 && first != 0x7fffffff && numbers[k] == 0) numbers[k] = first;
    }
}

/* From LU and its pivots: the sign and the logarithm of the absolute value, or, without ``logabs``, the determinant. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_determinant(const REAL *const *a, const int32_t *pivots,
    int64_t count, int64_t n, REAL *sign, REAL *logabs)
{
    for (int64_t k = blockIdx.x; k < count; k += gridDim.x) {
        REAL product = 1, sum = 0;
        for (int64_t i = threadIdx.x; i < n; i += 32) {
            const REAL pivot = a[k][i * (n + 1)];
            if (pivots[k * n + i] != i + 1) product = -product;
            if (!logabs) product *= pivot;
            else {
                sum += LOG(pivot < 0 ? -pivot : pivot);
                product *= pivot > 0 ? (REAL)1 : pivot < 0 ? (REAL)-1 : pivot;
            }
        }
        for (int d = 16; d > 0; d /= 2) {
            product *= __shfl_xor_sync(0xffffffffu, product, d);
            sum += __shfl_xor_sync(0xffffffffu, sum, d);
        }
        if (threadIdx.x == 0) sign[k] = product;
        if (threadIdx.x == 0 && logabs) logabs[k] = sum;
    }
}

/* The exchanges of rows, counted from 0, in their order or in the other; rows follow each other. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_exchange(REAL *const *x, const int32_t *const *pivots,
    int64_t step, int64_t count, int64_t n, int64_t columns, int64_t back)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * columns; e += gridDim.x * (int64_t)blockDim.x) {
        REAL *column = x[e / columns] + e % columns;
        for (int64_t k = 0; k < n; k++) {
            const int64_t i = back ? n - 1 - k : k, other = pivots[e / columns][i * step];
            if (other == i || other < 0 || other >= n) continue;
            const REAL kept = column[i * columns];
            column[i * columns] = column[other * columns];
            column[other * columns] = kept;
        }
    }
}

/* Row exchanges, counted from 0 instead of 1. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_from_zero(const int32_t *from, int32_t *to, int64_t count)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count; e += gridDim.x * (int64_t)blockDim.x)
        to[e] = from[e] - 1;
}

/* The lower triangle with half the diagonal, 0 above. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_halve(REAL *a, int64_t count, int64_t n)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * n * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t i = e / n % n, j = e % n;
        if (j > i) a[e] = 0;
        if (j == i) a[e] = a[e] / 2;
    }
}

/* The lower triangle of a + a', with the diagonal of a. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_symmetric(const REAL *a, REAL *out, int64_t count, int64_t n)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * n * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t i = e / n % n, j = e % n, k = e / (n * n) * n * n;
        out[e] = j > i ? (REAL)0 : j == i ? a[e] : a[e] + a[k + j * n + i];
    }
}

/* Two factors for a product: ``factor`` times the number whose bits are given, and 1. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_scaled(REAL *out, const REAL *factor, int64_t bits)
{
    if (threadIdx.x == 0) {
        out[0] = (REAL)__longlong_as_double(bits) * factor[0];
        out[1] = 1;
    }
}

/* What a library said, where nothing else was wrong before. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_note(int32_t *numbers, const int32_t *said, int64_t count)
{
    for (int64_t k = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; k < count; k += gridDim.x * (int64_t)blockDim.x)
        if (numbers[k] == 0) numbers[k] = said[k];
}

/* a = L L' in place for matrices of up to 32 rows that follow each other, or U' U where not ``lower``; 0 in the other
   triangle.  A lane has a row of L.  Numbers: the first minor that is not positive, from 1, or what ``check`` finds that
   is not finite. */
extern "C" __global__ void __launch_bounds__(32) core_REAL_cholesky(REAL *a, int64_t count, int64_t n,
    int64_t lower, int64_t check, int32_t *numbers)
{
    const int lane = threadIdx.x;
    for (int64_t k = blockIdx.x; k < count; k += gridDim.x) {
        REAL *at = a + k * n * n, row[32];
        int failed = 0;
        for (int64_t e = lane; check && e < n * n && failed == 0; e += 32)
            if (!(at[e] - at[e] == 0)) failed = core_REAL_not_finite(0, at[e], e);
        for (int d = 16; d > 0; d /= 2) {
            const int other = __shfl_xor_sync(0xffffffffu, failed, d);
            failed = other != 0 && (failed == 0 || other > failed) ? other : failed;
        }
        #pragma unroll
        for (int j = 0; j < 32; j++) row[j] = lane < n && j <= lane ? at[lower ? lane * n + j : j * n + lane] : (REAL)0;
        #pragma unroll
        for (int j = 0; j < 32; j++) {
            if (j < n && failed == 0) {
                const REAL pivot = __shfl_sync(0xffffffffu, row[j], j);
                if (pivot > 0) {
                    const REAL root = SQRT(pivot);
                    row[j] = lane == j ? root : row[j] / root;
                    #pragma unroll
                    for (int i = j + 1; i < 32; i++) row[i] -= row[j] * __shfl_sync(0xffffffffu, row[j], i);
                } else {
                    failed = j + 1;
                }
            }
        }
        #pragma unroll
        for (int j = 0; j < 32; j++)
            if (lane < n && j < n) at[lower ? lane * n + j : j * n + lane] = j <= lane ? row[j] : (REAL)0;
        if (lane == 0 && numbers[k] == 0) numbers[k] = failed;
    }
}
