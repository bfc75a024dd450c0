/* Products of real elements, of type T, named with the letter that BLAS has for it.  See products.c. */

enum { NAME(lanes) = BYTES / sizeof(T) };
typedef T NAME(vector) __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));

#ifdef MASK
typedef T NAME(whole) __attribute__((vector_size(BYTES)));
typedef MASK NAME(lane_mask) __attribute__((vector_size(BYTES), aligned(SIZE), may_alias));

/* All bits of the first ``n`` lanes. */
INLINE NAME(lane_mask) NAME(mask)(int n)
{
    static const MASK bits[2 * NAME(lanes)] = {[0 ... NAME(lanes) - 1] = -1};
    return *(const NAME(lane_mask) *)(bits + NAME(lanes) - n);
}
#endif

/* Fewer elements than a vector has: those behind them are not touched, and read as 0. */
INLINE NAME(vector) NAME(load_part)(const T *p, int n)
{
    NAME(vector) v = {0};
#ifdef LOAD_PART
    v = LOAD_PART(p, n);
#else
    memcpy(&v, p, n * sizeof(T));
#endif
    return v;
}

INLINE void NAME(store_part)(T *p, NAME(vector) v, int n)
{
#ifdef STORE_PART
    STORE_PART(p, n, v);
#else
    memcpy(p, &v, n * sizeof(T));
#endif
}

/* What an element starts with, and alpha times what is added to it. */
INLINE T NAME(grown)(const T *start, T alpha, T x)
{
    return start ? *start + alpha * x : x;
}

/* A block of C: ``rows`` by ``vectors``, of the last of which only ``part`` elements count where it is ``masked``. */
INLINE void NAME(block)(const int rows, const int vectors, const int masked, int part, int64_t k, const T *a,
                        int64_t a_row, int64_t a_column, const T *b, int64_t b_row, const T *start, T *c,
                        int64_t c_row, T alpha)
{
    typedef NAME(vector) V;
    const int last = masked ? vectors - 1 : vectors;
    V sum[ROWS][2];
    EACH(i, rows) EACH(j, vectors) sum[i][j] = (V){0};
    for (int64_t l = 0; l < k; l++) {
        V right[2];
        EACH(j, vectors) {
            const T *p = b + l * b_row + j * NAME(lanes);
            right[j] = j < last ? *(const V *)p : NAME(load_part)(p, part);
        }
        EACH(i, rows) {
            const T left = a[i * a_row + l * a_column];
            EACH(j, vectors) sum[i][j] += left * right[j];
        }
    }
    EACH(i, rows) EACH(j, vectors) {
        const int64_t at = i * c_row + j * NAME(lanes);
        T *p = c + at;
        if (start) sum[i][j] = (j < last ? *(const V *)(start + at) : NAME(load_part)(start + at, part)) + alpha * sum[i][j];
        if (j < last) *(V *)p = sum[i][j];
        else NAME(store_part)(p, sum[i][j], part);
    }
}

/* All rows of a panel of C. */
INLINE void NAME(panel)(const int vectors, const int masked, int part, int64_t m, int64_t k, const T *a, int64_t a_row,
                        int64_t a_column, const T *b, int64_t b_row, const T *start, T *c, int64_t c_row, T alpha)
{
    int64_t i = 0;
#define BLOCK(rows) NAME(block)(rows, vectors, masked, part, k, a + i * a_row, a_row, a_column, b, b_row, \
                                start ? start + i * c_row : 0, c + i * c_row, c_row, alpha), i += rows
    while (i + ROWS <= m) BLOCK(ROWS);
    if (i + 4 <= m) BLOCK(4);
    if (i + 2 <= m) BLOCK(2);
    if (i < m) BLOCK(1);
#undef BLOCK
}

