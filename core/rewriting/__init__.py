"""Rewriting: patterns, rules in stages, and the engine that applies them.  Knows graph and op, no tensor."""

from core.rewriting.engine import Fired, RewriteLog, rewrite
from core.rewriting.folding import constant_folding
from core.rewriting.merge import merge
from core.rewriting.pattern import Pattern, declare_commutative, match
from core.rewriting.stages import (
    STAGES,
    Rule,
    RuleSet,
    canonicalize,
    fuse,
    rules_from_record,
    specialize,
    stabilize,
    with_records,
)

__all__ = [
    "STAGES",
    "Fired",
    "Pattern",
    "RewriteLog",
    "Rule",
    "RuleSet",
    "canonicalize",
    "constant_folding",
    "declare_commutative",
    "fuse",
    "match",
    "merge",
    "rewrite",
    "rules_from_record",
    "specialize",
    "stabilize",
    "with_records",
]
