"""Connected components, and the verdicts on their rows."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.components import components
from pipelines.mail import home_number, open_mail
from pipelines.rows import HOME, KEY
from pipelines.steps.clusters import verdicts_of_edges
from pipelines.steps.corpus import VERDICT

EDGES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20)


def groups_of(edges, nodes) -> list[set[int]]:
    groups = [{i} for i in range(nodes)]
    for a, b in edges:
        first = next(g for g in groups if a in g)
        second = next(g for g in groups if b in g)
        if first is not second:
            groups.remove(second)
            first |= second
    return groups


@given(EDGES)
def test_components_equal_merging_by_hand(edges):
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    found = components(ends[:, 0], ends[:, 1], 10)
    by_number = {tuple(np.flatnonzero(found == c)) for c in np.unique(found)}
    assert by_number == {tuple(sorted(g)) for g in groups_of(edges, 10)}


def test_components_survive_an_edge_repeated_256_times():
    left, right = np.zeros(256, np.int64), np.ones(256, np.int64)
    assert len(set(components(left, right, 2).tolist())) == 1


def verdicts(edges, ids=None, order=None):
    """Verdicts on nodes 0..n-1, all equally good, as {id: row of the verdict}."""
    n = 1 + max(max(a, b) for a, b, _ in edges)
    ids = ids or [f"r{i}" for i in range(n)]
    key = np.arange(n) if order is None else np.array(order)
    columns = {KEY: key, HOME: key % 3, "quality": np.zeros(n), "length": np.full(n, 5), "id": ids}
    a, b, similarity = zip(*edges, strict=True)
    table = pa.table({"a": key[list(a)], "b": key[list(b)], "similarity": similarity})
    nodes = pa.table(columns).take(pa.array(np.argsort(-key)))
    found = {}
    for address, payload in verdicts_of_edges(table, nodes, "twin", 0.8):
        for row in open_mail([payload])[VERDICT].to_pylist():
            assert row[KEY] % 3 == home_number(address)
            found[ids[key.tolist().index(row.pop(KEY))]] = row
    return found


def test_verdict_in_a_star_names_the_keeper_and_the_similarity_to_it():
    found = verdicts([(0, 1, 0.9), (0, 2, 0.85), (1, 2, 0.95)])
    assert sorted(found) == ["r1", "r2"]
    row = {"reason": "twin", "threshold": 0.8, "other": "r0", "detail": None}
    assert found == {"r1": row | {"value": 0.9}, "r2": row | {"value": 0.85}}


def test_verdict_in_a_chain_says_what_it_is_linked_through():
    found = verdicts([(0, 1, 0.9), (1, 2, 0.81), (2, 3, 0.99)])
    assert [found[f"r{i}"]["detail"] for i in (1, 2, 3)] == [
        None,
        "linked through r3",
        "linked through r2",
    ]
    assert [found[f"r{i}"]["value"] for i in (1, 2, 3)] == [0.9, 0.99, 0.99]
    assert {row["other"] for row in found.values()} == {"r0"}


def test_verdict_joined_through_others_has_the_evidence_of_what_was_measured():
    found = verdicts([(0, 1, 0.9), (1, 2, 0.95), (0, 2, float("nan"))])
    assert (found["r1"]["value"], found["r1"]["detail"]) == (0.9, None)
    assert (found["r2"]["value"], found["r2"]["detail"]) == (0.95, "linked through r1")
    assert {row["other"] for row in found.values()} == {"r0"}


@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 7), st.sampled_from([0.8, 0.9, 1.0])),
        min_size=1,
        max_size=15,
    ).map(lambda edges: [(a, b, s) for a, b, s in edges if a < b] + [(0, 7, 0.8)]),
    st.permutations(range(8)),
)
def test_verdicts_do_not_depend_on_keys_and_keep_one_row_a_component(edges, order):
    edges = list({(a, b): (a, b, s) for a, b, s in edges}.values())
    found = verdicts(edges)
    assert found == verdicts(edges, order=order)
    for group in groups_of([(a, b) for a, b, _ in edges], 8):
        names = sorted(f"r{i}" for i in group)
        assert [name in found for name in names] == [False] + [True] * (len(names) - 1)
