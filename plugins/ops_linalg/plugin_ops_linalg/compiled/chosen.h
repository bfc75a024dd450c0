/* Which eigenvalues come first; ordqz asks with a quotient, of which 0 / 0 is never chosen. */
#ifndef CORE_LINALG_CHOSEN_LETTER
#define CORE_LINALG_CHOSEN_LETTER

#if PARTS == 2
#define CORE_EIGENVALUE const ELEMENT *x
#define CORE_EIGENVALUE_OF_PAIR const ELEMENT *x, const ELEMENT *z
#define CORE_ALONG(x) core_LETTERreal_part(*x)
#define CORE_SIZE(x) core_LETTERsize(*x)
#define CORE_SIDE(x, z) core_LETTERreal_part(core_LETTERtimes(*x, core_LETTERconjugate(*z)))
#else
#define CORE_EIGENVALUE const ELEMENT *x, const ELEMENT *y
#define CORE_EIGENVALUE_OF_PAIR const ELEMENT *x, const ELEMENT *y, const ELEMENT *z
#define CORE_ALONG(x) ((void)y, *x)
#define CORE_SIZE(x) HYPOT(*x, *y)
#define CORE_SIDE(x, z) ((void)y, *x * *z)
#endif

static int core_LETTERlhp(CORE_EIGENVALUE) { return CORE_ALONG(x) < 0; }
static int core_LETTERrhp(CORE_EIGENVALUE) { return CORE_ALONG(x) >= 0; }
static int core_LETTERiuc(CORE_EIGENVALUE) { return CORE_SIZE(x) <= 1; }
static int core_LETTERouc(CORE_EIGENVALUE) { return CORE_SIZE(x) > 1; }

static int core_LETTERlhp_of_pair(CORE_EIGENVALUE_OF_PAIR) { return CORE_SIDE(x, z) < 0; }
static int core_LETTERrhp_of_pair(CORE_EIGENVALUE_OF_PAIR) { return CORE_SIDE(x, z) > 0; }
static int core_LETTERiuc_of_pair(CORE_EIGENVALUE_OF_PAIR) { return CORE_SIZE(x) < core_LETTERsize(*z); }
static int core_LETTERouc_of_pair(CORE_EIGENVALUE_OF_PAIR) { return CORE_SIZE(x) > core_LETTERsize(*z); }

#undef CORE_EIGENVALUE
#undef CORE_EIGENVALUE_OF_PAIR
#undef CORE_ALONG
#undef CORE_SIZE
#undef CORE_SIDE

#endif
