"""The generated text itself: plain C that compilers accept without a warning, and that sanitizers find nothing in."""

import os
import re
import subprocess
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.ir.passes.rows as rows
import core.tensor as ct
from core.ir.clike import centry, csections
from core.ir.clike.cinterface import functions_of
from core.ir.clike.cunits import print_program
from core.ir.program import LibraryStep
from plugin_backend_c import prepared, products, ready
from plugin_backend_c.dialect import C

rng = np.random.default_rng(0)
x, y, v, w = ct.dmatrix("x"), ct.dmatrix("y"), ct.dvector("v"), ct.dvector("w")
s, i, j, k, n = ct.fmatrix("s"), ct.lvector("i"), ct.ivector("j"), ct.lvector("k"), ct.lscalar("n")
X, Y, V, W = rng.normal(size=(5, 7)), rng.normal(size=(5, 7)), rng.normal(size=7), rng.normal(size=7)


class Case(NamedTuple):
    """A graph with arguments.  ``status`` is what the entry function gives: 0 unless it must find an error."""

    name: str
    inputs: list
    outputs: list
    arrays: list
    status: int = 0

    def function(self):
        return core.function(self.inputs, self.outputs, backend="c", on_unused_input="ignore")


def softmax_loss():
    logits = x @ y.T + v[:5]
    loss = -ct.log_softmax(logits, axis=-1)[ct.arange(i.shape[0]), i].mean()
    return [loss, *core.grad(loss, [x, y, v])]


# A new graph that went wrong belongs here.
CASES = [
    Case("elementwise", [x, y], [ct.exp(x) * y + 1, ct.tanh(x), ct.maximum(x, y)], [X, Y]),
    Case("empty", [x, y], [x + y, x.sum(axis=0), (x * y).sum()], [X[:0], Y[:0]]),
    Case("reductions", [x], [x.sum(), x.max(axis=0), x.min(axis=1), x.argmax(axis=1), x.prod(), x.mean(axis=0)], [X]),
    Case("softmax", [x], [ct.softmax(x, axis=-1), ct.logsumexp(x, axis=1), x.std(axis=1)], [X]),
    Case("classifier", [x, y, v, i], softmax_loss(), [X, Y, V, np.array([0, 4, 2, 1, 3])]),
    Case(
        "products",
        [x, y, s],
        [x @ y.T, x.T @ y, x.T @ y @ x.T, s @ s.T, x @ v, ct.dot(v, w)][:4],
        [X, Y, X.astype("f4")],
    ),
    Case("vectors", [x, v, w], [x @ v, ct.dot(v, w), ct.outer(v, w)], [X, V, W]),
    Case("slices", [x], [x[1:, ::-2], x[::-1, 2:5].T, x[-1], x[:, None, 1:3], x[2:2]], [X]),
    Case("gather", [x, i], [x[i], x[:, i], x[i, i], core.grad(ct.exp(x[i]).sum(), x)], [X, np.array([-5, 4, 0, 0])]),
    Case("bad index", [x, i], [x[i]], [X, np.array([0, 5])], status=4),
    Case("bad scalar index", [x, n], [x[n]], [X, np.array(-6)], status=1),
    Case("bad lengths", [v, w], [v * w], [V, W[:3]], status=1),
    Case("too much", [n], [ct.cumsum(ct.zeros((n, n)), axis=0).sum()], [np.array(2**33)], status=2),
    Case("no memory", [n], [ct.cumsum(ct.arange(n))[::2]], [np.array(2**44)], status=2),
    Case(
        "running sums", [x], [ct.cumsum(x, axis=0), ct.cumsum(x, axis=1), core.grad(ct.cumsum(x, axis=1).max(), x)], [X]
    ),
    Case(
        "joined",
        [x, y],
        [ct.concatenate([x, y[1:]], axis=0), ct.stack([x, y], axis=1), ct.concatenate([x, y], axis=1)],
        [X, Y],
    ),
    Case("reshaped", [x], [x.reshape((-1,)), x.reshape((7, 5)).T, x.T.reshape((5, 7)) + x], [X]),
    Case(
        "scatter",
        [v, i],
        [ct.inc_subtensor(v[i], 1.5), ct.set_subtensor(v[i], 0), ct.set_subtensor(v[1:3], 4)],
        [V, np.array([6, -7, 6])],
    ),
    Case(
        "integers",
        [i, k],
        [
            i + k,
            i - k,
            i * k,
            i // k,
            i % k,
            i << k,
            i >> k,
            -i,
            abs(i),
            i**2,
            ct.maximum(i, k),
            i.astype("int8") * k.astype("int8"),
        ],
        [np.array([-(2**63), 2**63 - 1, -(2**63), 5, -7]), np.array([-1, 0, 2, -3, 70])],
    ),
    Case(
        "small integers",
        [j],
        [(j.astype(t) + 1) * j.astype(t) << 3 for t in ("int8", "uint8", "int16", "uint16", "uint64")],
        [np.array([-(2**31), 300, 255, -1], "int32")],
    ),
    Case(
        "casts", [x], [x.astype(t) for t in ("int8", "uint8", "int64", "uint32", "uint64", "float32", "bool")], [X * 50]
    ),
    Case(
        "constants",
        [v],
        [v + np.arange(7.0), ct.as_tensor(np.eye(3)) @ ct.as_tensor(np.ones((3, 2))), v[np.array([0, 6])]],
        [V],
    ),
    Case("curvature", [v], [core.grad((core.grad((ct.exp(v) * v).sum(), v) ** 2).sum(), v)], [V]),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request):
    return request.param


