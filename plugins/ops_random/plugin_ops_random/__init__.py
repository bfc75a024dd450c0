"""Random draws for core: keys, streams, and distributions with NumPy's names.

Only what plugins must say is here.  The functions, ``plugin_ops_random.normal`` or ``core.ops.random.normal``, are
those of plugin_ops_random/names.py, imported when the first of them is used.
"""

from core.lazy import lazy_names
from core.markers import hookimpl
from core.records import OpPack


@hookimpl
def ops() -> list[OpPack]:
    return [OpPack("random", "plugin_ops_random.names", help="random draws, the same bits on every backend")]


__getattr__, __dir__ = lazy_names(__name__)
