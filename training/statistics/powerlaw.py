"""Power laws of loss against data size, and against model and data size.

Errors are relative (weights 1/L²); from four seeds on, runs that stand out weigh less.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc, fdtri, stdtrit

from training.arrays import FloatArray
from training.errors import UserError
from training.statistics.curves import ErrorCurve, Ratio, jackknife_half_width, kept_multiplier
from training.statistics.gridfit import EXPONENTS, Design, Fit, robust_sd, search, solve
from training.statistics.stats import LEVEL

LEAST_SIZES = 4
LEAST_SPAN = 16.0
LEAST_POINTS = 20
HUBER_FROM = 4
TINY = 1e-300


@dataclass(frozen=True)
class Refused:
    """No power law can be read, and why."""

    reason: str


@dataclass(frozen=True)
class FittedLaw:
    """L(n) = E + A·n^−α of one arm."""

    E: float
    A: float
    alpha: float
    alpha_low: float | None
    """Ends of the 95 % profile interval; None where it leaves 0.02 to 3."""
    alpha_high: float | None
    residuals: tuple[float, ...]
    """Relative residual of the mean over seeds at each size."""
    profile: tuple[tuple[float, float], ...]
    """(α, weighted squared error over its minimum)."""
    left_out_error: float
    """Relative error of the prediction of the largest size from the others."""

    def at(self, sizes: npt.ArrayLike) -> FloatArray:
        """Return the loss at `sizes`; nothing vouches for it outside the sizes of the fit."""
        return self.E + self.A * np.asarray(sizes, dtype=np.float64) ** -self.alpha


@dataclass(frozen=True)
class Shift:
    """Whether one multiplier m says all: L_curated(n) = L_raw(m·n) at every size."""

    multiplier: float
    low: float
    high: float
    p: float
    """F test of one law with a shift (4 parameters) against two separate laws (6)."""
    changes_with_size: bool
    """Separate laws fit better, p < .05: `by_size` counts, `multiplier` is an average at best."""
    by_size: tuple[Ratio, ...]
    """Kept-sample multiplier at each curated size, from the curves without a law."""


@dataclass(frozen=True)
class Chinchilla:
    """L(N, D) = E + A/N^α + B/D^β."""

    E: float
    A: float
    alpha: float
    B: float
    beta: float
    alpha_interval: tuple[float, float]
    beta_interval: tuple[float, float]
    spread: float
    """Robust standard deviation of the relative residuals."""


def fit_power_law(curve: ErrorCurve, *, classification: bool = False) -> FittedLaw | Refused:
    """Fit L(n) = E + A·n^−α to every seed and size of a learning curve.

    The interval of α is the F profile: it takes runs as independent (the luck that all sizes of a
    seed share makes it wide) and is about these test rows.
    `classification` says that errors are 1 − accuracy, which follow no power law above one half.
    """
    if reason := _refusal(curve, classification):
        return Refused(reason)
    losses = curve.by_seed
    law = _fit_law(curve.sizes, losses)
    sizes = np.tile(curve.sizes, len(losses))
    alphas = np.geomspace(*EXPONENTS, 300)
    errors = solve(_one_law(sizes)(alphas[:, None]), losses.ravel(), law.weights)[1]
    free = losses.size - 3
    inside = np.append(
        law.exponents, alphas[errors <= law.error + law.variance(3) * fdtri(1, free, LEVEL)]
    )
    low, high = float(inside.min()), float(inside.max())
    E, A = law.coefficients
    shorter = _fit_law(curve.sizes[:-1], losses[:, :-1])
    largest = shorter.coefficients @ [1, curve.sizes[-1] ** -shorter.exponents[0]]
    return FittedLaw(
        E=float(E),
        A=float(A),
        alpha=float(law.exponents[0]),
        alpha_low=low if low > alphas[0] else None,
        alpha_high=high if high < alphas[-1] else None,
        residuals=tuple(law.residuals.reshape(losses.shape).mean(axis=0).tolist()),
        profile=tuple(zip(alphas.tolist(), (errors / max(law.error, TINY)).tolist(), strict=True)),
        left_out_error=float(largest / losses[:, -1].mean() - 1),
    )


def fit_shift(
    raw: ErrorCurve, curated: ErrorCurve, *, classification: bool = False
) -> Shift | Refused:
    """Fit one law to both arms with a shift of curated along log n, and test that it is enough.

    The shift is fitted to the means over seeds, with the jackknife's interval on log m; it covers
    only where `changes_with_size` is false. The test compares squared errors over all runs with
    the weights of the separate fits; in simulations of one law it was wrong 5 to 7 % of times, and
    less where the sizes of a seed share much luck.
    """
    for name, curve in (("raw", raw), ("curated", curated)):
        if reason := _refusal(curve, classification):
            return Refused(f"{name}: {reason}")
    means = raw.by_seed.mean(axis=0), curated.by_seed.mean(axis=0)
    if means[0][-1] > means[1][0] or means[1][-1] > means[0][0]:
        return Refused("the two curves share no level of error")
    every, without_seed, without_rows = (
        np.array(
            [[_log_shift(raw.sizes, *pair, curated.sizes)] for pair in zip(*both, strict=True)]
        )
        for both in zip(raw.replicates, curated.replicates, strict=True)
    )
    if not all(np.isfinite(part).all() for part in (every, without_seed, without_rows)):
        return Refused("one law with one exponent leaves an arm flat")
    middle = float(every[0, 0])
    half = float(jackknife_half_width(without_seed, without_rows)[0])
    p = _separate_p(raw, curated)
    return Shift(
        multiplier=float(np.exp(middle)),
        low=float(np.exp(middle - half)),
        high=float(np.exp(middle + half)),
        p=p,
        changes_with_size=p < 1 - LEVEL,
        by_size=tuple(kept_multiplier(raw, curated, at) for at in curated.sizes),
    )


def fit_chinchilla(
    parameters: npt.ArrayLike, tokens: npt.ArrayLike, losses: npt.ArrayLike
) -> Chinchilla | Refused:
    """Fit L(N, D) = E + A/N^α + B/D^β (Hoffmann et al. 2022) to one run a point, in 0.2 s.

    Robust from the start, because it is meant for hundreds of runs without repeats. Intervals are
    those of an M-estimator (Huber 1964) with the law taken as linear around the optimum.
    """
    N, D, L = (np.asarray(values, dtype=np.float64) for values in (parameters, tokens, losses))
    if N.ndim != 1 or not N.shape == D.shape == L.shape or min(N.min(), D.min(), L.min()) <= 0:
        raise UserError(
            f"parameters, tokens, losses: shapes {N.shape}, {D.shape}, {L.shape}; needs three "
            "lists of one length, all values positive"
        )
    spans = {"parameters": N.max() / N.min(), "tokens": D.max() / D.min()}
    if len(L) < LEAST_POINTS or min(spans.values()) < LEAST_SPAN:
        said = ", ".join(f"{name} {span:.3g}×" for name, span in spans.items())
        return Refused(
            f"{len(L)} runs spanning {said}; needs {LEAST_POINTS} runs spanning {LEAST_SPAN:g}×"
        )

    def design(exponents: FloatArray) -> FloatArray:
        alpha, beta = exponents[:, :1], exponents[:, 1:]
        return np.stack([np.ones((len(exponents), len(L))), N**-alpha, D**-beta], axis=1)

    law = search(design, L, dimensions=2, robust=True)
    (E, A, B), (alpha, beta) = law.coefficients, law.exponents
    one, by_n, by_d = design(law.exponents[None])[0]
    slopes = np.array([one, by_n, -A * np.log(N) * by_n, by_d, -B * np.log(D) * by_d]) / L
    free = len(L) - len(slopes)
    scale = np.sqrt((slopes**2).sum(axis=1))
    inverse = np.linalg.pinv((slopes / scale[:, None]) @ (slopes / scale[:, None]).T)
    half = stdtrit(free, 0.5 + LEVEL / 2) * np.sqrt(law.variance(5) * np.diag(inverse)) / scale
    return Chinchilla(
        E=float(E),
        A=float(A),
        alpha=float(alpha),
        B=float(B),
        beta=float(beta),
        alpha_interval=(float(alpha - half[2]), float(alpha + half[2])),
        beta_interval=(float(beta - half[4]), float(beta + half[4])),
        spread=robust_sd(law.residuals),
    )


def _refusal(curve: ErrorCurve, classification: bool) -> str | None:
    """Say why the curve gets no power law."""
    mean, sizes = curve.by_seed.mean(axis=0), curve.sizes
    if len(sizes) < LEAST_SIZES:
        return f"{len(sizes)} sizes; a power law needs {LEAST_SIZES}"
    if sizes[-1] < LEAST_SPAN * sizes[0]:
        return f"sizes span {sizes[-1] / sizes[0]:.3g}×; a power law needs {LEAST_SPAN:g}×"
    if (curve.by_seed <= 0).any():
        return "the error of a run is 0; a power law needs errors above 0"
    if classification and mean.max() > 0.5:
        return f"the error is {mean.max():.0%} at the worst size; accuracy needs 50 % or less"
    if curve.rise > 0:
        at = int(np.argmax(np.diff(mean))) + 1
        return f"the mean error rises by {curve.rise:.3g} to size {sizes[at]:g}; it must fall"
    return None


def _one_law(sizes: FloatArray) -> Design:
    def design(exponents: FloatArray) -> FloatArray:
        return np.stack([np.ones((len(exponents), len(sizes))), sizes**-exponents], axis=1)

    return design


def _shifted_law(sizes: FloatArray, is_raw: npt.NDArray[np.bool_]) -> Design:
    def design(exponents: FloatArray) -> FloatArray:
        power = sizes**-exponents
        return np.stack([np.ones_like(power), power * is_raw, power * ~is_raw], axis=1)

    return design


def _fit_law(sizes: FloatArray, losses: FloatArray) -> Fit:
    """Fit one law to (seeds × sizes)."""
    points = _one_law(np.tile(sizes, len(losses)))
    return search(points, losses.ravel(), 1, robust=len(losses) >= HUBER_FROM)


def _log_shift(
    raw_sizes: FloatArray, raw: FloatArray, curated: FloatArray, curated_sizes: FloatArray
) -> float:
    """Return log m of two mean curves, nan if one is flat: A·(m·n)^−α has the slope A·m^−α."""
    sizes = np.concatenate([raw_sizes, curated_sizes])
    design = _shifted_law(sizes, np.arange(len(sizes)) < len(raw_sizes))
    law = search(design, np.concatenate([raw, curated]), 1, robust=False)
    _, of_raw, of_curated = law.coefficients
    if min(of_raw, of_curated) == 0:
        return float("nan")
    return float(np.log(of_raw / of_curated) / law.exponents[0])


def _separate_p(raw: ErrorCurve, curated: ErrorCurve) -> float:
    """Return the p-value of one shifted law against two separate ones, over all runs."""
    apart = [_fit_law(curve.sizes, curve.by_seed) for curve in (raw, curated)]
    sizes = np.concatenate([np.tile(c.sizes, len(c.by_seed)) for c in (raw, curated)])
    losses = np.concatenate([raw.by_seed.ravel(), curated.by_seed.ravel()])
    design = _shifted_law(sizes, np.arange(len(sizes)) < raw.by_seed.size)
    weights = np.concatenate([law.weights for law in apart])
    together = search(design, losses, 1, robust=False, weights=weights).error
    free = len(losses) - 6
    variance = sum(law.variance(3) * (law.residuals.size - 3) for law in apart) / free
    gained = max(together - sum(law.error for law in apart), 0.0)
    return float(fdtrc(2, free, gained / 2 / max(variance, TINY)))
