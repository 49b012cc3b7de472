"""Paired statistics over seeds and test rows: intervals, p-values, equivalence, power.

Every function takes plain numpy arrays; no training framework is imported here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtridf, stdtrit

from training.arrays import FloatArray
from training.errors import UserError

LEVEL = 0.95
POWER = 0.80
PERMUTE_FROM = 6
"""Fewest seeds for a sign-flip p-value: five seeds cannot go below 2/2**5 = 0.0625."""
EXACT_UP_TO = 16
RESAMPLES = 50_000
SUBSETS_UP_TO = 10
"""Most seeds of which the power calculation visits every subset."""
DRAWS = 4096


@dataclass(frozen=True)
class Prior:
    """How a paired gap is expected to scatter, before it is measured."""

    seed_sd: float
    """Spread of the gap from seed to seed."""
    item_sd: float
    """Spread of the gap from test row to test row, as an average over seeds."""


PRIORS = {
    # Half a point between seeds; one test row in twenty answered differently by the two models.
    "accuracy": Prior(0.005, 0.05**0.5),
    # Five-gram byte models of 1 MB on 1,000 test windows of 1,000 bytes, raw with a fifth of
    # shuffled text against clean, and clean against clean, 5 seeds each: 0.001 to 0.009 between
    # seeds; 0.02 (one kind of prose) to 0.30 (documents of many kinds) between windows.
    "bits per byte": Prior(0.005, 0.15),
}


@dataclass(frozen=True)
class Estimate:
    """A mean difference with its two-way standard error (seeds and test rows)."""

    mean: float
    se: float
    df: float
    per_seed: tuple[float, ...]

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the two-sided Student-t interval at `level`."""
        half = t_quantile(0.5 + level / 2, self.df) * self.se
        return self.mean - half, self.mean + half

    @property
    def p_method(self) -> str:
        """Name how `p` is computed."""
        return "the larger of sign-flip and t" if len(self.per_seed) >= PERMUTE_FROM else "t"

    @property
    def p_t(self) -> float:
        """Two-sided p-value of t alone, for families: sign flips of few seeds cannot be adjusted.

        Six seeds give no sign-flip p below 0.031, so two comparisons could never be told by it.
        """
        return t_p(self.mean, self.se, self.df)

    @property
    def p(self) -> float:
        """Two-sided p-value of "no difference": t; from six seeds the larger of t and sign flips.

        Sign flips need no normal seeds but take the test rows as given: where all seeds share the
        luck of one test set they are sure of it. The t of the two-way error knows the rows, too.
        """
        p = t_p(self.mean, self.se, self.df)
        return max(p, sign_flip_p(self.per_seed)) if len(self.per_seed) >= PERMUTE_FROM else p


