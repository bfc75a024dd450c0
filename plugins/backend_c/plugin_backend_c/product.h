/* C = A B, or C += A B where ``add`` is 1, C -= A B where it is -1: A is (m, k), B (k, n), C (m, n).  A step along an axis of A or B moves by the
 * stride given for it, of which one is 1; the rows of C are ``c_row`` apart.  ``blas`` is gemm, for 32-bit lengths. */
typedef struct {
    void *blas;
    const void *a, *b;
    void *c;
    int64_t m, n, k, a_row, a_column, b_row, b_column, c_row;
    int32_t add, columns; /* columns: that C is divided along n, not m */
} core_product;
