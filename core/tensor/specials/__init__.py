"""Special functions beyond those of core.tensor.functions, with SciPy's names; a file is imported when it is used."""
