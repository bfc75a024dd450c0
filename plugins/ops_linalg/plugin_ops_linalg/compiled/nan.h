#ifndef CORE_LINALG_NAN_LETTER
#define CORE_LINALG_NAN_LETTER

static void core_LETTERnan(int64_t count, REAL *a)
{
    for (int64_t i = 0; i < count; i++) a[i] = (REAL)__builtin_nan("");
}

#endif
