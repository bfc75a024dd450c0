"""Graphs and compiled functions as text: debugprint (a tree), pprint (an expression), explain (what a compile did)."""

from core.printing.debugprint import debugprint
from core.printing.explain import Explanation, explain
from core.printing.pprint import pprint

__all__ = ["Explanation", "debugprint", "explain", "pprint"]
