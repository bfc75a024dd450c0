"""Functions that run on the oracle of the loop IR instead of a backend, and questions about their kernels."""

import pytest

import core
from core.compile.function import function
from core.ir.check.run import Driver
from core.ir.nodes import Loop, LoopKind, expressions, statements
from core.ir.program import KernelStep
from core.ir.walk import walk
from core.records import Library


@pytest.fixture
def compiled():
    """``function`` on the oracle: no plugin is asked, no library is called, every access to memory is checked."""

    def compile(inputs, outputs, mode="none", **options):
        return function(inputs, outputs, backend=Driver("ir"), mode=mode, on_unused_input="ignore", **options)

    return compile


@pytest.fixture
def gemm():
    """A library for matrix products, which the oracle computes with NumPy."""

    class Products:
        @core.hookimpl
        def libraries(self):
            bindings = dict.fromkeys(("gemm", "gemv", "gemm_add"), "what a backend would take")
            return [Library("products", "ir", tuple(bindings), bindings)]

    plugin = Products()
    core.plugins.register(plugin)
    yield
    core.plugins.unregister(plugin)


@pytest.fixture
def kernels():
    """The kernels of a function."""
    return lambda f: [step.kernel for step in f.program.steps if isinstance(step, KernelStep)]


@pytest.fixture
def loops():
    """The loops of a kernel, of one kind or of all."""

    def find(kernel, kind=None):
        found = [s for s in statements(kernel.body) if isinstance(s, Loop)]
        return [s for s in found if kind is None or s.kind is LoopKind(kind)]

    return find


@pytest.fixture
def calls():
    """How often the text of a kernel calls a function."""
    return lambda kernel, name: sum(e.payload == name for root in expressions(kernel.body) for e in walk([root]))
