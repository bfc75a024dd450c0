"""Loops in a graph: ``scan``, what is made of it, its derivatives, and what makes it faster.

form.py says what a scan's arguments are; op.py is the op; build.py makes one of a user's function; reverse.py,
forward.py and stacks.py differentiate it and compute it for stacks.
"""

from core.scanning.arguments import until
from core.scanning.build import scan
from core.scanning.family import foldl, foldr, map, reduce

__all__ = ["foldl", "foldr", "map", "reduce", "scan", "until"]
