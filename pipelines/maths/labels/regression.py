"""Logistic regression whose coefficients have the same bits on every machine.

A solver that multiplies floats through BLAS walks another way on another processor, and two rows of
a few thousand are then judged differently. Here vectors, coefficients and residuals are rounded to
grids so coarse that all partial sums of a product fit the 53 bits of a float64: whoever adds them
up, and in whatever order, gets the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pipelines.maths.arrays import Floats, Int64, Vectors
from pipelines.maths.elementary import exp

Block = tuple[Any, Int64]
"""Vectors, dense in float32 or sparse in float64, and their labels."""

BLOCK = 4096
"""Most rows multiplied at a time; with more, their residuals would need a coarser grid."""
ENOUGH = 1e-5
"""The solver stops where no slope is steeper. With scikit-learn's 1e-4, probabilities are off by
0.02."""
ITERATIONS = 1000
_FINE = 2.0**20
"""Vectors and residuals are whole multiples of 1 / _FINE."""
_BITS = 31
"""Of the largest coefficient, relative to the length of all of one class: 20 + 31 is below 53."""
_CACHED = 1 << 18
"""Numbers of a block that are turned into float64 at a time."""
_SPARSE = 0.1
"""Share of numbers that are not 0 up to which zeros are left out: as with hashed words."""
_MEMORY = 10
_STEPS = 20
_FLAT, _UPHILL = 0.9, 0.5


@dataclass(frozen=True)
class Linear:
    """Weights of each class."""

    coef: Floats
    """Shape (classes, dimensions)."""
    intercept: Floats
    """Shape (classes,)."""


def fit(vectors: npt.NDArray[np.floating], labels: Int64, classes: int, penalty: float) -> Linear:
    """Minimise the mean log loss plus penalty / 2 · |coef|², as scikit-learn's does.

    Two classes have one row of weights, that of the second; the first has zeros.

    Args:
        vectors: of length 1 at most, shape (n, dimensions).
        labels: 0 to classes - 1, each at least once, shape (n,).
        classes: at least 2.
        penalty: 1 / (C · n), where C is scikit-learn's.
    """
    blocks = tuple(_blocks(snapped(vectors), labels))
    loss = _Loss(blocks, len(labels), classes, penalty)
    found = minimum(loss.slope, np.zeros((classes, vectors.shape[1] + 1)))
    return Linear(found[:, :-1], found[:, -1])


def snapped(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Return vectors on the grid, which float32 holds exactly."""
    return np.asarray(np.rint(vectors.astype(np.float32) * np.float32(_FINE)) / np.float32(_FINE))


def scores(vectors: Any, linear: Linear) -> Floats:
    """Return the score of each class for vectors on the grid, dense or sparse."""
    lengths = np.sqrt((linear.coef * linear.coef).sum(axis=1, keepdims=True))
    grid = np.ldexp(1.0, _BITS - np.frexp(np.maximum(lengths, 1.0))[1])
    coef = np.rint(linear.coef * grid) / grid
    return np.asarray(_wide(vectors) @ coef.T + linear.intercept)


def softmax(raw: Floats) -> Floats:
    """Return exp(scores) scaled to sum 1 along the last axis, without overflow."""
    raised = exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class _Loss:
    """The penalised mean log loss of some rows."""

    blocks: tuple[Block, ...]
    rows: int
    classes: int
    penalty: float

    def slope(self, weights: Floats) -> Floats:
        """Return the gradient at weights of shape (classes, dimensions + 1), intercept last."""
        linear = Linear(weights[:, :-1], weights[:, -1])
        total = np.zeros_like(weights)
        for narrow, labels in self.blocks:
            vectors = _wide(narrow)
            residual = softmax(scores(vectors, linear))
            residual[np.arange(len(labels)), labels] -= 1.0
            residual = np.rint(residual * _FINE) / _FINE
            total[:, :-1] += (vectors.T @ residual).T
            total[:, -1] += residual.sum(axis=0)
        total /= self.rows
        total[:, :-1] += self.penalty * linear.coef
        if self.classes == 2:
            total[0] = 0.0
        return total


def _blocks(vectors: Vectors, labels: Int64) -> Iterator[Block]:
    """Yield the rows in blocks, sparse where most numbers are 0: sums are exact either way."""
    few = np.count_nonzero(vectors) <= _SPARSE * vectors.size
    size = BLOCK if few else min(BLOCK, max(64, _CACHED // vectors.shape[1]))
    for start in range(0, len(labels), size):
        block = vectors[start : start + size]
        yield (
            csr_array(block.astype(np.float64)) if few else block,
            labels[start : start + size],
        )


def _wide(vectors: Any) -> Any:
    """Return vectors in float64."""
    return vectors.astype(np.float64, copy=False)


@dataclass
class _Curvature:
    """The last steps and how the slope changed: L-BFGS (Liu & Nocedal 1989)."""

    pairs: list[tuple[Floats, Floats, float]] = field(default_factory=list)

    def note(self, step: Floats, change: Floats) -> None:
        """Remember one step, if the slope rose along it."""
        rise = _dot(step, change)
        if rise > 0:
            self.pairs = [*self.pairs[1 - _MEMORY :], (step, change, rise)]

    def direction(self, slope: Floats) -> Floats:
        """Return where to go from here: downhill, by the two-loop recursion."""
        if not self.pairs:
            return np.asarray(-slope / max(1.0, np.sqrt(_dot(slope, slope))))
        q, shares = slope.copy(), []
        for step, change, rise in reversed(self.pairs):
            shares.append(_dot(step, q) / rise)
            q -= shares[-1] * change
        _, change, rise = self.pairs[-1]
        q *= rise / _dot(change, change)
        for (step, change, rise), share in zip(self.pairs, reversed(shares), strict=True):
            q += (share - _dot(change, q) / rise) * step
        return np.asarray(-q)


def minimum(slope_at: Callable[[Floats], Floats], start: Floats) -> Floats:
    """Return about where a convex function is least, by L-BFGS on its gradient alone."""
    here, slope, curvature = start, slope_at(start), _Curvature()
    for _ in range(ITERATIONS):
        if np.abs(slope).max() <= ENOUGH:
            break
        way = curvature.direction(slope)
        there, ahead = _search(slope_at, here, way, _dot(slope, way))
        curvature.note(there - here, ahead - slope)
        here, slope = there, ahead
    return here


def _search(
    slope_at: Callable[[Floats], Floats], here: Floats, way: Floats, fall: float
) -> tuple[Floats, Floats]:
    """Go along `way` until the fall has become much flatter, and not far uphill again.

    Along a line the slope of a convex function only rises, so the place where it is 0 is bracketed
    by its signs, and the function itself is not needed.
    """
    length, low, high = 1.0, (0.0, fall), None
    for _ in range(_STEPS):
        there = here + length * way
        slope = slope_at(there)
        rise = _dot(slope, way)
        if _FLAT * fall <= rise <= -_UPHILL * fall:
            break
        if rise > 0:
            high = (length, rise)
        else:
            low = (length, rise)
        if high is None:
            length *= 2
        else:
            share = low[1] / (low[1] - high[1])
            length = low[0] + min(max(share, 0.1), 0.9) * (high[0] - low[0])
    return there, slope


def _dot(left: Floats, right: Floats) -> float:
    """Return the inner product of two arrays, added up by NumPy: in an order that is fixed."""
    return float((left * right).sum())
