"""What core itself registers, through the same hooks as anybody's pack: core has no private door."""

from __future__ import annotations

from core.markers import hookimpl
from core.records import Backend, OpPack, Rewrite


@hookimpl
def backends() -> list[Backend]:
    return [Backend("interpreter", dialect=None, ref="core.compile.interpreter:driver", priority=0)]


@hookimpl
def ops() -> list[OpPack]:
    return [OpPack("tensor", "core.tensor", help="the basic tensor family, also `import core.tensor as ct`")]


@hookimpl
def rewrites() -> list[Rewrite]:
    stages = ("canonicalize", "stabilize", "specialize", "fuse")
    tensor = [Rewrite("tensor", stage, fn=f"core.tensor.rules:{stage}") for stage in stages]
    loops = [
        Rewrite("scan", stage, fn=f"core.scanning.rules:{stage}", about="core.scanning.op")
        for stage in ("canonicalize", "specialize")
    ]
    return [*tensor, *loops]
