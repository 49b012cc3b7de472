"""Learning curves and what they say data is worth: kept-sample, pool and compute multipliers.

A curve is made non-increasing by isotonic regression (the mean of two sizes whose order is wrong
replaces both: more data of one kind is taken to never hurt, so a rise is noise; `Curve.rise` tells
how large it was), then read between sizes by the monotone cubic of Fritsch & Carlson (1980) on
log n. Straight lines lie above a convex curve and flatter the better arm: in simulated curves with
four-fold steps, 8 seeds and little noise, intervals of a true 2× covered it 25 to 40 % of times
with straight lines and over 90 % with the cubic. Nothing is read outside the measured sizes.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression

from training.arrays import FloatArray
from training.errors import UserError
from training.statistics.stats import LEAST_SEEDS, half_width

ROW_BLOCKS = 20
"""Groups of test rows that the jackknife leaves out in turn."""
GRID = 400
WIDEST_STEP = 5.0
"""Largest ratio of neighbouring sizes between which a curve is read."""

Censored = Literal["at least", "at most"]


@dataclass(frozen=True)
class Ratio:
    """A ratio of sizes with its 95 % interval; never extrapolated.

    Censored "at least" (or "at most"), `value` is the bound that the measured curve supports.
    `low` or `high` is None where the interval leaves the measured sizes on that side.
    """

    value: float
    low: float | None
    high: float | None
    censored: Censored | None
    at: float
    """The size, pool or number of steps at which it was read."""


Replicates = tuple[FloatArray, ...]
"""(1 × n) of all data, (seeds × n) without each seed, (blocks × n) without each block of rows."""


class ErrorCurve:
    """Errors of one arm by training size, a value for each seed.

    Args:
        sizes: rising training sizes (or steps), 2 to 8 as a rule.
        errors: (seeds × sizes), lower is better: 1 − accuracy or bits per byte. Or (seeds × sizes
            × test rows), whose rows then count as a sample, too; without them every interval is
            about these test rows alone.

    Raises:
        UserError: shapes disagree, sizes don't rise, a value isn't finite, or seeds are too few.
    """

    def __init__(self, sizes: npt.ArrayLike, errors: npt.ArrayLike) -> None:
        self.sizes: FloatArray = np.asarray(sizes, dtype=np.float64)
        table: FloatArray = np.asarray(errors, dtype=np.float64)
        fits = table.ndim in (2, 3) and table.shape[1:2] == self.sizes.shape
        if not fits or self.sizes.ndim != 1 or len(self.sizes) < 2:
            raise UserError(
                f"errors: shape {table.shape} with {self.sizes.size} sizes; needs (seeds, sizes) "
                "or (seeds, sizes, test rows) with at least 2 sizes"
            )
        if self.sizes[0] <= 0 or (np.diff(self.sizes) <= 0).any():
            raise UserError(f"sizes: {self.sizes.tolist()}; needs positive, rising sizes")
        if len(table) < LEAST_SEEDS:
            raise UserError(f"errors: {len(table)} seeds; at least {LEAST_SEEDS} are needed")
        if not np.isfinite(table).all():
            raise UserError("errors: a value is missing or not finite; leave that size out")
        self.errors: FloatArray = table if table.ndim == 3 else table[:, :, None]

    @cached_property
    def by_seed(self) -> FloatArray:
        """Return the (seeds × sizes) mean errors."""
        mean: FloatArray = self.errors.mean(axis=2)
        return mean

    @cached_property
    def rise(self) -> float:
        """Return the largest rise of the mean error from one size to the next; 0 if it falls."""
        return float(max(np.diff(self.by_seed.mean(axis=0)).max(), 0.0))

    @cached_property
    def replicates(self) -> Replicates:
        """Return the monotone mean, those without each seed, and those without each row block."""
        seeds, _, rows = self.errors.shape
        mean, by_row = self.by_seed.mean(axis=0), self.errors.mean(axis=0)
        parts = [mean[None], (seeds * mean - self.by_seed) / (seeds - 1)]
        blocks = [by_row[:, start::ROW_BLOCKS] for start in range(min(ROW_BLOCKS, rows))]
        if rows > 1:
            kept = [(rows * mean - block.sum(axis=1)) / (rows - block.shape[1]) for block in blocks]
            parts.append(np.array(kept))
        else:
            parts.append(np.empty((0, len(mean))))
        return tuple(_falling(part) for part in parts)

    def read(self, sizes: FloatArray) -> Replicates:
        """Return the errors at any measured `sizes` or between, as replicates × sizes."""
        x, wanted = np.log(self.sizes), np.log(sizes)
        return tuple(
            PchipInterpolator(x, part, axis=1)(wanted) if len(part) else np.empty((0, len(wanted)))
            for part in self.replicates
        )


def kept_multiplier(raw: ErrorCurve, curated: ErrorCurve, at: float | None = None) -> Ratio:
    """Return how many raw examples equal one curated example, at `at` curated examples.

    `at` is one of the curated sizes, the largest unless given. Both arms have the same seeds (and
    test rows) in the same order.
    """
    at = _measured(curated, at)
    return _divide(_size_of_equal_error(raw, curated, at), at, at)


def pool_multiplier(
    raw: ErrorCurve, curated: ErrorCurve, keep_share: float, at: float | None = None
) -> Ratio:
    """Return the raw pool needed over the pool that was curated, at `at` curated examples.

    Curating a pool of n / `keep_share` leaves n: 1.0 says that curation bought a smaller set of
    the same worth and nothing more. `Ratio.at` is the size of the pool.
    """
    if not 0 < keep_share <= 1:
        raise UserError(f"keep_share: {keep_share}; needs a share above 0 and up to 1")
    at = _measured(curated, at)
    return _divide(_size_of_equal_error(raw, curated, at), at / keep_share, at / keep_share)


def compute_multiplier(
    raw: ErrorCurve, curated: ErrorCurve, at: float | None = None, *, curator_steps: float = 0.0
) -> Ratio:
    """Return the raw steps needed over the curated steps; sizes of both curves are steps.

    `curator_steps` is the cost of curation in training steps; it is charged to curated.
    """
    if curator_steps < 0:
        raise UserError(f"curator_steps: {curator_steps}; needs 0 or more")
    at = _measured(curated, at)
    return _divide(_size_of_equal_error(raw, curated, at), at + curator_steps, at)


def same_quality(raw: ErrorCurve, curated: ErrorCurve, full: float | None = None) -> Ratio:
    """Return the share of the raw size at which curated reaches the quality of all raw data.

    0.4 is "the same quality with 40 % of the data". `full` is the largest raw size unless given.
    """
    full = _measured(raw, full)
    return _divide(_size_of_equal_error(curated, raw, full), full, full)


def _size_of_equal_error(searched: ErrorCurve, other: ErrorCurve, at: float) -> Ratio:
    """Return the size at which `searched` has the error of `other` at `at`, with its interval.

    The interval holds every measured size at which the two errors do not differ: the difference
    of the curves at a size has a delete-one-seed jackknife error (plus one over blocks of test
    rows, if there are rows), and Student-t of it is inverted over sizes (Fieller 1954). A
    jackknife of the log size itself breaks down where the curve is flat (it covered 83 to 88 %
    where this covered 94 to 99 %), and its replicates can be censored; those of an error can't.
    Where the sizes are too few or too far apart to know the shape between them (under 3, or more
    than five-fold steps), the ends move out to the next measured size, which needs no shape.
    """
    if searched.errors.shape[::2] != other.errors.shape[::2]:
        raise UserError(
            f"curves: (seeds, test rows) {searched.errors.shape[::2]} against "
            f"{other.errors.shape[::2]}; both arms need the same seeds and test rows"
        )
    first, last = float(searched.sizes[0]), float(searched.sizes[-1])
    sizes = np.union1d(np.geomspace(first, last, GRID)[1:-1], searched.sizes)
    column = int(np.searchsorted(other.sizes, at))
    (gap, *_), without_seed, without_rows = (
        curve - level[:, [column]]
        for curve, level in zip(searched.read(sizes), other.replicates, strict=True)
    )
    half = jackknife_half_width(without_seed, without_rows)
    value, low = _first_zero(sizes, gap), _first_zero(sizes, gap - half)
    high = _first_zero(sizes[::-1], -(gap + half)[::-1])
    if len(searched.sizes) < 3 or (searched.sizes[1:] > WIDEST_STEP * searched.sizes[:-1]).any():
        low = low and float(searched.sizes[searched.sizes <= low].max())
        high = high and float(searched.sizes[searched.sizes >= high].min())
    if value is None:
        return Ratio(first, low, high, "at most", at)
    return Ratio(value, low, high, "at least" if gap[-1] > 0 else None, at)


def _first_zero(sizes: FloatArray, height: FloatArray) -> float | None:
    """Return the first size at which `height` is no longer positive, the last size if none.

    None where it is negative from the start: no measured size is before the zero.
    """
    if height[0] < 0:
        return None
    if (height > 0).all():
        return float(sizes[-1])
    first = int(np.argmax(height <= 0))
    if height[first] == 0:
        return float(sizes[first])
    part = height[first - 1] / (height[first - 1] - height[first])
    return float(sizes[first - 1] * (sizes[first] / sizes[first - 1]) ** part)


def jackknife_half_width(without_seed: FloatArray, without_rows: FloatArray) -> FloatArray:
    """Return half the 95 % interval (per column) from replicates that leave one seed out each.

    Student-t over seeds plus, where there are replicates without a block of test rows, over rows.
    In simulations at 3 seeds it covers where the percentile bootstrap covers 69 to 77 %.
    """
    seed_part, item_part = _jackknife(without_seed), _jackknife(without_rows)
    return half_width(seed_part, len(without_seed) - 1, item_part, max(len(without_rows) - 1, 1))


def _jackknife(replicates: FloatArray) -> FloatArray:
    """Return the variance (per column) that leave-one-out replicates estimate; 0 without any."""
    count = max(len(replicates), 1)
    spread = replicates - replicates.sum(axis=0) / count
    variance: FloatArray = (count - 1) / count * (spread**2).sum(axis=0)
    return variance


def _falling(curves: FloatArray) -> FloatArray:
    """Return the nearest non-increasing curve to each row (isotonic least squares)."""
    return np.array([isotonic_regression(curve, increasing=False).x for curve in curves]).reshape(
        curves.shape
    )


def _measured(curve: ErrorCurve, at: float | None) -> float:
    at = float(curve.sizes[-1]) if at is None else float(at)
    if at not in curve.sizes:
        raise UserError(f"at: {at:g}; only {curve.sizes.tolist()} were measured")
    return at


def _divide(size: Ratio, by: float, at: float) -> Ratio:
    low, high = (end and end / by for end in (size.low, size.high))
    return Ratio(size.value / by, low, high, size.censored, at)
