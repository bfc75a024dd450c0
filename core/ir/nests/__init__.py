"""What schedules for CPUs and for devices share.

items.py          what one item of a group computes, and who reads it
nest.py           a nest of loops while it is written
wishes.py         names for what it computes on its way
nan.py            which extremes need not look for NaN
accumulators.py   the registers of a reduction
strides.py        how far each loop moves in memory
vector_access.py  neighbouring elements taken together
copies.py         copies of statements, with locals of their own
places.py         statements without names for index arithmetic
"""
