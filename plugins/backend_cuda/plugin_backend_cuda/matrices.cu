/* What linear algebra needs besides the libraries, for stacks of matrices whose addresses lie in arrays.  ELEMENT is what
   numbers_real.cu or numbers_complex.cu has, of REAL parts, float or double.  ``rows`` and ``columns`` say how far apart
   neighbours lie; numbers of failures are one a matrix. */

/* The number that says of which input (0 to 3) an element is not finite, what it is, and where: see failures.py of
   plugin-ops-linalg. */
static __device__ __forceinline__ int32_t core_DTYPE_not_finite(int64_t input, ELEMENT element, int64_t place)
{
    const REAL x = core_DTYPE_worst(element);
    const int64_t most = (0x7fffffff - 64) / 12;
    return (int32_t)(-16 - ((place < most ? place : most) * 12 + (x != x ? 0 : x > 0 ? 1 : 2) * 4 + input));
}

/* Of several such numbers of one input the first place stays, and of several inputs the one that came first. */
static __device__ __forceinline__ void core_DTYPE_said(int32_t *number, int32_t code)
{
    int32_t old = *number;
    while (old == 0 || (old <= -16 && old < code && (-16 - old) % 4 == (-16 - code) % 4)) {
        const int32_t seen = atomicCAS(number, old, code);
        if (seen == old) return;
        old = seen;
    }
}

/* to[i, j] = from[i, j], or its conjugate.  Where ``input`` is not 0, an element of that input, from 1, that is not finite is noted, and
   becomes 0, for iterations may not end with one; where ``to`` is null, it is noted only.  From 5 on, it is the element
   (j, i) of the input that has ``input`` - 4. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_gather(const ELEMENT *const *from, int64_t rows,
    int64_t columns, ELEMENT *const *to, int64_t to_rows, int64_t to_columns, int64_t count, int64_t m, int64_t n,
    int32_t *numbers, int64_t input, int64_t conjugated)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * m * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t k = e / (m * n), i = e / n % m, j = e % n;
        ELEMENT x = from[k][i * rows + j * columns];
        if (input != 0 && !core_DTYPE_finite(x)) {
            const int64_t place = input > 4 ? j * m + i : i * n + j;
            core_DTYPE_said(numbers + k, core_DTYPE_not_finite((input - 1) % 4, x, place));
            x = 0;
        }
        if (to) to[k][i * to_rows + j * to_columns] = conjugated ? core_DTYPE_conjugate(x) : x;
    }
}

/* 0 above the diagonal where ``lower``, else below it; rows follow each other. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_clear(ELEMENT *const *a, int64_t count, int64_t m, int64_t n,
    int64_t lower)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * m * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t i = e / n % m, j = e % n;
        if (lower ? j > i : j < i) a[e / (m * n)][i * n + j] = 0;
    }
}

extern "C" __global__ void __launch_bounds__(256) core_DTYPE_identity(ELEMENT *const *a, int64_t count, int64_t n)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * n * n; e += gridDim.x * (int64_t)blockDim.x)
        a[e / (n * n)][e % (n * n)] = e / n % n == e % n ? 1 : 0;
}

/* NaN in each matrix that failed. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_fail(ELEMENT *a, int64_t count, int64_t size,
    const int32_t *numbers)
{
    const REAL zero = 0;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * size; e += gridDim.x * (int64_t)blockDim.x)
        if (numbers[e / size] != 0) a[e] = zero / zero;
}

/* 0 in each row of integers of a matrix that failed. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_no_numbers(int32_t *a, int64_t count, int64_t size,
    const int32_t *numbers)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * size; e += gridDim.x * (int64_t)blockDim.x)
        if (numbers[e / size] != 0) a[e] = 0;
}

/* The first 0 on each diagonal, counted from 1. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_singular(const ELEMENT *const *a, int64_t step, int64_t count,
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
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_determinant(const ELEMENT *const *a, const int32_t *pivots,
    int64_t count, int64_t n, ELEMENT *sign, REAL *logabs)
{
    for (int64_t k = blockIdx.x; k < count; k += gridDim.x) {
        ELEMENT product = 1;
        REAL sum = 0;
        for (int64_t i = threadIdx.x; i < n; i += 32) {
            const ELEMENT pivot = a[k][i * (n + 1)];
            if (pivots[k * n + i] != i + 1) product = -product;
            if (logabs) sum += LOG(core_DTYPE_size(pivot));
            product *= logabs ? core_DTYPE_sign(pivot) : pivot;
        }
        for (int d = 16; d > 0; d /= 2) {
            product *= core_DTYPE_other(product, d);
            sum += __shfl_xor_sync(0xffffffffu, sum, d);
        }
        if (threadIdx.x == 0) sign[k] = product;
        if (threadIdx.x == 0 && logabs) logabs[k] = sum;
    }
}

/* The exchanges of rows, counted from 0, in their order or in the other; rows follow each other. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_exchange(ELEMENT *const *x, const int32_t *const *pivots,
    int64_t step, int64_t count, int64_t n, int64_t columns, int64_t back)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * columns; e += gridDim.x * (int64_t)blockDim.x) {
        ELEMENT *column = x[e / columns] + e % columns;
        for (int64_t k = 0; k < n; k++) {
            const int64_t i = back ? n - 1 - k : k, other = pivots[e / columns][i * step];
            if (other == i || other < 0 || other >= n) continue;
            const ELEMENT kept = column[i * columns];
            column[i * columns] = column[other * columns];
            column[other * columns] = kept;
        }
    }
}

/* Row exchanges, counted from 0 instead of 1. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_from_zero(const int32_t *from, int32_t *to, int64_t count)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count; e += gridDim.x * (int64_t)blockDim.x)
        to[e] = from[e] - 1;
}

/* The lower triangle with half the diagonal, 0 above. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_halve(ELEMENT *a, int64_t count, int64_t n)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * n * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t i = e / n % n, j = e % n;
        if (j > i) a[e] = 0;
        if (j == i) a[e] = a[e] / (REAL)2;
    }
}

/* The lower triangle of a + a', with the diagonal of a. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_symmetric(const ELEMENT *a, ELEMENT *out, int64_t count, int64_t n)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * n * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t i = e / n % n, j = e % n, k = e / (n * n) * n * n;
        out[e] = j > i ? (ELEMENT)0 : j == i ? a[e] : a[e] + a[k + j * n + i];
    }
}

/* Two factors for a product: ``factor`` times the number whose bits are given, and 1. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_scaled(ELEMENT *out, const ELEMENT *factor, int64_t bits)
{
    if (threadIdx.x == 0) {
        out[0] = ELEMENT((REAL)__longlong_as_double(bits)) * factor[0];
        out[1] = 1;
    }
}

/* What a library said, where nothing else was wrong before. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_note(int32_t *numbers, const int32_t *said, int64_t count)
{
    for (int64_t k = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; k < count; k += gridDim.x * (int64_t)blockDim.x)
        if (numbers[k] == 0) numbers[k] = said[k];
}

/* a = L L^H in place for matrices of up to 32 rows that follow each other, or U^H U where not ``lower``; 0 in the other
   triangle.  A lane has a row of L.  Numbers: the first minor that is not positive, from 1, or what ``check`` finds that
   is not finite. */
