"""The S-curve of `near_dedup`: how surely two texts become candidates, by their similarity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.minhash import candidate_probability, plan_bands
from pipelines.steps.step import Step

CURVE = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Similarities at which the S-curve of `near_dedup` is told, beside the threshold."""


@dataclass(frozen=True)
class Banding:
    """How `near_dedup` finds candidates."""

    step: int
    similarity: float
    permutations: int
    bands: int
    rows: int
    curve: tuple[tuple[float, float], ...]
    """Similarity of two texts, and the probability that they become candidates."""


def bandings(steps: Iterable[Step]) -> Iterator[Banding]:
    """Yield the banding of each `near_dedup` step."""
    for number, step in enumerate(steps, start=1):
        if step.op == "near_dedup":
            options = dict(step)
            similarity, permutations = options["similarity"], options["permutations"]
            bands, rows = plan_bands(similarity, permutations)
            at = sorted({*CURVE, similarity})
            curve = tuple((s, candidate_probability(s, bands, rows)) for s in at)
            yield Banding(number, similarity, permutations, bands, rows, curve)