#define PANEL(name, vectors, masked) \
    ALONE void NAME(name)(int part, int64_t m, int64_t k, const T *a, int64_t a_row, \
        int64_t a_column, const T *b, int64_t b_row, const T *start, T *c, int64_t c_row, T alpha) \
    { NAME(panel)(vectors, masked, part, m, k, a, a_row, a_column, b, b_row, start, c, c_row, alpha); }
PANEL(two, 2, 0)
PANEL(two_part, 2, 1)
PANEL(one, 1, 0)
PANEL(one_part, 1, 1)
#undef PANEL

/* Blocks of ROWS rows of a panel of two vectors, of an A that is packed. */
ALONE void NAME(two_packed)(int64_t m, int64_t k, const T *a, const T *b, int64_t b_row, const T *start, T *c, int64_t c_row,
                            T alpha)
{
    for (int64_t i = 0; i < m; i += ROWS)
        NAME(block)(ROWS, 2, 0, 0, k, a + i * k, 1, ROWS, b, b_row, start ? start + i * c_row : 0, c + i * c_row, c_row,
                    alpha);
}

/* c[j] += a[0] b[0][j] + ..., over some rows of B that are consecutive, in their order. */
INLINE void NAME(add_rows)(const int rows, int64_t n, const T *a, int64_t a_column, const T *b, int64_t b_row, T *c,
                           T alpha)
{
    typedef NAME(vector) V;
    enum { lanes = NAME(lanes) };
    T left[8];
    int64_t j = 0;
    EACH(l, rows) left[l] = alpha * a[l * a_column];
    for (; j + lanes <= n; j += lanes) {
        V sum = *(V *)(c + j);
        EACH(l, rows) sum += left[l] * *(const V *)(b + l * b_row + j);
        *(V *)(c + j) = sum;
    }
    if (j < n) {
        V sum = NAME(load_part)(c + j, n - j);
        EACH(l, rows) sum += left[l] * NAME(load_part)(b + l * b_row + j, n - j);
        NAME(store_part)(c + j, sum, n - j);
    }
}

/* One row of C of a few vectors, which stay in registers while B is read as it lies.  ``part``: of the last vector. */
INLINE void NAME(narrow)(const int vectors, int part, int64_t k, const T *a, int64_t a_column, const T *b, int64_t b_row,
                         const T *start, T *c, T alpha)
{
    enum { lanes = NAME(lanes) };
    NAME(vector) sum[NARROW];
    EACH(j, vectors) sum[j] = (NAME(vector)){0};
    for (int64_t l = 0; l < k; l++) {
        const T left = a[l * a_column], *p = b + l * b_row;
        EACH(j, vectors - 1) sum[j] += left * *(const NAME(vector) *)(p + j * lanes);
        sum[vectors - 1] += left * NAME(load_part)(p + (vectors - 1) * lanes, part);
    }
    EACH(j, vectors) {
        const int width = j < vectors - 1 ? lanes : part;
        if (start) sum[j] = NAME(load_part)(start + j * lanes, width) + alpha * sum[j];
        NAME(store_part)(c + j * lanes, sum[j], width);
    }
}

ALONE void NAME(narrow_row)(int64_t n, int64_t k, const T *a, int64_t a_column, const T *b, int64_t b_row, const T *start,
                            T *c, T alpha)
{
    const int vectors = (n + NAME(lanes) - 1) / NAME(lanes), part = n - (vectors - 1) * NAME(lanes);
    switch (vectors) {
#define VECTORS(count) case count: NAME(narrow)(count, part, k, a, a_column, b, b_row, start, c, alpha); break;
    VECTORS(1) VECTORS(2) VECTORS(3) VECTORS(4) VECTORS(5) VECTORS(6) VECTORS(7) VECTORS(8)
#undef VECTORS
    }
}

