"""The pack's own rules, by stage; the hook ``rewrites`` hands them to core."""

from core.rewriting import RuleSet

stabilize = RuleSet("stabilize")  # less rounding, overflow and cancellation, and fewer operations
specialize = RuleSet("specialize")  # what structure makes cheaper
fuse = RuleSet("fuse")  # the last: what was there for the rules alone goes
