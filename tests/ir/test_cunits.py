"""Programs as translation units: equal kernels are one function, many loops are several units."""

import re

import core.tensor as ct
from core.dataclass import replace
from core.ir.clike.cfamily import Dialect, Names
from core.ir.clike.cinterface import kernels_of
from core.ir.clike.csections import LONG, SECTION
from core.ir.clike.cunits import Functions, print_program, print_units

C = Dialect("test", shared_kernel="extern void")
a, b, c = ct.vector("a"), ct.vector("b"), ct.vector("c")


def cut(x):
    """A value that is stored: what reads it is another kernel."""
    return ct.cumsum(x)


def steps(n):
    """n kernels that differ, each with a running sum behind it."""
    x = a
    for k in range(n):
        x = cut(ct.exp(x * (k + 0.5)))
    return x


def names_called(printed):
    return [name for line in printed.splitlines() for name in re.findall(r"^ +(k\d+_\w+)\(", line)]


def test_kernels_that_differ_in_names_are_one_function(compiled):
    program = compiled([a, b], [cut(ct.exp(cut(a)) + 1), cut(ct.exp(cut(b)) + 1)]).program
    functions = Functions(program, C)
    assert len(program.steps) == 6 and len(functions.all) == 3  # cumsum of an argument, exp(x) + 1, cumsum in place
    names = [functions.called[kernel.name].name for kernel in kernels_of(program)]
    assert sorted(map(names.count, set(names))) == [2, 2, 2]
    printed = print_program(program, C)
    assert len(names_called(printed)) == 6 and printed.count("static void k") == 3


def test_only_an_entry_function_of_many_steps_is_a_long_one(compiled):
    dialect = replace(C, entry="ONCE ", long_entry="LONG ")
    assert print_program(compiled([a], steps(3)).program, dialect).count("ONCE int32_t") == 1
    printed = print_program(compiled([a], steps(LONG // 2)).program, dialect)
    assert printed.count("LONG int32_t") == 1 and "ONCE" not in printed


def test_a_long_entry_function_is_cut_into_sections_that_read_what_others_declared(compiled):
    text = print_program(compiled([a], steps(LONG)).program, replace(C, long_entry="LONG "))
    fields = set(re.findall(r"(\w+);", re.search(r"^struct core_kept {.*?^};", text, re.DOTALL | re.MULTILINE)[0]))
    sections = re.findall(r"^LONG static int32_t (core_section\d+)\(.*?^}", text, flags=re.DOTALL | re.MULTILINE)
    assert len(sections) > 3 and text.count("if ((status = core_section") == len(sections)
    for body in re.findall(r"^LONG .*?^}", text, flags=re.DOTALL | re.MULTILINE):
        assert body.count("\n") < 3 * SECTION
        assert set(re.findall(r"core_kept->(\w+);", body)) <= fields


def test_a_shared_function_says_what_else_it_computes(compiled):
    first, second = cut(a), cut(b)
    first.name, second.name = "running_a", "running_b"
    printed = print_program(compiled([a, b], [first, second]).program, C)
    assert re.search(r"/\* running_a: CumSum.* \*/\n/\* also: running_b \*/\nstatic void k0_running_a\(", printed)


def test_kernels_that_compute_different_things_are_not_shared(compiled):
    x, y = cut(a), cut(b)
    for left, right in [
        (ct.exp(x), ct.log(y)),
        (x + 1, y + 2),
        (x - 1, 1 - y),
        (x * 2, (y * 2).astype("float32")),
        (x[::-1], y[::-2]),
    ]:
        program = compiled([a, b], [cut(left), cut(right)]).program
        functions = Functions(program, C)
        sums = {value for step in program.steps if {*step.reads} <= {*program.inputs} for value in step.writes}
        read = [step.kernel for step in program.steps if not sums.isdisjoint(step.reads)]
        assert len({functions.called[kernel.name].name for kernel in read}) == len(read) == 2


def test_which_operand_is_read_twice_tells_kernels_apart(compiled):
    x, y = ct.matrix("x"), ct.matrix("y")
    program = compiled([x, y], [cut(x.sum(axis=0)), cut(y.sum(axis=1))]).program
    assert len(Functions(program, C).all) == 3  # two different sums, one running sum


def test_a_small_program_is_one_unit_and_its_kernels_are_its_own(compiled):
    (unit,) = print_units(compiled([a], [cut(cut(a) + 1)]).program, C)
    assert "static void k0" in unit and "extern void k" not in unit


def test_long_kernels_are_dealt_out_to_units_of_about_one_size(compiled):
    main, *others = print_units(compiled([a], [steps(20)]).program, C, most=1000)
    assert "int32_t run(" in main and not any("int32_t run(" in unit for unit in others)
    lengths = [len(unit[unit.index("extern void k") :]) for unit in others]
    assert len(others) > 2 and max(lengths) < 1800 and min(lengths) > 500
    defined = [name for unit in others for name in re.findall(r"^extern void (k\w+)\(.*\)$", unit, re.MULTILINE)]
    declared = re.findall(r"^extern void (k\w+)\(.*\);$", main, re.MULTILINE)
    assert sorted(defined) == sorted(declared) and set(names_called(main)) == set(declared)


def test_there_are_no_more_units_than_keep_compilers_busy(compiled):
    program = compiled([a], [steps(20)]).program
    one, two, many = (print_units(program, C, most=300, at_once=n) for n in (1, 2, 100))
    assert len(one) == 1 and len(two) == 1 + 2 * 2 < len(many) == len(print_units(program, C, most=300))


def test_each_unit_declares_what_it_uses_and_no_more(compiled):
    k = ct.lvector("k")
    outputs = [cut(k // (n + 3)) for n in range(4)] + [cut(k % (n + 3)) for n in range(4)]
    _, *others = print_units(compiled([k], outputs).program, C, most=300)
    for unit in others:
        assert ("core_floordiv_int64(int64_t" in unit) == ("= core_floordiv_int64(" in unit)
        assert "core_own_memory" not in unit


def test_a_dialect_without_hidden_functions_has_one_unit(compiled):
    program = compiled([a], [steps(8)]).program
    assert len(print_units(program, Dialect("test"), most=500)) == 1 < len(print_units(program, C, most=500))


def test_texts_are_compared_by_what_names_stand_for():
    names = Names()
    for word in ("x", "y", "sum1"):
        names.of(word, word)
    assert names.numbered("x[i] + y[i] * exp(sum1)") == "#0[i] + #1[i] * exp(#2)"
    assert names.numbered("y[i] + x[i] * exp(sum1)") == "#0[i] + #1[i] * exp(#2)"
    assert names.numbered("x[i] + x[i] * 1e-8") != names.numbered("x[i] + y[i] * 1e-8")
