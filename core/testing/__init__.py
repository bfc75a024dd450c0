"""What the tests of core and of plugins share: checks of ops, rewrites, backends and plugins; values; evaluation.

Needs neither pytest nor hypothesis; random graphs as strategies, which need hypothesis, are in core.testing.graphs, and
fixtures and a summary for pytest in core.testing.plugin.
"""

from core.testing.backends import check_backend
from core.testing.checks import check_lowering, check_shapes
from core.testing.derivatives import check_derivatives
from core.testing.needed import needs
from core.testing.ops import check_op
from core.testing.packs import check_plugin
from core.testing.result import Check, Outcome, Result
from core.testing.rewrites import Example, check_rewrite
from core.testing.suite import OpCase, op_suite
from core.testing.values import available_backends, evaluate, random
from core.testing.verify import numeric_grad, verify_grad

__all__ = [
    "Check",
    "Example",
    "OpCase",
    "Outcome",
    "Result",
    "available_backends",
    "check_backend",
    "check_derivatives",
    "check_lowering",
    "check_op",
    "check_plugin",
    "check_rewrite",
    "check_shapes",
    "evaluate",
    "needs",
    "numeric_grad",
    "op_suite",
    "random",
    "verify_grad",
]
