/* Transforms along one axis of an array: which lines there are, which go side by side, and threads. */
#ifndef CORE_FT_AXIS
#define CORE_FT_AXIS
enum { CORE_FT_WHOLE, CORE_FT_TO_HALF, CORE_FT_FROM_HALF };
enum { CORE_FT_EMPTY = 1, CORE_FT_NOT_HALF = 2, CORE_FT_NO_MEMORY = 3 }; /* what is wrong */
enum { CORE_FT_NDIM = 64 };
enum { CORE_FT_WIDE = 4096 }; /* longer lines do not go side by side: they would not stay in the second cache */

/* x and y along an axis, and along the others; lengths and distances in numbers, complex or real. */
typedef struct {
    int kind, inverse, transposed, ndim;
    int64_t n, x_step, y_step, length[CORE_FT_NDIM], x_by[CORE_FT_NDIM], y_by[CORE_FT_NDIM];
    void *x, *y;
    double scale;
} core_ft_axis;

/* Neighbouring axes that lie like one become one; the last of what is left is that whose lines go side by side. */
static void core_ft_simplify(core_ft_axis *a)
{
    int kept = 0;
    for (int i = 0; i < a->ndim; i++) {
        if (a->length[i] == 1) continue;
        const int64_t n = a->length[i], x = a->x_by[i], y = a->y_by[i];
        if (kept && a->x_by[kept - 1] == n * x && a->y_by[kept - 1] == n * y) {
            a->length[kept - 1] *= n, a->x_by[kept - 1] = x, a->y_by[kept - 1] = y;
            continue;
        }
        a->length[kept] = n, a->x_by[kept] = x, a->y_by[kept] = y, kept++;
    }
    if (!kept) a->length[0] = 1, a->x_by[0] = a->y_by[0] = 0, kept = 1;
    a->ndim = kept;
}
#endif

#ifndef CORE_FT_AXIS_LETTER
#define CORE_FT_AXIS_LETTER

typedef struct {
    const core_ft_axis *a;
    const core_LETTERft_plan *plan;
    int by_line, odd; /* one line at a time; whether there is an odd number of real numbers */
    int64_t groups, room;
    char *rooms;
} core_LETTERft_job;

/* How lines of x and of y lie, as points, from one on. */
static core_LETTERft_side core_LETTERft_from(const core_LETTERft_job *job, const ELEMENT *x, int64_t apart)
{
    const core_ft_axis *a = job->a;
    if (a->kind != CORE_FT_TO_HALF)
        return (core_LETTERft_side){(ELEMENT *)x, 2 * a->x_step, 2 * apart, 1, a->kind == CORE_FT_WHOLE && a->inverse};
    if (job->odd) return (core_LETTERft_side){(ELEMENT *)x, a->x_step, apart, 0, 0};
    return (core_LETTERft_side){(ELEMENT *)x, 2 * a->x_step, apart, a->x_step, 0};
}

static core_LETTERft_side core_LETTERft_to(const core_LETTERft_job *job, ELEMENT *y, int64_t apart)
{
    const core_ft_axis *a = job->a;
    if (a->kind != CORE_FT_FROM_HALF)
        return (core_LETTERft_side){y, 2 * a->y_step, 2 * apart, 1, a->kind == CORE_FT_WHOLE && a->inverse};
    if (job->odd) return (core_LETTERft_side){y, a->y_step, apart, 0, 0};
    return (core_LETTERft_side){y, 2 * a->y_step, apart, a->y_step, 1};
}

