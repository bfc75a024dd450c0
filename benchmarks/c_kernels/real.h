/* What kernels.c gives to the files that it includes once for each float type:
     REAL            double or float
     FN(name)        name of the kernel for that type
     M(name)         name of a function of the C library for that type
   A kernel is  void name(void **args, const long *n):  pointers to inputs, then to outputs; lengths. */

#define IN(k) ((const REAL *)args[k])
#define OUT(k) ((REAL *)args[k])
#define KERNEL(name) void FN(name)(void **restrict args, const long *restrict n)
