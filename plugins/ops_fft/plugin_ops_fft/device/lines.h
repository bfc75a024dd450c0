/* Lines of up to MOST elements, each in the memory of one group: Stockham's transform, one radix after the other.
 *
 * w       exp(-2 pi i k / n) for k < n, then the factor of the results
 * turns   exp(-2 pi i k / whole): what results are turned by, where the line is a factor of a longer one (``turned``)
 * radices in five bits each, the first in the lowest; none is above MOST_RADIX
 * Nothing is turned by 1, which would make NaN of an infinity.  A group takes ``share`` lines in turn, and then those that many groups further on. */

enum { MOST_RADIX = 31 };

#define TAKEN(q) core_number v##q; v##q.re = from_re[j + q * m]; v##q.im = from_im[j + q * m]
#define TURNED(q) TAKEN(q); if (k) v##q = core_times(v##q, core_turn(w, q * k * step, sign))
#define LEFT(q, a, b) to_re[out + q * done] = a; to_im[out + q * done] = b

CORE_FUNCTION void core_line_by_any(CORE_LOCAL_POINTER const REAL *from_re, CORE_LOCAL_POINTER const REAL *from_im,
    CORE_LOCAL_POINTER REAL *to_re, CORE_LOCAL_POINTER REAL *to_im, CORE_GLOBAL const REAL *w, int n, int r, int j,
    int k, int done, int out, REAL sign)
{
    core_number v[MOST_RADIX];
    const int m = n / r, step = n / (done * r);
    for (int q = 0; q < r; q++) {
        v[q].re = from_re[j + q * m];
        v[q].im = from_im[j + q * m];
        if (q && k) v[q] = core_times(v[q], core_turn(w, q * k * step, sign));
    }
    for (int p = 0; p < r; p++) {
        core_number sum = v[0];
        for (int q = 1, at = p; q < r; q++, at = at + p >= r ? at + p - r : at + p) {
            const core_number term = at ? core_times(v[q], core_turn(w, at * m, sign)) : v[q];
            sum.re += term.re;
            sum.im += term.im;
        }
        LEFT(p, sum.re, sum.im);
    }
}

