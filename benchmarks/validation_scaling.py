"""Besiroglu et al. 2024, "Chinchilla Scaling: A replication attempt" (arXiv:2404.10102)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from benchmarks.validation_settings import Settings
from benchmarks.validation_table import Finding, not_checkable
from training.arrays import FloatArray
from training.statistics.powerlaw import Chinchilla, fit_chinchilla

SOURCE = "Besiroglu et al. 2024"
PUBLISHED = {"alpha": 0.3478, "beta": 0.3658, "E": 1.8172, "A": 482.01, "B": 2085.43}
"""Their fit to 240 points: the 245 of the figure without the five of the highest loss."""
ERRORS = {"alpha": 0.0154, "beta": 0.0206}
LEFT_OUT = 5
BETA_OF_ALL = (0.452, 0.456)
"""β of their notebook's fits to all 245 points."""
TRUTH = {"alpha": 0.35, "beta": 0.37, "E": 1.82, "A": 482.0, "B": 2085.0}
POINTS = 245
NOISE = 0.005
"""Relative; the robust spread of the 240 points around the law is 0.0047."""
OUTLIERS = 0.02
"""Share of the points whose noise is ten times as large."""


def chinchilla(settings: Settings) -> list[Finding]:
    """Fit made points whose law is known, and the published ones where they are given."""
    found = [_made(settings.size(quick=3, full=100))]
    if settings.chinchilla_csv is None:
        claim = "Refit of the Chinchilla points"
        needs = "svg_extracted_data.csv of the replication's repository, by --chinchilla-csv"
        return [*found, not_checkable("chinchilla", claim, SOURCE, _said(PUBLISHED), needs)]
    return [*found, _refit(settings.chinchilla_csv)]


