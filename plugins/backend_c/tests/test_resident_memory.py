"""What calls keep of the system's memory, measured in processes of their own: nobody else's is counted."""

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

START = """
    import gc
    import resource

    import numpy as np

    import core
    import core.tensor as ct

    v, i = ct.dvector("v"), ct.lvector("i")
    A = np.zeros(5_000_000)


    def resident_bytes():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()


    def made(*graph):
        f = core.function(*graph, backend="c")
        assert (type(f.__call__).__name__ == "Call") == core.config["c.launcher"]
        return f
"""


@pytest.fixture(params=["with the launcher", "without"])
def own(request, python):
    """Runs a program in a new process: ``own(text)``.

    Every block of 64 KiB and more is the system's as soon as it is freed, so holes in the heap count for nothing.
    """
    launcher = str(int(request.param == "with the launcher"))
    return lambda text: python(START + text, CORE_C_LAUNCHER=launcher, MALLOC_MMAP_THRESHOLD_=str(1 << 16))


def test_kept_memory_is_bounded_and_can_be_given_back(own):
    own("""
    f = made([v], v + 1)
    f(A[:10])
    before = resident_bytes()
    for n in range(1, 40):
        f(A[: n * 100_000])
    grown = resident_bytes() - before
    assert grown < 300 << 20, grown  # all of them are 600 MB
    f(A)
    full = resident_bytes()
    f.free()
    given = full - resident_bytes()
    assert given > A.nbytes // 2, given
    """)


def test_many_calls_leave_nothing_behind(own):
    own("""
    f = made([v], {"a": v + 1, "b": v, "c": v.sum()})
    small, strided = np.zeros(7), np.zeros(14)[::2]
    for _ in range(1000):
        f(small), f(strided)
    before = resident_bytes()
    for _ in range(50_000):
        f(small), f(strided)
    grown = resident_bytes() - before
    assert grown < 8 << 20, grown  # a lost result at each call: 20 MB and more
    """)


def test_failed_calls_free_what_they_had_made(own):
    own("""
    f = made([v, i], [v * 2, v[i]])
    a = A[:1_000_000]
    before = resident_bytes()
    for _ in range(50):
        try:
            f(a, np.array([10**7]))
        except core.errors.IndexOutOfBounds:
            continue
        raise AssertionError("the index is out of bounds")
    grown = resident_bytes() - before
    assert grown < 20 * a.nbytes, grown
    """)
