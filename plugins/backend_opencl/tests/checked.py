"""Runs functions on the OpenCL device at hand and compares them with the interpreter: `python checked.py pieces`.

Under oclgrind, which simulates a device and watches every access, this is the sample that CI takes: test_checked.py.
"""

import sys

import numpy as np

import core
import core.tensor as ct

x, v, i, w = ct.dmatrix("x"), ct.dvector("v"), ct.lvector("i"), ct.fmatrix("w")
loop = core.scan(lambda row, h: ct.tanh(row + h), sequences=x[:5], outputs_info=v)
GRAPHS = {
    "elementwise": [ct.where(x > 0, x * v, -x), w * 2],
    "sums": [x.sum(), x.sum(axis=0), x.sum(axis=1), w.mean(axis=0)],
    "extremes": [x.max(), x.min(axis=0), x.argmax(axis=1)],
    "softmax": [ct.softmax(x, axis=-1), ct.softmax(x, axis=0)],
    "layer norm": [(x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)],
    "gather and scatter": [x[i], core.grad((x[i] ** 2).sum(), x), ct.inc_subtensor(v[i], 1.0)],
    "writers that meet": [ct.set_subtensor(y, v[: y.shape[-1]]) for y in (x[i], x[:, i], v[i], x[i, i])],
    "running sums": [ct.cumsum(x, axis=0), ct.cumsum(x, axis=1)],
    "sorts": [ct.sort(x, axis=1), ct.argsort(v), ct.sort(w, axis=0)],
    "products": [x @ x.T, x @ v],
    "loops": [loop, core.grad((loop**2).sum(), v)],
    "views": [x.T + 1, x[::-1, ::2], ct.concatenate([x, x[:2]], axis=0), x.reshape((-1,))],
}


def main(schedule):
    rng = np.random.default_rng(0)
    values = {x: rng.normal(size=(37, 70)), v: rng.normal(size=70), i: np.array([3, 3, 0, 36, 3, -1])}
    values[w] = rng.normal(size=(5, 41)).astype("float32")
    with core.config.override({"opencl.schedule": schedule}):
        for name, outputs in GRAPHS.items():
            run = core.function(list(values), outputs, backend="opencl", on_unused_input="ignore")
            plain = core.function(list(values), outputs, backend="interpreter", on_unused_input="ignore")
            for got, want in zip(run(*values.values()), plain(*values.values()), strict=True):
                np.testing.assert_allclose(
                    got,
                    want,
                    rtol=1e-5 if want.dtype == "float32" else 1e-11,
                    atol=1e-6 if want.dtype == "float32" else 1e-11,
                )
            print("as it should be:", name, flush=True)
    print("all are as they should be")


if __name__ == "__main__":
    main(sys.argv[1])
