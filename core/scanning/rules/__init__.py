"""The rewrite rules of scans, one file for each thing that becomes true.  Importing this fills the sets."""

from core.scanning.rules import handed_out, last_rows, outside, sequences_first, together, turned, unused
from core.scanning.rules.taken import canonicalize, specialize

__all__ = [
    "canonicalize",
    "handed_out",
    "last_rows",
    "outside",
    "sequences_first",
    "specialize",
    "together",
    "turned",
    "unused",
]
