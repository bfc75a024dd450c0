"""Passes over a whole program, in the order in which build.py runs them.

lengths.py      which lengths are equal
step_rows.py    rows of steps: made once, read where they lie
copies.py       what products read and write where it lies alike
accumulate.py   sums of products of matrices, added where they grow
operands.py     which views a library routine can read where they lie
pulled.py       scatters that are elementwise work
loops.py        variables of different values that run over one axis become one
storage.py      which values become buffers
groups.py       what one nest of loops makes: values, each an item, in groups
one_pass.py     groups of which several on a device may share a row
fuse.py         which values one nest of loops makes together
rows.py         what is done with tall matrices from row to row, and when blocks of rows pay
row_blocks.py   these as a program for a block of rows
in_place.py     a value over one that is read for the last time
donation.py     an output over an argument that the caller gives away
memory.py       which values share a slot of the arena
"""
