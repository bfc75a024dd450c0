"""Elementwise formulas and their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange


def kernels(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    return {**_calls(jit), **_paper(real, jit), **_chain(real, jit), **_black_scholes(real, jit)}


def _calls(jit: Callable[[Any], Any]) -> dict[str, Any]:
    @jit
    def one(x):
        out = np.empty_like(x)
        for i in range(x.size):
            out[i] = x[i] + 1
        return out

    @jit
    def five(a, b, c, d, e):
        x, y, z = np.empty_like(a), np.empty_like(a), np.empty_like(a)
        for i in range(a.size):
            x[i] = a[i] + b[i]
            y[i] = c[i] * d[i]
            z[i] = e[i] - a[i]
        return x, y, z

    return {"call_1_in_1_out_forward": one, "call_5_in_3_out_forward": five}


def _paper(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    two, three, ten = real(2), real(3), real(10)

    @jit
    def square(a, b):
        out = np.empty_like(a)
        for i in prange(a.size):
            out[i] = a[i] * a[i] + b[i] * b[i] + two * a[i] * b[i]
        return out

    @jit
    def square_gradient(a, b, g):
        ga, gb = np.empty_like(a), np.empty_like(a)
        for i in prange(a.size):
            ga[i] = gb[i] = g[i] * (two * a[i] + two * b[i])
        return ga, gb

    @jit
    def combination(a, b):
        out = np.empty_like(a)
        for i in prange(a.size):
            out[i] = two * a[i] + three * b[i]
        return out

    @jit
    def combination_gradient(a, b, g):
        ga, gb = np.empty_like(a), np.empty_like(a)
        for i in prange(a.size):
            ga[i] = two * g[i]
            gb[i] = three * g[i]
        return ga, gb

    @jit
    def increment(a):
        out = np.empty_like(a)
        for i in prange(a.size):
            out[i] = a[i] + real(1)
        return out

    @jit
    def power(a, b):
        out = np.empty_like(a)
        for i in prange(a.size):
            b2 = b[i] * b[i]
            b4 = b2 * b2
            out[i] = two * a[i] + b4 * b4 * b2
        return out

    @jit
    def power_gradient(a, b, g):
        ga, gb = np.empty_like(a), np.empty_like(a)
        for i in prange(a.size):
            b2 = b[i] * b[i]
            b4 = b2 * b2
            ga[i] = two * g[i]
            gb[i] = ten * (b4 * b4 * b[i]) * g[i]
        return ga, gb

    return {
        "square_of_sum_forward": square,
        "square_of_sum_gradient": square_gradient,
        "linear_combination_forward": combination,
        "linear_combination_gradient": combination_gradient,
        "increment_forward": increment,
        "tenth_power_forward": power,
        "tenth_power_gradient": power_gradient,
    }


def _chain(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    half, quarter, eighth, one, more = real(0.5), real(0.25), real(0.125), real(1), real(1.5)

    @jit
    def maximum(a, b):
        return a if a > b or a != a else b  # as NumPy's: NaN if one is

    @jit
    def minimum(a, b):
        return a if a < b or a != a else b

    @jit
    def chain(xs, ys):
        out = np.empty_like(xs)
        for i in prange(xs.size):
            x, y = xs[i], ys[i]
            t = x * y + half
            t = abs(t * t - x) + one
            u = math.sqrt(t) * y - t * quarter
            v = u / t
            v = maximum(v * v + x, y) * more - u
            w = minimum(v, t)
            out[i] = w * w + v * eighth
        return out

    @jit
    def chain_gradient(xs, ys, gs):
        gxs, gys = np.empty_like(xs), np.empty_like(xs)
        for i in prange(xs.size):
            x, y, g = xs[i], ys[i], gs[i]
            t1 = x * y + half
            t2 = t1 * t1 - x
            t = abs(t2) + one
            root = math.sqrt(t)
            u = root * y - t * quarter
            v1 = u / t
            v2 = v1 * v1 + x
            v = maximum(v2, y) * more - u
            gw = (one + one) * minimum(v, t) * g
            gv = eighth * g + (gw if v < t else real(0))
            gt = real(0) if v < t else gw
            gv2 = more * gv if v2 > y else real(0)
            gy = real(0) if v2 > y else more * gv
            gv1 = (one + one) * v1 * gv2
            gu = gv1 / t - gv
            gt += -gv1 * v1 / t - quarter * gu + half * gu * y / root
            gt2 = gt if t2 > 0 else -gt
            gt1 = (one + one) * t1 * gt2
            gxs[i] = gv2 - gt2 + gt1 * y
            gys[i] = gy + gu * root + gt1 * x
        return gxs, gys

    return {"chain_of_20_forward": chain, "chain_of_20_gradient": chain_gradient}


def _black_scholes(real: type, jit: Callable[[Any], Any]) -> dict[str, Any]:
    rate, volatility, half, root_half = real(0.02), real(0.3), real(0.5), real(0.7071067811865476)
    drift, density_at_0 = real(0.02 + 0.5 * 0.3**2), real(0.3989422804014327)

    @jit
    def prices(price, strike, years):
        call, put = np.empty_like(price), np.empty_like(price)
        for i in prange(price.size):
            deviation = volatility * math.sqrt(years[i])
            d1 = (math.log(price[i] / strike[i]) + drift * years[i]) / deviation
            d2 = d1 - deviation
            discounted = strike[i] * math.exp(-rate * years[i])
            inside1 = half + half * math.erf(root_half * d1)
            inside2 = half + half * math.erf(root_half * d2)
            call[i] = price[i] * inside1 - discounted * inside2
            put[i] = call[i] + discounted - price[i]
        return call, put

    @jit
    def greeks(price, strike, years, g):
        by_price, by_strike, by_years = np.empty_like(price), np.empty_like(price), np.empty_like(price)
        for i in prange(price.size):
            root = math.sqrt(years[i])
            deviation = volatility * root
            d1 = (math.log(price[i] / strike[i]) + drift * years[i]) / deviation
            d2 = d1 - deviation
            discount = math.exp(-rate * years[i])
            inside1 = half + half * math.erf(root_half * d1)
            inside2 = half + half * math.erf(root_half * d2)
            density = math.exp(-half * d1 * d1) * density_at_0
            by_price[i] = g[i] * inside1
            by_strike[i] = -g[i] * discount * inside2
            by_years[i] = g[i] * (price[i] * density * half * volatility / root + rate * strike[i] * discount * inside2)
        return by_price, by_strike, by_years

    return {"black_scholes_forward": prices, "black_scholes_gradient": greeks}