/* One row of C where the rows of B are consecutive: a few rows of B at a time, so that memory is read in its order. */
ALONE void NAME(row)(int64_t n, int64_t k, const T *a, int64_t a_column, const T *b, int64_t b_row, const T *start, T *c,
                     T alpha)
{
    if (start != c)
        for (int64_t j = 0; j < n; j++) c[j] = start ? start[j] : 0;
    int64_t l = 0;
    for (; l + 8 <= k; l += 8) NAME(add_rows)(8, n, a + l * a_column, a_column, b + l * b_row, b_row, c, alpha);
    for (; l < k; l++) NAME(add_rows)(1, n, a + l * a_column, a_column, b + l * b_row, b_row, c, alpha);
}

/* The elements of two vectors in turn: of their first halves, and of their second. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#if BYTES / SIZE == 16
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif BYTES / SIZE == 8
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif BYTES / SIZE == 4
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#else
#define LOW 0, 2
#define HIGH 1, 3
#endif
#endif
#endif

/* One row of C where the columns of B are consecutive: sums along them, 4 columns at a time. */
INLINE void NAME(dots)(const int columns, int64_t k, const T *a, const T *b, int64_t b_column, const T *start, T *c,
                       T alpha)
{
    typedef NAME(vector) V;
    enum { lanes = NAME(lanes) };
    V sum[4][2];
    EACH(j, columns) EACH(h, 2) sum[j][h] = (V){0};
    int64_t l = 0;
    for (; l + 2 * lanes <= k; l += 2 * lanes)
        EACH(j, columns) EACH(h, 2)
            sum[j][h] += *(const V *)(a + l + h * lanes) * *(const V *)(b + j * b_column + l + h * lanes);
    for (; l < k; l += lanes) {
        const int part = k - l < lanes ? k - l : lanes;
        const V left = NAME(load_part)(a + l, part);
        EACH(j, columns) sum[j][0] += left * NAME(load_part)(b + j * b_column + l, part);
    }
    EACH(j, columns) {
        const V both = sum[j][0] + sum[j][1];
        T total[lanes];
        memcpy(total, &both, sizeof both);
        for (int half = lanes / 2; half > 0; half /= 2)
            EACH(h, half) total[h] += total[h + half];
        c[j] = start ? start[j] + alpha * *total : *total;
    }
}

#ifdef LOW
enum { NAME(together) = BYTES / SIZE < 8 ? BYTES / SIZE : 8 };

/* Several sums along short columns: they become one vector by adding pairs of them, in turn.  More than 8 columns at once,
 * where these are short, confuse prefetching. */
ALONE void NAME(short_dots)(int64_t k, const T *a, const T *b, int64_t b_column, const T *start, T *c, T alpha)
{
    enum { lanes = NAME(lanes), columns = NAME(together) };
    NAME(vector) sum[columns];
    int64_t l = 0;
    EACH(j, columns) sum[j] = (NAME(vector)){0};
    for (; l + lanes <= k; l += lanes) {
        const NAME(vector) left = *(const NAME(vector) *)(a + l);
        EACH(j, columns) sum[j] += left * *(const NAME(vector) *)(b + j * b_column + l);
    }
    if (l < k) {
        const NAME(vector) left = NAME(load_part)(a + l, k - l);
        EACH(j, columns) sum[j] += left * NAME(load_part)(b + j * b_column + l, k - l);
    }
#define FOLD(count) EACH(j, count) \
        sum[j] = __builtin_shufflevector(sum[j], sum[j + count], LOW) + __builtin_shufflevector(sum[j], sum[j + count], HIGH)
#if BYTES / SIZE > 4
    FOLD(4);
#endif
#if BYTES / SIZE > 2
    FOLD(2);
#endif
    FOLD(1);
#undef FOLD
    T total[lanes]; /* one of each column; of 16 lanes two, 8 apart */
    memcpy(total, sum, sizeof total);
    EACH(j, lanes - columns) total[j] += total[columns + j];
    EACH(j, columns) c[j] = NAME(grown)(start ? start + j : 0, alpha, total[j]);
}
#endif

