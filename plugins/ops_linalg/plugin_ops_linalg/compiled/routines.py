"""The routines that generated C calls, by name."""

from plugin_ops_linalg.compiled import factors, functions, systems

_REAL = ("potrf_gradient",)  # complex matrices have rules instead
_ALL = {**factors.ROUTINES, **systems.ROUTINES, **functions.ROUTINES}
ROUTINES = {**_ALL, **{f"{name}_complex": found for name, found in _ALL.items() if name not in _REAL}}
