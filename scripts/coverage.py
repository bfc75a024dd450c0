"""Where each op runs: docs/coverage.md, written from what the backends' own registries and tables answer.

    python scripts/coverage.py            # says what is not as the page has it
    python scripts/coverage.py --write    # writes it anew

It asks what would be used where every optional library is installed; nothing is compiled, and no device is needed.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import core
import core.tensor as ct
from core import dtypes, plugins
from core.compile.means import how
from core.errors import GradientError
from core.graph import Apply, Constant, Variable, ancestors
from core.op import Op
from core.records import Probe
from core.registries import Libraries
from core.testing.suite import op_suite
from core.testing.values import as_list, symbolic

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
PACKS = ("plugin_ops_fft", "plugin_ops_linalg", "plugin_ops_nn", "plugin_ops_random")
BACKENDS = ("c", "opencl", "cuda")
MEANS = {
    "lower": "loops", "kernel": "loops", "attached": "loops", "c_code": "C of the op", "loop": "steps",
    "branch": "steps", "host": "Python",
}  # fmt: skip
REWRITTEN = "other ops"
NOT_RUN = {  # what no graph that runs holds: bases, what others are made of, and what a rewrite takes away
    "BatchedOp", "FactoredOp", "WithFormula", "Windows", "Transform", "InnerOp", "COp", "_OverAxes", "_Sorting",
    "MatrixFunction", "BySchur", "Undefined", "Barrier", "AdvancedUpdate", "_SliceUpdate", "Update", "Back", "Bilinear",
    "_LetsThrough",
}  # fmt: skip
OF_USERS = {"ExternalCOp", "FromFunction", "ShapedFromFunction", "OpFromGraph", "InnerMap"}  # what they hold decides

TEXT = """\
# Where each op runs

Written by `scripts/coverage.py` from what the backends say of the ops themselves; a test fails when it is so no more.
Rows are ops, as `core.debugprint` shows them, of which the functions with NumPy's names are made.

- loops: the op says what it computes once, and every backend makes kernels of that.
- A name is that of a library, where it is installed, as `core plugins` shows it. Without it there are loops, where the
  op has them, or Python.
- C of the op: C that belongs to it.
- steps: a program that runs others.
- other ops: what a rewrite makes of it; their rows say where.
- Python: the interpreter computes it, which is said once, in a warning.

Where complex numbers are computed otherwise, that stands behind a semicolon. float16 is computed like float32, and
rounded; linear algebra has none. On a device without float64 the option `opencl.float64` decides.

| op | C | OpenCL | CUDA |
|---|---|---|---|
"""


def all_ops() -> list[type[Op]]:
    """Every op of core and of the packs that a graph may hold."""
    for name in ("core", *PACKS):
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not found.name.endswith(".__main__") and ".testing" not in found.name:
                importlib.import_module(found.name)
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] in ("core", *PACKS)]
    there = {id(one) for module in modules for one in vars(module).values()}  # of a module, not only as far as it says
    return sorted(
        {one for one in _below(Op) if id(one) in there},
        key=lambda one: (one.__module__.partition(".")[0] != "core", one.__module__, one.__name__),
    )


def _below(kind: type) -> Iterator[type]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)


# --- graphs that hold them --------------------------------------------------------------------------------------------


def graphs() -> Iterator[tuple[list[Variable], list[Variable]]]:
    """Inputs and outputs: core's suite, the examples of linear algebra with their gradients, and what these lack."""
    from plugin_ops_linalg.examples import EXAMPLES

    for case in op_suite():
        inputs = symbolic(case.arrays)
        yield inputs, as_list(case.function(*inputs))
    for example in EXAMPLES:
        for dtype in ("float64", "complex128"):
            inputs, outputs = example.symbolic(dtype)
            yield inputs, outputs
            costs = [ct.sum(ct.abs(x) ** 2) for x in outputs if x.dtype in dtypes.CONTINUOUS]
            with suppress(GradientError):  # what has none is said by its own tests
                if costs:
                    yield inputs, core.grad(sum(costs), inputs, disconnected_inputs="ignore")
    for outputs in _others():
        yield [], outputs


