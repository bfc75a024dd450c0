"""The libraries of the shim, as a driver of the backend takes what makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plugin_backend_cuda.shim.blas import HostBlas
from plugin_backend_cuda.shim.fft import HostFft
from plugin_backend_cuda.shim.solver import HostSolver
from plugin_backend_cuda.shim.sparse import HostSparse


def makers(do: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """What makes those of products, decompositions, Fourier transforms and sparse systems.

    do  HostDriver's: runs what is queued, in its order
    """
    return (
        lambda stream, number, workspace: HostBlas(stream, do, workspace),
        lambda stream, number: HostSolver(stream, do),
        lambda stream, number, allocate: HostFft(stream, do, allocate),
        lambda stream, number: HostSparse(stream, do),
    )
