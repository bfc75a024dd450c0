"""Schedules for devices, whose loops are spread over work-items.

schedule.py    the schedules that a program asks for
group.py       which launches a group of items becomes
launch.py      writing one launch; elementwise work
rows.py        rows, each run by a group: softmax, layer norm
columns.py     sums over rows, made in the launch that makes the rows: gradients of weights
tiles.py       elementwise work that reads across the rows of an operand: x + x.T
reductions.py  reductions over what is spread out: parts, then the parts together
parts.py       what these have in common
stripes.py     those whose neighbouring results lie side by side, by groups: sums of columns
order.py       scatters
own.py         loops that an op writes itself
place.py       where elements lie once loops are flattened
positions.py   whether 32 bits are enough to split them into coordinates
launches.py    a kernel as launches: each of its outermost loops is one
barriers.py    where the lanes of a group must meet
"""
