import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.maths.graph import greedy
from pipelines.maths.graph.greedy import grid_of, keep_greedily


def one_by_one(matrix, at_least, fixed):
    """Decide as the definition says."""
    kept, keeper = [], []
    for i in range(len(matrix)):
        better = [k for k in kept if matrix[k, i] >= at_least and i >= fixed]
        keeper.append(better[0] if better else i)
        kept += [] if better else [i]
    return kept, keeper


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 5), st.integers(1, 9), st.randoms(use_true_random=False))
def test_greedy_equals_its_definition(n, fixed, block, random):
    matrix = np.array([[random.choice([0.0, 0.0, 0.5, 0.9]) for _ in range(n)] for _ in range(n)])
    matrix = np.maximum(matrix, matrix.T)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greedy, "BLOCK", block)
        patch.setattr(greedy, "_PAIRS", 2 * block)
        found = keep_greedily(n, grid_of(lambda a, b: matrix[a, b]), 0.5, fixed=fixed)
    kept, keeper = one_by_one(matrix, 0.5, fixed)
    assert np.flatnonzero(found.keeper == np.arange(n)).tolist() == kept
    gone = found.keeper != np.arange(n)
    assert np.isin(found.keeper, kept).all()
    assert (matrix[found.keeper[gone], np.flatnonzero(gone)] >= 0.5).all()
    assert (found.similarity[gone] == matrix[found.keeper[gone], np.flatnonzero(gone)]).all()
    assert found.left_out == 0
    assert len(keeper) == n


def test_greedy_keeps_what_it_may_not_measure():
    found = keep_greedily(1000, lambda a, b: np.zeros((len(a), len(b))), 0.5, most_pairs=10)
    assert (found.keeper == np.arange(1000)).all()
    assert found.left_out == 1000 - greedy.BLOCK - 1
