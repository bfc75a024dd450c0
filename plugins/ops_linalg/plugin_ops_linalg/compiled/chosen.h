/* Which eigenvalues come first; ordqz asks with a quotient, of which 0 / 0 is never chosen. */
#ifndef CORE_LINALG_CHOSEN_LETTER
#define CORE_LINALG_CHOSEN_LETTER

static int core_LETTERlhp(const REAL *x, const REAL *y) { return (void)y, *x < 0; }
static int core_LETTERrhp(const REAL *x, const REAL *y) { return (void)y, *x >= 0; }
static int core_LETTERiuc(const REAL *x, const REAL *y) { return HYPOT(*x, *y) <= 1; }
static int core_LETTERouc(const REAL *x, const REAL *y) { return HYPOT(*x, *y) > 1; }

static int core_LETTERlhp_of_pair(const REAL *x, const REAL *y, const REAL *z) { return (void)y, *z != 0 && *x / *z < 0; }
static int core_LETTERrhp_of_pair(const REAL *x, const REAL *y, const REAL *z) { return (void)y, *z != 0 && *x / *z > 0; }
static int core_LETTERiuc_of_pair(const REAL *x, const REAL *y, const REAL *z) { return HYPOT(*x, *y) < MAGNITUDE(*z); }
static int core_LETTERouc_of_pair(const REAL *x, const REAL *y, const REAL *z) { return HYPOT(*x, *y) > MAGNITUDE(*z); }

#endif
