"""An op whose C is in files of its own, in sections: for more C than a Python string should hold."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.errors import ArgumentError, did_you_mean
from core.graph import Apply
from core.op import COp

SECTIONS = (
    *("support_code", "support_code_apply", "support_code_struct", "init_code", "init_code_apply", "init_code_struct"),
    *("code", "code_cleanup", "cleanup_code_struct"),
)
_SECTION = re.compile(r"^#section[ \t]+(\w+)[ \t]*\n", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


class ExternalCOp(COp):
    """The C-API op whose ``c_code`` and companions are sections of C files.

    func_files  one path or several, relative to the file of the class
    func_name   the f in APPLY_SPECIFIC(f), a function that computes the node.  It is called with the inputs,
                ``PyArrayObject *``, then the places of the outputs, ``PyArrayObject **``, then, if there is a
                ``params_type``, a pointer to the parameters; it returns 0, or anything else after it has set an
                exception.  Left out, the section ``code`` computes.

    A file says ``#section NAME`` before each part; NAME is that of a companion without ``c_``: support_code,
    support_code_apply, init_code, code, code_cleanup, ...  In all sections but support_code and init_code stand

        APPLY_SPECIFIC(f)                     f with the name of the node in it
        DTYPE_INPUT_0, DTYPE_OUTPUT_0, ...    the C type of an element, npy_float64
        ITEMSIZE_INPUT_0, TYPENUM_INPUT_0     its bytes; NPY_FLOAT64
        PARAMS_TYPE                           the struct of the parameters

    and in ``code`` and ``code_cleanup``, INPUT_0, OUTPUT_0, ..., PARAMS and FAIL besides.

    A subclass may set ``c_api = "c"``.  Then the function gets ``x, x_shape`` for each input and output in turn,
    ``const double *, const int64_t *``, then the parameters, and ``int64_t *core_report``, which ``core_error`` needs.

    Errors  ArgumentError for a file that is not there, a section that means nothing, text before the first section.
    """

    func_name: str | None = None

    def __init__(self, func_files: str | Path | Sequence[str | Path], func_name: str | None = None):
        files = [func_files] if isinstance(func_files, (str, Path)) else list(func_files)
        self.func_files = [self._found(file) for file in files]
        self.func_name = func_name
        self.sections: dict[str, str] = {}
        for path in self.func_files:
            self._read(path)
        if (func_name is None) == ("code" not in self.sections):
            raise ArgumentError(f"{type(self).__name__} needs either func_name or a section code in {self._named()}")

    def _found(self, file: str | Path) -> Path:
        path = Path(inspect.getfile(type(self))).parent / file
        if not path.is_file():
            raise ArgumentError(f"{type(self).__name__} needs the C file {file}, and there is no {path}")
        return path

    def _named(self) -> str:
        return " and ".join(path.name for path in self.func_files)

    def _read(self, path: Path) -> None:
        before, *parts = _SECTION.split(path.read_text(encoding="utf-8"))
        if _COMMENT.sub("", before).strip():
            raise ArgumentError(f"{path}: #section must stand before the first code")
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name not in SECTIONS:
                near = did_you_mean(name, SECTIONS)
                raise ArgumentError(f"{path}: there is no section {name!r}, there are {', '.join(SECTIONS)}.{near}")
            self.sections[name] = self.sections.get(name, "") + text

    # --- the companions ---------------------------------------------------------------------------------------------

    def c_support_code(self) -> str:
        return self.sections.get("support_code", "")

    def c_support_code_apply(self, node: Apply, name: str) -> str:
        return self.sections.get("support_code_apply", "")

    def c_support_code_struct(self, node: Apply, name: str) -> str:
        return self.sections.get("support_code_struct", "")

    def c_init_code(self) -> list[str]:
        return [self.sections["init_code"]] if "init_code" in self.sections else []

    def c_init_code_apply(self, node: Apply, name: str) -> str:
        return self.sections.get("init_code_apply", "")

    def c_init_code_struct(self, node: Apply, name: str, sub: Mapping) -> str:
        return self.sections.get("init_code_struct", "")

    def c_cleanup_code_struct(self, node: Apply, name: str) -> str:
        return self.sections.get("cleanup_code_struct", "")

    def c_code(self, node: Apply, name: str, inputs: Sequence[str], outputs: Sequence[str], sub: Mapping) -> str:
        if self.func_name is None:
            return self._with_macros(self.sections["code"], inputs, outputs, sub)
        if self.c_api == "c":
            arguments = [part for x in (*inputs, *outputs) for part in (x, f"{x}_shape")]
        else:
            arguments = [*inputs, *(f"&{y}" for y in outputs)]
        arguments += [sub["params"]] if self.params_type else []
        arguments += ["core_report"] if self.c_api == "c" else []
        function = self.func_name if "(" in self.func_name else f"APPLY_SPECIFIC({self.func_name})"
        return f"if ({function}({', '.join(arguments)})) {sub['fail']}"

    def c_code_cleanup(
        self, node: Apply, name: str, inputs: Sequence[str], outputs: Sequence[str], sub: Mapping
    ) -> str:
        text = self.sections.get("code_cleanup", "")
        return self._with_macros(text, inputs, outputs, sub) if text else ""

    def _with_macros(self, text: str, inputs: Sequence[str], outputs: Sequence[str], sub: Mapping) -> str:
        macros = {f"INPUT_{k}": x for k, x in enumerate(inputs)} | {f"OUTPUT_{k}": y for k, y in enumerate(outputs)}
        macros["FAIL"] = sub["fail"]
        if self.params_type:
            macros["PARAMS"] = sub["params"]
        before = "".join(f"#define {macro} {value}\n" for macro, value in macros.items())
        return before + text.rstrip("\n") + "\n" + "".join(f"#undef {macro}\n" for macro in macros)