ALONE void NAME(row_of_dots)(int64_t n, int64_t k, const T *a, const T *b, int64_t b_column, const T *start, T *c, T alpha)
{
    int64_t j = 0;
#ifdef LOW
    enum { columns = NAME(together), SHORT = 16 * NAME(lanes) };
    for (; k <= SHORT && j + columns <= n; j += columns)
        NAME(short_dots)(k, a, b + j * b_column, b_column, start ? start + j : 0, c + j, alpha);
#endif
#define DOTS(columns) NAME(dots)(columns, k, a, b + j * b_column, b_column, start ? start + j : 0, c + j, alpha), j += columns
    while (j + 4 <= n) DOTS(4);
    while (j < n) DOTS(1);
#undef DOTS
}

/* out[p][q] = b[q][p], of as many of both as a vector has elements: each step deals out the rows like a pack of cards. */
INLINE void NAME(turn)(const T *b, int64_t b_column, T *out, int64_t out_row)
{
    enum { lanes = NAME(lanes) };
#ifdef LOW
    NAME(vector) rows[lanes], dealt[lanes];
    EACH(q, lanes) rows[q] = *(const NAME(vector) *)(b + q * b_column);
    EACH(step, 4)
        if (1 << step < lanes) {
            EACH(h, lanes / 2) {
                dealt[2 * h] = __builtin_shufflevector(rows[h], rows[h + lanes / 2], LOW);
                dealt[2 * h + 1] = __builtin_shufflevector(rows[h], rows[h + lanes / 2], HIGH);
            }
            EACH(q, lanes) rows[q] = dealt[q];
        }
    EACH(p, lanes) *(NAME(vector) *)(out + p * out_row) = rows[p];
#else
    for (int q = 0; q < lanes; q++)
        for (int p = 0; p < lanes; p++) out[p * out_row + q] = b[q * b_column + p];
#endif
}
#undef LOW
#undef HIGH

/* Columns of B, one row of them behind the other. */
ALONE void NAME(copy_panel)(int64_t width, int64_t depth, const T *b, int64_t b_row, int64_t b_column, T *copy)
{
    enum { lanes = NAME(lanes) };
    int64_t q = 0;
    for (; q + lanes <= width; q += lanes) {
        int64_t p = 0;
        if (b_column == 1)
            for (; p < depth; p++) *(NAME(vector) *)(copy + p * width + q) = *(const NAME(vector) *)(b + p * b_row + q);
        for (; p + lanes <= depth; p += lanes) NAME(turn)(b + q * b_column + p, b_column, copy + p * width + q, width);
        for (; p < depth; p++)
            for (int64_t i = q; i < q + lanes; i++) copy[p * width + i] = b[i * b_column + p];
    }
    for (; q < width; q++)
        for (int64_t p = 0; p < depth; p++) copy[p * width + q] = b[p * b_row + q * b_column];
}

/* Rows of A that lie side by side, a block of ROWS of them behind the other. */
ALONE void NAME(pack)(int64_t m, int64_t depth, const T *a, int64_t a_column, T *packed)
{
    for (int64_t i = 0; i + ROWS <= m; i += ROWS, packed += ROWS * depth)
        for (int64_t l = 0; l < depth; l++) memcpy(packed + l * ROWS, a + i + l * a_column, ROWS * sizeof(T));
}

