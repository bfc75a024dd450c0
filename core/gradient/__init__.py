"""Derivatives of graphs: backwards (grad, Lop), forwards (Rop), whole matrices (jacobian, hessian), and barriers.

Also what an op's ``grad`` returns where there is none.  ``verify_grad``, which has to compute, is in core.testing.
"""

from core.gradient.barriers import (
    consider_constant,
    disconnected_grad,
    grad_clip,
    grad_scale,
    stop_gradient,
    undefined_grad,
    zero_grad,
)
from core.gradient.forward import Rop
from core.gradient.jacobian import hessian, jacobian
from core.gradient.reverse import Lop, grad
from core.graph import DisconnectedType, NullType
from core.op import disconnected, grad_not_implemented, grad_undefined

__all__ = [
    "DisconnectedType",
    "Lop",
    "NullType",
    "Rop",
    "consider_constant",
    "disconnected",
    "disconnected_grad",
    "grad",
    "grad_clip",
    "grad_not_implemented",
    "grad_scale",
    "grad_undefined",
    "hessian",
    "jacobian",
    "stop_gradient",
    "undefined_grad",
    "zero_grad",
]
