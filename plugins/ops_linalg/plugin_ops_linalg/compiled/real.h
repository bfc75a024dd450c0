/* Real numbers by the names that complex ones need. */
#ifndef CORE_LINALG_ARITHMETIC_LETTER
#define CORE_LINALG_ARITHMETIC_LETTER

static inline REAL core_LETTERtimes(REAL x, REAL y) { return x * y; }
static inline REAL core_LETTERover(REAL x, REAL y) { return x / y; }
static inline REAL core_LETTERconjugate(REAL x) { return x; }
static inline REAL core_LETTERsize(REAL x) { return MAGNITUDE(x); }
static inline REAL core_LETTERone_norm(REAL x) { return MAGNITUDE(x); }  /* by which LAPACK chooses pivots */
static inline REAL core_LETTERreal_part(REAL x) { return x; }

#endif