def estimate(differences: npt.ArrayLike, weights: FloatArray | None = None) -> Estimate:
    """Estimate the mean of a (seeds × test rows) array of paired differences.

    The variance is s²_seed/S + s²_item/N: seeds and test rows are both samples. The seed-by-row
    interaction is counted in both terms, so the interval errs on the wide side. Degrees of
    freedom are those that make the 95 % interval the one of `half_width`.

    With `weights` of the rows, such as the bytes of a document, the weighted mean is estimated; its
    error is that of a ratio of sums, linearised.
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise UserError(
            f"differences: shape {table.shape}; needs (seeds, test rows) with at least 2 of each"
        )
    seeds, items = table.shape
    shares = np.full(items, 1 / items) if weights is None else weights / weights.sum()
    per_seed = np.average(table, axis=1, weights=weights)
    by_item = table.mean(axis=0)
    off = shares * (by_item - np.average(by_item, weights=weights))
    seed_part = per_seed.var(ddof=1) / seeds
    item_part = (off**2).sum() * items / (items - 1)
    se = float((seed_part + item_part) ** 0.5)
    half = half_width(seed_part, seeds - 1, item_part, items - 1)
    df = float(stdtridf(0.5 + LEVEL / 2, half / se)) if se > 0 else float(seeds - 1)
    return Estimate(float(per_seed.mean()), se, df, tuple(float(d) for d in per_seed))


def half_width(
    seed_part: npt.ArrayLike, seed_df: float, item_part: npt.ArrayLike, item_df: float
) -> FloatArray:
    """Return half the 95 % interval of a mean with two parts of variance (Banerjee 1960).

    sqrt(t²_seed·seed_part + t²_item·item_part) never covers less than 95 %, and up to 97.5 % at 3
    and 96.5 % at 5 seeds. Satterthwaite's (1946) is narrower, but covers only 92 % at 3 seeds.
    """
    first, second = (stdtrit(df, 0.5 + LEVEL / 2) ** 2 for df in (seed_df, item_df))
    half: FloatArray = np.sqrt(first * np.asarray(seed_part) + second * np.asarray(item_part))
    return half


def t_quantile(probability: float, df: float) -> float:
    """Return the Student-t quantile."""
    return float(stdtrit(df, probability))


def t_p(mean: float, se: float, df: float) -> float:
    """Return the two-sided p-value of `mean` being zero."""
    if se == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(df, -abs(mean / se)))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided sign-flip p-value of symmetric differences around zero.

    It is about these test rows alone: their own sampling is not in it.
    Exact over all 2**S flips up to 16 seeds; above, 50,000 drawn flips with the observed one
    counted (Phipson & Smyth 2010), from a fixed generator so that the answer repeats.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) <= EXACT_UP_TO:
        signs = 1.0 - 2.0 * _subsets(len(values))
        extra = 0
    else:
        rng = np.random.default_rng(0)
        signs = rng.choice([1.0, -1.0], size=(RESAMPLES, len(values)))
        extra = 1
    observed = abs(values.sum())
    hits = np.abs(signs @ values) >= observed - 1e-12 * np.abs(values).sum()
    return float((hits.sum() + extra) / (len(signs) + extra))


def _subsets(count: int) -> npt.NDArray[np.int64]:
    """Return every subset of `count` things as a row of zeros and ones; the empty one first."""
    return np.arange(2**count)[:, None] >> np.arange(count) & 1


def equivalence_p(found: Estimate, delta: float) -> float:
    """Return the TOST p-value of |difference| < `delta` (Schuirmann 1987)."""
    if found.se == 0:
        return 0.0 if abs(found.mean) < delta else 1.0
    above = stdtr(found.df, -(found.mean + delta) / found.se)
    below = stdtr(found.df, (found.mean - delta) / found.se)
    return float(max(above, below))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's (1979) step-down adjusted p-values in the given order."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * (len(p) - np.arange(len(p)))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in adjusted]


def detectable(se: float, df: float) -> float:
    """Return the gap that the t interval alone finds with 80 % power, given its standard error.

    From six seeds sign flips must agree, too: `detectable_after` knows the whole rule.
    """
    return (t_quantile(0.5 + LEVEL / 2, df) + t_quantile(POWER, df)) * se


def detectable_before(seeds: int, items: int, prior: Prior = PRIORS["accuracy"]) -> float:
    """Return the detectable gap under a prior guess, before any run. See `_detectable`."""
    return _detectable(seeds, prior.seed_sd, prior.item_sd / items**0.5, max(items - 1, 1))


def detectable_after(found: Estimate) -> float:
    """Return the detectable gap under the spread that was measured, on many test rows."""
    seeds = len(found.per_seed)
    seed_part = float(np.var(found.per_seed, ddof=1)) / seeds
    item_part = max(found.se**2 - seed_part, 0.0)
    return _detectable(seeds, (seeds * seed_part) ** 0.5, item_part**0.5, item_df=1e6)


def _detectable(seeds: int, seed_sd: float, item_se: float, item_df: float) -> float:
    """Return the smallest true gap that "interval above 0 and p < .05" finds with 80 % power.

    Draws 4,096 experiments without a gap from a fixed generator; at most 50 ms, within 0.015 of
    the stated power. Interval and p are monotone in the gap, so each experiment has one gap from
    which on it would have been found: the answer is their 80th percentile. Six seeds need a
    larger gap than five do, because all six must have the same sign.
    """
    rng = np.random.default_rng(0)
    noise = rng.normal(0, seed_sd, (DRAWS, seeds))
    luck = rng.normal(0, item_se, DRAWS)
    seed_part = noise.var(axis=1, ddof=1) / seeds
    item_part = item_se**2 * rng.chisquare(item_df, DRAWS) / item_df
    needed = half_width(seed_part, seeds - 1, item_part, item_df) - noise.mean(axis=1)
    if seeds >= PERMUTE_FROM:
        needed = np.maximum(needed, _found_by_flips(noise, rng))
    return float(np.quantile(needed - luck, POWER))


def _found_by_flips(noise: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return for each row of (draws × seeds) the gap from which on its sign-flip p is < .05.

    It is one of the ordered means over subsets of the seeds (Hartigan 1969): with gap g the flips
    of subset A reach the observed mean if g ≤ −mean of A. Over ten seeds: 1,023 drawn subsets.
    """
    seeds = noise.shape[1]
    if seeds <= SUBSETS_UP_TO:
        subsets = _subsets(seeds)[1:]
    else:
        subsets = rng.integers(0, 2, (2**SUBSETS_UP_TO - 1, seeds))
        subsets[:, 0] |= ~subsets.any(axis=1)
    means = noise @ (subsets / subsets.sum(axis=1, keepdims=True)).T
    last = ceil((1 - LEVEL) / 2 * (len(subsets) + 1)) - 2
    found: FloatArray = -np.partition(means, last, axis=1)[:, last]
    return found


LEAST_SEEDS = 3


def check_seeds(count: int) -> None:
    """Raise ValueError for fewer than three seeds: no spread can be read from them."""
    if count < LEAST_SEEDS:
        raise UserError(f"seeds: {count} given; at least {LEAST_SEEDS} are needed, 5 are usual")


def prior_of(metric: str) -> Prior:
    """Return the guess of how a gap scatters; an unknown metric is treated as a rate."""
    return PRIORS.get(metric, PRIORS["accuracy"])
