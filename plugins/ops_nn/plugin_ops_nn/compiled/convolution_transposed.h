/* x = y * w transposed: for each remainder of an element's place by the steps, a convolution of y with the taps that
 * reach such elements.  Returns 0, or 1 where there is no memory. */

/* Element by element: filters that are not finite must not meet zeros around y. */
static void core_LETTERconv_exactly(const core_convolution *c)
{
    const int64_t whole = c->n[0] * c->n[1] * c->n[2], all = c->groups * c->channels;
    for (int64_t place = 0; place < c->images * all * whole; place++) {
        const int64_t image = place / whole / all, channel = place / whole % all, g = channel / c->channels;
        const int64_t at[3] = {place % whole / c->n[2] / c->n[1], place % whole / c->n[2] % c->n[1], place % c->n[2]};
        ELEMENT sum = 0;
        for (int64_t f = g * c->filters; f < (g + 1) * c->filters; f++)
            for (int64_t t = 0; t < c->k[0] * c->k[1] * c->k[2]; t++) {
                const int64_t tap[3] = {t / c->k[2] / c->k[1], t / c->k[2] % c->k[1], t % c->k[2]};
                const ELEMENT *w = (const ELEMENT *)c->w + f * c->w_by[0] + channel % c->channels * c->w_by[1];
                const ELEMENT *y = (const ELEMENT *)c->y + image * c->y_by[0] + f * c->y_by[1];
                int there = 1;
                for (int a = 0; a < 3; a++) {
                    const int64_t from = at[a] + c->before[a] - tap[a] * c->apart[a], o = from / c->step[a];
                    there = there && from >= 0 && from % c->step[a] == 0 && o < c->o[a];
                    w += tap[a] * c->w_by[2 + a];
                    y += there ? o * c->y_by[2 + a] : 0;
                }
                if (there) sum += *w * *y;
            }
        ((ELEMENT *)c->x)[place] = sum;
    }
}

/* Which taps of an axis reach places with remainder r: ``tap`` holds their numbers, ``back`` how many windows before
 * the place's own each lies.  Returns how many. */
static int64_t core_LETTERconv_reaching(const core_convolution *c, int a, int64_t r, int64_t *tap, int64_t *back)
{
    int64_t found = 0;
    for (int64_t t = 0; t < c->k[a]; t++) {
        const int64_t far = t * c->apart[a];
        if (far % c->step[a] != r) continue;
        tap[found] = t;
        back[found++] = far / c->step[a];
    }
    return found;
}

/* Where elements with these remainders lie, and the windows that they need. */
static core_conv_part core_LETTERconv_backwards(const core_convolution *c, const int64_t *r, const int64_t *more)
{
    core_conv_part p = {{0}};
    for (int a = 0; a < 3; a++) {
        const int64_t s = c->step[a], first = ((r[a] - c->before[a]) % s + s) % s; /* the first such element */
        p.planes[a] = p.step[a] = 1;
        p.more[a] = more[a];
        p.count[a] = first < c->n[a] ? core_conv_upwards(c->n[a] - first, s) : 0;
        p.first[a] = (first + c->before[a]) / s - more[a];
        p.to[a] = first;
        p.to_step[a] = s;
    }
    return p;
}

static __attribute__((noinline)) int core_LETTERconvolution_transposed(core_call *call, const core_convolution *c)
{
    const int64_t taps = c->k[0] * c->k[1] * c->k[2], most = c->k[0] + c->k[1] + c->k[2];
    ELEMENT *w = aligned_alloc(64,
        (size_t)core_padded((c->groups * c->filters * taps + 1) * (c->channels + 1) * sizeof(ELEMENT)));
    int64_t *offsets = aligned_alloc(64, (size_t)core_padded((c->filters * taps + 2 * most + 1) * sizeof(int64_t)));
    int failed = !w || !offsets;
    int64_t *const tap = offsets ? offsets + c->filters * taps : 0, *const back = tap ? tap + most : 0;
    int finite = 1;
    const int64_t s[3] = {c->step[0], c->step[1], c->step[2]};
    for (int64_t remainder = 0; !failed && finite && remainder < s[0] * s[1] * s[2]; remainder++) {
        const int64_t r[3] = {remainder / s[2] / s[1], remainder / s[2] % s[1], remainder % s[2]};
        int64_t count[3], more[3], start[3] = {0, c->k[0], c->k[0] + c->k[1]};
        for (int a = 0; a < 3; a++) {
            count[a] = core_LETTERconv_reaching(c, a, r[a], tap + start[a], back + start[a]);
            more[a] = count[a] ? back[start[a] + count[a] - 1] : 0;
        }
        core_conv_part p = core_LETTERconv_backwards(c, r, more);
        core_conv_divide(&p, c->images, c->filters, sizeof(ELEMENT));
        const int64_t reaching = count[0] * count[1] * count[2], terms = c->filters * reaching;
        int64_t place = 0;
        ELEMENT *to = w;
        for (int64_t g = 0; g < c->groups; g++)
            for (int64_t channel = 0; channel < c->channels;) {
                const int together = core_LETTERconv_rows(c->channels - channel);
                for (int64_t f = 0; f < c->filters; f++)
                    for (int64_t t = 0; t < reaching; t++) {
                        const int64_t at[3] = {t / count[2] / count[1], t / count[2] % count[1], t % count[2]};
                        const ELEMENT *from = (const ELEMENT *)c->w + (g * c->filters + f) * c->w_by[0]
                            + channel * c->w_by[1];
                        int64_t distance[3];
                        const int64_t none[3] = {0, 0, 0};
                        for (int a = 0; a < 3; a++) {
                            from += tap[start[a] + at[a]] * c->w_by[2 + a];
                            distance[a] = more[a] - back[start[a] + at[a]];
                        }
                        if (!g && !channel) offsets[place++] = f * p.channel + core_conv_offset(&p, none, distance);
                        for (int i = 0; i < together; i++) *to++ = from[i * c->w_by[1]];
                    }
                channel += together;
            }
        finite = core_LETTERconv_finite(w, to - w);
        core_correlation all = {.source = c->y, .w = w, .out = c->x, .offsets = offsets, .n = c->o,
            .source_by = c->y_by,
            .size = {c->n[0], c->n[1], c->n[2]}, .terms = terms, .groups = c->groups, .channels = c->filters,
            .filters = c->channels, .images = c->images};
        if (finite) failed = !core_LETTERconv_run(call, &all, &p);
    }
    if (!finite) core_LETTERconv_exactly(c);
    free(w);
    free(offsets);
    return failed;
}