/* A group of lines, side by side. */
static void core_LETTERft_group(const core_LETTERft_job *job, const core_LETTERft_side *from,
    const core_LETTERft_side *to, int64_t first, int64_t count, core_LETTERft_point *points)
{
    const core_ft_axis *a = job->a;
    const int64_t n = job->plan->n, given = a->kind == CORE_FT_FROM_HALF ? a->n / 2 + 1 : n;
    const int64_t made = a->kind == CORE_FT_TO_HALF ? a->n / 2 + 1 : n;
    core_LETTERft_point *other = points + core_LETTERft_pair(n) / 2;
    core_LETTERft_load_lines(from, first, count, given, points);
    if (a->kind == CORE_FT_FROM_HALF && !job->odd)
        core_LETTERft_points_from_half(points, n, job->plan->halves, a->transposed);
    else if (a->kind == CORE_FT_FROM_HALF) { /* the conjugate of the whole: the transform of that is real, too */
        const ELEMENT h = a->transposed ? (ELEMENT)0.5 : 1, i = a->transposed ? h : -h;
        points[0].im = (core_LETTERft_vector){0};
        for (int64_t k = 1; k < given; k++) {
            points[k] = (core_LETTERft_point){h * points[k].re, i * points[k].im};
            points[n - k] = (core_LETTERft_point){points[k].re, -points[k].im};
        }
    }
    points = core_LETTERft_short(&job->plan->whole, points, other);
    if (a->kind == CORE_FT_TO_HALF && !job->odd)
        core_LETTERft_points_to_half(points, n, job->plan->halves, a->transposed);
    else if (a->kind == CORE_FT_TO_HALF) {
        points[0].im = (core_LETTERft_vector){0};
        for (int64_t k = 1; a->transposed && k < made; k++)
            points[k] = (core_LETTERft_point){2 * points[k].re, -2 * points[k].im};
    }
    core_LETTERft_store_lines(points, first, count, made, (ELEMENT)a->scale, to);
}

/* A line by itself: through ``line``, unless it lies as its transform wants it. */
static void core_LETTERft_alone(const core_LETTERft_job *job, const ELEMENT *x, ELEMENT *y, char *room)
{
    const core_ft_axis *a = job->a;
    const core_LETTERft_plan *p = job->plan;
    const int64_t n = p->n, half = a->n / 2 + 1;
    const ELEMENT scale = (ELEMENT)a->scale;
    ELEMENT *line = (ELEMENT *)room, *other = line + 2 * (n + 1);
    void *work = room + core_padded(4 * (n + 1) * (int64_t)sizeof(ELEMENT));
    const core_LETTERft_side from = core_LETTERft_from(job, x, 0), to = core_LETTERft_to(job, y, 0);
    const int put = to.step != 2 || to.more != 1;
    const ELEMENT *z = x;
    if (from.step != 2 || from.more != 1) {
        const int64_t given = a->kind == CORE_FT_FROM_HALF ? half : n;
        for (int64_t k = 0; k < given; k++) {
            line[2 * k] = x[k * from.step];
            line[2 * k + 1] = from.more ? x[k * from.step + from.more] : 0;
        }
        z = line;
    }
    if (a->kind == CORE_FT_FROM_HALF && !job->odd) {
        core_LETTERft_line_from_half(z, n, p->halves, a->transposed, other);
        z = other;
    } else if (a->kind == CORE_FT_FROM_HALF) {
        const ELEMENT h = a->transposed ? (ELEMENT)0.5 : 1, i = a->transposed ? h : -h;
        other[0] = z[0], other[1] = 0;
        for (int64_t k = 1; k < half; k++) {
            other[2 * k] = other[2 * (n - k)] = h * z[2 * k];
            other[2 * k + 1] = i * z[2 * k + 1], other[2 * (n - k) + 1] = -i * z[2 * k + 1];
        }
        z = other;
    }
    const int halved = a->kind == CORE_FT_TO_HALF && !job->odd;
    ELEMENT *out = put || a->kind == CORE_FT_TO_HALF ? other : y;
    const int swapped = from.swap || (to.swap && a->kind == CORE_FT_FROM_HALF);
    core_LETTERft_line(p, z, swapped, out, to.swap, halved ? 1 : scale, work);
    if (halved) {
        core_LETTERft_line_to_half(out, n, p->halves, a->transposed, scale, put ? line : y);
        out = put ? line : y;
    }
    const int64_t made = a->kind == CORE_FT_TO_HALF ? half : n;
    if (a->kind == CORE_FT_TO_HALF && job->odd) {
        out[1] = 0;
        for (int64_t k = 1; a->transposed && k < made; k++) out[2 * k] *= 2, out[2 * k + 1] *= -2;
    }
    if (out == y) return;
    for (int64_t k = 0; k < made; k++) {
        y[k * to.step] = out[2 * k];
        if (to.more) y[k * to.step + to.more] = out[2 * k + 1];
    }
}

