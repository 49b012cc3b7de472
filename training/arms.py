"""What is compared: each arm is a name, a claim about a cheap explanation, and one function."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.data import IntArray, Rows

AA_OFFSET = 1_000
"""Added to a seed for the `aa` arm, whose initialisation and order must be its own."""

Draw = Callable[[np.random.Generator, Rows, Rows], Rows]


@dataclass(frozen=True)
class Arm:
    """One training set to compare, drawn afresh for each seed."""

    name: str
    says: str
    draw: Draw
    seed_offset: int = 0
    budget: Literal["equal steps", "equal epochs"] = "equal steps"

    def rows(self, seed: int, raw: Rows, curated: Rows) -> Rows:
        """Draw the arm's rows for `seed`; the same seed gives the same rows anywhere."""
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        return self.draw(rng, raw, curated)


def _raw(rng: np.random.Generator, raw: Rows, curated: Rows) -> Rows:
    return raw


def _curated(rng: np.random.Generator, raw: Rows, curated: Rows) -> Rows:
    return curated


def _random(rng: np.random.Generator, raw: Rows, curated: Rows) -> Rows:
    return raw.take(rng.choice(len(raw), size=len(curated), replace=False))


def _random_by_class(rng: np.random.Generator, raw: Rows, curated: Rows) -> Rows:
    """Draw as many raw rows of each class as curated has; repeat rows only where raw has fewer."""
    picks: list[IntArray] = []
    for label, wanted in zip(*np.unique(curated.y, return_counts=True), strict=True):
        found = np.flatnonzero(raw.y == label)
        copies, rest = divmod(int(wanted), len(found))
        picks += [np.tile(found, copies), rng.choice(found, size=rest, replace=False)]
    return raw.take(np.concatenate(picks))


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("raw", "every raw row", _raw),
        Arm("curated", "every curated row", _curated),
        Arm("random@n", "random raw rows, as many as curated has", _random),
        Arm("random@n,class", "random raw rows in curated's class mix", _random_by_class),
        Arm("aa", "raw again with other seeds: its gap must be 0", _raw, AA_OFFSET),
        Arm(
            "curated@epochs",
            "curated for as many passes as raw, so fewer steps",
            _curated,
            budget="equal epochs",
        ),
    )
}


def choose_arms(raw: Rows, curated: Rows) -> tuple[list[Arm], dict[str, str]]:
    """Return the arms that can be drawn from these rows, and why each other is left out."""
    left_out: dict[str, str] = {}
    if len(curated) >= len(raw):
        left_out["random@n"] = (
            f"curated has {len(curated):,} rows and raw {len(raw):,}: no smaller random set to draw"
        )
    missing = np.setdiff1d(curated.y, raw.y)
    if len(missing):
        left_out["random@n,class"] = f"raw has no row of {len(missing)} of curated's classes"
    if len(curated) == len(raw):
        left_out["curated@epochs"] = "curated is as long as raw: equal steps are equal epochs"
    return [arm for arm in ARMS.values() if arm.name not in left_out], left_out
