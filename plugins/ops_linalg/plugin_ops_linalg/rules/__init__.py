"""The rewrite rules of the pack: what structure saves.  Importing this fills the sets of the stages."""

from plugin_ops_linalg.rules import determinants, factors, products, sharing, systems
from plugin_ops_linalg.rules.sets import fuse, specialize, stabilize

__all__ = ["determinants", "factors", "fuse", "products", "sharing", "specialize", "stabilize", "systems"]
