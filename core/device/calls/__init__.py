"""Calls that C queues: what the extension modules of several drivers have in common, as text.

calling.h    the object that is called, results, cells of shared variables
classes.h    arrays of a device as C sees them
recording.h  the commands of one call, and the memory that calls use by turns
made.h       how recordings are made of what Python says
call.h       a call, and the module
building.py  building a module; an installer runs it by itself
"""