extern "C" __global__ void __launch_bounds__(32) core_DTYPE_cholesky(ELEMENT *a, int64_t count, int64_t n,
    int64_t lower, int64_t check, int32_t *numbers)
{
    const int lane = threadIdx.x;
    for (int64_t k = blockIdx.x; k < count; k += gridDim.x) {
        ELEMENT *at = a + k * n * n, row[32];
        int failed = 0;
        for (int64_t e = lane; check && e < n * n && failed == 0; e += 32)
            if (!core_DTYPE_finite(at[e])) failed = core_DTYPE_not_finite(0, at[e], e);
        for (int d = 16; d > 0; d /= 2) {
            const int other = __shfl_xor_sync(0xffffffffu, failed, d);
            failed = other != 0 && (failed == 0 || other > failed) ? other : failed;
        }
        #pragma unroll
        for (int j = 0; j < 32; j++) {
            row[j] = 0;
            if (lane < n && j <= lane) row[j] = lower ? at[lane * n + j] : core_DTYPE_conjugate(at[j * n + lane]);
        }
        #pragma unroll
        for (int j = 0; j < 32; j++) {
            if (j < n && failed == 0) {
                const REAL pivot = __shfl_sync(0xffffffffu, core_DTYPE_real(row[j]), j);
                if (pivot > 0) {
                    const REAL root = SQRT(pivot);
                    row[j] = lane == j ? ELEMENT(root) : row[j] / root;
                    #pragma unroll
                    for (int i = j + 1; i < 32; i++) row[i] -= row[j] * core_DTYPE_conjugate(core_DTYPE_from(row[j], i));
                } else {
                    failed = j + 1;
                }
            }
        }
        #pragma unroll
        for (int j = 0; j < 32; j++) {
            const ELEMENT x = j <= lane ? row[j] : ELEMENT(0);
            if (lane < n && j < n) at[lower ? lane * n + j : j * n + lane] = lower ? x : core_DTYPE_conjugate(x);
        }
        if (lane == 0 && numbers[k] == 0) numbers[k] = failed;
    }
}

/* The matrix that one triangle describes, symmetric or Hermitian; rows of ``to`` follow each other. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_whole(const ELEMENT *const *from, int64_t rows,
    int64_t columns, ELEMENT *const *to, int64_t count, int64_t n, int64_t lower, int64_t hermitian)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * n * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t k = e / (n * n), i = e / n % n, j = e % n;
        const int64_t mine = lower ? i >= j : i <= j;
        ELEMENT x = from[k][mine ? i * rows + j * columns : j * rows + i * columns];
        if (hermitian && i == j) x = core_DTYPE_real(x);
        to[k][i * n + j] = hermitian && !mine ? core_DTYPE_conjugate(x) : x;
    }
}

/* Complex vectors, row by row, of real matrices: of a pair of values the first is above the real axis, and the columns of
   ``v``, which follow each other, are x and y, for x + i y and x - i y. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_paired(const ELEMENT *v, const REAL *w, REAL *out,
    int64_t count, int64_t n)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * n * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t k = e / (n * n), i = e / n % n, j = e % n;
        const REAL turn = w[2 * (k * n + j) + 1];
        const ELEMENT *x = v + (k * n + (turn < 0 ? j - 1 : j)) * n + i;
        out[2 * e] = core_DTYPE_real(x[0]);
        out[2 * e + 1] = turn == 0 ? (REAL)0 : turn > 0 ? core_DTYPE_real(x[n]) : -core_DTYPE_real(x[n]);
    }
}
