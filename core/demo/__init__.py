"""``core demo``: two classifiers of handwritten digits, compiled, trained, and timed against plain NumPy."""
