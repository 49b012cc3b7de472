"""Paired statistics over seeds and test rows: intervals, p-values, equivalence, power.

Every function takes plain numpy arrays; no training framework is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

FloatArray = npt.NDArray[np.float64]

LEVEL = 0.95
POWER = 0.80
PERMUTE_FROM = 6
"""Fewest seeds for a sign-flip p-value: five seeds cannot go below 2/2**5 = 0.0625."""
EXACT_UP_TO = 16
RESAMPLES = 50_000

# What a paired run looks like before it is measured: half a point of spread between seeds, and
# one test row in twenty answered differently by the two models.
PRIOR_SEED_SD = 0.005
PRIOR_ITEM_SD = 0.05**0.5


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
    def p(self) -> float:
        """Two-sided p-value of "no difference": t; from six seeds the larger of t and sign flips.

        Sign flips need no normal seeds but take the test rows as given: where all seeds share the
        luck of one test set they are sure of it. The t of the two-way error knows the rows, too.
        """
        p = t_p(self.mean, self.se, self.df)
        return max(p, sign_flip_p(self.per_seed)) if len(self.per_seed) >= PERMUTE_FROM else p


def estimate(differences: npt.ArrayLike) -> Estimate:
    """Estimate the mean of a (seeds × test rows) array of paired differences.

    The variance is s²_seed/S + s²_item/N: seeds and test rows are both samples. The seed-by-row
    interaction is counted in both terms, so the interval errs on the wide side. Degrees of
    freedom follow Satterthwaite (1946), because either term may dominate.
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(
            f"differences: shape {table.shape}; needs (seeds, test rows) with at least 2 of each"
        )
    seeds, items = table.shape
    per_seed = table.mean(axis=1)
    seed_part = per_seed.var(ddof=1) / seeds
    item_part = table.mean(axis=0).var(ddof=1) / items
    total = seed_part + item_part
    df = float(seeds - 1)
    if total > 0:
        df = total**2 / (seed_part**2 / (seeds - 1) + item_part**2 / (items - 1))
    return Estimate(
        float(per_seed.mean()), float(total**0.5), float(df), tuple(float(d) for d in per_seed)
    )


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
        signs = np.array(list(product((1.0, -1.0), repeat=len(values))))
        extra = 0
    else:
        rng = np.random.default_rng(0)
        signs = rng.choice([1.0, -1.0], size=(RESAMPLES, len(values)))
        extra = 1
    observed = abs(values.sum())
    hits = np.abs(signs @ values) >= observed - 1e-12 * np.abs(values).sum()
    return float((hits.sum() + extra) / (len(signs) + extra))


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
    """Return the smallest difference that the interval finds with 80 % power at a 5 % level.

    Where seeds differ more than test rows do, the sign flips of six seeds find it with 59 % (all
    six must agree), of seven with 72 %, of ten with 78 %.
    """
    return (t_quantile(0.5 + LEVEL / 2, df) + t_quantile(POWER, df)) * se


def detectable_before(seeds: int, items: int) -> float:
    """Return the detectable difference under the prior guess, before any run."""
    seed_part, item_part = PRIOR_SEED_SD**2 / seeds, PRIOR_ITEM_SD**2 / items
    total = seed_part + item_part
    df = total**2 / (seed_part**2 / (seeds - 1) + item_part**2 / max(items - 1, 1))
    return detectable(total**0.5, df)
