"""Functions of NumPy and Theano that fewer programs use; each file is imported when one of its names is used."""
