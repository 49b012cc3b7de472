"""Weighted least squares of laws that are linear but for their exponents.

For fixed exponents L = E + A·n^−α is linear in E and A, so a grid of exponents with non-negative
least squares finds the global minimum: no starts, no local minima.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from training.arrays import FloatArray

EXPONENTS = (0.02, 3.0)
COARSE = {1: 121, 2: 31}
"""Grid points for each exponent before zooming, by number of exponents."""
SHRINKS = 12
MOVES = 100
ROUNDS = 30
HUBER_AT = 1.345
"""Residual in standard deviations from which a point weighs less; 95 % efficient."""

Design = Callable[[FloatArray], FloatArray]
"""From (grid × exponents) to the terms of the law, (grid × terms × points)."""


@dataclass(frozen=True)
class Fit:
    """The best exponents and what goes with them."""

    exponents: FloatArray
    coefficients: FloatArray
    weights: FloatArray
    """Of the points; all 1 unless robust."""
    error: float
    """Weighted sum of squared residuals."""
    residuals: FloatArray
    """Relative: (measured − law) / measured."""

    def variance(self, parameters: int) -> float:
        """Return the variance of relative errors; of an M-estimator where weights are Huber's."""
        kept = (self.weights == 1).mean()
        free = len(self.residuals) - parameters
        return float(((self.weights * self.residuals) ** 2).sum() / free / kept**2)


def search(
    design: Design,
    losses: FloatArray,
    dimensions: int,
    robust: bool,
    weights: FloatArray | None = None,
) -> Fit:
    """Fit the exponents on a grid, then on ever smaller windows around the best point.

    Args:
        design: terms of the law for given exponents.
        losses: one a point, positive; errors are relative to them.
        dimensions: number of exponents, 1 or 2.
        robust: reweight by Huber's (1964) loss until the weights stand still.
        weights: of the points; equal unless given.
    """
    low, high = np.log(EXPONENTS)
    axis = np.linspace(low, high, COARSE[dimensions])
    weights = np.ones(len(losses)) if weights is None else weights
    fit = _best(design, _mesh(axis, dimensions), losses, robust, weights)
    window = np.linspace(-3, 3, 13) * (axis[1] - axis[0])
    least = window[-1] / 2**SHRINKS
    for _ in range(MOVES):
        middle = np.log(fit.exponents)
        grid = np.clip(middle + _mesh(window, dimensions), low, high)
        fit = _best(design, grid, losses, robust, fit.weights)
        if np.abs(np.log(fit.exponents) - middle).max() < window[-2]:  # not at the window's edge
            window = window / 2
        if window[-1] < least:
            break
    return fit


def solve(
    terms: FloatArray, losses: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return non-negative least squares coefficients (grid × terms) and errors (grid).

    With two or three terms every choice of the terms in use can be tried; the best one without a
    negative coefficient is the optimum (Lawson & Hanson 1974).
    """
    relative = terms / losses
    scale = np.sqrt((relative**2 * weights).sum(axis=2, keepdims=True))
    columns = relative / scale
    gram = (columns * weights) @ columns.transpose(0, 2, 1)
    moment = columns @ weights
    count = terms.shape[1]
    found, lowest = np.zeros(terms.shape[:2]), np.zeros(len(terms))
    for size in range(1, count + 1):
        for used in map(list, combinations(range(count), size)):
            part = np.linalg.solve(gram[:, used][:, :, used], moment[:, used, None])[:, :, 0]
            error = -(part * moment[:, used]).sum(axis=1)
            better = (part >= 0).all(axis=1) & (error < lowest)
            lowest[better] = error[better]
            found[better] = 0.0
            found[np.ix_(better, used)] = part[better]
    coefficients = found / scale[:, :, 0]
    misses = 1 - (coefficients[:, None, :] @ relative)[:, 0]
    return coefficients, (misses**2 * weights).sum(axis=1)


def robust_sd(residuals: FloatArray) -> float:
    """Return the standard deviation of normal residuals with this median size."""
    return float(1.4826 * np.median(np.abs(residuals)))


def _best(
    design: Design, grid: FloatArray, losses: FloatArray, robust: bool, weights: FloatArray
) -> Fit:
    exponents = np.exp(grid)
    terms = design(exponents)
    for _ in range(ROUNDS):
        used = weights
        coefficients, errors = solve(terms, losses, used)
        best = int(np.argmin(errors))
        residuals = 1 - coefficients[best] @ terms[best] / losses
        if robust:
            limit = HUBER_AT * max(robust_sd(residuals), 1e-9)
            weights = np.minimum(1.0, limit / np.maximum(np.abs(residuals), limit))
        if np.allclose(weights, used, rtol=1e-3, atol=0):
            break
    return Fit(exponents[best], coefficients[best], used, float(errors[best]), residuals)


def _mesh(axis: FloatArray, dimensions: int) -> FloatArray:
    return np.array(list(product(axis, repeat=dimensions)))
