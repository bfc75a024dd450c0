"""What the installer does besides copying files: it builds the libraries of plugin_backend_c/ready.py, where it can.

A wheel with them serves one Python on one kind of processor; without a compiler it is one that serves all.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildReady(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds into the source tree, from where an editable installation runs."""
        place = Path(self.root, "plugin_backend_c", "ready.py")
        spec = importlib.util.spec_from_file_location("ready", place)
        ready = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(ready)
        try:
            made, problems = ready.build(numpy_headers=_numpy_headers())
        except OSError as error:  # a source tree that cannot be written
            made, problems = [], [str(error)]
        for problem in problems:
            self.app.display_warning(f"left for the first use: {problem}")
        if made:
            build_data["artifacts"] += [str(path.relative_to(self.root)) for path in made]
            build_data["pure_python"], build_data["infer_tag"] = False, True


def _numpy_headers() -> str | None:
    try:
        import numpy
    except ImportError:  # built without isolation, in an environment that has none
        return None
    return numpy.get_include()
