/* Discrete Fourier transforms of any length, in double precision: Cooley, Tukey (1965); Bluestein (1970). */
#ifndef CORE_LINALG_FOURIER
#define CORE_LINALG_FOURIER

typedef struct { double re, im; } core_point;

static inline core_point core_turned(core_point x, core_point y)
{
    return (core_point){x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}

/* exp(-i pi k / n), for 0 <= k < 2 n. */
static core_point core_on_circle(int64_t k, int64_t n)
{
    const double angle = 3.141592653589793 * ((double)k / (double)n);
    return (core_point){__builtin_cos(angle), -__builtin_sin(angle)};
}

/* In place, n a power of 2; roots: n / 2 of them, exp(-2 pi i k / n). */
static void core_fourier_of_power(int64_t n, core_point *x, const core_point *roots)
{
    for (int64_t i = 1, j = 0; i < n; i++) {
        int64_t bit = n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) {
            const core_point kept = x[i];
            x[i] = x[j], x[j] = kept;
        }
    }
    for (int64_t half = 1; half < n; half *= 2)
        for (int64_t start = 0; start < n; start += 2 * half)
            for (int64_t k = 0; k < half; k++) {
                const core_point a = x[start + k], b = core_turned(x[start + half + k], roots[k * (n / (2 * half))]);
                x[start + k] = (core_point){a.re + b.re, a.im + b.im};
                x[start + half + k] = (core_point){a.re - b.re, a.im - b.im};
            }
}

/* What transforms of length n need: a power of 2, its roots, and where n is none, a chirp and the transform of another. */
typedef struct { int64_t n, m; core_point *roots, *chirp, *filter, *room; } core_fourier_plan;

static int core_fourier_planned(int64_t n, core_fourier_plan *plan)
{
    int64_t m = 1;
    while (m < n) m *= 2;
    const int chirps = m != n;
    if (chirps) m *= 2;  /* now m >= 2 n - 1 */
    core_point *at = aligned_alloc(64, (size_t)core_padded((m / 2 + 1 + chirps * (n + 2 * m)) * (int64_t)sizeof(core_point)));
    if (!at) return 0;
    *plan = (core_fourier_plan){n, m, at, at + m / 2 + 1, at + m / 2 + 1 + n, at + m / 2 + 1 + n + m};
    for (int64_t k = 0; k < m / 2; k++) plan->roots[k] = core_on_circle(2 * k, m);
    if (!chirps) return 1;
    for (int64_t k = 0; k < m; k++) plan->filter[k] = (core_point){0, 0};
    for (int64_t k = 0, square = 0; k < n; square = (square + 2 * k + 1) % (2 * n), k++) {  /* k k, modulo 2 n */
        const core_point c = plan->chirp[k] = core_on_circle(square, n);
        plan->filter[k] = plan->filter[(m - k) % m] = (core_point){c.re, -c.im};
    }
    core_fourier_of_power(m, plan->filter, plan->roots);
    return 1;
}

static void core_fourier(const core_fourier_plan *plan, core_point *x)
{
    const int64_t n = plan->n, m = plan->m;
    if (n == m) {
        core_fourier_of_power(n, x, plan->roots);
        return;
    }
    core_point *room = plan->room;
    for (int64_t k = 0; k < m; k++) room[k] = k < n ? core_turned(x[k], plan->chirp[k]) : (core_point){0, 0};
    core_fourier_of_power(m, room, plan->roots);
    for (int64_t k = 0; k < m; k++) {  /* conjugated: the transform is then the one back */
        const core_point y = core_turned(room[k], plan->filter[k]);
        room[k] = (core_point){y.re, -y.im};
    }
    core_fourier_of_power(m, room, plan->roots);
    for (int64_t k = 0; k < n; k++) {
        x[k] = core_turned((core_point){room[k].re / (double)m, -room[k].im / (double)m}, plan->chirp[k]);
    }
}

#endif
