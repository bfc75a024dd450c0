"""Lengths that an earlier step computes: who launches a kernel reads them, and the kernel is told what follows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.device.opened import Opened
from core.device.space import Space
from core.ir.target import Target
from core.testing.devices import NumpyDevice


@pytest.mark.parametrize("lanes", [1, 4], ids=["pieces", "groups"])
def test_what_follows_from_a_late_length_is_an_argument_and_not_written_out(lanes):
    backend = Opened("numpy", Space(NumpyDevice(Target(units=3, lanes=lanes, piece=2))))
    x = ct.vector("x")
    f = core.function([x], ct.sqrt(x[x > 0]).sum(), backend=backend)
    (text,) = f.sources.values()
    assert "sum" in text and max(map(len, text.splitlines())) < 500
    for values in (np.arange(-5.0, 60.0), np.array([-1.0]), np.zeros(0)):
        assert_allclose(f(values), np.sqrt(values[values > 0]).sum())
