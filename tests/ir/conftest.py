"""Functions that run on the oracle of the loop IR instead of a backend."""

import pytest

from core.compile.function import function
from core.ir.run import Driver


@pytest.fixture
def compiled():
    """``function`` on the oracle: no plugin is asked, no library is called, every access to memory is checked."""

    def compile(inputs, outputs, mode="none", **options):
        return function(inputs, outputs, backend=Driver("ir"), mode=mode, on_unused_input="ignore", **options)

    return compile
