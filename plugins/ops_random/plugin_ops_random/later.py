"""Distributions whose files are imported when they are used: they need loops and special functions."""

_NAMES = {
    "gammas": (
        "beta chisquare dirichlet f gamma inverse_gamma log_gamma "
        "standard_gamma standard_t student_t vonmises wald".split()
    ),
    "counts": "binomial multinomial negative_binomial poisson".split(),
}
LATER = {name: f"plugin_ops_random.{home}" for home, names in _NAMES.items() for name in names}
