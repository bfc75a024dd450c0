"""LAPACK called from generated C: how each routine is called (routines.py), and C around it (the .h files).

Matrices lie row by row and LAPACK reads column by column, so it sees transposes.  Each routine is called such that this
costs nothing: the other triangle, the other side, left vectors for right ones.
"""
