"""An op whose gradient, tangent and connections a test gives."""

import core.tensor as ct
from core.graph import Apply
from core.op import Op


class Custom(Op):
    """y = x for tensors, with derivatives as a test wants them."""

    def __init__(self, gradient=None, tangent=None, pattern=None, outputs=1):
        self.gradient, self.tangent, self.pattern, self.outputs = gradient, tangent, pattern, outputs

    def __str__(self):
        return "Custom"

    def make_node(self, *inputs):
        return Apply(self, [ct.as_tensor(x) for x in inputs], [inputs[0].type for _ in range(self.outputs)])

    def perform(self, node, inputs, output_storage):
        for cell in output_storage:
            cell[0] = inputs[0].copy()

    def grad(self, inputs, output_grads):
        return self.gradient(inputs, output_grads) if self.gradient else super().grad(inputs, output_grads)

    def R_op(self, inputs, eval_points):
        return self.tangent(inputs, eval_points) if self.tangent else super().R_op(inputs, eval_points)

    def connection_pattern(self, node):
        return super().connection_pattern(node) if self.pattern is None else self.pattern
