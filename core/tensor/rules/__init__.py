"""The rewrite rules of the built-in tensor family, one file per family.  Importing this fills the stages."""

from core.rewriting.stages import canonicalize, fuse, specialize, stabilize
from core.tensor.rules import arithmetic, functions, indexing, products, reduce, shape, special

__all__ = [
    "arithmetic",
    "canonicalize",
    "functions",
    "fuse",
    "indexing",
    "products",
    "reduce",
    "shape",
    "special",
    "specialize",
    "stabilize",
]
