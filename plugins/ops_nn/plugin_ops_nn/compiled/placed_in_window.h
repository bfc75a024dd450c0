/* Planes of zeros, to which each window adds an element at one of its taps: the gradient of pooling. */

/* x (count planes of n), y and place (count planes of o); of three spatial axes, as in core_convolution.  Strides in
 * elements; a window's taps are ``k``, and the first of them lies ``before`` elements in front of its ``step``. */
typedef struct {
    void *x;
    const void *y;
    const int32_t *place;
    int64_t count, x_next, y_next, place_next, padded;
    int64_t n[3], k[3], o[3], step[3], apart[3], before[3], y_by[3], place_by[3];
} core_placed;

/* Where a tap of a window lies in its plane; -1 where that is around it, or there is no such tap. */
static int64_t core_LETTERplaced_at(const core_placed *p, int64_t a, int64_t b, int64_t c, int64_t tap)
{
    const int64_t o[3] = {a, b, c}, k[3] = {tap / p->k[2] / p->k[1], tap / p->k[2] % p->k[1], tap % p->k[2]};
    int64_t at = 0;
    if (tap < 0 || k[0] >= p->k[0]) return -1;
    for (int axis = 0; axis < 3; axis++) {
        const int64_t i = o[axis] * p->step[axis] + k[axis] * p->apart[axis] - p->before[axis];
        if (i < 0 || i >= p->n[axis]) return -1;
        at = at * p->n[axis] + i;
    }
    return at;
}

static void core_LETTERplaced_planes(void *given, int64_t first, int64_t last, int64_t worker)
{
    enum { FEW = 64 };
    const core_placed *p = given;
    const int64_t whole = p->n[0] * p->n[1] * p->n[2], taps = p->k[0] * p->k[1] * p->k[2];
    const int known = !p->padded && taps <= FEW && p->o[0] > 0 && p->o[1] > 0 && p->o[2] > 0;
    int64_t tap_at[FEW]; /* of the first window; others move all of them alike */
    (void)worker;
    for (int64_t t = 0; known && t < taps; t++) tap_at[t] = core_LETTERplaced_at(p, 0, 0, 0, t);
    for (int64_t plane = first; plane < last; plane++) {
        ELEMENT *x = (ELEMENT *)p->x + plane * p->x_next;
        __builtin_memset(x, 0, (size_t)whole * sizeof(ELEMENT));
        for (int64_t a = 0; a < p->o[0]; a++)
            for (int64_t b = 0; b < p->o[1]; b++) {
                const ELEMENT *y = (const ELEMENT *)p->y + plane * p->y_next + a * p->y_by[0] + b * p->y_by[1];
                const int32_t *place = p->place + plane * p->place_next + a * p->place_by[0] + b * p->place_by[1];
                ELEMENT *row = x + (a * p->step[0] * p->n[1] + b * p->step[1]) * p->n[2];
                for (int64_t c = 0; c < p->o[2]; c++) {
                    const int64_t tap = place[c * p->place_by[2]];
                    if (known) {
                        if (tap >= 0 && tap < taps) row[c * p->step[2] + tap_at[tap]] += y[c * p->y_by[2]];
                        continue;
                    }
                    const int64_t at = core_LETTERplaced_at(p, a, b, c, tap);
                    if (at >= 0) x[at] += y[c * p->y_by[2]];
                }
            }
    }
}

static __attribute__((noinline)) void core_LETTERplaced_in_window(core_call *call, core_placed *p)
{
    const int64_t work = p->n[0] * p->n[1] * p->n[2] + 8 * p->o[0] * p->o[1] * p->o[2]; /* of a plane, in some 0.2 ns */
    const int64_t enough = 1 + (1 << 17) / (work + 1);
    core_parallel(call, core_LETTERplaced_planes, p, p->count, 2 * enough > p->count ? p->count : enough);
}
