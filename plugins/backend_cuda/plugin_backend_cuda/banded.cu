/* Systems with banded matrices, by a block of threads each: LU with exchanges of rows, as LAPACK's gbsv.

   Row i of the band holds the columns from i - below to i + above + below, ``width`` of them, the last of which are room
   for what exchanges of rows fill in. */

/* A band from its diagonals, from[above + i - j, j], or, where ``dense``, from a matrix, from[i, j]; 0 elsewhere. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_band(const ELEMENT *const *from, int64_t rows, int64_t columns,
    ELEMENT *band, int64_t count, int64_t n, int64_t below, int64_t above, int64_t dense)
{
    const int64_t width = 2 * below + above + 1;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * n * width; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t k = e / (n * width), i = e / width % n, j = i - below + e % width;
        ELEMENT x = 0;
        if (j >= 0 && j < n && j <= i + above) x = from[k][(dense ? i : above + i - j) * rows + j * columns];
        band[e] = x;
    }
}

/* Three diagonals of it, each of all matrices after the other: below, which begin with 0, the main ones, and above, which
   end with 0. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_diagonals(const ELEMENT *const *from, int64_t rows,
    int64_t columns, ELEMENT *out, int64_t count, int64_t n, int64_t dense)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < 3 * count * n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t which = e / (count * n) - 1, k = e / n % count, i = e % n, j = i + which;
        ELEMENT x = 0;
        if (j >= 0 && j < n) x = from[k][(dense ? i : 1 + i - j) * rows + j * columns];
        out[e] = x;
    }
}

/* Which matrices of x, whose columns follow each other, hold what is not finite. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_unsolved(const ELEMENT *x, int64_t count, int64_t size, int32_t *flags)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * size; e += gridDim.x * (int64_t)blockDim.x)
        if (!core_DTYPE_finite(x[e])) flags[e / size] = 1;
}

/* What is found takes the place of b, where there is no flag. */
extern "C" __global__ void __launch_bounds__(256) core_DTYPE_solved(const ELEMENT *found, ELEMENT *const *x, int64_t count,
    int64_t n, int64_t columns, const int32_t *flags)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count * n * columns; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t k = e / (n * columns), i = e / columns % n, c = e % columns;
        if (flags[k] == 0) x[k][i * columns + c] = found[(k * columns + c) * n + i];
    }
}

/* Where a thread begins among rows of ``each`` elements that a block shares, and how far it goes from one to its next: a
   block has fewer than 1024 threads, so that no 64-bit number is divided. */
struct Share { int row, column, rows, columns; };

static __device__ __forceinline__ Share core_share(int64_t each)
{
    const int length = each < 1024 ? (each > 0 ? (int)each : 1) : 1024, threads = (int)blockDim.x, me = (int)threadIdx.x;
    return Share{me / length, me % length, threads / length, threads % length};
}

static __device__ __forceinline__ void core_next(const Share &own, int64_t each, int64_t &row, int64_t &column)
{
    row += own.rows;
    column += own.columns;
    if (column >= each) {
        column -= each;
        row++;
    }
}

/* x, which holds b, row by row; the first pivot that is 0 is noted, from 1, and x is garbage then.  The band is spoilt.
   Threads share what a pivot changes; each warp looks for the pivot, so that all know it.  Where there are flags, only
   matrices that have one. */
extern "C" __global__ void __launch_bounds__(256, 4) core_DTYPE_solve_band(ELEMENT *band, ELEMENT *const *x, int64_t count, int64_t n,
    int64_t columns, int64_t below, int64_t above, int32_t *numbers,
    const int32_t *flags)
{
    const int64_t width = 2 * below + above + 1, reach = above + below;
    const int lane = threadIdx.x % 32;
    for (int64_t matrix = blockIdx.x; matrix < count; matrix += gridDim.x) {
        if (flags && flags[matrix] == 0) continue;
        ELEMENT *at = band + matrix * n * width, *b = x[matrix];
        int64_t singular = 0;
        for (int64_t k = 0; k < n && !singular; k++) {
            const int64_t last = k + below < n ? k + below : n - 1, right = k + reach < n ? k + reach : n - 1;
            REAL largest = -1;
            int pivot = 0;
            for (int64_t i = k + lane; i <= last; i += 32) {
                const REAL weight = core_DTYPE_weight(at[i * width + k - i + below]);
                if (weight > largest) largest = weight, pivot = (int)(i - k);
            }
            for (int d = 16; d > 0; d /= 2) {
                const REAL weight = __shfl_xor_sync(0xffffffffu, largest, d);
                const int other = __shfl_xor_sync(0xffffffffu, pivot, d);
                if (weight > largest || (weight == largest && other < pivot)) largest = weight, pivot = other;
            }
            __syncthreads();
            if (largest == 0) singular = k + 1;
            if (!singular && pivot != 0) {
                for (int64_t j = k + threadIdx.x; j <= right; j += blockDim.x) {
                    ELEMENT *one = at + k * width + j - k + below, *two = at + (k + pivot) * width + j - k - pivot + below;
                    const ELEMENT kept = *one;
                    *one = *two;
                    *two = kept;
                }
                for (int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
                    const ELEMENT kept = b[k * columns + c];
                    b[k * columns + c] = b[(k + pivot) * columns + c];
                    b[(k + pivot) * columns + c] = kept;
                }
                __syncthreads();
            }
            for (int64_t i = k + 1 + threadIdx.x; i <= last && !singular; i += blockDim.x)
                at[i * width + k - i + below] = core_DTYPE_divide(at[i * width + k - i + below], at[k * width + below]);
            __syncthreads();
            const int64_t beside = right - k, each = beside + columns;
            const Share own = core_share(each);
            for (int64_t i = k + 1 + own.row, c = own.column; i <= last && !singular; core_next(own, each, i, c)) {
                const ELEMENT factor = at[i * width + k - i + below];
                if (c < beside) at[i * width + k + 1 + c - i + below] -= factor * at[k * width + 1 + c + below];
                else b[i * columns + c - beside] -= factor * b[k * columns + c - beside];
            }
            __syncthreads();
        }
        if (singular && threadIdx.x == 0 && numbers[matrix] == 0) numbers[matrix] = (int32_t)singular;
        for (int64_t k = n - 1; k >= 0 && !singular; k--) {
            for (int64_t c = threadIdx.x; c < columns; c += blockDim.x)
                b[k * columns + c] = core_DTYPE_divide(b[k * columns + c], at[k * width + below]);
            __syncthreads();
            const int64_t first = k > reach ? k - reach : 0;
            const Share own = core_share(columns);
            for (int64_t i = first + own.row, c = own.column; i < k && c < columns; core_next(own, columns, i, c))
                b[i * columns + c] -= at[i * width + k - i + below] * b[k * columns + c];
            __syncthreads();
        }
    }
}
