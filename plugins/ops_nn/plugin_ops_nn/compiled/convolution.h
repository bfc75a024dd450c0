/* y = x * w.  Returns 0, or 1 where there is no memory. */
static __attribute__((noinline)) int core_LETTERconvolution(core_call *call, const core_convolution *c)
{
    const int64_t taps = c->k[0] * c->k[1] * c->k[2], terms = c->channels * taps, filters = c->groups * c->filters;
    core_conv_part p = core_conv_forwards(c);
    core_conv_divide(&p, c->images, c->channels, sizeof(ELEMENT));
    ELEMENT *w = aligned_alloc(64, (size_t)core_padded((filters + 1) * terms * sizeof(ELEMENT) + 64));
    int64_t *offsets = aligned_alloc(64, (size_t)core_padded((terms + 1) * sizeof(int64_t)));
    int failed = !w || !offsets;
    if (!failed) {
        core_conv_tap_offsets(c, &p, offsets);
        ELEMENT *to = w;
        for (int64_t g = 0; g < c->groups; g++)
            for (int64_t f = 0; f < c->filters;) {
                const int together = core_LETTERconv_rows(c->filters - f);
                const ELEMENT *from = (const ELEMENT *)c->w + (g * c->filters + f) * c->w_by[0];
                for (int64_t channel = 0; channel < c->channels; channel++)
                    for (int64_t t = 0; t < taps; t++) {
                        const int64_t last = t % c->k[2], middle = t / c->k[2] % c->k[1], first = t / c->k[2] / c->k[1];
                        const ELEMENT *tap = from + channel * c->w_by[1] + first * c->w_by[2]
                            + middle * c->w_by[3] + last * c->w_by[4];
                        for (int i = 0; i < together; i++) *to++ = tap[i * c->w_by[0]];
                    }
                f += together;
            }
        core_correlation all = {.source = c->x, .w = w, .out = c->y, .offsets = offsets, .n = c->n,
            .source_by = c->x_by,
            .size = {c->o[0], c->o[1], c->o[2]}, .terms = terms, .groups = c->groups, .channels = c->channels,
            .filters = c->filters, .images = c->images};
        failed = !core_LETTERconv_run(call, &all, &p);
    }
    free(w);
    free(offsets);
    return failed;
}
