"""The C functions of ops that say themselves in plain C what they compute: a frame around ``c_code``, and its call.

What the author may say is in core/ccode.py.  The function gets arrays and lengths; it declares the names that the
author was promised, runs the code, and returns whether that failed.  What failed is in ``report``: a number for the
type of the exception, then its message.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core import dtypes
from core.dataclass import dataclass, fields
from core.errors import BackendError, CoreError
from core.ir.clike.cfamily import Dialect, identifier
from core.ir.definitions import Value
from core.ir.program import OpCall, Program

ERRORS: tuple[type[Exception], ...] = (  # what ``core_error`` knows; a report holds the position
    *(RuntimeError, ValueError, TypeError, IndexError, KeyError, LookupError, ArithmeticError, ZeroDivisionError),
    *(OverflowError, FloatingPointError, MemoryError, NotImplementedError, AssertionError, OSError),
)
_MESSAGE_BYTES = 480
REPORT_LENGTH = 2 + _MESSAGE_BYTES // 8  # integers: number of the step, number of the error, message

HEAD = f"""\
enum {{ {", ".join(f"core_is_{error.__name__}" for error in ERRORS)} }};
extern int snprintf(char *, size_t, const char *, ...);
#define core_error(type, ...) \\
    ((void)(core_report[1] = core_is_##type, snprintf((char *)(core_report + 2), {_MESSAGE_BYTES}, __VA_ARGS__)))
"""
_C_API = re.compile(r"\b(Py[A-Z]\w*|npy_\w+|NPY_\w+)")


def calls_of(program: Program) -> list[tuple[str, OpCall]]:
    """The steps that call an op's C, those inside of others too, each with the name of its C function."""
    steps = [step for one in program.all for step in one.steps]
    return [
        (f"op{position}_{identifier(type(step.node.op).__name__)}", step)
        for position, step in enumerate(steps)
        if isinstance(step, OpCall)
    ]


class OpFunctions:
    """The C functions of the ops of a program: steps that differ in nothing but names call one.

    texts   the functions, each once;  called  by the ``id`` of a step, the name of the one that it calls
    named   name, node and CCode of each function
    """

    def __init__(self, program: Program, dialect: Dialect):
        self.texts: list[str] = []
        self.called: dict[int, str] = {}
        self.named: list[tuple[str, Any, Any]] = []
        first: dict[tuple[str, str], str] = {}
        for name, step in calls_of(program):
            text, init = function(name, step, dialect), step.code.c_init_code_apply(step.node, name)
            called = first.setdefault((text.replace(name, ""), init.replace(name, "")), name)
            self.called[id(step)] = called
            if called == name:
                self.texts.append(text)
                self.named.append((name, step.node, step.code))


# --- what surrounds the code ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Needs:
    """What ops want of compiler and linker.  ``kept``: whether the result may stay on disk."""

    headers: tuple[str, ...] = ()
    header_dirs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    lib_dirs: tuple[str, ...] = ()
    compile_args: tuple[str, ...] = ()
    no_compile_args: tuple[str, ...] = ()
    versions: tuple[Any, ...] = ()
    kept: bool = True

    @property
    def include(self) -> str:
        """Lines that include the headers, and a comment with what the text does not show of what they need."""
        lines = ["#include " + (name if name.startswith(("<", '"')) else f'"{name}"') for name in self.headers]
        unseen = [f"version {version}" for version in self.versions]
        unseen += [f"{path.name} {digest}" for path, digest in self._own_headers()]
        return "".join(f"{line}\n" for line in [*(f"/* {said} */".replace("\n", " ") for said in unseen), *lines])

    def _own_headers(self) -> list[tuple[Path, str]]:
        """The headers that lie in ``header_dirs``, each with a digest: a change of one is a change of the text."""
        places = (Path(folder) / name.strip('<>"') for name in self.headers for folder in self.header_dirs)
        return [(path, hashlib.sha256(path.read_bytes()).hexdigest()[:16]) for path in places if path.is_file()]


def needs_of(pairs: Sequence[tuple[Any, Any]]) -> Needs:
    """What the C of some ops wants together: pairs of node and CCode."""
    found: dict[str, list[Any]] = {field.name: [] for field in fields(Needs)}
    kept = True
    for node, code in pairs:
        for name in ("headers", "header_dirs", "libraries", "lib_dirs", "compile_args", "no_compile_args"):
            found[name] += map(str, getattr(code, f"c_{name}")())
        version = code.c_code_cache_version_apply(node)
        kept &= version is not None
        found["versions"] += [(type(code).__name__, version)] if version else []
    return Needs(**{name: tuple(dict.fromkeys(found[name])) for name in found if name != "kept"}, kept=kept)


def support_of(named: Sequence[tuple[str, Any, Any]]) -> list[str]:
    """What stands before the functions of (name, node, CCode), each text once, as said to be of its op."""
    texts: dict[str, Any] = {}
    for _, node, code in named:
        texts.setdefault(code.c_support_code().strip("\n"), node.op)
    return [said_of(op, text) for text, op in texts.items() if text.strip()]


def said_of(op: Any, text: str) -> str:
    """``text`` between two comments, so that an error of the compiler can be traced to the op."""
    return f"/* c_code of {type(op).__name__} */\n{text}\n/* end of c_code */"


def init_of(named: Sequence[tuple[str, Any, Any]]) -> list[str]:
    """Statements that run once a library is loaded, each in a block of its own."""
    texts = [text for _, _, code in named for text in _as_list(code.c_init_code())]
    texts += [code.c_init_code_apply(node, name) for name, node, code in named]
    return [f"    {{\n{text.rstrip()}\n    }}" for text in dict.fromkeys(texts) if text.strip()]


def _as_list(texts: Any) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


# --- types ------------------------------------------------------------------------------------------------------------


def c_type(dtype: str, types: Mapping[str, str]) -> str:
    """The C type of a dtype; ``_Complex`` and half-precision ones have one only in the C-API."""
    return types.get(dtype, "void")


def macros_of(node: Any, name: str, types: Mapping[str, str], params: np.ndarray | None) -> dict[str, str]:
    """APPLY_SPECIFIC, DTYPE_INPUT_0 and its like, with what they stand for; no types for what is no tensor."""
    macros: dict[str, str] = {"APPLY_SPECIFIC(core_base)": f"core_base##_{name}"}
    if params is not None:
        macros["PARAMS_TYPE"] = f"struct {name}_params"
    for role, variables in (("INPUT", node.inputs), ("OUTPUT", node.outputs)):
        for k, variable in enumerate(variables):
            dtype = getattr(variable.type, "dtype", None)
            if dtype is not None:
                macros[f"DTYPE_{role}_{k}"] = c_type(dtype, types)
                macros[f"ITEMSIZE_{role}_{k}"] = str(dtypes.size_bytes(dtype))
    return macros


def params_of(node: Any, code: Any) -> np.ndarray | None:
    """The parameters of an op as a struct, or None.  Errors: BackendError naming the op and the parameter."""
    if not code.params_type:
        return None
    given = code.get_params(node)
    try:
        layout = np.dtype([_field(name, kind) for name, kind in code.params_type.items()], align=True)
        read = given.__getitem__ if isinstance(given, Mapping) else lambda name: getattr(given, name)
        packed = np.zeros((), layout)
        for name in layout.names or ():
            packed[name] = read(name)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BackendError(f"the parameters of {node.op} do not fit {code.params_type}: {error}", blame=node) from error
    return packed


def _field(name: str, kind: Any) -> tuple[Any, ...]:
    return (name, kind) if not isinstance(kind, tuple) else (name, *kind)


def params_struct(name: str, params: np.ndarray, types: Mapping[str, str]) -> str:
    """The declaration of ``struct NAME``."""
    lines = []
    for field in params.dtype.names or ():
        kind = params.dtype[field]
        base, shape = kind.subdtype or (kind, ())
        lines.append(f"{c_type(base.name, types)} {field}{''.join(f'[{n}]' for n in shape)};")
    return f"struct {name} {{ {' '.join(lines)} }};"


# --- the function -----------------------------------------------------------------------------------------------------


def function(name: str, step: OpCall, dialect: Dialect) -> str:
    """The function of one op.

    Errors  BackendError for code that uses the C-API of Python, or companions that need it.
    """
    node, code = step.node, step.code
    arrays = [f"V{k}" for k in range(len(step.inputs) + len(step.outputs))]
    inputs, outputs = arrays[: len(step.inputs)], arrays[len(step.inputs) :]
    sub = {"fail": "{ core_status = 1; goto core_leave; }", "params": "core_params"}
    text = text_of(node, code, name, inputs, outputs, sub)
    _check_plain(node, code, name, text)
    cleanup = code.c_code_cleanup(node, name, inputs, outputs, sub)
    support = code.c_support_code_apply(node, name).strip("\n")
    params = params_of(node, code)
    macros = macros_of(node, name, dialect.types, params)
    head = f"{dialect.op_function} {name}(int64_t *core_report, void *const *core_arrays, const int64_t *core_lengths)"
    lines = [
        *(f"#define {macro} {value}" for macro, value in macros.items()),
        *([] if params is None else [params_struct(f"{name}_params", params, dialect.types)]),
        *([support, ""] if support else []),
        head,
        "{",
        *(f"    {line}" for line in _declared(name, step, inputs, outputs, dialect)),
        "    int32_t core_status = 0;",
        "    core_report[1] = core_is_RuntimeError;",
        "    ((char *)(core_report + 2))[0] = 0;",
        *_framed(text, cleanup),
        "    return core_status;",
        "}",
        *(f"#undef {macro.partition('(')[0]}" for macro in macros),
    ]
    return said_of(node.op, "\n".join(lines))


def text_of(
    node: Any, code: Any, name: str, inputs: Sequence[str], outputs: Sequence[str], sub: Mapping[str, str]
) -> str:
    """What ``c_code`` returns.  Errors: BackendError where that is no text."""
    try:
        text = code.c_code(node, name, inputs, outputs, sub)
    except CoreError:
        raise
    except Exception as error:  # of the author's own Python
        raise BackendError(f"c_code of {node.op} failed: {type(error).__name__}: {error}", blame=node) from error
    if not isinstance(text, str):
        raise BackendError(f"c_code of {node.op} needs to return text, got {type(text).__name__}", blame=node)
    return text


def _framed(text: str, cleanup: str) -> list[str]:
    """``c_code``, and what runs after it in any case."""
    after = ["    {", cleanup.strip("\n"), "    }"] if cleanup.strip() else []
    return ["    {", text.strip("\n"), "    }", "core_leave:;", *after]


def _check_plain(node: Any, code: Any, name: str, text: str) -> None:
    found = _C_API.search(text)
    if found:
        raise BackendError(
            f"c_code of {node.op} is plain C, but it uses {found[1]} of the C-API: derive the op from core.COp, or set "
            f'c_api = "python"',
            blame=node,
        )
    for companion, said in (
        ("c_support_code_struct", code.c_support_code_struct(node, name)),
        ("c_init_code_struct", code.c_init_code_struct(node, name, {"fail": "", "params": ""})),
        ("c_cleanup_code_struct", code.c_cleanup_code_struct(node, name)),
    ):
        if said.strip():
            raise BackendError(
                f"{companion} of {node.op} needs the GIL, and plain C runs without it, in many threads at once: derive "
                f'the op from core.COp, or set c_api = "python"',
                blame=node,
            )


def _declared(name: str, step: OpCall, inputs: Sequence[str], outputs: Sequence[str], dialect: Dialect) -> list[str]:
    """The names that ``c_code`` was promised: outputs, then inputs, each with its shape and strides."""
    lines: list[str] = []
    kept_in = {position: out for out, position in step.overwrites}
    first = 0
    for k, (array, variable) in enumerate(
        zip([*inputs, *outputs], [*step.node.inputs, *step.node.outputs], strict=True)
    ):
        kind, ndim = dialect.types[variable.type.dtype], variable.type.ndim
        out = k - len(inputs)
        shared = k in kept_in if out < 0 else out in kept_in.values()
        restrict = "" if shared else f" {dialect.restrict}"
        constant = "const " if out < 0 and not shared else ""
        source = len(inputs) + kept_in[k] if k in kept_in else k
        lines.append(f"{constant}{kind} *const{restrict} {array} = core_arrays[{source}];")
        lines.append(f"const int64_t *const {array}_shape = core_lengths + {first};")
        strides = [" * ".join(f"{array}_shape[{j}]" for j in range(axis + 1, ndim)) or "1" for axis in range(ndim)]
        lines.append(f"const int64_t {array}_strides[] = {{{', '.join(strides) or '1'}}};")
        first += ndim
    if step.params is not None:
        lines.append(f"const struct {name}_params *const core_params = core_arrays[{len(inputs) + len(outputs)}];")
    return lines


def call_lines(
    name: str, step: OpCall, pointer: Callable[[Value], str], lengths: Mapping[Value, Sequence[str]], failed: str
) -> list[str]:
    """The lines that call the function.

    pointer  gives the C name of a value;  lengths  the texts of each value's lengths
    failed   a statement that stops the program
    """
    lines = []
    for out, position in step.overwrites:
        source, target = step.inputs[position], step.outputs[out]
        size = " * ".join([*(f"({n})" for n in lengths[target]), str(dtypes.size_bytes(target.dtype))])
        differ = [f"{a} != {b}" for a, b in zip(lengths[source], lengths[target], strict=True) if a != b]
        if differ:
            says = f"destroy_map needs output {out} to have the shape of input {position}"
            message = f'snprintf((char *)(report + 2), {_MESSAGE_BYTES}, "{says}")'
            value_error = f"(report[1] = core_is_ValueError, {message})"
            lines.append(f"if (({' || '.join(differ)}) && {value_error}) {failed}")
        to, start = pointer(target), pointer(source)
        lines.append(f"if ({to} != {start}) __builtin_memcpy({to}, {start}, (size_t)({size}));")
    values = [*step.inputs, *step.outputs]
    arrays = [f"(void *){pointer(value)}" for value in [*values, *([step.params] if step.params else [])]]
    flat = [n for value in values for n in lengths[value]]
    lines.append(f"void *const core_arrays[] = {{{', '.join(arrays)}}};")
    lines.append(f"const int64_t core_lengths[] = {{{', '.join(flat) or '0'}}};")
    lines.append(f"if ({name}(report, core_arrays, core_lengths)) {failed}")
    return ["{", *(f"    {line}" for line in lines), "}"]


def read_error(report: Sequence[int]) -> tuple[type[Exception], str]:
    """The type of an exception, and its message, from what a function reports behind the number of the step."""
    kind, *message = report
    raw = np.asarray(message, dtype="int64").tobytes().split(b"\0", 1)[0]
    return ERRORS[kind], raw.decode("utf-8", "replace") or "it does not say why"
