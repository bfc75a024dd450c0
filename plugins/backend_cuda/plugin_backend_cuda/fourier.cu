/* What Fourier transforms need besides the library.  REAL is float or double, an element PARTS of them.

   to[i] = scale from[i], where ``to`` lies row by row and ``from`` as distances in elements say; ``bits`` are those of the
   scale.  Where n is not 0 these are elements from ``first`` on of halves of spectra of n real numbers,
   along an axis whose neighbours are ``inner`` apart: what must be real becomes real; the others are conjugated, and
   halved or doubled, where ``shares`` is 1 or 2. */
extern "C" __global__ void __launch_bounds__(256) core_REAL_moved_PARTS(REAL *to, const REAL *from, int64_t n0,
    int64_t n1, int64_t n2, int64_t n3, int64_t s0, int64_t s1, int64_t s2, int64_t s3, int64_t bits, int64_t n,
    int64_t inner, int64_t first, int64_t shares)
{
    const REAL scale = (REAL)__longlong_as_double(bits);
    const int64_t count = n0 * n1 * n2 * n3 * PARTS;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < count; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t at = e / PARTS, part = e % PARTS;
        const int64_t i3 = at % n3, i2 = at / n3 % n2, i1 = at / (n3 * n2) % n1, i0 = at / (n3 * n2 * n1);
        REAL x = from[(i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3) * PARTS + part] * scale;
        if (n) {
            const int64_t k = (first + at) / inner % (n / 2 + 1);
            if (k == 0 || 2 * k == n) x = part ? 0 : x;
            else if (shares) x *= (part ? -1 : 1) * (shares == 2 ? (REAL)2 : (REAL)0.5);
        }
        to[e] = x;
    }
}
