"""What an op says in C: ``c_code`` and its companions.

Data and text only: how the text is framed and called is in core/ir/clike/ccalls.py (plain C) and in the backend (the
Python and NumPy C-API).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from core.errors import BackendError
from core.graph import Apply


class CCode:
    """Hand-written C for an op.  Every ``Op`` is one; a subclass of this alone says it for an op of somebody else.

    ``c_api`` says in which of two languages the text is:

    ``"c"``       plain C.  An input ``x`` is ``const double *restrict x`` (or the type of its dtype) in row-major
                  order, an output ``y`` is ``double *restrict y``: memory for the shape that ``infer_shape`` gives,
                  with anything in it.  ``x_shape``, ``x_strides`` (in elements) are arrays of ``int64_t``; a 0-d
                  input is ``*x``.  No Python header is there, and other Python threads run meanwhile.
    ``"python"``  Python's and NumPy's C-API, as in Theano.  An input is a ``PyArrayObject *`` that is borrowed, of any
                  strides.  An output is a ``PyArrayObject *``: NULL, or an array of an earlier call that is used
                  nowhere else, to be filled or replaced by a new reference.  The GIL is held.

    In both, ``DTYPE_INPUT_0``, ``ITEMSIZE_INPUT_0``, ``DTYPE_OUTPUT_0``, ... are an element's C type and its bytes.
    """

    c_api: ClassVar[str] = "c"
    check_input: bool = True  # "python": whether dtype and ndim of the inputs are checked before the code runs
    params_type: Mapping[str, Any] | None = None  # name -> dtype, or (dtype, shape); see get_params

    def c_code(self, node: Apply, name: str, inputs: Sequence[str], outputs: Sequence[str], sub: Mapping) -> str:
        """The text that computes ``node``: statements, in a block of their own.

        name     belongs to this node alone, for functions of ``c_support_code_apply``
        inputs, outputs  the names of the C variables
        sub      "fail": a statement that stops and raises.  Before it, plain C says ``core_error(ValueError, "...",
                 ...)``, arguments as of printf; the C-API sets an exception, as with PyErr_Format.
                 "params": the name of a pointer to the struct of ``params_type``

        The exception reaches the caller as one of its type, with the op and the line that made the node.
        """
        raise BackendError(f"{self} has no c_code", blame=node)

    def c_code_cleanup(
        self, node: Apply, name: str, inputs: Sequence[str], outputs: Sequence[str], sub: Mapping
    ) -> str:
        """Statements that run after ``c_code``, also when it failed; what ``c_code`` declares is out of sight."""
        return ""

    # --- parameters -------------------------------------------------------------------------------------------------

    def get_params(self, node: Apply) -> Any:
        """Values of the parameters in ``params_type``: a mapping, or an object with attributes of these names.

        They are handed over when the function runs, so that another value compiles nothing.  Inherited: the op's own
        attributes.
        """
        return node.op

    # --- around the code --------------------------------------------------------------------------------------------

    def c_headers(self) -> Sequence[str]:
        """Headers to include: ``"<math.h>"``, ``'"own.h"'``; a bare name is one in quotation marks."""
        return []

    def c_header_dirs(self) -> Sequence[str]:
        """Folders in which these are looked for."""
        return []

    def c_libraries(self) -> Sequence[str]:
        """Libraries to link: ``"z"`` is ``-lz``."""
        return []

    def c_lib_dirs(self) -> Sequence[str]:
        """Folders in which these are looked for, now and when the function is loaded."""
        return []

    def c_compile_args(self) -> Sequence[str]:
        """Arguments for the compiler, and for linking."""
        return []

    def c_no_compile_args(self) -> Sequence[str]:
        """Arguments that the compiler must not be given."""
        return []

    def c_support_code(self) -> str:
        """Functions, types and macros for all nodes of the op: printed once."""
        return ""

    def c_support_code_apply(self, node: Apply, name: str) -> str:
        """The same for one node: what it defines must have ``name`` in its name."""
        return ""

    def c_support_code_struct(self, node: Apply, name: str) -> str:
        """Static variables that belong to one node of one compiled function.  C-API only: the GIL guards them."""
        return ""

    def c_init_code(self) -> Sequence[str]:
        """Statements that run once, when the library is loaded."""
        return []

    def c_init_code_apply(self, node: Apply, name: str) -> str:
        """The same for one node."""
        return ""

    def c_init_code_struct(self, node: Apply, name: str, sub: Mapping) -> str:
        """Statements that run once for each compiled function, before its first call; ``sub["fail"]`` raises."""
        return ""

    def c_cleanup_code_struct(self, node: Apply, name: str) -> str:
        """Statements that run when the compiled function goes."""
        return ""

    # --- the cache --------------------------------------------------------------------------------------------------

    def c_code_cache_version(self) -> tuple | None:
        """Stands for what the text does not show, such as a library behind it: another version is compiled anew.

        The text itself, the headers it includes from ``c_header_dirs``, arguments and compiler are in the key already.
        None: never kept on disk.
        """
        return ()

    def c_code_cache_version_apply(self, node: Apply) -> tuple | None:
        """The same for one node."""
        return self.c_code_cache_version()
