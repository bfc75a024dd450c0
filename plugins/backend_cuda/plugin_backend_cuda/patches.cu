/* Windows of images as columns of matrices, and back.  REAL is float or double.  Axes are channels, taps and windows in
   three dimensions, of which leading ones may have length 1; window o holds as tap t element o * stride + t * dilation -
   before.  A launch touches less than 2**31 elements of the matrices. */

/* out[n * to_n + k * to_k + o] = element of tap t of window first + o in channel c of image n, k = c * taps + t, or 0
   where it is padded.  A block takes rows (n, k). */
extern "C" __global__ void __launch_bounds__(256) core_REAL_patches(REAL *out, int64_t to_n, int64_t to_k,
    const REAL *x, int64_t x_n, int64_t x_c, int64_t x_0, int64_t x_1, int64_t x_2, int64_t images, int64_t channels,
    int64_t length_0, int64_t length_1, int64_t length_2, int64_t taps_0, int64_t taps_1, int64_t taps_2,
    int64_t stride_0, int64_t stride_1, int64_t stride_2, int64_t dilation_0, int64_t dilation_1, int64_t dilation_2,
    int64_t before_0, int64_t before_1, int64_t before_2, int64_t windows_1, int64_t windows_2, int64_t first,
    int64_t count)
{
    const int taps = (int)(taps_0 * taps_1 * taps_2), rows = (int)(images * channels) * taps;
    for (int row = blockIdx.x; row < rows; row += gridDim.x) {
        const int t = row % taps, c = row / taps % (int)channels, n = row / taps / (int)channels;
        const int64_t start_0 = t / (int)(taps_1 * taps_2) * dilation_0 - before_0;
        const int64_t start_1 = t / (int)taps_2 % (int)taps_1 * dilation_1 - before_1;
        const int64_t start_2 = t % (int)taps_2 * dilation_2 - before_2;
        const REAL *from = x + n * x_n + c * x_c;
        REAL *to = out + n * to_n + (c * (int64_t)taps + t) * to_k;
        for (int o = threadIdx.x; o < (int)count; o += blockDim.x) {
            const int64_t window = first + o, above = window / windows_2;
            const int64_t i_0 = above / windows_1 * stride_0 + start_0;
            const int64_t i_1 = above % windows_1 * stride_1 + start_1;
            const int64_t i_2 = window % windows_2 * stride_2 + start_2;
            const bool inside = i_0 >= 0 && i_0 < length_0 && i_1 >= 0 && i_1 < length_1 && i_2 >= 0 && i_2 < length_2;
            to[o] = inside ? from[i_0 * x_0 + i_1 * x_1 + i_2 * x_2] : (REAL)0;
        }
    }
}

/* The taps and windows that hold an element along one axis: the window of tap t, or -1. */
static __device__ __forceinline__ int64_t core_REAL_window(int64_t i, int64_t t, int64_t stride, int64_t dilation,
    int64_t before, int64_t windows)
{
    const int64_t at = i + before - t * dilation;
    return at >= 0 && at % stride == 0 && at / stride < windows ? at / stride : -1;
}

/* x[n * x_n + c * inner + i] = sum over taps t and the windows o that hold element i as theirs of
   from[n * from_n + (c * taps + t) * windows + o]; x lies row by row.  Sums are taken in double, in the order of taps. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_folded(REAL *x, int64_t x_n, const REAL *from,
    int64_t from_n, int64_t images, int64_t channels, int64_t length_0, int64_t length_1, int64_t length_2,
    int64_t taps_0, int64_t taps_1, int64_t taps_2, int64_t stride_0, int64_t stride_1, int64_t stride_2,
    int64_t dilation_0, int64_t dilation_1, int64_t dilation_2, int64_t before_0, int64_t before_1, int64_t before_2,
    int64_t windows_0, int64_t windows_1, int64_t windows_2)
{
    const int64_t inner = length_0 * length_1 * length_2, windows = windows_0 * windows_1 * windows_2;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < images * channels * inner;
         e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t i = e % inner, c = e / inner % channels, n = e / inner / channels;
        const int64_t i_0 = i / (length_1 * length_2), i_1 = i / length_2 % length_1, i_2 = i % length_2;
        const REAL *row = from + n * from_n + c * taps_0 * taps_1 * taps_2 * windows;
        double sum = 0;
        for (int64_t t_0 = 0; t_0 < taps_0; t_0++) {
            const int64_t o_0 = core_REAL_window(i_0, t_0, stride_0, dilation_0, before_0, windows_0);
            for (int64_t t_1 = 0; o_0 >= 0 && t_1 < taps_1; t_1++) {
                const int64_t o_1 = core_REAL_window(i_1, t_1, stride_1, dilation_1, before_1, windows_1);
                for (int64_t t_2 = 0; o_1 >= 0 && t_2 < taps_2; t_2++) {
                    const int64_t o_2 = core_REAL_window(i_2, t_2, stride_2, dilation_2, before_2, windows_2);
                    if (o_2 >= 0)
                        sum += row[((t_0 * taps_1 + t_1) * taps_2 + t_2) * windows + (o_0 * windows_1 + o_1) * windows_2 + o_2];
                }
            }
        }
        x[n * x_n + c * inner + i] = (REAL)sum;
    }
}
