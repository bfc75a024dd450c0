"""What the tests of core and of plugins share: values, evaluation on a backend, and checks of an op's contract.

Needs neither pytest nor hypothesis; random graphs, which need hypothesis, are in core.testing.graphs.
"""

from core.testing.checks import check_lowering, check_op, check_shapes
from core.testing.derivatives import check_derivatives
from core.testing.values import available_backends, evaluate, random
from core.testing.verify import numeric_grad, verify_grad

__all__ = [
    "available_backends",
    "check_derivatives",
    "check_lowering",
    "check_op",
    "check_shapes",
    "evaluate",
    "numeric_grad",
    "random",
    "verify_grad",
]
