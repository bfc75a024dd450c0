"""What the installer does besides copying files: it builds the module of plugin_backend_cuda/ready.py, where it can.

A wheel with it serves one Python on one kind of processor; without a compiler it is one that serves all.  Archives of
sources and wheels get a copy of the files that several plugins have.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "plugin_backend_cuda"


class BuildReady(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds into the source tree, from where an editable installation runs."""
        spec = importlib.util.spec_from_file_location("ready", Path(self.root, PACKAGE, "ready.py"))
        ready = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(ready)
        if not ready.COPY.is_dir():
            build_data["force_include"][str(ready.shared())] = f"{PACKAGE}/shared"
        if self.target_name == "wheel":
            self._build(ready, build_data)

    def _build(self, ready: Any, build_data: dict[str, Any]) -> None:
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
