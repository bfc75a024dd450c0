"""The routines in C: their calls, and their text."""
