"""Pointers to BLAS, without the import of all of SciPy's linear algebra."""

import ctypes

import pytest

from plugin_backend_c import blas, products

KINDS = ((ctypes.c_int,), (None, ctypes.c_int))
USE = """
from plugin_backend_c import blas
import numpy as np, core, core.tensor as ct
x = ct.dmatrix("x")
a = np.arange(6.0).reshape(2, 3)
np.testing.assert_allclose(core.function([x], x @ x.T, backend="c")(a), a @ a.T)
"""


def test_routines_are_addresses():
    functions = {name: routine for routine in products.ROUTINES.values() for name in routine.functions}
    assert len({routine.address(name) for name, routine in functions.items()}) == len(functions)


def test_threads_of_blas_can_be_counted_and_set():
    get, put = (ctypes.CFUNCTYPE(*kind)(address) for kind, address in zip(KINDS, blas.threads(), strict=True))
    before = get()
    put(1)
    assert get() == 1
    put(before)
    assert get() == before


def test_a_program_imports_nothing_of_scipy_where_its_library_can_be_had(python):
    assert python(USE + "import sys\nprint('scipy' in sys.modules, blas._openblas() is not None)") == "False True\n"


ELSEWHERE = "from plugin_backend_c import blas\nblas._openblas = lambda: None\n"  # SciPy is built in another way


def test_the_extension_is_loaded_without_its_package(python):
    said = python(ELSEWHERE + USE + "import sys\nprint('scipy.linalg' in sys.modules)")
    assert said == "False\n"


def test_without_the_library_of_its_wheel_the_extension_gives_addresses(python):
    assert python(ELSEWHERE + USE + "print(blas.threads(), blas.address('dgemm') > 0)") == "None True\n"


def test_scipy_linalg_imported_later_shares_the_extension(python):
    python(
        ELSEWHERE
        + USE
        + """
import sys
mine = blas._extension()
import scipy.linalg.cython_blas, scipy.linalg.cython_lapack, scipy.optimize
assert scipy.linalg.cython_blas is sys.modules["scipy.linalg.cython_blas"] is mine
np.testing.assert_allclose(scipy.linalg.solve(np.eye(2) * 2, np.ones(2)), [0.5, 0.5])
"""
    )


def test_scipy_linalg_imported_before_is_used(python):
    python(
        """
import scipy.linalg.cython_blas
from plugin_backend_c import blas
assert blas._extension() is scipy.linalg.cython_blas
"""
        + USE
    )


@pytest.mark.parametrize("spoil", ["find_spec", "PathFinder", "module_from_spec"])
def test_where_the_extension_cannot_be_had_alone_the_package_is_imported(python, spoil):
    python(
        f"""
{ELSEWHERE}
blas.{spoil} = None
assert blas._extension().__name__ == "scipy.linalg.cython_blas"
"""
        + USE
    )


def test_both_ways_give_the_same_addresses(python):
    addresses = ELSEWHERE + "print(blas.address('sgemm') - blas.address('dgemm'))"
    assert python(addresses) == python("import scipy.linalg\n" + addresses)
