"""check_backend passes a right backend, finds what a wrong one gets wrong, and holds expectations to account."""

import numpy as np
import pytest

import core.tensor as ct
from core.compile.interpreter import Interpreted
from core.errors import BackendError, CheckError
from core.graph import Apply
from core.op import Op
from core.records import Probe
from core.testing import OpCase, Outcome, available_backends, check_backend, op_suite, random


class Wrong:
    """The interpreter, but for what ``exp`` gives and for graphs with ``sin``, which it refuses."""

    name = "wrong"

    def probe(self):
        return Probe(("here",))

    def fingerprint(self):
        return ""

    def compile_graph(self, graph):
        ops = {str(node.op) for node in graph.nodes}
        if "sin" in ops:
            raise BackendError("no sines here")
        run = Interpreted(graph)
        if "exp" not in ops:
            return run
        wrong = lambda arrays: [out + 1 for out in run(arrays)]
        wrong.sources = {}
        return wrong


class Sorted(Op):
    """An op that only has a reference."""

    __props__ = ()

    def make_node(self, x):
        return Apply(self, [x], [x.type])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = np.sort(inputs[0])


def test_the_suite_has_every_family_once_and_a_name_for_each_case():
    names = [case.name for case in op_suite()]
    assert len(names) == len(set(names)) > 350
    for word in ("exp[float64]", "cast[float32 to int32]", "cumsum[", "gather[", "matrix by matrix[", "gradient of"):
        assert any(word in name for name in names)


def test_the_interpreter_passes_all_of_it():
    result = check_backend("interpreter")
    assert result.ok and result.counts["passed"] > 3000 and result.subject == "backend interpreter"


@pytest.mark.slow
@pytest.mark.parametrize("backend", [name for name in available_backends() if name != "interpreter"])
def test_a_compiling_backend_passes_it(backend):
    """All of it in C; on devices, whose compilers take their time, the float64 part."""
    assert check_backend(backend, only="*" if backend == "c" else "*[float64]*", random_graphs=5 * (backend == "c")).ok


@pytest.mark.parametrize("backend", [name for name in available_backends() if name != "interpreter"])
def test_a_compiling_backend_passes_a_part_of_it(backend):
    assert check_backend(backend, only="cumsum[float64*", random_graphs=0, strict=True).ok


def test_a_wrong_value_and_a_refusal_are_found_with_backend_case_and_inputs():
    result = check_backend(Wrong(), only="si*[float64]", random_graphs=0, raising=False)
    assert {check.name for check in result.failures} == {"sin[float64]"}
    with pytest.raises(CheckError, match=r"backend wrong fails 'exp\[float64\]' for given inputs float64\(3, 4\)"):
        check_backend(Wrong(), only="exp[float64]", random_graphs=0)


def test_what_is_expected_to_fail_is_counted_with_its_reason_and_no_failure():
    result = check_backend(Wrong(), only="sin[float32]", random_graphs=0, expected={"sin[*]": "it has no sines"})
    (check,) = result.checks
    assert check.outcome is Outcome.EXPECTED and check.detail == "it has no sines (no sines here)"


def test_a_case_that_passes_against_expectation_is_reported():
    with pytest.raises(CheckError, match=r"fails 'cos\[float32\]'.*it passes, and was said to fail: nobody knows"):
        check_backend(Wrong(), only="cos[float32]", random_graphs=0, expected={"cos[float32]": "nobody knows"})


def test_an_expectation_that_names_no_case_is_reported():
    with pytest.raises(CheckError, match=r"no case is called 'coss\[\*\]', which is said to fail"):
        check_backend(Wrong(), only="cos[float32]", random_graphs=0, expected={"coss[*]": "a slip"})


def test_cases_of_an_op_pack_are_run_beside_those_of_the_suite():
    mine = OpCase("mine", lambda x: ct.sin(x), (random(3),))
    with pytest.raises(CheckError, match="fails 'mine' for given inputs"):
        check_backend(Wrong(), only="mine", cases=[mine], random_graphs=0)


def test_random_graphs_are_cases_too():
    class Small(Wrong):
        def compile_graph(self, graph):
            if len(graph.nodes) > 6:
                raise BackendError("no large graphs here")
            return Interpreted(graph)

    result = check_backend(Small(), only="graph *", random_graphs=40, raising=False)
    assert len(result.checks) == 40 and 0 < len(result.failures) < 40
    assert any("no large graphs here" in check.detail for check in result.failures)


def test_what_python_computes_fails_where_a_backend_is_to_do_without():
    compiled = [name for name in available_backends() if name != "interpreter"]
    case = OpCase("sorted", Sorted(), (random(4),))
    for name in compiled:
        result = check_backend(name, only="sorted", cases=[case], random_graphs=0)
        assert "Python computes Sorted there" in result.checks[-1].detail
        with pytest.raises(CheckError, match="Python computes Sorted there"):
            check_backend(name, only="sorted", cases=[case], random_graphs=0, strict=True)


def test_a_pattern_without_a_case_is_an_error():
    with pytest.raises(BackendError, match=r"check_backend\(only='nothing'\) leaves no case to run"):
        check_backend("interpreter", only="nothing", random_graphs=0)
