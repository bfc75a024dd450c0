/* The workloads in plain C, as a competent engineer writes them; each .inc file is included for double and for float.
   Vectorised functions of the C library (libmvec) are declared here, as its own header does so only for -ffast-math. */

#include <stdlib.h>

#define VECTORISED(name) \
    _Pragma("omp declare simd notinbranch") double name(double); \
    _Pragma("omp declare simd notinbranch") float name##f(float);
VECTORISED(exp)
VECTORISED(log)
VECTORISED(log1p)
VECTORISED(erf)
VECTORISED(tanh)
double sqrt(double), fabs(double);
float sqrtf(float), fabsf(float);

typedef void gemm_double(const char *, const char *, int *, int *, int *, double *, const double *, int *, const double *,
                         int *, double *, double *, int *);
typedef void gemm_float(const char *, const char *, int *, int *, int *, float *, const float *, int *, const float *,
                        int *, float *, float *, int *);
static gemm_double *gemm_float64;
static gemm_float *gemm_float32;

typedef void factor_double(const char *, int *, double *, int *, int *);
typedef void factor_float(const char *, int *, float *, int *, int *);
static factor_double *potrf_float64, *potri_float64;
static factor_float *potrf_float32, *potri_float32;

void use_routines(void *dgemm, void *sgemm, void *dpotrf, void *spotrf, void *dpotri, void *spotri) {
    gemm_float64 = (gemm_double *)dgemm;
    gemm_float32 = (gemm_float *)sgemm;
    potrf_float64 = (factor_double *)dpotrf;
    potrf_float32 = (factor_float *)spotrf;
    potri_float64 = (factor_double *)dpotri;
    potri_float32 = (factor_float *)spotri;
}

void repeat(void (*kernel)(void **, const long *), void **args, const long *n, long count) {
    for (long k = 0; k < count; k++) kernel(args, n);
}

#include "real.h"

#define REAL double
#define FN(name) name##_float64
#define M(name) name
#include "elementwise.inc"
#include "rows.inc"
#include "training.inc"
#include "recurrences.inc"
#include "convolution.inc"
#include "models.inc"
#undef REAL
#undef FN
#undef M

#define REAL float
#define FN(name) name##_float32
#define M(name) name##f
#include "elementwise.inc"
#include "rows.inc"
#include "training.inc"
#include "recurrences.inc"
#include "convolution.inc"
#include "models.inc"
