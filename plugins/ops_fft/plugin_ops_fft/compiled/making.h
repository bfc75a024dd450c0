/* Plans are made, the filter of a convolution by transforms of its own, and the last few are kept. */
#ifndef CORE_FT_MAKING_LETTER
#define CORE_FT_MAKING_LETTER

enum { CORE_FT_KEPT = 16 };

static void *core_LETTERft_room(int64_t size) { return aligned_alloc(64, (size_t)core_padded(size + 1)); }

/* The next factor to divide n by; n where it is a large prime. */
static int64_t core_ft_factor_LETTER(int64_t n)
{
    int twos = 0;
    while (twos < 5 && (n >> twos) % 2 == 0) twos++;
    if (twos == 3 || twos == 5) return 8; /* as many passes of 8 as leave 4, 16 or nothing */
    if (twos) return twos == 1 ? 2 : twos == 2 ? 4 : 4;
    for (int64_t r = 3; r <= CORE_FT_LARGEST_PRIME; r += 2)
        if (n % r == 0) return r;
    return n;
}

/* Operations on vectors of a pass of radix r, for each element. */
static double core_ft_effort_LETTER(int64_t r) { return r == 2 ? 3 : r == 4 ? 4.5 : r == 8 ? 6.5 : 3.0 + r; }

/* Those of a transform of length n for one group of lanes; -1 where it has a large prime. */
CORE_FT_RARE double core_ft_short_effort_LETTER(int64_t n)
{
    double all = 1;
    for (int64_t left = n; left > 1;) {
        const int64_t r = core_ft_factor_LETTER(left);
        if (r > CORE_FT_LARGEST_PRIME) return -1;
        all += core_ft_effort_LETTER(r);
        left /= r;
    }
    return all * (double)n;
}

/* Those of a line that is a matrix, and how many rows are best; -1 for a large prime, or one that cannot be divided. */
CORE_FT_RARE double core_LETTERft_matrix_effort(int64_t n, int64_t *rows)
{
    double best = -1;
    for (int64_t n1 = 2; n1 * n1 <= n; n1++)
        for (int side = 0; n % n1 == 0 && side < 2; side++) {
            const int64_t a = side ? n / n1 : n1, b = n / a;
            const double one = core_ft_short_effort_LETTER(a), other = core_ft_short_effort_LETTER(b);
            if (one < 0 || other < 0) return -1;
            const double all = (double)core_LETTERft_groups(b) * (one + 4.0 * (double)a)
                + (double)core_LETTERft_groups(a) * (other + 4.0 * (double)b);
            if (best < 0 || all < best) best = all, *rows = a;
        }
    return best;
}

CORE_FT_RARE int core_LETTERft_make_passes(core_LETTERft_passes *p, int64_t n)
{
    int64_t size = 0;
    p->n = n, p->count = 0;
    for (int64_t left = n; left > 1;) {
        const int64_t r = core_ft_factor_LETTER(left);
        left /= r;
        size += 2 * (r + (r - 1) * left);
        p->radix[p->count++] = (int)r;
    }
    ELEMENT *w = p->w = core_LETTERft_room(size * (int64_t)sizeof(ELEMENT));
    if (!w) return 0;
    int64_t m = n;
    for (int i = 0; i < p->count; i++) {
        const int64_t r = p->radix[i], whole = m;
        m /= r;
        if (r % 2)
            for (int64_t j = 0; j < r; j++, w += 2) {
                core_LETTERft_root(j, r, w);
                w[1] = -w[1];
            }
        for (int64_t k = 1; k < m; k++)
            for (int64_t j = 1; j < r; j++, w += 2) core_LETTERft_root(j * k % whole, whole, w);
    }
    return 1;
}

CORE_FT_RARE int core_LETTERft_make_matrix(core_LETTERft_plan *p, int64_t n1)
{
    const int64_t n = p->n, n2 = n / n1, pitch = core_LETTERft_groups(n2);
    p->turns = core_LETTERft_room(n1 * pitch * (int64_t)sizeof(core_LETTERft_point));
    if (!p->turns || !core_LETTERft_make_passes(&p->columns, n1) || !core_LETTERft_make_passes(&p->rows, n2)) return 0;
    for (int64_t k = 0; k < n1; k++)
        for (int64_t j = 0; j < pitch * core_LETTERft_lanes; j++) {
            ELEMENT w[2];
            core_LETTERft_root(j * k % n, n, w);
            core_LETTERft_point *to = p->turns + k * pitch + j / core_LETTERft_lanes;
            to->re[j % core_LETTERft_lanes] = w[0], to->im[j % core_LETTERft_lanes] = w[1];
        }
    return 1;
}

CORE_FT_RARE core_LETTERft_plan *core_LETTERft_make(int64_t n, int real);

/* A length for a convolution of n numbers with 2 n - 1 others. */
static int64_t core_LETTERft_longer(int64_t n)
{
    int64_t best = 0;
    double least = 0;
    for (int64_t odd = 1; odd <= 15; odd += 2) {
        int64_t m = odd, rows;
        while (m < 2 * n - 1 || m < CORE_FT_LEAST_MATRIX) m *= 2;
        const double effort = core_LETTERft_matrix_effort(m, &rows);
        if (effort >= 0 && (!best || effort < least)) best = m, least = effort;
    }
    return best;
}

