"""Local arrays: short scratch of constant length lies in its kernel, but not more than a stack has room for."""

import re

import core.tensor as ct
from core.ir.clike.cfamily import Dialect
from core.ir.clike.cunits import print_program
from core.ir.cpu.arrays import MOST_BYTES, MOST_IN_ALL, with_arrays
from core.ir.definitions import Value
from core.ir.expr import const, length
from core.ir.nodes import Kernel

V = [Value(f"v{k}", "float64") for k in range(40)]


def kept(shapes):
    kernel = Kernel("k", [], list(shapes), [], scratch=list(shapes))
    return with_arrays(kernel, shapes)


def test_short_scratch_of_constant_length_becomes_an_array():
    given = {V[0]: (const(4), const(8)), V[1]: (length(V[2], 0),), V[3]: (const(MOST_BYTES // 8 + 1),)}
    kernel = kept(given)
    assert kernel.arrays == {V[0]: 32}
    assert kernel.writes == kernel.scratch == [V[1], V[3]]


def test_a_kernel_without_such_scratch_is_left_alone():
    kernel = Kernel("k", [], [V[0]], [])
    assert with_arrays(kernel, {V[0]: (const(1),)}) is kernel


def test_all_arrays_together_have_a_bound():
    kernel = kept({value: (const(MOST_BYTES // 8),) for value in V})
    assert sum(size * 8 for size in kernel.arrays.values()) == MOST_IN_ALL


def test_small_slots_of_an_entry_function_do_not_fill_the_stack(compiled):
    vectors = [ct.tensor(f"v{k}", dtype="float64", shape=(500,)) for k in range(40)]
    sums = [ct.cumsum(v) for v in vectors]
    program = compiled(vectors, ct.cumsum(sum(ct.cumsum(s * sums[0][-1]) for s in sums))).program
    text = print_program(program, Dialect("test"))
    on_stack = [int(n) for n in re.findall(r"_Alignas\(64\) char slot\d+\[(\d+)\]", text)]
    assert 0 < sum(on_stack) <= 32768 and "arena_size = at" in text
