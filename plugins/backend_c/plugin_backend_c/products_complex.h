/* Products of complex elements, pairs of T, named with the letter that BLAS has for them.  See products.c.
 *
 * A vector holds pairs.  With x = u + iv, x times a pair is u times it, and iv times it turned: v times (-im, re). */

typedef struct { T re, im; } NAME(element);
#define E NAME(element)
enum { NAME(lanes) = BYTES / sizeof(T), NAME(pairs) = NAME(lanes) / 2 };
typedef T NAME(vector) __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));

/* Each pair (re, im) as (im, re). */
INLINE NAME(vector) NAME(swapped)(NAME(vector) v)
{
    NAME(vector) w;
    EACH(k, NAME(lanes)) w[k] = v[k ^ 1];
    return w;
}

/* (-v, v, -v, v ...). */
INLINE NAME(vector) NAME(turning)(T v)
{
    NAME(vector) w;
    EACH(k, NAME(lanes)) w[k] = k % 2 ? v : -v;
    return w;
}

INLINE E NAME(times)(E x, E y)
{
    return (E){x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}

INLINE E NAME(plus)(E x, E y)
{
    return (E){x.re + y.re, x.im + y.im};
}

/* What an element starts with, and alpha times what is added to it. */
INLINE E NAME(grown)(const E *start, T alpha, E x)
{
    return start ? (E){start->re + alpha * x.re, start->im + alpha * x.im} : x;
}

/* c[j] += a[0] b[0][j] + ..., over some rows of B that are consecutive, in their order. */
INLINE void NAME(add_rows)(const int rows, int64_t n, const E *a, int64_t a_column, const E *b, int64_t b_row, E *c,
                           T alpha)
{
    typedef NAME(vector) V;
    V turned[4];
    E left[4];
    int64_t j = 0;
    EACH(l, rows) {
        left[l] = (E){alpha * a[l * a_column].re, alpha * a[l * a_column].im};
        turned[l] = NAME(turning)(left[l].im);
    }
    for (; j + NAME(pairs) <= n; j += NAME(pairs)) {
        V sum = *(V *)(c + j);
        EACH(l, rows) {
            const V right = *(const V *)(b + l * b_row + j);
            sum += left[l].re * right + turned[l] * NAME(swapped)(right);
        }
        *(V *)(c + j) = sum;
    }
    for (; j < n; j++) EACH(l, rows) c[j] = NAME(plus)(c[j], NAME(times)(left[l], b[l * b_row + j]));
}

/* One row of C where the rows of B are consecutive: a few rows of B at a time, so that memory is read in its order. */
ALONE void NAME(row)(int64_t n, int64_t k, const E *a, int64_t a_column, const E *b, int64_t b_row, const E *start, E *c,
                     T alpha)
{
    if (start != c || !start)
        for (int64_t j = 0; j < n; j++) c[j] = start ? start[j] : (E){0, 0};
    int64_t l = 0;
    for (; l + 4 <= k; l += 4) NAME(add_rows)(4, n, a + l * a_column, a_column, b + l * b_row, b_row, c, alpha);
    for (; l < k; l++) NAME(add_rows)(1, n, a + l * a_column, a_column, b + l * b_row, b_row, c, alpha);
}

/* One row of C where the columns of B are consecutive: sums along them, some columns at a time. */
INLINE void NAME(dots)(const int columns, int64_t k, const E *a, const E *b, int64_t b_column, const E *start, E *c,
                       T alpha)
{
    typedef NAME(vector) V;
    V straight[4], crossed[4]; /* re re, im im, ... and re im, im re, ... */
    EACH(j, columns) straight[j] = crossed[j] = (V){0};
    int64_t l = 0;
    for (; l + NAME(pairs) <= k; l += NAME(pairs)) {
        const V left = *(const V *)(a + l);
        EACH(j, columns) {
            const V right = *(const V *)(b + j * b_column + l);
            straight[j] += left * right;
            crossed[j] += left * NAME(swapped)(right);
        }
    }
    EACH(j, columns) {
        E total = {0, 0};
        EACH(h, NAME(pairs)) {
            total.re += straight[j][2 * h] - straight[j][2 * h + 1];
            total.im += crossed[j][2 * h] + crossed[j][2 * h + 1];
        }
        for (int64_t rest = l; rest < k; rest++) total = NAME(plus)(total, NAME(times)(a[rest], b[j * b_column + rest]));
        c[j] = NAME(grown)(start ? start + j : 0, alpha, total);
    }
}

ALONE void NAME(row_of_dots)(int64_t n, int64_t k, const E *a, const E *b, int64_t b_column, const E *start, E *c, T alpha)
{
    int64_t j = 0;
#define DOTS(columns) NAME(dots)(columns, k, a, b + j * b_column, b_column, start ? start + j : 0, c + j, alpha), j += columns
    while (j + 4 <= n) DOTS(4);
    while (j < n) DOTS(1);
#undef DOTS
}

/* One element of C at a time, whatever the strides. */
static void NAME(elements)(int64_t m, int64_t n, int64_t k, const E *a, int64_t a_row, int64_t a_column, const E *b,
                           int64_t b_row, int64_t b_column, const E *start, E *c, int64_t c_row, T alpha)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            E total = {0, 0};
            for (int64_t l = 0; l < k; l++)
                total = NAME(plus)(total, NAME(times)(a[i * a_row + l * a_column], b[l * b_row + j * b_column]));
            c[i * c_row + j] = NAME(grown)(start ? start + i * c_row + j : 0, alpha, total);
        }
}

static void NAME(own)(int64_t m, int64_t n, int64_t k, const E *a, int64_t a_row, int64_t a_column, const E *b,
                      int64_t b_row, int64_t b_column, const E *start, E *c, int64_t c_row, T alpha)
{
    if (n == 1 && c_row == 1 && m > 1) /* the same elements, seen as one row */
        NAME(own)(1, m, k, b, b_column, b_row, a, a_column, a_row, start, c, m, alpha);
    else if (b_column == 1)
        for (int64_t i = 0, at = 0; i < m; i++, at += c_row)
            NAME(row)(n, k, a + i * a_row, a_column, b, b_row, start ? start + at : 0, c + at, start ? alpha : 1);
    else if (a_column == 1 && b_row == 1)
        for (int64_t i = 0, at = 0; i < m; i++, at += c_row)
            NAME(row_of_dots)(n, k, a + i * a_row, b, b_column, start ? start + at : 0, c + at, alpha);
    else
        NAME(elements)(m, n, k, a, a_row, a_column, b, b_row, b_column, start, c, c_row, alpha);
}