static void core_LETTERft_task(void *given, int64_t begin, int64_t end, int64_t worker)
{
    const core_LETTERft_job *job = given;
    const core_ft_axis *a = job->a;
    const int last = a->ndim - 1;
    const int of_x = a->kind == CORE_FT_TO_HALF ? 1 : 2, of_y = a->kind == CORE_FT_FROM_HALF ? 1 : 2;
    for (int64_t item = begin; item < end; item++) {
        int64_t rest = item / job->groups, x_at = 0, y_at = 0;
        for (int i = last - 1; i >= 0; i--) {
            const int64_t at = rest % a->length[i];
            rest /= a->length[i], x_at += at * a->x_by[i], y_at += at * a->y_by[i];
        }
        const ELEMENT *x = (const ELEMENT *)a->x + of_x * x_at;
        ELEMENT *y = (ELEMENT *)a->y + of_y * y_at;
        const int64_t group = item % job->groups;
        char *room = job->rooms + worker * job->room;
        if (job->by_line) {
            core_LETTERft_alone(job, x + of_x * group * a->x_by[last], y + of_y * group * a->y_by[last], room);
            continue;
        }
        const core_LETTERft_side from = core_LETTERft_from(job, x, a->x_by[last]);
        const core_LETTERft_side to = core_LETTERft_to(job, y, a->y_by[last]);
        const int64_t first = group * core_LETTERft_lanes;
        const int64_t count = core_ft_least(core_LETTERft_lanes, a->length[last] - first);
        core_LETTERft_group(job, &from, &to, first, count, (core_LETTERft_point *)room);
    }
}

/* --- one long line, by all threads -------------------------------------------------------------------------------- */

typedef struct {
    const core_LETTERft_plan *p;
    const ELEMENT *x;
    ELEMENT *y, scale;
    int swap;
    core_LETTERft_point *matrix, *pairs;
} core_LETTERft_long;

static core_LETTERft_point *core_LETTERft_pair_of(const core_LETTERft_long *l, int64_t worker)
{
    return l->pairs + worker * core_LETTERft_pair(core_ft_most(l->p->columns.n, l->p->rows.n));
}

static void core_LETTERft_long_columns(void *given, int64_t begin, int64_t end, int64_t worker)
{
    const core_LETTERft_long *l = given;
    core_LETTERft_columns(l->p, l->x, l->swap, begin, end, l->matrix, core_LETTERft_pair_of(l, worker));
}

static void core_LETTERft_long_rows(void *given, int64_t begin, int64_t end, int64_t worker)
{
    const core_LETTERft_long *l = given;
    core_LETTERft_rows(l->p, l->matrix, begin, end, l->y, l->swap, l->scale, core_LETTERft_pair_of(l, worker));
}

static int core_LETTERft_long_line(core_call *call, const core_ft_axis *a, const core_LETTERft_plan *p)
{
    const int64_t columns = core_LETTERft_groups(p->rows.n), rows = core_LETTERft_groups(p->columns.n);
    const int64_t piece = core_ft_upwards(columns, 16), other = core_ft_upwards(rows, 16);
    const int64_t workers = core_ft_most(core_workers(call, columns, piece), core_workers(call, rows, other));
    const int64_t points = core_LETTERft_matrix_points(p);
    const int64_t pair = core_LETTERft_pair(core_ft_most(p->columns.n, p->rows.n));
    core_LETTERft_point *room = core_LETTERft_room((points + workers * pair) * (int64_t)sizeof(core_LETTERft_point));
    if (!room) return CORE_FT_NO_MEMORY;
    core_LETTERft_long l = {p, a->x, a->y, (ELEMENT)a->scale, a->inverse, room, room + points};
    core_parallel(call, core_LETTERft_long_columns, &l, columns, piece);
    core_parallel(call, core_LETTERft_long_rows, &l, rows, other);
    free(room);
    return 0;
}

