/* Products of elements of type E, as BLAS makes them or NAME(own) does, and by which pieces.  See products.c. */

typedef void (*NAME(gemm))(const char *, const char *, const int *, const int *, const int *, const E *, const E *,
                           const int *, const E *, const int *, const E *, E *, const int *);

/* Row-major C = A B is column-major C' = B' A'.  Where both strides are 1 one axis has length 1, and BLAS still wants the
 * distance of two rows that there are not. */
static void NAME(by_blas)(const core_product *p, int64_t rows, int64_t columns, const E *a, const E *b, const E *start,
                          E *c)
{
    const int m = columns, n = rows, k = p->k, a_turned = p->a_column != 1, b_turned = p->b_column != 1;
    const int a_line = a_turned ? n : k, b_line = b_turned ? k : m;
    const int a_next = a_turned ? p->a_column : p->a_row, b_next = b_turned ? p->b_column : p->b_row;
    const int leading[] = {at_least(b_next, b_line), at_least(a_next, a_line), p->c_row};
    const E alpha = NUMBER(start ? p->alpha : 1), beta = NUMBER(start ? 1 : 0);
    if (start && start != c)
        for (int64_t i = 0; i < rows; i++) memcpy(c + i * p->c_row, start + i * p->c_row, columns * sizeof(E));
    count_calls(1);
    ((NAME(gemm))p->blas)(b_turned ? "T" : "N", a_turned ? "T" : "N", &m, &n, &k, &alpha, b, leading, a, leading + 1,
                          &beta, c, leading + 2);
    count_calls(-1);
}

static void NAME(part)(const core_product *p, int64_t m, int64_t n, const E *a, const E *b, const E *start, E *c)
{
    if (m <= 0 || n <= 0) return;
    if (OURS(m, n, p->k, p->a_column != 1, p->b_column != 1) || is_long(p))
        NAME(own)(m, n, p->k, a, p->a_row, p->a_column, b, p->b_row, p->b_column, start, c, p->c_row, p->alpha);
    else
        NAME(by_blas)(p, m, n, a, b, start, c);
}

/* Rows ``first`` to ``last`` of a symmetric C from the diagonal on, and what they say of the rows below. */
static void NAME(half)(const core_product *p, int64_t first, int64_t last)
{
    const E *a = p->a, *b = p->b;
    E *c = p->c;
    NAME(part)(p, last - first, p->n - first, a + first * p->a_row, b + first * p->b_column, 0, c + first * p->c_row + first);
    for (int64_t i = first; i < p->n; i++)
        for (int64_t j = first; j < last && j < i; j++) c[i * p->c_row + j] = c[j * p->c_row + i];
}

/* Terms ``first`` to ``last`` of all sums of a product. */
static void NAME(terms)(const core_product *p, int64_t first, int64_t last)
{
    core_product q = *p;
    const E *a = p->a, *b = p->b;
    const int64_t number = first / p->deep;
    q.k = last - first;
    if (number) {
        q.c = (E *)p->parts + (number - 1) * p->m * p->n;
        q.c_row = p->n;
        q.start = 0;
    }
    NAME(part)(&q, p->m, p->n, a + first * p->a_column, b + first * p->b_row, q.start, q.c);
}

/* How a product is divided; see ``plan`` and ``plan_sums``. */
int64_t NAME(product_plan)(void *product)
{
    const int64_t piece = plan(product, 1), deep = plan_sums(product, sizeof(E));
    return deep ? deep : piece;
}

/* What is left to do of a product that is divided along k, when all pieces are made. */
void NAME(product_end)(void *product)
{
    const core_product *p = product;
    const E *part = p->parts;
    E *c = p->c;
    const T alpha = p->start ? p->alpha : 1;
    for (int64_t first = p->deep; first < p->k; first += p->deep)
        for (int64_t i = 0; i < p->m; i++, part += p->n)
            for (int64_t j = 0; j < p->n; j++) {
                E *at = c + i * p->c_row + j;
                *at = NAME(grown)(at, alpha, part[j]);
            }
    free(p->parts);
}

/* Rows (or columns, or terms) ``first`` to ``last`` of a product; ``worker`` says nothing here. */
void NAME(product)(void *product, int64_t first, int64_t last, int64_t worker)
{
    const core_product *p = product;
    const E *a = p->a, *b = p->b, *start = p->start;
    E *c = p->c;
    (void)worker;
    if (p->deep) {
        NAME(terms)(p, first, last);
    } else if (p->symmetric) {
        NAME(half)(p, first, last);
    } else if (p->columns) {
        NAME(part)(p, p->m, last - first, a, b + first * p->b_column, start ? start + first : 0, c + first);
    } else {
        const int64_t at = first * p->c_row;
        NAME(part)(p, last - first, p->n, a + first * p->a_row, b, start ? start + at : 0, c + at);
    }
}

/* How a stack of products is divided; see ``plan_stack``. */
int64_t NAME(stack_plan)(void *stack)
{
    return plan_stack(stack);
}

/* Pieces ``first`` to ``last`` of all products of a stack. */
void NAME(stack)(void *stack, int64_t first, int64_t last, int64_t worker)
{
    const core_stack *s = stack;
    core_product p = s->one;
    const int64_t length = p.columns ? p.n : p.m;
    for (int64_t unit = first; unit < last; unit++) {
        const int64_t number = unit / s->pieces, from = unit % s->pieces * s->piece, left = length - from;
        p.a = (const E *)s->one.a + number * s->a_next;
        p.b = (const E *)s->one.b + number * s->b_next;
        if (s->one.start) p.start = (const E *)s->one.start + number * s->start_next;
        p.c = (E *)s->one.c + number * s->c_next;
        NAME(product)(&p, from, left < s->piece ? length : from + s->piece, worker);
    }
}
