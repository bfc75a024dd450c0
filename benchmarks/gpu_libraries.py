"""What needs a GPU and libraries: linear algebra against NumPy, packs and loops, arrays to and from other libraries."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import gpu_linalg
import gpu_packs
import numpy as np


def check() -> dict[str, str]:
    """What came out of each: "right", or what is wrong."""
    exchanges = {f"arrays of {name}": exchange for name, exchange in EXCHANGES.items()}
    steps = {**gpu_linalg.steps(), **gpu_packs.steps(), **exchanges}
    found = {}
    for name, step in steps.items():
        try:
            step()
            found[name] = "right"
        except ImportError as error:
            print(f"  {name}: left out: {error}")
            continue
        except Exception as error:  # each is a check of its own
            found[name] = f"{type(error).__name__}: {str(error)[:300]}"
        print(f"  {name}: {found[name]}", flush=True)
    return found


# --- arrays of other libraries ----------------------------------------------------------------------------------------


def _exchanged(into: Callable[[np.ndarray], Any], out: Callable[[Any], Any], host: Callable[[Any], np.ndarray]) -> None:
    """Arguments of their kind, straight, transposed and shifted, many times over; results go back to them."""
    import core
    import core.tensor as ct

    x = ct.matrix("x", dtype="float32")
    f = core.function([x], core.Out(x * 2 + 1, borrow=True), backend="cuda")
    a = np.random.default_rng(0).uniform(-1, 1, (513, 1027)).astype("float32")
    theirs = into(a)
    for view in (lambda t: t, lambda t: t.T, lambda t: t[1:, 1:], lambda t: t + 1):
        want = view(a) * 2 + 1
        for _ in range(3):
            np.testing.assert_allclose(host(out(f(view(theirs))) + 0), want, rtol=1e-5)
    again = theirs
    for _ in range(20):  # work on both sides in turns, nobody waiting
        again = out(f(again)) * 0.5
    want = a
    for _ in range(20):
        want = (want * 2 + 1) * np.float32(0.5)
    np.testing.assert_allclose(host(again), want, rtol=1e-4)


def _torch() -> None:
    torch: Any = importlib.import_module("torch")
    _exchanged(lambda a: torch.from_numpy(a).cuda(), torch.from_dlpack, lambda t: t.cpu().numpy())
    with torch.cuda.stream(torch.cuda.Stream()):
        _exchanged(lambda a: torch.from_numpy(a).cuda(), torch.from_dlpack, lambda t: t.cpu().numpy())
    _exchanged(
        lambda a: torch.from_numpy(a).cuda(), lambda t: torch.as_tensor(t, device="cuda"), lambda t: t.cpu().numpy()
    )


def _cupy() -> None:
    cupy: Any = importlib.import_module("cupy")
    _exchanged(cupy.asarray, cupy.from_dlpack, cupy.asnumpy)
    _exchanged(cupy.asarray, cupy.asarray, cupy.asnumpy)


def _jax() -> None:
    jax: Any = importlib.import_module("jax")
    _exchanged(lambda a: jax.device_put(a, jax.devices("gpu")[0]), jax.dlpack.from_dlpack, np.asarray)


EXCHANGES = {"PyTorch": _torch, "CuPy": _cupy, "JAX": _jax}