/* --- an axis ------------------------------------------------------------------------------------------------------ */

static __attribute__((noinline)) int core_LETTERft_transform(core_call *call, core_ft_axis *a)
{
    core_ft_simplify(a);
    const int last = a->ndim - 1, odd = a->kind != CORE_FT_WHOLE && a->n % 2;
    int64_t lines = 1;
    for (int i = 0; i < a->ndim; i++) lines *= a->length[i];
    if (lines == 0) return 0;
    const int halved = a->kind != CORE_FT_WHOLE && !odd;
    core_LETTERft_plan *p = core_LETTERft_borrow(halved ? a->n / 2 : a->n, halved);
    if (!p) return CORE_FT_NO_MEMORY;
    const int in_a_row = a->x_step == 1 && a->y_step == 1 && !odd;
    int failed = 0;
    if (lines == 1 && p->is_matrix && in_a_row && a->kind == CORE_FT_WHOLE && a->n >= 1 << 15)
        failed = core_LETTERft_long_line(call, a, p);
    else {
        core_LETTERft_job job = {.a = a, .plan = p, .odd = odd};
        const int few = 2 * a->length[last] < core_LETTERft_lanes || p->n > CORE_FT_WIDE;
        job.by_line = !p->is_short || (p->is_matrix && ((in_a_row && !p->by_sides) || few));
        job.groups = job.by_line ? a->length[last] : core_LETTERft_groups(a->length[last]);
        const int64_t items = lines / a->length[last] * job.groups;
        const double work = (double)lines * (double)a->n * (double)(64 - __builtin_clzll((uint64_t)a->n | 1));
        const int64_t piece = work < 1 << 18 ? items : core_ft_upwards(items, 64); /* of lengths alone */
        job.room = job.by_line ? core_padded(4 * (p->n + 1) * (int64_t)sizeof(ELEMENT)) + core_LETTERft_line_room(p)
                               : core_LETTERft_pair(p->n) * (int64_t)sizeof(core_LETTERft_point);
        job.rooms = core_LETTERft_room(core_workers(call, items, piece) * job.room);
        if (job.rooms) core_parallel(call, core_LETTERft_task, &job, items, piece);
        else failed = CORE_FT_NO_MEMORY;
        free(job.rooms);
    }
    core_LETTERft_give_back(p);
    return failed;
}

/* The axis of x, of these lengths and distances, along which ``kind`` goes; y lies row by row.  ``option``: whether it
 * is an inverse, where all is complex, else whether it is the transpose of what goes the other way. */
static int core_LETTERft_along_axis(core_call *call, int kind, int option, double scale, int ndim, int axis, void *x,
    const int64_t *x_shape, const int64_t *x_by, void *y, const int64_t *y_shape)
{
    const int inverse = kind == CORE_FT_WHOLE && option, transposed = kind != CORE_FT_WHOLE && option;
    core_ft_axis a = {.kind = kind, .inverse = inverse, .transposed = transposed, .x = x, .y = y, .scale = scale};
    a.n = kind == CORE_FT_FROM_HALF ? y_shape[axis] : x_shape[axis];
    if (a.n < 1) return CORE_FT_EMPTY;
    if (kind == CORE_FT_FROM_HALF && x_shape[axis] != a.n / 2 + 1) return CORE_FT_NOT_HALF;
    int64_t y_by = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        if (i == axis) a.x_step = x_by[i], a.y_step = y_by;
        else a.y_by[i - (i > axis)] = y_by, a.x_by[i - (i > axis)] = x_by[i], a.length[i - (i > axis)] = x_shape[i];
        y_by *= y_shape[i];
    }
    a.ndim = ndim - 1;
    return core_LETTERft_transform(call, &a);
}
#endif