def text_of(function):
    """The program as one translation unit, though it may be built of several."""
    return print_program(function.program, C)


def c_compiler(real, *arguments, **options):
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run([real, *arguments], capture_output=True, text=True, timeout=600, env=environment, **options)


def test_no_header_is_needed_least_of_all_those_of_python(case):
    text = text_of(case.function())
    assert "#include" not in text and "Py" not in re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def test_the_text_stands_alone_and_holds_nothing_doubtful(case, real, tmp_path):
    stands_alone(case, real, tmp_path)


# errors by their names: what a compiler warns of besides differs from one release to the next
DOUBTFUL = """implicit-function-declaration incompatible-pointer-types int-conversion return-type vla shadow
uninitialized sign-compare parentheses unused-function unused-label implicit-fallthrough missing-field-initializers
empty-body format""".split()


def stands_alone(case, real, tmp_path):
    strict = [*"-std=gnu11 -O1 -c -o unit.o".split(), *(f"-Werror={name}" for name in DOUBTFUL)]
    for name, text in case.function().sources.items():
        source = tmp_path / name
        source.write_text(text)
        done = c_compiler(real, *strict, str(source), cwd=tmp_path)
        assert done.returncode == 0, done.stderr[:3000]


def test_an_entry_function_in_sections_computes_the_same(case, monkeypatch):
    if not case.status:
        computes_the_same_in_sections(case, monkeypatch)