CORE_FT_RARE int core_LETTERft_make_convolution(core_LETTERft_plan *p)
{
    const int64_t n = p->n, m = core_LETTERft_longer(n);
    p->longer = core_LETTERft_make(m, 0);
    ELEMENT *chirp = p->chirp = core_LETTERft_room(2 * n * (int64_t)sizeof(ELEMENT));
    ELEMENT *filter = p->filter = core_LETTERft_room(2 * m * (int64_t)sizeof(ELEMENT));
    void *room = p->longer ? core_LETTERft_room(core_LETTERft_line_room(p->longer)) : 0;
    const int good = chirp && filter && room;
    if (good) {
        for (int64_t k = 0; k < 2 * m; k++) filter[k] = 0;
        for (int64_t k = 0, square = 0; k < n; square = (square + 2 * k + 1) % (2 * n), k++) { /* k k, modulo 2 n */
            core_LETTERft_root(square, 2 * n, chirp + 2 * k);
            filter[2 * k] = filter[2 * ((m - k) % m)] = chirp[2 * k];
            filter[2 * k + 1] = filter[2 * ((m - k) % m) + 1] = -chirp[2 * k + 1];
        }
        core_LETTERft_line(p->longer, filter, 0, filter, 0, 1 / (ELEMENT)m, room);
    }
    free(room);
    return good;
}

CORE_FT_RARE void core_LETTERft_drop(core_LETTERft_plan *p)
{
    if (!p) return;
    free(p->whole.w), free(p->columns.w), free(p->rows.w), free(p->turns);
    free(p->chirp), free(p->filter), free(p->halves);
    core_LETTERft_drop(p->longer);
    free(p);
}

/* A plan for n complex numbers, or for 2 n real ones; 0 where there is no memory. */
CORE_FT_RARE core_LETTERft_plan *core_LETTERft_make(int64_t n, int real)
{
    core_LETTERft_plan *p = core_LETTERft_room(sizeof *p);
    if (!p) return 0;
    *p = (core_LETTERft_plan){.n = n, .real = real};
    int64_t n1 = 1, unused;
    const double all = core_ft_short_effort_LETTER(n), matrix = core_LETTERft_matrix_effort(n, &n1);
    const double longer = core_LETTERft_matrix_effort(core_LETTERft_longer(n), &unused);
    const double convolved = n > CORE_FT_LEAST_MATRIX ? 2.5 * longer : -1; /* two transforms, and three products */
    const double lines = matrix >= 0 ? matrix * core_LETTERft_lanes : all;
    const int by_sums = all >= 0 && (convolved < 0 || lines <= core_LETTERft_lanes * convolved);
    p->is_short = by_sums;
    p->is_matrix = by_sums && matrix >= 0 && n >= CORE_FT_LEAST_MATRIX;
    p->by_sides = by_sums && n <= CORE_FT_NARROW && all + 8.0 * (double)n < core_LETTERft_lanes * matrix;
    int good = !p->is_short || core_LETTERft_make_passes(&p->whole, n);
    if (p->is_matrix) good = good && core_LETTERft_make_matrix(p, n1);
    if (!p->is_short && !p->is_matrix) good = good && core_LETTERft_make_convolution(p);
    if (real) {
        p->halves = core_LETTERft_room((n + 2) * (int64_t)sizeof(ELEMENT));
        good = good && p->halves;
        for (int64_t k = 0; good && k <= n / 2; k++) core_LETTERft_root(k, 2 * n, p->halves + 2 * k);
    }
    if (good) return p;
    core_LETTERft_drop(p);
    return 0;
}

/* --- plans that are kept: the last few lengths ------------------------------------------------------------------- */

static core_LETTERft_plan *core_LETTERft_kept[CORE_FT_KEPT];
static int64_t core_LETTERft_clock;
static char core_LETTERft_lock;

static core_LETTERft_plan *core_LETTERft_found(int64_t n, int real)
{
    for (int i = 0; i < CORE_FT_KEPT; i++) {
        core_LETTERft_plan *p = core_LETTERft_kept[i];
        if (p && p->n == n && p->real == real) {
            p->users++, p->used = ++core_LETTERft_clock;
            return p;
        }
    }
    return 0;
}

static void core_LETTERft_enter(void) { while (__atomic_test_and_set(&core_LETTERft_lock, __ATOMIC_ACQUIRE)) {} }
static void core_LETTERft_leave(void) { __atomic_clear(&core_LETTERft_lock, __ATOMIC_RELEASE); }

/* The plan for a length, to be given back; 0 where there is no memory. */
static core_LETTERft_plan *core_LETTERft_borrow(int64_t n, int real)
{
    core_LETTERft_enter();
    core_LETTERft_plan *p = core_LETTERft_found(n, real);
    core_LETTERft_leave();
    if (p) return p;
    core_LETTERft_plan *made = core_LETTERft_make(n, real), *gone = made;
    if (!made) return 0;
    core_LETTERft_enter();
    p = core_LETTERft_found(n, real); /* another thread may have been faster */
    if (!p) {
        int oldest = -1;
        for (int i = 0; i < CORE_FT_KEPT; i++) {
            core_LETTERft_plan *one = core_LETTERft_kept[i];
            if (one && one->users) continue;
            if (!one || oldest < 0 || one->used < core_LETTERft_kept[oldest]->used) oldest = i;
            if (!one) break;
        }
        p = made, gone = 0;
        p->users = 1, p->used = ++core_LETTERft_clock;
        if (oldest >= 0) gone = core_LETTERft_kept[oldest], core_LETTERft_kept[oldest] = p;
        else p->used = -1; /* all are in use: this one goes when it is given back */
    }
    core_LETTERft_leave();
    core_LETTERft_drop(gone);
    return p;
}

static void core_LETTERft_give_back(core_LETTERft_plan *p)
{
    core_LETTERft_enter();
    const int last = --p->users == 0 && p->used < 0;
    core_LETTERft_leave();
    if (last) core_LETTERft_drop(p);
}
#endif
