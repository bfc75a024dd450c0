"""Tensors: symbolic arrays and the functions over them.  Names equal NumPy's, and Theano's where NumPy has none.

``import core.tensor as ct`` gives all of them.  Each family has its file, with its ops, their derivatives and loops;
a function may have the name of its file: ``ct.reshape`` is the function.
"""
# ruff: noqa: F401, F403 - what is imported here is given on; a family says in its __all__ what it gives

from importlib import import_module as _import_module
from sys import modules as _modules
from types import ModuleType as _ModuleType
from typing import Any as _Any

from core.tensor import methods
from core.tensor.arithmetic import *
from core.tensor.arrange import *
from core.tensor.broadcast import *
from core.tensor.constructors import *
from core.tensor.create import *
from core.tensor.cumulative import *
from core.tensor.diagonal import *
from core.tensor.dimshuffle import *
from core.tensor.einsum import *
from core.tensor.elementwise import Elementwise, elementwise, second
from core.tensor.functions import *
from core.tensor.gather import *
from core.tensor.indexing import *
from core.tensor.join import *
from core.tensor.logic import *
from core.tensor.losses import *
from core.tensor.products import *
from core.tensor.reduce import *
from core.tensor.reshape import *
from core.tensor.roll import *
from core.tensor.search import *
from core.tensor.shape import *
from core.tensor.sort import *
from core.tensor.special import *
from core.tensor.statistics import *
from core.tensor.type import (
    TensorConstant,
    TensorType,
    TensorVariable,
    as_tensor,
    constant,
    normalize_axes,
    normalize_axis,
)
from core.tensor.variance import *
from core.tensor.vectorize import *

fill, as_tensor_variable = second, as_tensor  # Theano's names

# what few programs use, by the file that is imported when one of its names is
_LATER = {
    "extra.activations": "celu elu glu hard_sigmoid leaky_relu mish relu6 selu softsign swish",
    "extra.aliases": (
        "abs_ argwhere around array array_equal array_equiv array_split asarray astype "
        "bitwise_invert bitwise_left_shift bitwise_right_shift broadcast_shapes ceil_intdiv complex "
        "complex_from_polar copy diag_indices diagflat extract_diag horizontal_stack identity_like indices "
        "inv iround iscomplex iscomplexobj isreal isrealobj isscalar ix_ largest max_and_argmax ndim "
        "round_half_away_from_zero round_half_to_even row_stack smallest to_one_hot tril_indices_from "
        "triu_indices_from vertical_stack"
    ),
    "extra.choices": "choose compress delete extract insert piecewise put_along_axis resize select",
    "extra.floats": "bitwise_count fabs fix float_power frexp gcd heaviside lcm ldexp modf nextafter spacing",
    "extra.order": (
        "argpartition argtopk intersect1d inverse_permutation lexsort partition setdiff1d setxor1d topk "
        "topk_and_argtopk union1d unique unique_all unique_counts unique_inverse unique_values"
    ),
    "extra.products": "apply_along_axis block cross kron matrix_transpose matvec vecmat",
    "extra.signals": ("convolve correlate ediff1d gradient polyadd polyder polyint polymul polysub polyval unwrap"),
    "extra.watched": "Assert CheckAndRaise Print",
    "extra.windows": "bartlett blackman hamming hanning kaiser",
    "extra.without_nan": "nanargmax nanargmin nancumprod nancumsum nanmedian nanpercentile nanquantile",
    "masks": "NonZero flatnonzero nonzero nonzero_values",
    "specials.bessel": "i0 i0e i1 i1e j0 j1 k0 k0e k1 k1e y0 y1",
    "specials.beta": "beta betainc betaln",
    "specials.entropy": "entr kl_div rel_entr xlogx",
    "specials.gamma": "chi2sf gammainc gammaincc gammainc_by_shape gammal gammau",
    "specials.normal": "erfcinv erfcx erfinv log_ndtr ndtr ndtri",
    "specials.factorials": "factorial multigammaln poch polygamma",
    "specials.zeta": "zeta",
}
_HOME_OF = {name: home for home, names in _LATER.items() for name in names.split()}
_modules["core.tensor.type"].package = _modules[__name__]  # type: ignore[attr-defined]

__all__ = [name for name, value in globals().items() if not (name.startswith("_") or isinstance(value, _ModuleType))]
__all__ += _HOME_OF


def __getattr__(name: str) -> _Any:
    if name not in _HOME_OF:
        own = _modules[__name__]  # in whose names Python looks for what was meant
        raise AttributeError(f"module 'core.tensor' has no attribute {name!r}", name=name, obj=own)
    value = globals()[name] = getattr(_import_module(f"core.tensor.{_HOME_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