def _others() -> Iterator[list[Variable]]:
    """What neither the suite nor the examples hold."""
    import plugin_ops_fft as fft
    import plugin_ops_linalg as linalg
    import plugin_ops_nn as nn
    import plugin_ops_random as random
    from core.gradient import barriers

    x, m, v, k = ct.dmatrix("x"), ct.tensor("m", dtype="float64", ndim=4), ct.dvector("v"), ct.lvector("k")
    z = ct.tensor("z", dtype="complex128", ndim=2)
    for name in ("disconnected_grad", "zero_grad", "undefined_grad"):
        yield [getattr(barriers, name)(x)]
    yield [barriers.grad_clip(x, -1, 1), barriers.grad_scale(x, 2.0)]
    yield core.grad(ct.cumprod(x, 0).sum(), [x])
    yield [ct.logsumexp(x, axis=1).sum(), *core.grad(ct.logsumexp(x, axis=1).sum(), [x])]
    yield [x[x > 0], *core.grad(x[x > 0].sum(), [x])]
    yield [random.multinomial(random.key(0), 5, v)]
    yield [ct.Print("x")(x), ct.Assert()(x, x > 0), ct.CheckAndRaise(ValueError)(x, x > 0)]
    logdet = 2 * ct.log(ct.diag(linalg.cholesky(x))).sum()
    yield [logdet, *core.grad(logdet, [x])]
    yield [ct.cumprod(x, 0), ct.searchsorted(v, x), ct.nonzero(x)[0], ct.roll(x, 1, 0), ct.var(x, 0)]
    yield [ct.sort(x), ct.argsort(x), *ct.topk_and_argtopk(v, 2)]
    yield [
        ct.set_subtensor(x[k], 1.0),
        ct.inc_subtensor(x[k], 1.0),
        ct.set_subtensor(x[1:], 0.0),
        ct.inc_subtensor(x[1:], 1.0),
    ]
    yield [
        core.ifelse(v.sum() > 0, v, -v),
        ct.specify_shape(x, (3, None)),
        ct.log_softmax(x),
        ct.softmax(x),
        ct.logsumexp(x),
    ]
    yield [core.scan(lambda s, a: s * a, sequences=v, outputs_info=ct.as_tensor(1.0))[0]]
    yield [core.checkpoint(lambda a: ct.exp(a))(x)] if hasattr(core, "checkpoint") else []
    yield [fft.fft(x), fft.rfft(x), fft.irfft(z), fft.fft(z)]
    w = ct.tensor("w", dtype="float64", ndim=4)
    y = nn.conv2d(m, w)
    yield [y, *core.grad(y.sum(), [m, w])]
    pooled = nn.max_pool2d(m, 2)
    averaged = nn.avg_pool2d(m, 2)
    yield [pooled, averaged, *core.grad((pooled.sum() + averaged.sum()), [m])]
    yield [core.Rop(pooled, [m], [w])]


def nodes() -> tuple[set[type[Op]], list[Apply]]:
    """The ops of these graphs as they are written, and every node that rewriting leaves."""
    written, left = set(), []
    for inputs, outputs in graphs():
        written |= {type(node.op) for node in _inside(outputs)}
        given = inputs or [one for one in ancestors(outputs) if one.owner is None and not isinstance(one, Constant)]
        made = core.function(given, outputs, backend="interpreter", on_unused_input="ignore")
        left += _inside(made.graph.outputs)
    return written, left


def _inside(outputs: Iterable[Variable]) -> list[Apply]:
    return list({id(one.owner): one.owner for one in ancestors(list(outputs)) if one.owner is not None}.values())


# --- the table --------------------------------------------------------------------------------------------------------


def table() -> dict[tuple[type[Op], str], dict[str, str]]:
    """(op, its routine) -> backend -> by what it is computed."""
    found: dict[tuple[type[Op], str], dict[tuple[str, bool], set[str]]] = defaultdict(lambda: defaultdict(set))
    with mock.patch.object(Libraries, "probe", lambda self, entry: Probe(devices=(entry.record.name,))):
        dialects = {name: _dialect(name) for name in BACKENDS}
        written, left = nodes()
        for node in left:
            call = node.op.library_call(node)
            routine = call.name.removesuffix("_complex") if call is not None and not node.op.defines("lower") else ""
            is_complex = any(getattr(v.type, "dtype", "").startswith("complex") for v in (*node.inputs, *node.outputs))
            for name, dialect in dialects.items():
                found[type(node.op), routine][name, is_complex].add(_means(node, name, dialect))
    rows = {key: {name: _said(means, name) for name in BACKENDS} for key, means in found.items()}
    gone = written - {op for op, _ in rows}
    return rows | {(op, ""): dict.fromkeys(BACKENDS, REWRITTEN) for op in gone}


def _dialect(name: str) -> Any:
    return importlib.import_module(f"plugin_backend_{name}.backend").driver.dialect_table


def _means(node: Apply, name: str, dialect: Any) -> str:
    means = how(node, dialect)
    if means != "library":
        return MEANS[means]
    provider = plugins.registries().libraries.get((node.op.library_call(node).name, dialect.name))
    return provider.record.name


def _said(means: dict[tuple[str, bool], set[str]], name: str) -> str:
    real, of_complex = (", ".join(sorted(means.get((name, kind), ()))) for kind in (False, True))
    return real or of_complex if real == of_complex or not real or not of_complex else f"{real}; {of_complex}"


def missing(rows: Iterable[tuple[type[Op], str]]) -> list[str]:
    """Ops that no graph here holds."""
    seen = {op for op, _ in rows}
    return [
        f"{one.__module__}.{one.__name__}"
        for one in all_ops()
        if one not in seen and one.__name__ not in NOT_RUN | OF_USERS
    ]


def page(rows: dict[tuple[type[Op], str], dict[str, str]]) -> str:
    lines = []
    for op in all_ops():
        mine = {routine: row for (one, routine), row in rows.items() if one is op}
        for routine, row in sorted(mine.items()):
            label = f"`{op.__name__}`" + (f" ({routine})" if len(mine) > 1 and routine else "")
            lines.append(f"| {label} | " + " | ".join(row[name] for name in BACKENDS) + " |")
    return TEXT + "\n".join(lines) + "\n"


def main() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = table()
    if gaps := missing(rows):
        print("no graph in scripts/coverage.py holds", ", ".join(gaps))
        return 1
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(rows), encoding="utf-8")
        return 0
    is_so = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page(rows)
    print("as docs/coverage.md has it" if is_so else "not as docs/coverage.md has it: scripts/coverage.py --write")
    return 0 if is_so else 1


if __name__ == "__main__":
    sys.exit(main())
