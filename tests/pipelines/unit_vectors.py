"""Unit vectors for tests, and all their products."""

import numpy as np

from pipelines.maths.graph.components import components


def unit(vectors) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clumps(seed: int, groups: int, size: int, spread: float, dimensions: int = 16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(groups, dimensions)), size, axis=0)
    return unit(centres + spread * rng.normal(size=centres.shape))


def brute(vectors, at_least) -> np.ndarray:
    """All similarities to six decimals, 0 below the threshold and of a vector with itself."""
    wide = vectors.astype(np.float64)
    product = np.minimum(wide @ wide.T, 1).round(6)
    np.fill_diagonal(product, 0)
    return np.where(product >= at_least, product, 0)


def groups_of(numbers) -> set[tuple[int, ...]]:
    return {tuple(np.flatnonzero(numbers == number).tolist()) for number in np.unique(numbers)}


def brute_groups(similar) -> set[tuple[int, ...]]:
    return groups_of(components(*np.nonzero(similar), len(similar)))
