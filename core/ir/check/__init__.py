"""What holds passes to their word.

verify.py   the rules of a legal program; with verify_kernel, verify_expr and verify_work
oracle.py   views, scatters and kernels by NumPy
run.py      a whole program by NumPy
"""
