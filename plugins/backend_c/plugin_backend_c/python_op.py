"""An op whose ``c_code`` uses Python's and NumPy's C-API, as an extension module of one function.

The function takes the inputs, then an array of an earlier call or None for each output, then the parameters; it returns
the outputs.  What the author may say is in core/ccode.py.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
import weakref
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from core import dtypes
from core.ccode import CCode
from core.dataclass import replace
from core.errors import BackendError, CompileError
from core.ir.clike import ccalls
from core.ir.clike.cfamily import identifier
from plugin_backend_c import cache
from plugin_backend_c.compiler import Compiler
from plugin_backend_c.folder import folders, temporary

MODULE = "core_op"
_TYPES = {"bool": "npy_bool", **{name: f"npy_{name}" for name in dtypes.ALL if name != "bool"}}
_probe = [np.empty(0)]
_REFERENCES_OF_ONE_LIST = sys.getrefcount(_probe[0])  # differs between versions of Python


class PythonOp:
    """Does what ``perform`` of a node's op would do.  Keeps outputs, to be filled again once nobody else has them."""

    def __init__(self, node: Any, code: CCode, compiler: Compiler):
        """Errors: CompileError with the op and the line that made the node; BackendError without Python's headers."""
        self._params = ccalls.params_of(node, code)
        self._kept: list[Any] | None = None
        self._none = [None] * len(node.outputs)
        module = _module(node, code, compiler)
        self._run = module.run
        self._more = [] if self._params is None else [self._params]
        module.begin(self._params)
        weakref.finalize(self, module.end)

    def __call__(self, node: Any, inputs: Sequence[Any], output_storage: Sequence[list]) -> None:
        """Errors: whatever the code raises."""
        kept, self._kept = self._kept, None  # taken: the code may let other threads run
        earlier = self._none if kept is None else [_free(kept, k) for k in range(len(kept))]
        outputs = self._run(*inputs, *earlier, *self._more)
        for cell, value in zip(output_storage, outputs, strict=True):
            cell[0] = value
        self._kept = [value if _is_plain(value) else None for value in outputs]


def _free(kept: list[Any], k: int) -> Any:
    """The array that an output was, unless somebody else has it."""
    return kept[k] if sys.getrefcount(kept[k]) <= _REFERENCES_OF_ONE_LIST else None


def _is_plain(value: Any) -> bool:
    return type(value) is np.ndarray and value.flags.owndata and value.flags.writeable


# --- building ---------------------------------------------------------------------------------------------------------


def _module(node: Any, code: CCode, compiler: Compiler) -> ModuleType:
    """The extension module, built unless it is there."""
    folder = Path(sysconfig.get_path("include") or "")
    if not (folder / "Python.h").is_file():
        raise BackendError(
            f"c_code of {node.op} needs Python's headers, and there is no {folder / 'Python.h'}; install them (Debian: "
            f"apt-get install python3-dev)",
            blame=node,
        )
    needs = ccalls.needs_of([(node, code)])
    linker = compiler.linker
    if sys.platform == "darwin":
        linker += ("-undefined", "dynamic_lookup")
    flags = (*compiler.flags, f"-I{folder}", f"-I{np.get_include()}")
    builder = replace(compiler, flags=flags, linker=linker).serving(needs)
    text = source(node, code, needs)
    about = f"{sys.version}\n{sysconfig.get_config_var('SOABI')}\n{np.__version__}"
    key = hashlib.sha256(f"{builder.identity}\n{about}\n{text}".encode()).hexdigest()[:40]
    problem: Exception | None = None
    for place in folders() if needs.kept else [temporary()]:
        binary = place / f"{key}.so"
        try:
            if not cache.intact(binary):
                cache.build({f"{key}.c": text}, binary, builder)
            return _loaded(_own_copy(binary) if _has_state(node, code) else binary)
        except CompileError as error:
            raise cache.with_line(error, [node]) from None
        except (OSError, ImportError) as error:  # a folder that cannot be written, a library that is not there
            problem = error
    raise CompileError(f"the C of {node.op} could not be loaded: {problem}", source_code=text, blame=node) from problem


def _has_state(node: Any, code: CCode) -> bool:
    name = _name(node)
    return bool(code.c_support_code_struct(node, name).strip())


def _own_copy(binary: Path) -> Path:
    """A copy of a library: a file of its own has static variables of its own."""
    handle, copy = tempfile.mkstemp(suffix=".so", prefix=f"{binary.stem}-", dir=temporary())
    os.close(handle)
    shutil.copyfile(binary, copy)
    return Path(copy)


def _loaded(binary: Path) -> ModuleType:
    loader = ExtensionFileLoader(MODULE, str(binary))
    made = importlib.util.module_from_spec(importlib.util.spec_from_file_location(MODULE, binary, loader=loader))
    loader.exec_module(made)
    return made


# --- text -------------------------------------------------------------------------------------------------------------


def _name(node: Any) -> str:
    return f"op_{identifier(type(node.op).__name__)}"


def source(node: Any, code: CCode, needs: ccalls.Needs) -> str:
    """The extension module as C."""
    name = _name(node)
    support = ccalls.support_of([(name, node, code)])
    struct = code.c_support_code_struct(node, name).strip("\n")
    params = ccalls.params_of(node, code)
    support_apply = code.c_support_code_apply(node, name).strip("\n")
    macros = {**ccalls.macros_of(node, name, _TYPES, params), **_type_numbers(node)}
    own = [
        *([struct] if struct else []),
        *([] if params is None else [ccalls.params_struct(f"{name}_params", params, _TYPES)]),
        *([support_apply] if support_apply else []),
        *_run(name, node, code, params is not None),
        *_begin_and_end(name, node, code, params is not None),
    ]
    return "\n".join(
        [
            "#define PY_SSIZE_T_CLEAN",
            "#include <Python.h>",
            "#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION",
            "#include <numpy/arrayobject.h>",
            "#include <stdbool.h>",
            needs.include,
            *(f"#define {macro} {value}" for macro, value in macros.items()),
            *support,
            ccalls.said_of(node.op, "\n".join(own)),
            _MODULE_TEXT.replace("{init}", "\n".join(ccalls.init_of([(name, node, code)]))),
        ]
    )


