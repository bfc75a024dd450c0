"""The error of this pack: a matrix that an op cannot work with."""

from __future__ import annotations

import numpy as np

from core.errors import CoreError


class LinAlgError(CoreError, np.linalg.LinAlgError):
    """A matrix is not square, not finite, singular, not positive definite, or an iteration did not converge."""
