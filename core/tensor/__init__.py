"""Tensors: symbolic arrays and the functions over them.  Names equal NumPy's, and Theano's where NumPy has none.

``import core.tensor as ct`` gives all of them.  Each family has its file, with its ops, their derivatives and loops;
a function may have the name of its file: ``ct.reshape`` is the function.
"""
# ruff: noqa: F401, F403 - what is imported here is given on; a family says in its __all__ what it gives

from types import ModuleType as _ModuleType

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

__all__ = [name for name, value in globals().items() if not (name.startswith("_") or isinstance(value, _ModuleType))]
