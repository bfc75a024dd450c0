"""What becomes of well-known graphs, word for word: programs and their C text, which a C compiler accepts too.

``pytest tests/ir/test_golden.py --update-golden`` writes the texts anew; read the difference before keeping it.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

import core.tensor as ct
from core.compile.function import function
from core.gradient import grad
from core.ir.check.run import Driver
from core.ir.clike.cfamily import Dialect
from core.ir.clike.cunits import print_program

FOLDER = Path(__file__).parent / "golden"
COMPILER = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
C = Dialect(
    "ir",
    simd="#pragma omp simd {clauses}",
    reduction_clause="reduction({sign}:{names})",
    preamble="#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n",
)
x, y, w = ct.matrix("x"), ct.matrix("y"), ct.matrix("w")
a, b = ct.vector("a"), ct.vector("b")
i, t = ct.lvector("i"), ct.lvector("t")


def normed(x):
    centred = x - x.mean(axis=1, keepdims=True)
    return a * centred / ct.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-5) + b


def step_of_logistic_regression():
    loss = ct.softmax_crossentropy(ct.dot(x, w) + b, t).mean()
    dw, db = grad(loss, [w, b])
    return [loss, w - 0.1 * dw, b - 0.1 * db]


GRAPHS = {
    "elementwise_chain": ([a, b], lambda: [ct.tanh(a * b + 1) - ct.exp(-a)]),
    "broadcast": ([x, a], lambda: [x + ct.exp(a), x * a]),
    "softmax_of_rows": ([x], lambda: [ct.softmax(x, axis=1)]),
    "softmax_of_columns": ([x], lambda: [ct.softmax(x, axis=0)]),
    "logsumexp": ([x], lambda: [ct.logsumexp(x, axis=1)]),
    "layer_norm": ([x, a, b], lambda: [normed(x)]),
    "layer_norm_backward": ([x, a, b, y], lambda: list(grad((normed(x) * y).sum(), [x, a, b]))),
    "column_and_row_sums": ([x], lambda: [x.sum(axis=0), x.sum(axis=1)]),
    "argmax": ([x], lambda: [x.argmax(axis=1)]),
    "gather": ([x, i], lambda: [2 * x[i]]),
    "scatter": ([x, i, y], lambda: [ct.inc_subtensor(x[i], y)]),
    "concatenate": ([a, b], lambda: [ct.exp(ct.concatenate([a, b]))]),
    "cumsum": ([x], lambda: [x.cumsum(axis=1)]),
    "dot_bias_tanh": ([x, w, b], lambda: [ct.tanh(ct.dot(x, w) + b)]),
    "logistic_regression_step": ([x, w, b, t], step_of_logistic_regression),
    "transposes": ([x], lambda: [x + x.T, 2 * x.T]),
    "reshape": ([x], lambda: [x.reshape((-1,)) * 2]),
}


def program_of(name):
    inputs, outputs = GRAPHS[name]
    return function(inputs, outputs(), backend=Driver("ir")).program


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_becomes_the_text_that_was_read_and_kept(name, pytestconfig):
    program = program_of(name)
    file, text = FOLDER / f"{name}.txt", f"{program}\n"
    if pytestconfig.getoption("--update-golden"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
def test_a_c_compiler_takes_the_printed_text(name, tmp_path):
    source = tmp_path / f"{name}.c"
    source.write_text(print_program(program_of(name), C))
    doubtful = [f"-Werror={name}" for name in ("implicit-function-declaration", "int-conversion", "return-type")]
    command = [COMPILER, "-std=gnu11", *doubtful, "-fopenmp-simd", "-fsyntax-only", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
