"""Derivatives of graphs: backwards (grad, Lop), forwards (Rop), whole matrices (jacobian, hessian), and barriers.

``verify_grad``, which has to compute, is in core.testing.
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

__all__ = [
    "Lop",
    "Rop",
    "consider_constant",
    "disconnected_grad",
    "grad",
    "grad_clip",
    "grad_scale",
    "hessian",
    "jacobian",
    "stop_gradient",
    "undefined_grad",
    "zero_grad",
]