/* C by panels of two vectors, or what is left, of which each is copied first where B ``copies``. */
static void NAME(panels)(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_row, int64_t a_column, const T *packed,
                         const T *b, int64_t b_row, int64_t b_column, int copies, const T *start, T *c, int64_t c_row,
                         T alpha)
{
    enum { lanes = NAME(lanes) };
    T copy[DEPTH * 2 * lanes] __attribute__((aligned(64)));
    for (int64_t j = 0, width; j < n; j += width) {
        const int64_t left = n - j;
        width = left >= 2 * lanes ? 2 * lanes : left > lanes + lanes / 2 || left < lanes ? left : lanes;
        const T *right = b + j * b_column, *from = start ? start + j : 0;
        int64_t right_row = b_row, done = 0;
        if (copies) {
            NAME(copy_panel)(width, k, right, b_row, b_column, copy);
            right = copy;
            right_row = width;
        }
        if (packed && width == 2 * lanes) {
            done = m / ROWS * ROWS;
            NAME(two_packed)(done, k, packed, right, right_row, from, c + j, c_row, alpha);
        }
        if (done == m) continue;
        const int64_t at = done * c_row;
#define PANEL(name, part) NAME(name)(part, m - done, k, a + done * a_row, a_row, a_column, right, right_row, \
                                     from ? from + at : 0, c + at + j, c_row, alpha)
        if (width == 2 * lanes) PANEL(two, 0);
        else if (width > lanes) PANEL(two_part, width - lanes);
        else if (width == lanes) PANEL(one, 0);
        else PANEL(one_part, width);
#undef PANEL
    }
}

/* C by passes over k.  Where the rows of A lie side by side, and are read often, a part of them is packed: columns of A
 * are far apart, and each would be looked for anew for each panel of B.  A few rows of A at a time meet all panels of B,
 * which are read as they lie where what a pass needs of B stays in the second cache, or nearly; else they are copied, and
 * as many rows as there are meet each copy. */
static void NAME(blocks)(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_row, int64_t a_column, const T *b,
                         int64_t b_row, int64_t b_column, const T *start, T *c, int64_t c_row, T alpha)
{
    enum { most = PACKED / sizeof(T) / DEPTH / ROWS * ROWS, few = 12 * ROWS };
    static _Thread_local T packed[PACKED / sizeof(T)] __attribute__((aligned(64)));
    const int packs = a_row == 1 && a_column != 1 && m >= ROWS && n >= 8 * NAME(lanes);
    const int copies = b_column != 1 || (m > few && (k < DEPTH ? k : DEPTH) * n > (1 << 20) / (int64_t)sizeof(T));
    const int64_t height = packs ? most : copies ? m : few;
    const int64_t passes = (k + DEPTH - 1) / DEPTH, deep = passes > 1 ? (k + passes - 1) / passes : DEPTH;
    for (int64_t l = 0; l == 0 || l < k; l += deep) {
        const int64_t depth = k - l < deep ? k - l : deep;
        for (int64_t i = 0; i < m; i += height) {
            const int64_t rows = m - i < height ? m - i : height, at = i * c_row;
            const T *left = a + i * a_row + l * a_column;
            if (packs) NAME(pack)(rows, depth, left, a_column, packed);
            NAME(panels)(rows, n, depth, left, a_row, a_column, packs ? packed : 0, b + l * b_row, b_row, b_column, copies,
                         start ? start + at : 0, c + at, c_row, alpha);
        }
        if (!start) alpha = 1; /* what follows is added to what is there now */
        start = c;
    }
}

static void NAME(own)(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_row, int64_t a_column, const T *b,
                      int64_t b_row, int64_t b_column, const T *start, T *c, int64_t c_row, T alpha)
{
    if (n == 1 && c_row == 1 && m > 1) /* the same elements, seen as one row */
        NAME(own)(1, m, k, b, b_column, b_row, a, a_column, a_row, start, c, m, alpha);
    else if (m == 1 && b_column == 1 && n > 0 && n <= NARROW * NAME(lanes))
        NAME(narrow_row)(n, k, a, a_column, b, b_row, start, c, alpha);
    else if (m == 1 && b_column == 1)
        NAME(row)(n, k, a, a_column, b, b_row, start, c, start ? alpha : 1);
    else if (m <= 4 && a_column == 1 && b_row == 1)
        for (int64_t i = 0, at = 0; i < m; i++, at += c_row)
            NAME(row_of_dots)(n, k, a + i * a_row, b, b_column, start ? start + at : 0, c + at, alpha);
    else
        NAME(blocks)(m, n, k, a, a_row, a_column, b, b_row, b_column, start, c, c_row, alpha);
}
