/* Products of which one length is THIN, a small number that is known here: C = alpha A B + beta C.  REAL is float or
   double.  ``rows`` and ``columns`` say how far apart neighbours lie.  Where ``factors`` is not null, alpha and beta lie
   there; else they come as the bits of doubles. */

#define PIECE (16 / (int)sizeof(REAL))
#define CHUNK (2048 / (int)sizeof(REAL))
#define TALL 16

struct __align__(16) core_REAL_piece { REAL at[PIECE]; };

static __device__ __forceinline__ void core_REAL_put(REAL *c, REAL sum, int64_t alpha_bits, int64_t beta_bits,
    const REAL *factors)
{
    const REAL alpha = factors ? factors[0] : (REAL)__longlong_as_double(alpha_bits);
    const REAL beta = factors ? factors[1] : (REAL)__longlong_as_double(beta_bits);
    *c = beta == 0 ? alpha * sum : alpha * sum + beta * *c;
}

/* A (m, k) row by row, B (k, THIN).  A warp has two rows, and its lanes the elements along them. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_rows(REAL *c, int64_t c_rows, int64_t c_columns,
    const REAL *__restrict__ a, int64_t a_rows, const REAL *__restrict__ b, int64_t b_rows, int64_t b_columns, int64_t m,
    int64_t k, int64_t alpha_bits, int64_t beta_bits, const REAL *factors)
{
    __shared__ REAL near[THIN][CHUNK];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const bool wide = a_rows % PIECE == 0 && (uint64_t)a % 16 == 0;
    for (int64_t base = blockIdx.x * (int64_t)16; base < m; base += gridDim.x * (int64_t)16) {
        const int64_t first = base + 2 * warp;
        REAL sum[2][THIN];
        #pragma unroll
        for (int j = 0; j < THIN; j++) sum[0][j] = sum[1][j] = 0;
        for (int64_t start = 0; start < k; start += CHUNK) {
            const int length = k - start < CHUNK ? (int)(k - start) : CHUNK;
            __syncthreads();
            for (int e = threadIdx.x; e < CHUNK * THIN; e += 256) {
                const int p = b_columns == 1 ? e / THIN : e % CHUNK, j = b_columns == 1 ? e % THIN : e / CHUNK;
                near[j][p] = p < length ? b[(start + p) * b_rows + j * b_columns] : 0;
            }
            __syncthreads();
            core_REAL_piece x[2][CHUNK / (32 * PIECE)];
            #pragma unroll
            for (int t = 0; t < CHUNK / (32 * PIECE); t++) {
                const int p = (t * 32 + lane) * PIECE;
                #pragma unroll
                for (int r = 0; r < 2; r++) {
                    const REAL *from = a + (first + r) * a_rows + start + p;
                    if (wide && first + r < m && p + PIECE <= length) {
                        x[r][t] = *(const core_REAL_piece *)from;
                    } else {
                        #pragma unroll
                        for (int q = 0; q < PIECE; q++)
                            x[r][t].at[q] = first + r < m && p + q < length ? from[q] : 0;
                    }
                }
            }
            #pragma unroll
            for (int t = 0; t < CHUNK / (32 * PIECE); t++) {
                #pragma unroll
                for (int j = 0; j < THIN; j++) {
                    const core_REAL_piece y = *(const core_REAL_piece *)&near[j][(t * 32 + lane) * PIECE];
                    #pragma unroll
                    for (int q = 0; q < PIECE; q++) {
                        sum[0][j] = FMA(x[0][t].at[q], y.at[q], sum[0][j]);
                        sum[1][j] = FMA(x[1][t].at[q], y.at[q], sum[1][j]);
                    }
                }
            }
        }
        #pragma unroll
        for (int r = 0; r < 2; r++) {
            #pragma unroll
            for (int j = 0; j < THIN; j++) {
                REAL all = sum[r][j];
                for (int d = 16; d > 0; d /= 2) all += __shfl_xor_sync(0xffffffffu, all, d);
                if (lane == j && first + r < m)
                    core_REAL_put(c + (first + r) * c_rows + j * c_columns, all, alpha_bits, beta_bits, factors);
            }
        }
    }
}

/* A (m, THIN), B (THIN, n), C row by row.  A thread has a few neighbouring columns, a block TALL rows. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_inner(REAL *c, int64_t c_rows, const REAL *__restrict__ a,
    int64_t a_rows, int64_t a_columns, const REAL *__restrict__ b, int64_t b_rows, int64_t b_columns, int64_t m,
    int64_t n, int64_t alpha_bits, int64_t beta_bits, const REAL *factors)
{
    __shared__ REAL near[TALL][THIN];
    const int64_t across = (n + 256 * PIECE - 1) / (256 * PIECE);
    const bool wide = c_rows % PIECE == 0 && (uint64_t)c % 16 == 0;
    for (int64_t tile = blockIdx.x; tile < across * ((m + TALL - 1) / TALL); tile += gridDim.x) {
        const int64_t top = tile / across * TALL, left = (tile % across * 256 + threadIdx.x) * PIECE;
        __syncthreads();
        for (int e = threadIdx.x; e < TALL * THIN; e += 256) {
            const int r = a_columns == 1 ? e / THIN : e % TALL, p = a_columns == 1 ? e % THIN : e / TALL;
            near[r][p] = top + r < m ? a[(top + r) * a_rows + p * a_columns] : 0;
        }
        __syncthreads();
        REAL w[THIN][PIECE];
        #pragma unroll
        for (int p = 0; p < THIN; p++)
            #pragma unroll
            for (int q = 0; q < PIECE; q++) w[p][q] = left + q < n ? b[p * b_rows + (left + q) * b_columns] : 0;
        for (int r = 0; r < TALL && top + r < m; r++) {
            REAL *to = c + (top + r) * c_rows + left;
            core_REAL_piece out;
            #pragma unroll
            for (int q = 0; q < PIECE; q++) out.at[q] = 0;
            #pragma unroll
            for (int p = 0; p < THIN; p++)
                #pragma unroll
                for (int q = 0; q < PIECE; q++) out.at[q] = FMA(near[r][p], w[p][q], out.at[q]);
            if (wide && left + PIECE <= n) {
                core_REAL_piece old = beta_bits || factors ? *(core_REAL_piece *)to : out;
                #pragma unroll
                for (int q = 0; q < PIECE; q++) core_REAL_put(&old.at[q], out.at[q], alpha_bits, beta_bits, factors);
                *(core_REAL_piece *)to = old;
            } else {
                #pragma unroll
                for (int q = 0; q < PIECE; q++)
                    if (left + q < n) core_REAL_put(to + q, out.at[q], alpha_bits, beta_bits, factors);
            }
        }
    }
}

/* A (m, k) column by column, B (k, THIN): part t of the sums over k at (t, j, i), each over ``size`` elements. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_columns(REAL *__restrict__ parts, const REAL *__restrict__ a,
    int64_t a_columns, const REAL *__restrict__ b, int64_t b_rows, int64_t b_columns, int64_t m, int64_t k, int64_t size,
    int64_t count)
{
    __shared__ REAL near[64][THIN];
    const int64_t down = (m + 255) / 256;
    for (int64_t tile = blockIdx.x; tile < down * count; tile += gridDim.x) {
        const int64_t part = tile / down, i = tile % down * 256 + threadIdx.x;
        const int64_t end = (part + 1) * size < k ? (part + 1) * size : k;
        REAL sum[THIN];
        #pragma unroll
        for (int j = 0; j < THIN; j++) sum[j] = 0;
        for (int64_t start = part * size; start < end; start += 64) {
            const int length = end - start < 64 ? (int)(end - start) : 64;
            __syncthreads();
            for (int e = threadIdx.x; e < length * THIN; e += 256) {
                const int p = e / THIN, j = e % THIN;
                near[p][j] = b[(start + p) * b_rows + j * b_columns];
            }
            __syncthreads();
            if (i < m) {
                #pragma unroll 8
                for (int p = 0; p < length; p++) {
                    const REAL x = a[(start + p) * a_columns + i];
                    #pragma unroll
                    for (int j = 0; j < THIN; j++) sum[j] = FMA(x, near[p][j], sum[j]);
                }
            }
        }
        if (i < m) {
            #pragma unroll
            for (int j = 0; j < THIN; j++) parts[(part * THIN + j) * m + i] = sum[j];
        }
    }
}

/* The parts together, in their order. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_together(REAL *c, int64_t c_rows, int64_t c_columns,
    const REAL *__restrict__ parts, int64_t m, int64_t count, int64_t alpha_bits, int64_t beta_bits, const REAL *factors)
{
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < m * THIN; e += gridDim.x * (int64_t)blockDim.x) {
        REAL sum = 0;
        #pragma unroll 8
        for (int64_t part = 0; part < count; part++) sum += parts[part * THIN * m + e];
        core_REAL_put(c + e % m * c_rows + e / m * c_columns, sum, alpha_bits, beta_bits, factors);
    }
}
