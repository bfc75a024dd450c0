"""Taking neighbouring elements together: which loops do, which must not, and how the two loops are printed."""

import pytest

from core.ir.clike.cfamily import Dialect, print_kernel
from core.ir.clike.cwork import WorkItems
from core.ir.codes import Combine
from core.ir.definitions import Value
from core.ir.expr import cast, const, guarded, index, length, load
from core.ir.function import scalar_function
from core.ir.nests.vector_access import accesses, kept, widen
from core.ir.nodes import Assign, Atomic, If, Kernel, Let, Local, Loop, LoopKind, Store

WORK = WorkItems("item", "items", "row", "rows", "lane", "lanes", "meet;", "local ", "", wide="struct {name};")
X, Y, Z = (Value(name, "float32") for name in "xyz")
i, j, n = index("i"), index("j"), length(X, 0)


def at(value, position):
    return load(value, [position], value.dtype)


def looped(*body, kind=LoopKind.ITEMS, reductions=()):
    loop = Loop(i, n, list(body), kind, False, list(reductions))
    kernel = Kernel("kernel", [X, Z], [Y], [loop])
    widen([loop])
    return loop, kernel


def test_an_elementwise_loop_takes_sixteen_bytes_at_once():
    loop, _ = looped(Store(Y, i, at(X, i) * at(Z, i)))
    assert loop.width == 4
    assert [access.buffer for access in accesses(loop)] == [X, Z, Y]


@pytest.mark.parametrize("dtype, width", [("float64", 2), ("int64", 2), ("int16", 4), ("bool", 4)])
def test_the_smallest_element_decides_the_width(dtype, width):
    a, b = Value("a", dtype), Value("b", dtype)
    assert looped(Store(b, i, at(a, i)))[0].width == width


def test_mixed_sizes_take_as_many_as_the_smaller_fit():
    wide = Value("wide", "float64")
    assert looped(Store(wide, i, cast(at(X, i), "float64")))[0].width == 4


def test_a_start_that_does_not_change_inside_may_be_added():
    start = Local("start", "int64")
    loop, _ = looped(Store(Y, start.expr + i, at(X, i + start.expr)), kind=LoopKind.LANES)
    assert loop.width == 4 and [access.start for access in accesses(loop)] == [start.expr] * 2


@pytest.mark.parametrize(
    "body",
    [
        [Store(Y, i * 2, at(X, i * 2))],
        [Store(Y, j, at(X, n - i))],
        [Store(Y, i + i, at(X, i + i))],
        [Loop(j, n, [Store(Y, i, at(X, i))])],
        [If(const(True, "bool"), [Store(Y, i, at(X, i))])],
        [Store(Y, i + at(X, const(0)), const(0.0, "float32"))],
    ],
    ids=["strided", "backwards", "twice the variable", "a loop inside", "a branch inside", "a start in memory"],
)
def test_other_accesses_are_taken_one_by_one(body):
    assert looped(*body)[0].width == 1


def test_a_start_that_is_made_inside_the_loop_changes():
    start = Local("start", "int64")
    assert looped(Let(start, i * 3), Store(Y, start.expr + i, const(0.0, "float32")))[0].width == 1


def test_elements_that_loop_are_taken_one_by_one():
    """They wait for no memory, and the loop of each would be written out once for each element of a piece."""

    @scalar_function
    def power(f, x):
        out = f.local(x.dtype, x)
        with f.loop(7):
            out.set(out.value * x)
        return out

    assert looped(Store(Y, i, power(at(X, i))))[0].width == 1


def test_a_load_under_a_guard_stays_there():
    loop, _ = looped(Store(Y, i, guarded(i < 5, at(X, i), at(Z, i - 5))))
    assert [access.buffer for access in accesses(loop)] == [Y]


def test_a_buffer_that_is_read_and_written_is_taken_one_by_one():
    loop, _ = looped(Store(Y, i, at(Y, i) + at(X, i)))
    assert [access.buffer for access in accesses(loop)] == [X]
    assert accesses(looped(Store(Y, i, at(X, i)), Store(Y, i + 1, at(X, i)))[0])[0].buffer is X


def test_atomics_stay_and_loads_beside_them_are_wide():
    loop, _ = looped(Atomic(Y, const(0), at(X, i)))
    assert loop.width == 4 and [access.buffer for access in accesses(loop)] == [X]


def test_a_long_body_is_not_written_out_again_and_again():
    e = at(X, i)
    for k in range(100):
        e = e * at(X, i) + float(k + 2)
    assert looped(Store(Y, i, e))[0].width == 1


def test_loops_in_order_are_left_alone():
    loop, _ = looped(Store(Y, i, at(X, i)), kind=LoopKind.ORDER)
    assert loop.width == 1


