"""A GPU that is a CPU: kernels from the host's compiler, threads as fibers.  For tests on machines without a GPU."""
