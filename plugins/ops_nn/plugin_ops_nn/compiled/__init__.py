"""Convolution as C calls it: the routines that generated code is given, and their text in the .h files."""
