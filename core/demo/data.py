"""The examples that the demo learns from: scikit-learn's digits, or a user's own file, split and scaled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import CoreError, DTypeError, ShapeError

TEST_SHARE = 0.2
FEWEST_EXAMPLES = 10


@dataclass(frozen=True)
class Examples:
    """Inputs (n, d) float64 between 0 and 1, labels (n,) int64 counted from 0, for training and for testing."""

    name: str
    classes: int
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The training examples in a new order, ``size`` at a time; the last batch may be smaller."""
        order = rng.permutation(len(self.train_x))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield self.train_x[chosen], self.train_y[chosen]


def digits(seed: int) -> Examples:
    """The 1797 handwritten digits of 8 by 8 pixels that scikit-learn ships (Alpaydin and Kaynak, 1998)."""
    from sklearn.datasets import load_digits  # an extra: core itself does not depend on it

    found: Any = load_digits()
    return split("handwritten digits, shipped with scikit-learn", found.data, found.target, seed)


def from_file(path: str | os.PathLike[str], seed: int) -> Examples:
    """Examples of an .npz file with x (n, d), numbers, and y (n,), whole numbers or names of classes.

    Errors  CoreError when the file cannot be read or lacks x or y; what ``split`` raises.
    """
    try:
        with np.load(path) as arrays:
            missing = [name for name in ("x", "y") if name not in arrays]
            if missing:
                raise CoreError(f"{path} needs arrays named x and y, got {', '.join(arrays) or 'none'}")
            x, y = arrays["x"], arrays["y"]
    except CoreError:
        raise
    except Exception as error:  # np.load raises OSError, ValueError, EOFError, BadZipFile, AttributeError
        raise CoreError(f"{path} cannot be read as an .npz file: {error}") from error
    return split(os.path.basename(path), x, y, seed)


def split(name: str, x: np.ndarray, y: np.ndarray, seed: int) -> Examples:
    """Shuffle by ``seed``, keep a fifth for testing, and scale the inputs to 0..1 by the range of the training part.

    Errors  ShapeError unless x is (n, d) and y is (n,), n at least 10; DTypeError unless x is real and finite and y
            names classes.
    """
    if x.ndim != 2 or y.shape != x.shape[:1] or len(x) < FEWEST_EXAMPLES:
        raise ShapeError(
            f"{name} needs x of shape (n, d) and y of shape (n,), n at least {FEWEST_EXAMPLES}; "
            f"got x {x.shape} and y {y.shape}"
        )
    if x.dtype.kind not in "biuf" or not np.isfinite(x).all():
        raise DTypeError(f"{name} needs finite real numbers in x, got {x.dtype} with a nan, an infinity or no number")
    if y.dtype.kind not in "biuUS":
        raise DTypeError(f"{name} needs classes in y, whole numbers or text; got {y.dtype}")
    classes, labels = np.unique(y, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(x))
    held = round(TEST_SHARE * len(x))
    test, train = order[:held], order[held:]
    low = float(x[train].min())
    width = float(x[train].max()) - low or 1.0
    scaled, labels = (x - low) / width, labels.astype("int64")
    return Examples(name, len(classes), scaled[train], labels[train], scaled[test], labels[test])
