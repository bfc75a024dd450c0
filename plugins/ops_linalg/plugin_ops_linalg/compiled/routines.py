"""The routines that generated C calls, by name."""

from plugin_ops_linalg.compiled import factors, functions, systems

ROUTINES = {**factors.ROUTINES, **systems.ROUTINES, **functions.ROUTINES}