def computes_the_same_in_sections(case, monkeypatch):
    expected = case.function()(*case.arrays)
    monkeypatch.setattr(centry, "LONG", 0)
    monkeypatch.setattr(csections, "SECTION", 1)
    function = case.function()
    assert "core_section1(" in text_of(function)
    for got, wanted in zip(function(*case.arrays), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


NAMES = """m n k lda ldb ldc one zero report status inputs outputs host arena at0 slot0 k0_exp lengths failed done
linux unix _x __func__ asm core_max_float64 core_fits expf exp int64_t size_t run x_n0 i core_v0 core_a0 double while
main é NAN if_ _Bool""".split()


@pytest.mark.parametrize("first", range(4))
def test_variables_may_have_any_name(first):
    for name in NAMES[first::4]:
        a, b = ct.dmatrix(name), ct.fmatrix("b")
        f = core.function([a, b], [ct.exp(a) @ a.T, ct.cumsum(ct.maximum(a, 0.5), axis=0), ct.exp(b)], backend="c")
        A = X[:2, :3]
        got = f(A, A.astype("float32"))
        for one, want in zip(got, [np.exp(A) @ A.T, np.cumsum(np.maximum(A, 0.5), axis=0), np.exp(A)], strict=True):
            assert_allclose(one, want, rtol=1e-6, err_msg=name)


# --- sanitizers -------------------------------------------------------------------------------------------------------

GEMM = """
void {letter}gemm(const char *ta, const char *tb, const int *m, const int *n, const int *k, const {type} *alpha,
    const {type} *a, const int *lda, const {type} *b, const int *ldb, const {type} *beta, {type} *c, const int *ldc)
{{
    for (int i = 0; i < *m; i++)
        for (int j = 0; j < *n; j++) {{
            {type} sum = 0;
            for (int l = 0; l < *k; l++)
                sum += (*ta == 'T' ? a[l + i * *lda] : a[i + l * *lda])
                    * (*tb == 'T' ? b[j + l * *ldb] : b[l + j * *ldb]);
            c[i + j * *ldc] = *alpha * sum + (*beta != 0 ? *beta * c[i + j * *ldc] : 0);
        }}
}}
"""


def driver(case, program):
    """A main() that calls the entry function twice, with memory of its own for every array, and reads every output."""
    lines = ["extern void *malloc(size_t);", "extern void *memcpy(void *, const void *, size_t);"]
    lines += ["extern int printf(const char *, ...);"]
    calls = [step for one in program.all for step in one.steps if isinstance(step, LibraryStep)]
    if calls:
        lines += [GEMM.format(letter=letter, type=kind) for letter, kind in (("d", "double"), ("s", "float"))]
        text = ready.products_text(*ready.LETTERS).replace("NAME(x) core_", "NAME(x) own_")
        for name, structure in products.STRUCTURES.items():  # the program has those that it uses
            used = name == "core_product" or any(step.call.batch for step in calls)
            text = text.replace(structure, "") if used else text
        lines.append(text)
        kinds = ("product", "product_plan", "product_end", "stack", "stack_plan")
        own = {f"{letter}{name}": f"own_{letter}{name}" for letter in "sd" for name in kinds}
        routines = ", ".join(f"(void *){own.get(name, name)}" for name in functions_of(program))
    else:
        routines = "0"
    lines += ["int main(void)", "{"]
    for name, arrays in (("inputs", case.arrays), ("constants", list(program.constants.values()))):
        for number, array in enumerate(arrays):
            data = ", ".join(map(str, np.asarray(array).tobytes())) or "0"
            size = np.asarray(array).nbytes
            lines.append(f"static const unsigned char {name}{number}[] = {{{data}}};")
            lines.append(f"void *p_{name}{number} = malloc({size}); memcpy(p_{name}{number}, {name}{number}, {size});")
        lines.append(f"void *{name}[] = {{{', '.join(f'p_{name}{number}' for number in range(len(arrays))) or '0'}}};")
    lengths = [length for array in case.arrays for length in np.shape(array)]
    lines.append(f"const int64_t lengths[] = {{{', '.join(map(str, lengths)) or '0'}}};")
    lines.append(f"void *routines[] = {{{routines}}}, *outputs[{len(program.made) + 1}];")
    count = sum(len(program.shapes[value]) for value in program.made)
    lines.append(f"int64_t output_lengths[{count + 1}], report[8], status = 0;")
    lines.append("for (int call = 0; call < 2; call++) {")
    lines.append("core_call offered = {.threads = 1};")
    lines.append(
        f"status = {program.name}(inputs, lengths, constants, routines, outputs, output_lengths, report, &offered);"
    )
    lines.append("int64_t at = 0, sum = 0, size; (void)at;")
    for number, value in enumerate(program.made):
        lines.append(f"size = {np.dtype(value.dtype).itemsize};")
        lines += ["if (!status) size *= output_lengths[at++];" for _ in program.shapes[value]]
        lines.append(f"if (!status) for (int64_t b = 0; b < size; b++) sum += ((char *)outputs[{number}])[b];")
        lines.append(f"core_release(outputs[{number}]);")
    lines.append('printf("%ld %ld\\n", (long)status, (long)sum); }')
    for name, arrays in (("inputs", case.arrays), ("constants", program.constants)):
        lines += [f"free(p_{name}{number});" for number in range(len(arrays))]
    return "\n".join([*lines, "return 0;", "}", ""])


@pytest.fixture(scope="module")
def sanitizing(tmp_path_factory):
    """Options with which sanitizers work here, or the reason why they do not."""
    place = tmp_path_factory.mktemp("sanitizer")
    (place / "x.c").write_text("int main(void) { return 0; }\n")
    compiler = os.environ.get("CC") or "gcc"
    options = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    try:
        built = c_compiler(compiler, *options, str(place / "x.c"), "-o", str(place / "x"))
        ran = subprocess.run([str(place / "x")], capture_output=True, text=True) if built.returncode == 0 else built
    except OSError as error:
        pytest.skip(f"no compiler for sanitizers: {error}")
    if ran.returncode != 0:
        pytest.skip(f"{compiler} has no sanitizers here: {ran.stderr[:200]}")
    return [compiler, *options]


def test_sanitizers_find_nothing(case, sanitizing, tmp_path):
    find_nothing(case, sanitizing, tmp_path)


@pytest.fixture
def by_blocks(monkeypatch):
    """A graph whose rows go by blocks."""
    for name, value in {"LEAST": 2, "MULTIPLE": 1, "BLOCK": 1, "TALL": 0, "OVER": 0, "PIECES": 2, "FEWEST": 0}.items():
        monkeypatch.setattr(rows, name, value)
    a, b = ct.tensor("a", shape=(11, 7)), ct.tensor("b", shape=(7, 3))
    labels = ct.tensor("labels", dtype="int64", shape=(11,))
    loss = ct.softmax_crossentropy(ct.tanh(a @ b), labels).mean()
    outputs = [loss, core.grad(loss, b), (a * 2).max(axis=0), ct.exp(a @ b)]
    arrays = [rng.normal(size=(11, 7)), rng.normal(size=(7, 3)), np.arange(11) % 3]
    case = Case("blocks of rows", [a, b, labels], outputs, arrays)
    assert len(case.function().program.all) > 1
    return case


def test_sanitizers_find_nothing_in_blocks_of_rows(by_blocks, sanitizing, tmp_path):
    find_nothing(by_blocks, sanitizing, tmp_path)


def test_compilers_do_not_warn_of_blocks_of_rows(by_blocks, real, tmp_path):
    stands_alone(by_blocks, real, tmp_path)


def test_an_entry_function_in_sections_runs_blocks_of_rows(by_blocks, monkeypatch):
    computes_the_same_in_sections(by_blocks, monkeypatch)


def find_nothing(case, sanitizing, tmp_path):
    function = case.function()
    source, program = tmp_path / "unit.c", tmp_path / "unit"
    source.write_text(text_of(function) + driver(case, function.program))
    compiler, *options = sanitizing
    done = c_compiler(
        compiler, "-std=gnu11", "-O1", "-g1", "-fwrapv", "-w", *options, str(source), "-o", str(program), "-lm"
    )
    assert done.returncode == 0, done.stderr[:3000]
    environment = {**os.environ, "ASAN_OPTIONS": "allocator_may_return_null=1"}
    ran = subprocess.run([str(program)], capture_output=True, text=True, timeout=600, env=environment)
    assert ran.returncode == 0, ran.stderr[:3000]
    first, second = ran.stdout.splitlines()
    assert first == second and first.split()[0] == str(case.status)


# --- several translation units ----------------------------------------------------------------------------------------


def test_a_large_program_is_several_files_and_gives_the_same_numbers(monkeypatch):
    monkeypatch.setattr(prepared, "processors", lambda: 4)  # where only one compiler runs at a time, it is one file
    x = ct.dvector("x")
    state, want, at = x, np.linspace(0, 1, 7), np.linspace(0, 1, 7)
    for k in range(60):
        state, want = ct.cumsum(ct.tanh(state * (k + 0.5))), np.cumsum(np.tanh(want * (k + 0.5)))
    f = core.function([x], state, backend="c")
    first, *others = f.sources
    assert len(others) > 1
    assert others == [first.replace(".c", f"_{k}.c") for k in range(2, len(f.sources) + 1)]
    assert_allclose(f(at), want, rtol=1e-12)


def test_equal_steps_of_an_unrolled_loop_are_compiled_once():
    xs = [ct.dvector(f"x{k}") for k in range(10)]
    h, states = xs[0], []
    for x in xs[1:]:
        h = ct.cumsum(ct.tanh(h) * 0.5 + x)
        states.append(h)
    f = core.function(xs, states, backend="c")
    (text,) = f.sources.values()
    assert text.count("static __attribute__((noinline)) void") <= 4
    values = list(np.random.default_rng(0).normal(size=(10, 5)))
    want = values[0]
    for x, got in zip(values[1:], f(*values), strict=True):
        want = np.cumsum(np.tanh(want) * 0.5 + x)
        assert_allclose(got, want, rtol=1e-12)
