"""What the installer does besides copying files: it builds the module of plugin_backend_opencl/ready.py, where it can.

A wheel with it serves one Python on one kind of processor; without a compiler it is one that serves all.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildReady(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds into the source tree, from where an editable installation runs."""
        place = Path(self.root, "plugin_backend_opencl", "ready.py")
        spec = importlib.util.spec_from_file_location("ready", place)
        ready = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(ready)
        try:
            made, problem = ready.build(numpy_headers=_numpy_headers())
        except OSError as error:  # a source tree that cannot be written
            made, problem = None, str(error)
        if made is None:
            self.app.display_warning(f"calls will be queued by Python: {problem}")
            return
        build_data["artifacts"].append(str(made.relative_to(self.root)))
        build_data["pure_python"], build_data["infer_tag"] = False, True


def _numpy_headers() -> str | None:
    try:
        import numpy
    except ImportError:  # built without isolation, in an environment that has none
        return None
    return numpy.get_include()