CORE_KERNEL core_lines(CORE_GLOBAL REAL *y, CORE_GLOBAL const REAL *x, CORE_GLOBAL const REAL *w,
    CORE_GLOBAL const REAL *turns, int64_t n64, int64_t lines, int64_t share, int64_t whole, int64_t factors,
    int64_t behind, int64_t x_at, int64_t x_before, int64_t x_step, int64_t x_step1, int64_t y_at, int64_t y_before,
    int64_t y_step, int64_t y_step1, int64_t x_kind, int64_t y_kind, int64_t turned, int64_t inverse, int64_t radices)
{
    CORE_LOCAL REAL a_re[MOST];
    CORE_LOCAL REAL a_im[MOST];
    CORE_LOCAL REAL b_re[MOST];
    CORE_LOCAL REAL b_im[MOST];
    const int n = (int)n64;
    const REAL sign = inverse ? -1 : 1, scale = w[2 * n];
    for (int64_t first = CORE_ROW * share; first < lines; first += CORE_ROWS * share)
        for (int64_t line = first; line < first + share && line < lines; line++) {
            const int64_t i2 = line % behind, i1 = line / behind % factors, i0 = line / behind / factors;
            const int64_t from_at = x_at + i0 * x_before + i2, to_at = y_at + i0 * y_before + i2;
            for (int j = CORE_LANE; j < n; j += CORE_LANES) {
                const core_number v = core_read(x, from_at, behind, j * x_step + i1 * x_step1, whole, x_kind);
                a_re[j] = v.re;
                a_im[j] = v.im;
            }
            CORE_BARRIER
            CORE_LOCAL_POINTER REAL *from_re = a_re;
            CORE_LOCAL_POINTER REAL *from_im = a_im;
            CORE_LOCAL_POINTER REAL *to_re = b_re;
            CORE_LOCAL_POINTER REAL *to_im = b_im;
            int64_t left = radices;
            for (int done = 1; done < n; left >>= 5) {
                const int r = (int)(left & 31), m = n / r, step = n / (done * r);
                for (int j = CORE_LANE; j < m; j += CORE_LANES) {
                    const int k = j % done, out = (j - k) * r + k;
                    if (r == 4) {
                        TAKEN(0); TURNED(1); TURNED(2); TURNED(3);
                        const REAL s_re = v0.re + v2.re, s_im = v0.im + v2.im, d_re = v0.re - v2.re, d_im = v0.im - v2.im;
                        const REAL t_re = v1.re + v3.re, t_im = v1.im + v3.im;
                        const REAL u_re = sign * (v1.im - v3.im), u_im = sign * (v3.re - v1.re);
                        LEFT(0, s_re + t_re, s_im + t_im);
                        LEFT(1, d_re + u_re, d_im + u_im);
                        LEFT(2, s_re - t_re, s_im - t_im);
                        LEFT(3, d_re - u_re, d_im - u_im);
                    } else if (r == 2) {
                        TAKEN(0); TURNED(1);
                        LEFT(0, v0.re + v1.re, v0.im + v1.im);
                        LEFT(1, v0.re - v1.re, v0.im - v1.im);
                    } else if (r == 3) {
                        const REAL sine = sign * (REAL)0.86602540378443864676;
                        TAKEN(0); TURNED(1); TURNED(2);
                        const REAL s_re = v1.re + v2.re, s_im = v1.im + v2.im;
                        const REAL c_re = v0.re - s_re / 2, c_im = v0.im - s_im / 2;
                        const REAL u_re = sine * (v1.im - v2.im), u_im = sine * (v2.re - v1.re);
                        LEFT(0, v0.re + s_re, v0.im + s_im);
                        LEFT(1, c_re + u_re, c_im + u_im);
                        LEFT(2, c_re - u_re, c_im - u_im);
                    } else if (r == 5) {
                        const REAL c1 = (REAL)0.30901699437494742410, c2 = (REAL)-0.80901699437494742410;
                        const REAL s1 = sign * (REAL)0.95105651629515357212, s2 = sign * (REAL)0.58778525229247312917;
                        TAKEN(0); TURNED(1); TURNED(2); TURNED(3); TURNED(4);
                        const REAL a_r = v1.re + v4.re, a_i = v1.im + v4.im, b_r = v2.re + v3.re, b_i = v2.im + v3.im;
                        const REAL c_r = v1.re - v4.re, c_i = v1.im - v4.im, d_r = v2.re - v3.re, d_i = v2.im - v3.im;
                        const REAL m_r = v0.re + c1 * a_r + c2 * b_r, m_i = v0.im + c1 * a_i + c2 * b_i;
                        const REAL n_r = v0.re + c2 * a_r + c1 * b_r, n_i = v0.im + c2 * a_i + c1 * b_i;
                        const REAL p_r = s1 * c_i + s2 * d_i, p_i = -(s1 * c_r + s2 * d_r);
                        const REAL q_r = s2 * c_i - s1 * d_i, q_i = -(s2 * c_r - s1 * d_r);
                        LEFT(0, v0.re + a_r + b_r, v0.im + a_i + b_i);
                        LEFT(1, m_r + p_r, m_i + p_i);
                        LEFT(2, n_r + q_r, n_i + q_i);
                        LEFT(3, n_r - q_r, n_i - q_i);
                        LEFT(4, m_r - p_r, m_i - p_i);
                    } else {
                        core_line_by_any(from_re, from_im, to_re, to_im, w, n, r, j, k, done, out, sign);
                    }
                }
                CORE_BARRIER
                done *= r;
                CORE_LOCAL_POINTER REAL *swap = from_re;
                from_re = to_re;
                to_re = swap;
                swap = from_im;
                from_im = to_im;
                to_im = swap;
            }
            for (int j = CORE_LANE; j < n; j += CORE_LANES) {
                core_number v;
                v.re = from_re[j] * scale;
                v.im = from_im[j] * scale;
                if (turned && j * i1) v = core_times(v, core_turn(turns, j * i1, sign));
                core_write(y, to_at, behind, j * y_step + i1 * y_step1, whole, y_kind, v);
            }
            CORE_BARRIER
        }
}
