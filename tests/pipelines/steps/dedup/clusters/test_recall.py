"""What exact search drops of some rows, against all products."""

import numpy as np
import pyarrow as pa
import pytest
from unit_vectors import brute, clumps

import pipelines.steps.dedup.clusters.recall
from pipelines.rows import HOME, KEY
from pipelines.steps.dedup.clusters.keepers import MERIT, NODE, QUALITY, ROW_ID
from pipelines.steps.dedup.clusters.recall import Queries, have_a_better


def nodes_of(merit) -> pa.Table:
    n = len(merit)
    of_no_account = {HOME: np.zeros(n, np.int64), QUALITY: np.zeros(n)}
    ids = [f"r{i:03d}" for i in range(n)]
    return pa.table({KEY: np.arange(n), **of_no_account, MERIT: merit, ROW_ID: ids})


@pytest.mark.parametrize("tile", [7, 1000])
@pytest.mark.parametrize("at_least", [0.8, 0.95, 1.0])
def test_have_a_better_equals_all_products(tile, at_least, monkeypatch):
    monkeypatch.setattr(pipelines.steps.dedup.clusters.recall, "TILE", tile)
    vectors = clumps(0, groups=30, size=4, spread=0.2)
    vectors[[5, 50]] = vectors[[4, 51]]
    merit = np.random.default_rng(0).integers(0, 3, 120)
    merit[51] = 9  # better than its copy
    nodes, asked = nodes_of(merit), np.arange(0, 120, 2)
    place = np.lexsort((np.arange(120), -merit)).argsort()
    worse = place[:, None] > place
    expected = ((brute(vectors, at_least) > 0) & worse).any(axis=1)[asked]
    given = Queries(vectors[asked], nodes.take(pa.array(asked)).select(NODE))
    queries = Queries.of(given.arrays())  # as shards read them
    found = have_a_better(queries, vectors, nodes, at_least)
    assert (found == expected).all()
    assert 0 < expected.sum() < len(asked)