def made_points(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return parameters, tokens and losses of runs laid out as Chinchilla's third approach is.

    Budgets of 6e18 to 3e21 FLOP, models spread around the best size of each, noise with outliers.
    """
    flops = rng.choice([6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21], POINTS)
    parameters = np.clip(0.1 * flops**0.5 * np.exp(rng.normal(0, 0.8, POINTS)), 5e7, 1.6e10)
    tokens = flops / 6 / parameters
    law = TRUTH["E"] + TRUTH["A"] / parameters ** TRUTH["alpha"]
    law += TRUTH["B"] / tokens ** TRUTH["beta"]
    scale = np.where(rng.random(POINTS) < OUTLIERS, 10 * NOISE, NOISE)
    return parameters, tokens, law * np.exp(scale * rng.standard_normal(POINTS))


def read_points(path: Path) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return parameters, tokens (FLOP / 6N) and losses of the replication's CSV.

    Raises:
        ValueError: a column is missing.
    """
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    columns = ("Model Size", "Training FLOP", "loss")
    if not rows or (missing := [name for name in columns if name not in rows[0]]):
        raise ValueError(
            f"--chinchilla-csv {path}: no column {missing[0] if rows else columns[0]!r}; needs "
            f"{', '.join(columns)} as in svg_extracted_data.csv"
        )
    full = [[float(row[name]) for name in columns] for row in rows if all(row[n] for n in columns)]
    parameters, flops, losses = np.array(full).T
    return parameters, flops / 6 / parameters, losses


def fitted(parameters: FloatArray, tokens: FloatArray, losses: FloatArray) -> Chinchilla:
    """Fit the law; the points of this check always suffice."""
    law = fit_chinchilla(parameters, tokens, losses)
    assert isinstance(law, Chinchilla), law
    return law


def _made(draws: int) -> Finding:
    laws = [fitted(*made_points(np.random.default_rng([1, draw]))) for draw in range(draws)]
    covered = {
        name: float(
            np.mean([_inside(getattr(law, f"{name}_interval"), TRUTH[name]) for law in laws])
        )
        for name in ("alpha", "beta")
    }
    middle = {name: float(np.median([getattr(law, name) for law in laws])) for name in TRUTH}
    spread = {name: float(np.std([getattr(law, name) for law in laws])) for name in TRUTH}
    # Of 100 intervals of 95 %, fewer than 89 hold the truth with probability 0.01.
    least = 0.95 - 2.6 * np.sqrt(0.95 * 0.05 / draws)
    fine = min(covered.values()) >= least and all(
        abs(middle[name] / TRUTH[name] - 1) < 0.02 for name in ("alpha", "beta", "E")
    )
    return Finding(
        check="chinchilla",
        claim=f"A Chinchilla law is recovered from {POINTS} made points",
        source="truth known",
        published=_said(TRUTH),
        ours=f"median {_said(middle)}; the 95 % interval holds α in {covered['alpha']:.0%} and "
        f"β in {covered['beta']:.0%} of the draws",
        agreement="yes" if fine else "no",
        n=f"{draws} × {POINTS} points",
        seeds=draws,
        spread=f"SD α {spread['alpha']:.3f}, β {spread['beta']:.3f}, E {spread['E']:.3f}",
        says=(
            f"{draws} draws of {POINTS} runs on nine FLOP budgets with {NOISE:.1%} noise, ten "
            f"times as much at {OUTLIERS:.0%} of the points, from a law with the replication's "
            f"exponents. `fit_chinchilla` gives intervals of α and β only; E, A and B are shown "
            f"without (A and B trade off against the exponents: SD {spread['A']:.0f} and "
            f"{spread['B']:.0f})."
        ),
        figures={"covered": covered, "median": middle, "sd": spread},
    )


def _refit(path: Path) -> Finding:
    points = read_points(path)
    kept = np.sort(np.argsort(points[2])[:-LEFT_OUT])
    law, of_all = fitted(*(values[kept] for values in points)), fitted(*points)
    found = {name: getattr(law, name) for name in PUBLISHED}
    inside = all(_inside(getattr(law, f"{n}_interval"), PUBLISHED[n]) for n in ("alpha", "beta"))
    near = abs(law.E - PUBLISHED["E"]) < 0.05  # two of their standard errors
    return Finding(
        check="chinchilla",
        claim="Refit of the Chinchilla points",
        source=SOURCE,
        published=_said(PUBLISHED),
        ours=_said(found),
        agreement="yes" if inside and near else "no",
        n=f"{len(kept)} points",
        spread=f"95 % α {_span(law.alpha_interval)}, β {_span(law.beta_interval)}",
        says=(
            f"As published, the {LEFT_OUT} points of the highest loss are left out. The published "
            "exponents lie inside our intervals. **With all "
            f"{len(points[2])} points β is {of_all.beta:.3f}** (95 % "
            f"{_span(of_all.beta_interval)}), α {of_all.alpha:.3f}, E {of_all.E:.3f}: the "
            f"replication's own notebook has β {BETA_OF_ALL[0]} to {BETA_OF_ALL[1]} there. The "
            "five saw the fewest tokens for their size; weighing outliers less does not do what "
            "leaving them out does. Our interval is that of an M-estimator; a bootstrap gave them "
            f"standard errors of {ERRORS['alpha']} and {ERRORS['beta']}, wider than ours "
            f"({_error(law.alpha_interval):.3f} and "
            f"{_error(law.beta_interval):.3f})."
        ),
        figures={
            "fit": found,
            "alpha_interval": law.alpha_interval,
            "beta_interval": law.beta_interval,
            "all_points": {name: getattr(of_all, name) for name in PUBLISHED},
        },
    )


def _inside(interval: tuple[float, float], value: float) -> bool:
    return interval[0] <= value <= interval[1]


def _error(interval: tuple[float, float]) -> float:
    return (interval[1] - interval[0]) / 2 / 1.97


def _span(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def _said(law: dict[str, float]) -> str:
    return (
        f"α {law['alpha']:.3f}, β {law['beta']:.3f}, E {law['E']:.3f}, A {law['A']:.0f}, "
        f"B {law['B']:.0f}"
    )
