"""How much text a language model reads, the same in every arm that is compared."""

import numpy as np
import numpy.typing as npt

from training.design.arms import Arm, Sources
from training.pool.data import PoolRows
from training.recipes import ModelRecipe

BUDGET_SHARE = 0.8


ONE_PASS = "ngram"
"""The model that counts each byte once: it has neither steps nor a learning rate."""


def windows_of(rows: PoolRows, sizes: npt.NDArray[np.int64], recipe: ModelRecipe) -> int:
    """Return about how many windows a pass over `rows` has; byte pairs count as three bytes."""
    per_token = 3 if recipe.model == "gpt-bpe" else 1
    return max(1, int(sizes[rows.x].sum()) // (recipe.context * per_token))


def budget_bytes(sources: Sources, arms: list[Arm], seeds: list[int]) -> int:
    """Return how many bytes every compared arm of a counting model reads.

    A part of the least arm's, so that each seed is a draw in every arm: a model that counts has no
    other luck.
    """
    least = min(
        int(sources.bytes_of(arm.rows(seed, sources)).sum())
        for arm in arms
        for seed in seeds
        if arm.budget == "equal steps"
    )
    return max(1, round(BUDGET_SHARE * least))
