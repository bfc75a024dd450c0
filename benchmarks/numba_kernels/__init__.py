"""Workloads as loops written by hand for numba, which is how it is fastest; each file holds those of one kind.

A file has ``kernels(real, jit)``: ``real`` is np.float64 or np.float32, because a Python number in a loop would make
the arithmetic float64; ``jit`` compiles.  It gives compiled functions by the name of their workload.  Loops that
several threads may share are ``prange``; with one thread that is ``range``.
"""
