"""The loop IR: scalar expressions, views, loops and kernels, the passes over them, and the printer of C-like text.

expr.py, codes.py, walk.py, show.py,         scalar expressions
axes.py, rebuild.py, evaluate.py
function.py, elements.py                    functions of scalars with loops of their own
view.py, scatter.py, builder.py             what an op's ``lower`` and ``kernel`` are written with
definitions.py, nodes.py, program.py        what passes hand on: definitions of values, kernels, programs
layouts.py, target.py                       how arguments lie in memory, and facts of the hardware
row_blocks.py                               what is done with some rows of tall matrices at a time
form.py                                     what parts of a program have in common but for the things they name
build.py                                    from a lowered graph to a program: the passes below, in their order

parts/    complex numbers as pairs of real ones
passes/   over a whole program: lengths, storage, fusion, memory
nests/    what schedules for CPUs and for devices share
cpu/      schedules for a CPU
work/     schedules for devices
clike/    programs as text of C-like languages
check/    the rules of legal programs, and evaluators in NumPy: oracles of all of the above
"""
