"""The pool: blocks come back, fit again, and go when nobody needs them."""

import gc

import pytest

from core.device.pool import Pool, rounded
from core.errors import DeviceMemoryError
from core.ir.target import Target
from core.testing.devices import NumpyDevice


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1000, 4097, 10**6, 2**30 + 1])
def test_a_block_is_at_most_an_eighth_too_large(size):
    block = rounded(size)
    assert size <= block <= max(1.125 * size + 256, 256) and block % 256 == 0
    assert rounded(block) == block


def test_memory_that_was_let_go_serves_the_next_who_asks_for_as_much():
    device = NumpyDevice(Target(units=1))
    pool = Pool(device, keep_bytes=10_000)
    block = pool.take(1000).block
    gc.collect()
    assert pool.free_bytes == rounded(1000) and pool.take(990).block is block
    assert pool.held_bytes == rounded(1000)


def test_more_than_may_be_kept_goes_back_at_once():
    device = NumpyDevice(Target(units=1))
    pool = Pool(device, keep_bytes=1000)
    pool.take(2000)
    gc.collect()
    assert pool.held_bytes == pool.free_bytes == device.held_bytes == 0


def test_where_there_is_none_left_the_error_says_what_is_held():
    pool = Pool(NumpyDevice(Target(units=1), memory_bytes=4096), keep_bytes=4096)
    kept = pool.take(2048)
    with pytest.raises(DeviceMemoryError, match="a thing needs 3000 bytes on numpy, which has 4096 .* 2048 are held"):
        pool.take(3000, lambda: "a thing")
    assert pool.take(2048).block is not kept.block
