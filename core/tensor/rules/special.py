"""Rules for softmax and logsumexp written out by hand."""

from __future__ import annotations

from core.graph import Apply, FunctionGraph, Variable
from core.ir.codes import Combine
from core.rewriting import stabilize
from core.tensor.arithmetic import subtract, true_divide
from core.tensor.dimshuffle import DimShuffle
from core.tensor.elementwise import second
from core.tensor.functions import exp, log, sigmoid
from core.tensor.gather import AdvancedSubtensor
from core.tensor.indexing import Subtensor
from core.tensor.patterns import XF, YF, ZF, is_float
from core.tensor.reduce import Reduce
from core.tensor.special import LogSoftmax, LogSumExp, Softmax


def _made_by(x: Variable, op: type | object) -> Apply | None:
    """The node that made ``x`` if it is one of ``op``, an op or a class."""
    if x.owner is None:
        return None
    fits = isinstance(x.owner.op, op) if isinstance(op, type) else x.owner.op == op
    return x.owner if fits else None


def _reduced(x: Variable, combine: Combine) -> Apply | None:
    """The node that reduced something to ``x``."""
    node = _made_by(x, Reduce)
    return node if node is not None and node.op.combine is combine and node.op.axes else None


def _put_back(x: Variable) -> Variable:
    """``y`` if ``x`` is y with new axes of length 1, as ``keepdims`` makes them, else x."""
    node = _made_by(x, DimShuffle)
    if node is None or [p for p in node.op.pattern if p != "x"] != list(range(node.op.input_ndim)):
        return x
    return node.inputs[0]


def _has_axes_back(x: Variable, axes: tuple[int, ...]) -> bool:
    """Whether the new axes of ``x`` are exactly ``axes``."""
    node = _made_by(x, DimShuffle)
    return node is not None and tuple(k for k, p in enumerate(node.op.pattern) if p == "x") == tuple(axes)


def _sum_of_exp(x: Variable) -> tuple[Variable, tuple[int, ...]] | None:
    """``y`` and the axes, if ``x`` is sum(exp(y), axes) in the dtype of y."""
    total = _reduced(x, Combine.ADD)
    made = None if total is None else _made_by(total.inputs[0], exp)
    if made is None or not is_float(made.inputs[0]) or made.inputs[0].type.dtype != x.type.dtype:
        return None
    return made.inputs[0], total.op.axes


@stabilize.node_rule(log)
def log_of_sum_of_exp_is_logsumexp(graph: FunctionGraph, node: Apply) -> Variable | None:
    """log(sum(exp(x), axes)) -> logsumexp(x, axes), also with keepdims.  exp overflows where the answer does not."""
    inside = _put_back(node.inputs[0])
    found = _sum_of_exp(inside)
    if found is None:
        return None
    out = LogSumExp(found[1])(found[0])
    return out if inside is node.inputs[0] else node.inputs[0].owner.op(out)


@stabilize.node_rule(true_divide)
def written_out_softmax_is_softmax(graph: FunctionGraph, node: Apply) -> Variable | None:
    """exp(x) / sum(exp(x), axes, keepdims=True) -> softmax(x, axes), also for x - max(x).  exp overflows above 709."""
    made, total = _made_by(node.inputs[0], exp), _put_back(node.inputs[1])
    found = _sum_of_exp(total)
    if made is None or found is None or made.inputs[0] is not found[0] or not _has_axes_back(node.inputs[1], found[1]):
        return None
    return Softmax(found[1])(_without_maximum(*found))


def _without_maximum(x: Variable, axes: tuple[int, ...]) -> Variable:
    """``y`` if ``x`` is y - max(y, axes, keepdims=True), which is no other to softmax; else x."""
    difference = _made_by(x, subtract)
    if difference is None:
        return x
    y, largest = difference.inputs
    made = _reduced(_put_back(largest), Combine.MAX)
    same = made is not None and made.inputs[0] is y and made.op.axes == axes and _has_axes_back(largest, axes)
    return y if same else x


@stabilize.node_rule(log)
def log_of_softmax_is_log_softmax(graph: FunctionGraph, node: Apply) -> Variable | None:
    """log(softmax(x)) -> log_softmax(x).  softmax underflows to 0 where its logarithm is an ordinary number."""
    made = _made_by(node.inputs[0], Softmax)
    return None if made is None else LogSoftmax(made.op.axis)(made.inputs[0])


@stabilize.node_rule(log)
def log_of_some_of_softmax_is_some_of_log_softmax(graph: FunctionGraph, node: Apply) -> Variable | None:
    """log(softmax(x)[key]) -> log_softmax(x)[key].  As log(softmax(x))."""
    read = _made_by(node.inputs[0], Subtensor) or _made_by(node.inputs[0], AdvancedSubtensor)
    made = None if read is None else _made_by(read.inputs[0], Softmax)
    return None if made is None else read.op(LogSoftmax(made.op.axis)(made.inputs[0]), *read.inputs[1:])


@stabilize.node_rule(subtract)
def minus_logsumexp_is_log_softmax(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x - logsumexp(x, axes, keepdims=True) -> log_softmax(x, axes).  The largest element is subtracted first."""
    x, total = node.inputs
    made = _made_by(_put_back(total), LogSumExp)
    if made is None or made.inputs[0] is not x or not made.op.axis or not _has_axes_back(total, made.op.axis):
        return None
    return LogSoftmax(made.op.axis)(x) if node.out.dtype == x.type.dtype else None


# --- gradients of logarithms ---------------------------------------------------------------------------------------


def is_never_zero(x: Variable) -> bool:
    """Whether ``x`` is positive, and 0 only by underflow."""
    return x.owner is not None and (x.owner.op in (exp, sigmoid) or isinstance(x.owner.op, Softmax))


_P = XF.such_that(is_never_zero)


@stabilize.rule((YF / _P) * _P)
def quotient_times_its_divisor_is_the_dividend(x, y):
    """(y / p) * p -> y for p = exp, sigmoid or softmax of something.  0 / 0 where p underflows, as after log(p)."""
    return second(x, y)


@stabilize.rule((YF / _P - ZF) * _P)
def quotient_less_something_times_its_divisor_is_expanded(x, y, z):
    """(y / p - z) * p -> y - z * p for p = exp, sigmoid or softmax of something.  0 / 0 where p underflows."""
    return y - z * x


@stabilize.rule((YF / (1 + exp(XF))) * exp(XF))
def gradient_of_log_of_one_plus_exp_is_sigmoid(x, y):
    """y / (1 + exp(x)) * exp(x) -> y * sigmoid(x).  0 * inf for large x, where the answer is y."""
    return y * sigmoid(x)


@stabilize.rule((YF / sigmoid(XF)) * (sigmoid(XF) * sigmoid(-XF)))
def gradient_of_log_of_sigmoid_is_sigmoid_of_negative(x, y):
    """y / sigmoid(x) * sigmoid(x) sigmoid(-x) -> y * sigmoid(-x).  0 / 0 for x below -745, where the answer is y."""
    return y * sigmoid(-x)
