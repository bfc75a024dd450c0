"""Every workload means what its reference says: in core on both backends, and in C by hand."""

from importlib.util import cache_from_source
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cold, graphs, workloads
from benchmarks.peers import c_peer, core_peer, numpy_peer
from benchmarks.peers.base import Unsupported
from core import backends
from core.dataclass import replace

TINY = {(case.kernel, case.dtype): replace(case, size=case.family.tiny) for case in workloads.CASES}
CASES = [pytest.param(case, id=f"{case.kernel}-{case.dtype}") for case in TINY.values()]
BY_HAND = [one for one in CASES if one.values[0].trait != "transform"]  # which is a library's work
IN_FLOAT64 = [
    pytest.param(case, id=case.kernel, marks=() if case.dtype == "float64" else pytest.mark.slow)
    for case in TINY.values()
]


def built(case, backend):
    """A workload in core; skipped where it needs a pack that is not installed."""
    try:
        return core_peer.build(case, case.inputs(), backend=backend)
    except Unsupported as reason:
        pytest.skip(str(reason))


def outcome(run):
    """What a workload gives when it is called once."""
    return run.results(run.call(*run.args))


@pytest.mark.parametrize("case", CASES)
def test_core_in_the_interpreter_agrees_with_the_reference(case):
    assert case.mismatch(outcome(built(case, "interpreter")), case.reference()) is None


@pytest.mark.parametrize("case", IN_FLOAT64)
def test_core_in_c_agrees_with_the_reference(case):
    if "c" not in backends() or not backends()["c"].devices:
        pytest.skip("no C backend works here")
    assert case.mismatch(outcome(built(case, "c")), case.reference()) is None


@pytest.mark.parametrize("case", BY_HAND)
def test_c_by_hand_agrees_with_the_reference(case, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CORE_BENCHMARKS_CACHE", str(tmp_path_factory.getbasetemp() / "kernels"))
    pytest.importorskip("scipy")
    try:
        c_peer.library()
    except (ImportError, OSError, c_peer.subprocess.CalledProcessError) as reason:
        pytest.skip(f"C by hand cannot be built here: {reason}")
    run = c_peer.build(case, case.inputs())
    assert case.mismatch(outcome(run), case.reference()) is None


@pytest.mark.parametrize("case", CASES)
def test_numpy_agrees_with_the_reference(case):
    run = numpy_peer.build(case, case.inputs())
    assert case.mismatch(outcome(run), case.reference()) is None


def test_c_by_hand_says_which_kernel_is_not_written():
    class Nothing:
        pass

    case = TINY["increment_forward", "float64"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(c_peer, "library", lambda threads: Nothing())
        with pytest.raises(Unsupported, match="nobody has written increment_forward yet"):
            c_peer.build(case, case.inputs())


def test_a_graph_of_many_nodes_agrees_with_the_reference():
    case = graphs.layers(30)
    run = core_peer.build(case, case.inputs(), backend="interpreter")
    assert case.mismatch(outcome(run), case.reference()) is None


def test_inputs_are_the_same_for_everybody_and_have_the_dtype():
    for case in TINY.values():
        first, second = case.inputs(), case.inputs()
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        wide = {"float32": "complex64", "float64": "complex128"}[case.dtype]
        assert {a.dtype.name for a in first} <= {case.dtype, wide, "int64"}


def test_names_select_workloads():
    assert {case.family.name for case in workloads.select("softmax_axis?,mlp")} == {
        "softmax_axis0",
        "softmax_axis1",
        "mlp",
    }
    assert all(case.quick for case in workloads.select(quick=True))
    assert not workloads.select("no such workload")


def test_models_that_are_compiled_cold_are_workloads():
    assert set(cold.MODELS.values()) <= set(workloads.BY_NAME)


def test_cores_modules_are_bytecode_before_a_start_is_timed():
    module = Path(cache_from_source(str(cold.ROOT / "core" / "__init__.py")))
    module.unlink(missing_ok=True)
    cold.Starts(["core"], cold.QUICK, 1, None, {}, print)
    assert module.exists()


# --- the guard: what is wrong is not timed ----------------------------------------------------------------------------


@pytest.fixture
def product():
    case = TINY["square_of_sum_gradient", "float64"]
    return case, case.reference()


def test_a_result_that_is_slightly_off_is_wrong(product):
    case, reference = product
    results = [out.copy() for out in reference]
    assert case.mismatch(results, reference) is None
    results[1][0] += 1e-6 * abs(results[1]).max()
    assert "result 1 is off by" in case.mismatch(results, reference)


def test_a_nan_or_infinity_where_there_is_a_number_is_wrong(product):
    case, reference = product
    for bad in (np.nan, np.inf):
        results = [out.copy() for out in reference]
        results[0][2] = bad
        assert "result 0 is off by inf" in case.mismatch(results, reference)


def test_a_missing_result_another_shape_and_another_dtype_are_wrong(product):
    case, reference = product
    assert case.mismatch(reference[:1], reference) == "1 results instead of 2"
    assert "shape (4,), not (5,)" in case.mismatch([reference[0], reference[1][:4]], reference)
    assert "is float32, not float64" in case.mismatch([reference[0], reference[1].astype("float32")], reference)


def test_a_step_with_a_wrong_gradient_is_wrong_though_the_parameters_hardly_change():
    case = TINY["mlp_step", "float32"]
    reference = case.reference()
    start = case.inputs()[0]
    results = [out.astype("float32") for out in reference]
    assert case.mismatch(results, reference) is None
    results[1] = start + np.float32(1.1) * (results[1] - start)
    assert np.allclose(results[1], reference[1], rtol=1e-3)
    assert "result 1 is off by" in case.mismatch(results, reference)
