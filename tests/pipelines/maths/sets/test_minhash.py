"""MinHash estimates, the plan of bands, and the pairs of buckets."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.maths.arrays import mix, offsets_of
from pipelines.maths.graph.components import components
from pipelines.maths.sets.jaccard import Sets, checked_sets, distinct
from pipelines.maths.sets.minhash import (
    RECALL_AT_THRESHOLD,
    band_hashes,
    bucket_pairs,
    candidate_probability,
    chain_and_star,
    plan_bands,
    signatures,
)
from pipelines.maths.text.tokens import Tokens


def shingles_of(*sets) -> Tokens:
    values = np.array([v for s in sets for v in s], dtype=np.uint64)
    return Tokens(mix(values * np.uint64(0x9E3779B97F4A7C15)), offsets_of([len(s) for s in sets]))


def sets_of(*sets) -> Sets:
    return checked_sets(shingles_of(*sets))


@pytest.mark.parametrize("shared", [0, 50, 150, 190, 200])
def test_signatures_estimate_jaccard_without_bias(shared):
    permutations, pairs = 1024, 60
    true = shared / (400 - shared)
    estimates = []
    for pair in range(pairs):
        base = 1000 * pair
        left = range(base, base + 200)
        right = range(base + 200 - shared, base + 400 - shared)
        signature = signatures(sets_of(left, right), permutations, seed=pair)
        estimates.append((signature[0] == signature[1]).mean())
    bound = 4 * np.sqrt(true * (1 - true) / (permutations * pairs)) + 1e-3
    assert abs(np.mean(estimates) - true) < bound
    spread = np.sqrt(true * (1 - true) / permutations)
    assert np.std(estimates) < 1.5 * spread + 1e-9  # permutations are as good as independent


@given(st.lists(st.sets(st.integers(0, 50)), min_size=1, max_size=6), st.integers(0, 5))
def test_signatures_are_minima_over_the_set_alone(sets, at):
    together = signatures(sets_of(*sets), 16, seed=3)
    at = at % len(sets)
    shuffled = sorted(sets[at], reverse=True)
    alone = signatures(sets_of(shuffled + shuffled), 16, seed=3)
    assert (together[at] == alone[0]).all()


@given(st.lists(st.lists(st.integers(0, 50)), min_size=1, max_size=6))
def test_signatures_of_a_set_are_those_of_its_text(texts):
    shingles = shingles_of(*texts)
    found = signatures(distinct(shingles), 16, seed=3)
    assert found.tolist() == signatures(checked_sets(shingles), 16, seed=3).tolist()


def test_signature_of_nothing_is_all_ones():
    assert (signatures(sets_of([], [1], []), 16, seed=0)[[0, 2]] == 2**32 - 1).all()


@pytest.mark.parametrize(
    ("similarity", "permutations", "bands"),
    [
        (0.8, 128, (25, 5)),
        (0.7, 128, (32, 4)),
        (0.5, 128, (64, 2)),
        (0.95, 128, (10, 12)),
        (1.0, 128, (1, 128)),
        (0.01, 16, (16, 1)),
    ],
)
def test_plan_bands_values(similarity, permutations, bands):
    assert plan_bands(similarity, permutations) == bands


@given(st.floats(0.2, 1.0), st.integers(32, 512))
def test_plan_bands_finds_pairs_at_the_threshold_and_is_as_selective_as_it_can(similarity, most):
    bands, rows = plan_bands(similarity, most)
    assert bands * rows <= most
    found = candidate_probability(similarity, bands, rows)
    assert rows == 1 or found >= RECALL_AT_THRESHOLD
    if rows < most:
        assert candidate_probability(similarity, most // (rows + 1), rows + 1) < RECALL_AT_THRESHOLD


def test_band_hashes_agree_where_bands_do():
    rng = np.random.default_rng(0)
    signature = rng.integers(0, 2, (400, 8), dtype=np.uint32)
    hashes = band_hashes(signature, bands=3, rows=2)
    assert hashes.shape == (400, 3)
    for band in range(3):
        part = signature[:, 2 * band : 2 * band + 2]
        same = (part[:, None] == part[None]).all(axis=2)
        assert ((hashes[:, None, band] == hashes[None, :, band]) == same).all()


def linked(hashes, most, ranks):
    """Pairs of small buckets, then those that link large ones."""
    left, right, large = bucket_pairs(hashes, most)
    links = [chain_and_star(bucket, ranks) for bucket in large]
    return (
        (left, right),
        (
            np.concatenate([left, *(a for a, _ in links)]),
            np.concatenate([right, *(b for _, b in links)]),
        ),
        large,
    )


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(2, 6), st.integers(0, 9))
def test_bucket_pairs_against_brute_force(hashes, most, seed):
    n = len(hashes)
    ranks = np.random.default_rng(seed).permutation(n)
    found, (left, right), large = linked(np.array(hashes, dtype=np.uint64), most, (ranks,))
    pairs = [tuple(sorted(p)) for p in zip(left.tolist(), right.tolist(), strict=True)]
    assert len(pairs) == len(set(pairs))
    sizes = {h: hashes.count(h) for h in hashes}
    every = {p for p in combinations(range(n), 2) if hashes[p[0]] == hashes[p[1]]}
    small = {p for p in every if sizes[hashes[p[0]]] <= most}
    assert {tuple(sorted(p)) for p in zip(*found, strict=True)} == small
    assert small <= set(pairs) <= every
    crowded = {h: [i for i in range(n) if hashes[i] == h] for h in sizes if sizes[h] > most}
    assert {hashes[b[0]]: sorted(b.tolist()) for b in large} == crowded
    groups = components(left, right, n)
    assert all((groups[i] == groups[j]) == ((i, j) in every) for i, j in combinations(range(n), 2))
    assert len(pairs) - len(small) == sum(2 * len(rows) - 3 for rows in crowded.values())


@given(st.lists(st.integers(0, 2), max_size=20), st.integers(0, 9))
def test_bucket_pairs_follow_ranks_not_positions(hashes, seed):
    values, n = np.array(hashes, dtype=np.uint64), len(hashes)
    ranks = np.arange(n)
    order = np.random.default_rng(seed).permutation(n)

    def pairs(names, values, ranks):
        _, (left, right), _ = linked(values, 3, (ranks,))
        return {frozenset(p) for p in zip(names[left], names[right], strict=True)}

    assert pairs(np.arange(n), values, ranks) == pairs(order, values[order], ranks[order])
