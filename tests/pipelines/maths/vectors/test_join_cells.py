"""Similar vectors of one cell, and cells that are far too large."""

import numpy as np
import pytest
from unit_vectors import brute, brute_groups, clumps, groups_of

import pipelines.maths.vectors.join_cells
import pipelines.maths.vectors.joins
import pipelines.maths.vectors.unit_vectors
from pipelines.maths.vectors.join_cells import Search, join_cells

SEARCH = Search(at_least=0.9, probes=4, seed=0)


def test_join_cells_joins_what_shares_a_cell_and_nothing_else():
    vectors = clumps(0, groups=10, size=4, spread=0.05)
    apart = np.arange(40).reshape(10, 4) % 4  # the four of a clump lie in two cells
    cells = np.stack([apart.ravel() // 2, np.full(40, -1)], axis=1)
    found = join_cells(vectors, cells, SEARCH)
    pairs = {(i, i + 1) for i in range(0, 40, 2)}
    assert groups_of(found.group) == pairs
    similar = brute(vectors, 0.9)
    assert found.similarity == pytest.approx(similar[np.arange(40), found.closest], abs=1.1e-6)


def test_join_cells_links_groups_through_a_vector_of_two_cells():
    vectors = clumps(0, groups=1, size=9, spread=0.05)
    cells = np.array([[i // 5, -1] for i in range(9)])
    assert len(groups_of(join_cells(vectors, cells, SEARCH).group)) == 2
    cells[0, 1] = 1
    assert len(groups_of(join_cells(vectors, cells, SEARCH).group)) == 1


@pytest.fixture
def _small(monkeypatch):
    """Make a cell of 60 vectors one that is too large, and its own cells small."""
    for module in (pipelines.maths.vectors.joins, pipelines.maths.vectors.join_cells):
        monkeypatch.setattr(module, "TILE", 10)
    monkeypatch.setattr(pipelines.maths.vectors.join_cells, "EXACT_UP_TO", 40)
    monkeypatch.setattr(pipelines.maths.vectors.unit_vectors, "EXACT_UP_TO", 40)


@pytest.mark.usefixtures("_small")
def test_join_cells_splits_a_cell_that_is_too_large():
    vectors = clumps(0, groups=150, size=2, spread=0.1)
    found = join_cells(vectors, np.zeros((300, 1), np.int64), SEARCH)
    assert found.left_out == 0
    similar = brute(vectors, 0.9)
    assert groups_of(found.group) == brute_groups(similar)


@pytest.mark.usefixtures("_small")
def test_join_cells_leaves_out_and_counts_what_no_split_makes_smaller(monkeypatch):
    monkeypatch.setattr(
        pipelines.maths.vectors.join_cells, "assign_cells", lambda v, *_: np.zeros((len(v), 1), int)
    )
    vectors = clumps(0, groups=80, size=1, spread=0)
    assert join_cells(vectors, np.zeros((80, 1), np.int64), SEARCH).left_out == 36 - 10
