"""The two markers of the plugin interface; ``core.hookimpl`` and ``core.hookspec`` are these.

A module of its own, so that a plugin which imports ``hookimpl`` pays for nothing else.
"""

from __future__ import annotations

import pluggy

PROJECT = "core"
API_GROUP = "core.v1"  # the entry-point group: its number is the major version of the plugin interface

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
