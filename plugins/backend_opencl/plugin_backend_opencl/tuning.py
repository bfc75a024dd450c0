"""Which tile suits a device: some shapes are tried out when the first large product comes, and the best is remembered.

It is kept in the folder of ``core cache path``, in a file for each device and version of its driver.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from core import cachedir, dtypes
from core.device.contract import Block, Strided
from core.errors import CoreError, OptionError
from plugin_backend_opencl.added import ONCE, Added
from plugin_backend_opencl.tiles import Tile, TileProducts, packed_bytes

_TRIED = 384  # rows and columns of the product that is timed
_LARGE = 256**3  # multiplications from which a product is worth the time: about a second for each dtype, once
_ROUNDS = 8  # in which the candidates take turns, so that a busy moment hits all alike
_VECTOR_BYTES = 32


def candidates(dtype: str, vectors: bool) -> list[Tile]:
    """Shapes worth trying; the first is taken until one has been.

    Twelve vectors of sums, for which AVX2 has registers enough, take LLVM 14 twice as long as eight or ten.
    """
    if not vectors:
        return [Tile(8, 1), Tile(4, 4), Tile(8, 2), Tile(8, 4), Tile(16, 2)]
    lanes = _VECTOR_BYTES // dtypes.size_bytes(dtype)
    return [Tile(rows, count * lanes) for rows, count in ((4, 2), (5, 2), (3, 3), (8, 1), (3, 4))]


class Tiles:
    """Products of one device, with the best tiles that are known for it."""

    def __init__(self, device: Any):
        self._device = device
        self._tiles: dict[str, Tile] = {}
        self._made: dict[tuple[str, Tile, bool], TileProducts] = {}
        self._packed: Block | None = None

    def multiply(self, a: Strided, b: Strided, c: Strided, added: Added = ONCE) -> None:
        """Queue a product for each of a stack of one axis; no length is 0."""
        dtype, work = c.dtype, c.shape[-2] * c.shape[-1] * a.shape[-1]
        if dtype not in self._tiles and work >= _LARGE:
            self._tiles[dtype] = _remembered(self._device, dtype) or self._best(dtype)
        first = candidates(dtype, bool(self._device.facts.dialect.vectors))[0]
        key = (dtype, self._tiles.get(dtype, first), added.adds)
        if key not in self._made:
            self._made[key] = TileProducts(self._device, *key)
        self._run(self._made[key], a, b, c, added)

    def _run(self, products: TileProducts, a: Strided, b: Strided, c: Strided, added: Added = ONCE) -> None:
        packed = None
        if self._device.facts.dialect.vectors:
            wanted = packed_bytes(b, products.tile)
            if self._packed is None or self._packed.size_bytes < wanted:
                if self._packed is not None:
                    self._device.release(self._packed)
                self._packed = self._device.allocate(wanted)
            packed = self._packed
        products.multiply(a, b, c, packed, added)

    def _best(self, dtype: str) -> Tile:
        """Time each candidate on a product of its own, and remember the quickest."""
        device, n = self._device, _TRIED
        blocks = [device.allocate(n * n * dtypes.size_bytes(dtype)) for _ in range(3)]
        try:
            for block in blocks:
                device.fill(block, 0, block.size_bytes)
            a, b, c = (Strided(block, dtype, (1, n, n), (0, n, 1), 0) for block in blocks)
            found: dict[Tile, float] = {}
            tried = candidates(dtype, bool(device.facts.dialect.vectors))
            made = {tile: TileProducts(device, dtype, tile) for tile in tried}
            for number in range(1 + _ROUNDS):
                for tile, products in made.items():
                    start = time.perf_counter()
                    self._run(products, a, b, c)
                    device.synchronize()
                    if number:  # at first the driver compiles
                        found[tile] = min(found.get(tile, float("inf")), time.perf_counter() - start)
        finally:
            for block in blocks:
                device.release(block)
        best = min(found, key=lambda tile: found[tile])
        _remember(device, dtype, best)
        return best


def _file(device: Any) -> Path | None:
    """What is remembered of a device; None where no folder can be written."""
    of, tried = device.cl_device, candidates("float32", bool(device.facts.dialect.vectors))
    identity = (of.platform.version, of.name, of.version, of.driver_version, f"{tried} {_ROUNDS}")
    key = hashlib.sha256("\n".join(identity).encode()).hexdigest()
    try:
        return cachedir.subfolder("opencl") / f"tiles-{key[:24]}.json"
    except (OptionError, CoreError, RuntimeError):
        return None


def _read(file: Path | None) -> dict[str, list[int]]:
    try:
        found = json.loads(file.read_text()) if file is not None else {}
    except (OSError, ValueError):  # none yet, or damaged
        return {}
    return found if isinstance(found, dict) else {}


def _remembered(device: Any, dtype: str) -> Tile | None:
    known = _read(_file(device)).get(dtype)
    offered = candidates(dtype, bool(device.facts.dialect.vectors))
    return next((tile for tile in offered if [tile.rows, tile.columns] == known), None)


def _remember(device: Any, dtype: str, tile: Tile) -> None:
    file = _file(device)
    if file is None:
        return
    content = {**_read(file), dtype: [tile.rows, tile.columns]}
    try:
        cachedir.put(file, json.dumps(content).encode())
    except OSError:  # a full disk: it is tried again next time
        return
