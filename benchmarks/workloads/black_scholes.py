"""Prices of European options (Black and Scholes, 1973): elementwise, with logarithm, exponential and error function."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads.base import FORWARD, GRADIENT, Case, Family, NumPyFunctions

RATE, VOLATILITY = 0.02, 0.3
_ROOT_HALF = 0.7071067811865476


def _inputs(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    """Price of the stock, strike, years to run."""
    return [rng.uniform(10, 50, n), rng.uniform(10, 50, n), rng.uniform(0.25, 3, n)]


def _parts(m: Any, price: Any, strike: Any, years: Any) -> tuple[Any, Any, Any]:
    deviation = VOLATILITY * m.sqrt(years)
    d1 = (m.log(price / strike) + (RATE + 0.5 * VOLATILITY**2) * years) / deviation
    return d1, d1 - deviation, strike * m.exp(-RATE * years)


def _normal(m: Any, x: Any) -> Any:
    return 0.5 + 0.5 * m.erf(_ROOT_HALF * x)


def _call_and_put(m: Any, price: Any, strike: Any, years: Any) -> Any:
    d1, d2, discounted = _parts(m, price, strike, years)
    call = price * _normal(m, d1) - discounted * _normal(m, d2)
    return call, call + discounted - price


def _call(m: Any, price: Any, strike: Any, years: Any) -> Any:
    d1, d2, discounted = _parts(m, price, strike, years)
    return price * _normal(m, d1) - discounted * _normal(m, d2)


def _greeks(price: np.ndarray, strike: np.ndarray, years: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    """In closed form: price * density(d1) equals discounted * density(d2), so most terms cancel."""
    m = NumPyFunctions
    d1, d2, discounted = _parts(m, price, strike, years)
    delta, inside = _normal(m, d1), _normal(m, d2)
    density = np.exp(-0.5 * d1 * d1) * 0.3989422804014327
    by_years = price * density * (0.5 * VOLATILITY) / np.sqrt(years) + RATE * discounted * inside
    return [g * delta, -g * discounted / strike * inside, g * by_years]


BLACK_SCHOLES = Family("black_scholes", _inputs, _call_and_put, "transcendental", tiny=(7,))
GREEKS = Family("black_scholes", _inputs, _call, "transcendental", _greeks, wrt=(0, 1, 2), tiny=(7,))

CASES = [
    *(
        Case(BLACK_SCHOLES, FORWARD, dtype, (n,), quick=(dtype, n) == ("float64", 10**6))
        for dtype, sizes in [("float64", (100, 10**4, 10**6, 10**7)), ("float32", (10**4, 10**6))]
        for n in sizes
    ),
    *(
        Case(GREEKS, GRADIENT, dtype, (n,), quick=(dtype, n) == ("float64", 10**4))
        for dtype in ("float64", "float32")
        for n in (10**4, 10**6)
    ),
]