def _type_numbers(node: Any) -> dict[str, str]:
    """TYPENUM_INPUT_0 and its like: what PyArray_ZEROS and its kind take."""
    return {
        f"TYPENUM_{role}_{k}": f"NPY_{variable.type.dtype.upper()}"
        for role, variables in (("INPUT", node.inputs), ("OUTPUT", node.outputs))
        for k, variable in enumerate(variables)
        if hasattr(variable.type, "dtype")
    }


def _run(name: str, node: Any, code: CCode, has_params: bool) -> list[str]:
    count, made = len(node.inputs), len(node.outputs)
    names = [f"V{k}" for k in range(count + made)]
    inputs, outputs = names[:count], names[count:]
    sub = {"fail": "{ core_status = 1; goto core_leave; }", "params": "core_params"}
    text = ccalls.text_of(node, code, name, inputs, outputs, sub)
    cleanup = code.c_code_cleanup(node, name, inputs, outputs, sub)
    lines = [f"PyArrayObject *const {x} = (PyArrayObject *)core_args[{k}];" for k, x in enumerate(inputs)]
    for k, y in enumerate(outputs, count):
        lines.append(f"PyArrayObject *{y} = core_args[{k}] == Py_None ? NULL : (PyArrayObject *)core_args[{k}];")
        lines.append(f"Py_XINCREF({y});")
    if has_params:
        lines.append(_PARAMS.format(struct=f"{name}_params", source=f"core_args[{count + made}]").strip())
    lines += ["PyObject *core_result = NULL;", "int core_status = 0;"]
    if code.check_input:
        lines += [line for k, x in enumerate(node.inputs) for line in _check(k, inputs[k], x)]
    total = count + made + has_params
    return [
        "static inline PyObject *core_given(PyObject *output) { return output ? output : Py_NewRef(Py_None); }",
        "",
        "static PyObject *core_run(PyObject *core_module, PyObject *const *core_args, Py_ssize_t core_count)",
        "{",
        f"    if (core_count != {total})",
        f'        return PyErr_Format(PyExc_TypeError, "needs {total} arguments, got %zd", core_count);',
        *(f"    {line}" for line in lines),
        "    {",
        text.strip("\n"),
        "    }",
        "core_leave:;",
        *(["    {", cleanup.strip("\n"), "    }"] if cleanup.strip() else []),
        f"    if (!core_status && !PyErr_Occurred() && (core_result = PyTuple_New({made}))) {{",
        *(f"        PyTuple_SET_ITEM(core_result, {k}, core_given((PyObject *){y}));" for k, y in enumerate(outputs)),
        *(f"        {y} = NULL;" for y in outputs),
        "    } else if (!PyErr_Occurred())",
        '        PyErr_SetString(PyExc_RuntimeError, "it does not say why");',
        *(f"    Py_XDECREF({y});" for y in outputs),
        "    return core_result;",
        "}",
    ]


def _check(k: int, name: str, variable: Any) -> list[str]:
    """Lines that refuse an input of another type."""
    dtype, ndim = getattr(variable.type, "dtype", None), getattr(variable.type, "ndim", None)
    if dtype is None:
        return []
    says = f"input {k} must be an aligned array of {dtype} with ndim={ndim}"
    return [
        f"if (!PyArray_Check((PyObject *){name}) || PyArray_TYPE({name}) != NPY_{dtype.upper()}",
        f"    || PyArray_NDIM({name}) != {ndim} || !PyArray_ISALIGNED({name})) {{",
        f'    PyErr_SetString(PyExc_TypeError, "{says}");',
        "    core_status = 1;",
        "    goto core_leave;",
        "}",
    ]


def _begin_and_end(name: str, node: Any, code: CCode, has_params: bool) -> list[str]:
    """Functions that run before the first call, with the parameters, and when the function goes."""
    begin = code.c_init_code_struct(node, name, {"fail": "return NULL;", "params": "core_params"}).strip("\n")
    end = code.c_cleanup_code_struct(node, name).strip("\n")
    params = [_PARAMS.format(struct=f"{name}_params", source="core_given_params")] if has_params else []
    both = []
    for function, argument, before, text in (
        ("begin", "core_given_params", params, begin),
        ("end", "core_unused", [], end),
    ):
        both += [
            f"static PyObject *core_{function}(PyObject *core_module, PyObject *{argument})",
            *("{", *before, text, "    if (PyErr_Occurred()) return NULL;", "    Py_RETURN_NONE;", "}"),
        ]
    return both


_PARAMS = "    const struct {struct} *const core_params = PyArray_DATA((PyArrayObject *){source});"
_MODULE_TEXT = """
static PyMethodDef core_functions[] = {
    {"run", (PyCFunction)(void *)core_run, METH_FASTCALL, NULL},
    {"begin", core_begin, METH_O, NULL},
    {"end", core_end, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef core_definition = {
    PyModuleDef_HEAD_INIT, "core_op", NULL, -1, core_functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_core_op(void)
{
    import_array();
{init}
    return PyModule_Create(&core_definition);
}
"""
