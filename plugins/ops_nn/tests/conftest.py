"""Convolution and windows by loops in Python."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest


def sizes(given, ndim):
    return tuple(given) if isinstance(given, (tuple, list)) else (given,) * ndim


def paddings(padding, lengths, spans, strides):
    """Pairs (before, behind) for each axis."""
    if padding == "same":
        totals = [max((-(-n // s) - 1) * s + span - n, 0) for n, span, s in zip(lengths, spans, strides, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    if padding == "valid":
        padding = 0
    return [p if isinstance(p, tuple) else (p, p) for p in sizes(padding, len(lengths))]


def windows(x, taps, stride=1, padding=0, dilation=1, fill=0):
    """Yields the number of each window, and the window: (n, c, *taps)."""
    ndim = len(taps)
    strides, dilations = sizes(stride, ndim), sizes(dilation, ndim)
    spans = [(k - 1) * d + 1 for k, d in zip(taps, dilations, strict=True)]
    around = paddings(padding, x.shape[2:], spans, strides)
    x = np.pad(x, [(0, 0), (0, 0), *around], constant_values=fill)
    counts = [(n - span) // s + 1 for n, span, s in zip(x.shape[2:], spans, strides, strict=True)]
    for window in itertools.product(*map(range, counts)):
        cuts = (slice(o * s, o * s + span, d) for o, s, span, d in zip(window, strides, spans, dilations, strict=True))
        yield window, x[(slice(None), slice(None), *cuts)]


def of_each(x, taps, made, channels, **geometry):
    """An array (n, channels, *windows) of ``made(window)``, (n, channels) for each."""
    found = dict(windows(x, taps, **geometry))
    counts = [n + 1 for n in max(found)]
    out = np.zeros((x.shape[0], channels, *counts), x.dtype)
    for window, values in found.items():
        out[(slice(None), slice(None), *window)] = made(values)
    return out


def convolution(x, w, stride=1, padding=0, dilation=1, groups=1):
    filters, channels = w.shape[0], w.shape[1]

    def made(window):
        out = np.zeros((len(window), filters), np.result_type(x, w))
        for f in range(filters):
            first = f // (filters // groups) * channels
            out[:, f] = (window[:, first : first + channels] * w[f]).sum(axis=tuple(range(1, window.ndim)))
        return out

    x = x.astype(np.result_type(x, w))
    return of_each(x, w.shape[2:], made, filters, stride=stride, padding=padding, dilation=dilation)


@pytest.fixture(scope="session")
def by_loops():
    """Element by element, in Python: slow, and too plain to be wrong."""
    return SimpleNamespace(convolution=convolution, of_each=of_each)