def test_the_text_has_whole_pieces_first_and_then_the_rest():
    total, start = Local("total", "float32"), Local("start", "int64")
    _, kernel = looped(
        Assign(total, total.expr + at(X, start.expr + i)), kind=LoopKind.LANES, reductions=[(Combine.ADD, total)]
    )
    kernel.body[:0] = [Let(start, n * 3), Let(total, const(0.0, "float32"), constant=False)]
    text, _ = print_kernel(kernel, Dialect("test", work=WORK))
    assert text.splitlines()[3:] == [
        "    const int64_t start = x_n0 * 3;",
        "    float total = 0.0f;",
        "    {",
        "        const int64_t wholes = (start & 3) == 0 ? x_n0 / 4 : 0;",
        "        for (int64_t piece = lane; piece < wholes; piece += lanes) {",
        "            const core_float32x4 x_4 = ((const core_float32x4 *)(x + start))[piece];",
        "            #pragma unroll",
        "            for (int k = 0; k < 4; k++) {",
        "                const int64_t i = piece * 4 + k;",
        "                total += x_4.at[k];",
        "            }",
        "        }",
        "        for (int64_t i = wholes * 4 + lane; i < x_n0; i += lanes) {",
        "            total += x[start + i];",
        "        }",
        "    }",
        "    total = core_group_sum_float32(total, core_lanes_float32, lanes);",
        "}",
    ]


def test_a_wide_sum_takes_the_sum_of_a_piece():
    total = Local("total", "float64")
    _, kernel = looped(
        Assign(total, total.expr + cast(at(X, i), "float64")), kind=LoopKind.LANES, reductions=[(Combine.ADD, total)]
    )
    kernel.body[:0] = [Let(total, const(0.0, "float64"), constant=False)]
    lines = [line.strip() for line in print_kernel(kernel, Dialect("test", work=WORK))[0].splitlines()]
    assert lines[8:15] == [
        "float total_part = 0.0f;",
        "#pragma unroll",
        "for (int k = 0; k < 4; k++) {",
        "const int64_t i = piece * 4 + k;",
        "total_part += x_4.at[k];",
        "}",
        "total += (double)total_part;",
    ]


@pytest.mark.parametrize("extent, lanes", [(4096, "256"), (200, "64"), (40, "32"), (1, "1"), (n, "lanes")])
def test_where_lengths_are_known_so_are_the_lanes(extent, lanes):
    full = WorkItems(
        *("item", "items", "row", "rows", "lane", "lanes", "meet;", "local ", ""),
        wide="struct {name};",
        warp=32,
        has_full_groups=True,
    )
    total = Local("total", "float64")
    inner = Loop(i, const(extent) if isinstance(extent, int) else extent, [], LoopKind.LANES)
    inner.body.append(Assign(total, total.expr + cast(at(X, i), "float64")))
    inner.reductions.append((Combine.ADD, total))
    loop = Loop(j, n, [Let(total, const(0.0, "float64"), constant=False), inner], LoopKind.GROUPS)
    widen([loop])
    text, _ = print_kernel(Kernel("kernel", [X], [], [loop]), Dialect("test", work=full))
    assert f"core_group_sum_float64(total, core_lanes_float64, {lanes});" in text
    assert f"piece += {lanes}) {{" in text


def test_a_language_without_such_types_takes_one_by_one():
    _, kernel = looped(Store(Y, i, at(X, i)))
    plain = WorkItems("item", "items", "row", "rows", "lane", "lanes", "meet;", "local ", "")
    assert "piece" not in print_kernel(kernel, Dialect("test", work=plain))[0]


def rows(*stages, written=()):
    """A loop over groups with a loop over lanes for each stage, whose only load is at ``start + lane``."""
    start = Local("start", "int64")
    loops, lanes = [], []
    for value in stages:
        k = index("k")
        total = Local("total", "float32")
        loops.append(Loop(k, n, [Assign(total, total.expr + at(value, start.expr + k))], LoopKind.LANES))
        lanes.append(loops[-1])
    loops += [Loop(index("once"), const(1), [Store(value, const(0), const(0.0, "float32"))]) for value in written]
    loop = Loop(j, n, [Let(start, j * n), *loops], LoopKind.GROUPS)
    widen([loop])
    return loop, lanes, start.expr


def test_what_several_stages_of_a_row_load_is_kept():
    loop, lanes, start = rows(X, X, Z)
    assert kept(loop) == {(X, start): lanes[:2]}


def test_what_a_row_writes_in_between_is_not_kept():
    assert kept(rows(X, X, written=[X])[0]) == {}


def test_nothing_is_kept_where_registers_do_not_hold_all():
    assert kept(rows(X, Z, X, Z)[0]) == {}


def test_loops_of_other_extents_keep_nothing_for_each_other():
    loop, lanes, _ = rows(X, X)
    lanes[1].extent = n - 1
    assert kept(loop) == {}


def test_a_loop_that_also_reads_weights_takes_the_row_too():
    loop, lanes, start = rows(X, X)
    k = lanes[1].variable
    lanes[1].body.append(Store(Y, start + k, at(Z, k)))
    assert kept(loop) == {(X, start): lanes}


def test_a_loop_with_another_start_goes_another_way():
    loop, lanes, start = rows(X, X)
    k = lanes[1].variable
    lanes[1].body.append(Store(Y, k, at(Z, start + 1 + k)))
    assert kept(loop) == {}
