/* C = A B, or C = S + alpha A B where there is a ``start`` S: A is (m, k), B (k, n), S and C (m, n).  A step along an axis
 * of A or B moves by the stride given for it, of which one is 1; rows of C and S are ``c_row`` apart, and S may be C.
 * ``blas`` is gemm, for 32-bit lengths. */
typedef struct {
    void *blas;
    const void *a, *b, *start;
    void *c;
    int64_t m, n, k, a_row, a_column, b_row, b_column, c_row;
    double alpha;
    int32_t columns, symmetric; /* that C is divided along n, not m; that it is symmetric */
    int64_t deep; /* how many terms of each sum a piece has, where pieces are along k; else 0 */
    void *parts;  /* the sums of all such pieces but the first, which makes C */
} core_product;

/* ``count`` products alike.  Each moves by so many elements from the last; ``piece`` and ``pieces`` say how each is divided. */
typedef struct {
    core_product one;
    int64_t count, a_next, b_next, start_next, c_next, piece, pieces;
} core_stack;
