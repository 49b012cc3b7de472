"""Nearest neighbours by any FAISS index; what an index proposes is verified exactly."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.maths.arrays import Int64, Vectors
from pipelines.maths.graph.components import components
from pipelines.maths.vectors.joins import Joined
from pipelines.maths.vectors.unit_vectors import (
    TILE,
    UNITS,
    float32_error,
    one_thread,
    similarities,
)


class IndexRefused(ValueError):
    """FAISS cannot do what was asked for; the message is for the user."""


@dataclass(frozen=True)
class IndexSpec:
    """Which FAISS index, and how it is searched."""

    factory: str
    """What `faiss.index_factory` takes, such as `IVF1024,Flat` or `HNSW32`."""
    neighbours: int
    """Closest other vectors to look for."""
    search: str | None = None
    """What `faiss.ParameterSpace` takes, such as `nprobe=16` or `efSearch=64`."""
    gpu: bool = False
    """Whether the index is copied to all GPUs."""


def make_index(spec: IndexSpec, dimensions: int) -> Any:
    """Return an index of inner products, empty and not yet trained.

    Raises:
        IndexRefused: FAISS has no such index or parameter for so many dimensions, or no GPU.
    """
    import faiss

    with _told(f"index {spec.factory!r}", f"vectors of {dimensions} numbers"):
        index = faiss.index_factory(dimensions, spec.factory, faiss.METRIC_INNER_PRODUCT)
    space: Any = faiss.ParameterSpace
    if spec.gpu:
        if not hasattr(faiss, "StandardGpuResources"):
            raise IndexRefused(
                f"gpu: true, but the installed faiss {faiss.__version__} has no GPU support: "
                "install faiss-gpu-cu12 instead of faiss-cpu, or leave out `gpu`"
            )
        if not faiss.get_num_gpus():
            raise IndexRefused("gpu: true, but faiss finds no GPU: leave out `gpu`")
        with _told(f"index {spec.factory!r}", "GPUs"):
            index, space = faiss.index_cpu_to_all_gpus(index), faiss.GpuParameterSpace
    if spec.search:
        with _told(f"search {spec.search!r}", f"index {spec.factory!r}"):
            space().set_index_parameters(index, spec.search)
    return index


def join_nearest(vectors: Vectors, at_least: float, spec: IndexSpec, seed: int) -> Joined:
    """Join vectors with those of their nearest neighbours that are similar enough.

    Vectors, a copy of them in random order and the index are in memory at once. One thread builds
    the index, and it is searched in portions of fixed size, so that the same vectors give the same
    neighbours (a GPU does not promise that).

    Args:
        vectors: shape (n, dimensions), in an order that does not depend on where they came from.
        at_least: smallest inner product of two similar vectors.
        spec: the index.
        seed: of the order in which vectors are added.

    Raises:
        IndexRefused: FAISS cannot build the index from so few vectors.
    """
    n = len(vectors)
    order = np.random.default_rng(seed).permutation(n)
    mixed = vectors[order]
    index = make_index(spec, vectors.shape[1])
    with _told(f"index {spec.factory!r}", f"{n:,} different vectors"), one_thread():
        if not index.is_trained:
            index.train(mixed)
        index.add(mixed)
    least = np.float32(at_least - 1 / UNITS - float32_error(vectors.shape[1]))
    found: list[tuple[Int64, Int64]] = [(np.zeros(0, np.int64),) * 2]
    for start in range(0, n, TILE):
        ours = mixed[start : start + TILE]
        near = index.search(ours, min(spec.neighbours + 1, n))[1]
        product = np.einsum("nd,nkd->nk", ours, mixed[near])
        own = near == np.arange(start, start + len(ours))[:, None]
        row, rank = np.nonzero((product >= least) & ~own & (near >= 0))
        found.append((order[start + row], order[near[row, rank]]))
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    return _joined(vectors, left, right, at_least)


def _joined(vectors: Vectors, left: Int64, right: Int64, at_least: float) -> Joined:
    """Join vectors by those of the proposed pairs that are similar enough."""
    n = len(vectors)
    similarity = similarities(vectors[left], vectors[right])
    similar = similarity >= at_least
    left, right, similarity = left[similar], right[similar], similarity[similar]
    here, there = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.lexsort((there, -np.tile(similarity, 2), here))
    row, first = np.unique(here[order], return_index=True)
    closest, best = np.arange(n), np.zeros(n)
    closest[row] = there[order[first]]
    best[row] = np.tile(similarity, 2)[order[first]]
    return Joined(components(left, right, n), closest, best)


@contextmanager
def _told(what: str, of: str) -> Iterator[None]:
    """Turn what FAISS raises into an error for the user."""
    try:
        yield
    except RuntimeError as error:
        said = re.split(r"\.(?:cpp|cu|h):\d+: ", str(error).strip())[-1]
        raise IndexRefused(
            f"semantic_dedup: FAISS does not take {what} for {of} ({said}); what it takes: "
            "https://github.com/facebookresearch/faiss/wiki/The-index-factory"
        ) from error
