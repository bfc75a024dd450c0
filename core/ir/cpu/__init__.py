"""Schedules for a CPU.

alike.py           groups that are alike have one schedule
schedule.py        a group of items becomes one nest of loops
scatters.py        loops that store at places known only when they run
collapse.py        loops that walk through memory without a gap become one
periods.py         a loop over what was merged, or repeats, becomes loops over its factors
ranges.py          a loop is cut where a condition on its variable changes
strips.py          a loop that jumps in memory goes a strip at a time
wide.py            long rows are reduced in many registers side by side
lanes.py           a loop over neighbours moves inside the loops that it contains
blocks.py          a loop around short ones runs for a block of its iterations at a time, one in each lane
epilogues.py       what is made of reduced rows is computed for a tile of them
computed_again.py  what several loops over the lanes of a row compute, held by the first
arrays.py          short scratch lies on the stack
parallel.py        loops for threads
"""
