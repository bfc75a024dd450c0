"""Arrays and functions may die in any order."""

import gc

import numpy as np

import core
import core.tensor as ct


def test_results_outlive_the_function_that_made_them():
    """Memory that C allocated is released by C, so that code must still be there."""
    x = ct.dvector("x")
    results = []
    for k in range(3):
        f = core.function([x], x * 2.5 + k, backend="c")
        results.append(f(np.arange(1000.0)))
        del f
        gc.collect()
    for k, result in enumerate(results):
        np.testing.assert_array_equal(result, np.arange(1000.0) * 2.5 + k)
    del result, results
    gc.collect()


def test_a_cycle_of_function_and_result_can_be_collected():
    for k in range(20):
        state = core.shared(np.zeros(1000), name="state")
        f = core.function([], updates={state: state + k}, backend="c")
        f()
        cycle = [f, state]
        cycle.append(cycle)
        del f, state, cycle
    gc.collect()
