"""Clusters of duplicates: what is kept, how like it the others are, in one place and in many."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines.steps.dedup.clusters.cluster_rounds
import pipelines.steps.dedup.clusters.star_rounds
from pipelines.exchange.mail import NOTE, PLAN, home_number, open_mail, run_rounds
from pipelines.maths.graph.components import components
from pipelines.maths.graph.greedy import grid_of
from pipelines.rows import HOME, KEY
from pipelines.rows.chance import Chance
from pipelines.steps.corpus import VERDICT, Site
from pipelines.steps.dedup.clusters.cluster_rounds import Clusters
from pipelines.steps.dedup.clusters.duplicates import decide_clusters, thinned

THRESHOLD = 0.8


def similarity_of(i, j):
    """A similarity below the threshold for any two rows that were not measured otherwise."""
    return (i * 31 + j * 31 + i * j) % 79 / 100


def measured(edges) -> dict[frozenset[int], float]:
    return {frozenset((a, b)): s for a, b, s in edges}


def tables(edges, n: int, keys: np.ndarray, lengths=None) -> tuple[pa.Table, pa.Table]:
    a, b, similarity = (np.array(x) for x in zip(*edges, strict=True))
    nodes = {
        KEY: keys,
        HOME: np.arange(n) % 3,
        "quality": np.zeros(n),
        "merit": np.full(n, 5) if lengths is None else np.array(lengths)[:n],
        "id": [f"r{i}" for i in range(n)],
    }
    ends = np.unique(np.concatenate([a, b]))
    table = pa.table({"a": keys[a], "b": keys[b], "similarity": similarity.astype(np.float64)})
    return table, pa.table(nodes).take(pa.array(ends))


def verdicts(edges, tmp_path, order=None, parts=1, lengths=None, arrival=0, link="chain"):
    """Verdicts on nodes 0..n-1 as {id: row of the verdict}, and the counts of notes."""
    n = 1 + max(max(a, b) for a, b, _ in edges)
    keys = np.arange(n) if order is None else np.array(order)
    known = measured(edges)
    of = dict(zip(keys.tolist(), range(n), strict=True))

    def held(number, wanted):
        rows = [of[k] for k in wanted.tolist()]
        assert all(row % 3 == number for row in rows)
        return pa.table({KEY: wanted, "evidence": rows, "more": rows})

    def similarities(evidence, left, right):
        rows = evidence.to_numpy()
        found = [
            known.get(frozenset((i, j)), similarity_of(i, j))
            for i, j in zip(rows[left].tolist(), rows[right].tolist(), strict=True)
        ]
        return np.array([similarity_of(0, 1) if np.isnan(s) else s for s in found])

    site = Site(str(tmp_path), "s", Chance(0, 1), 2)

    def grid(evidence):
        return grid_of(partial(similarities, evidence))

    clusters = Clusters(site, "twins", "twin", THRESHOLD, held, similarities, grid, link)
    mail = []
    for part in range(parts):
        edge, node = tables(edges[part::parts], n, keys, lengths) if edges[part::parts] else (0, 0)
        mail += clusters.post(edge, node) if edge else []
    lot = np.random.default_rng(arrival)
    for part in clusters.rounds():
        mail = run_rounds([mail[i] for i in lot.permutation(len(mail))], [part])
    found, noted = {}, 0
    for address, payload in mail:
        kind, table = open_mail([payload]).popitem()
        if address == PLAN:
            assert kind == NOTE
            noted += sum(table["count"].to_pylist())
            continue
        assert kind == VERDICT
        for row in table.to_pylist():
            i = of[row.pop(KEY)]
            assert i % 3 == home_number(address)
            assert f"r{i}" not in found
            found[f"r{i}"] = row
    return found, noted


def test_verdict_names_the_keeper_and_the_similarity_to_it(tmp_path):
    found, _ = verdicts([(0, 1, 0.9), (0, 2, 0.85), (1, 2, 0.95)], tmp_path)
    row = {"reason": "twin", "threshold": 0.8, "other": "r0", "detail": None}
    assert found == {"r1": row | {"value": 0.9}, "r2": row | {"value": 0.85}}


def test_verdict_in_a_chain_is_measured_and_says_what_it_is_linked_through(tmp_path):
    found, _ = verdicts([(0, 1, 0.9), (1, 2, 0.81), (2, 3, 0.996)], tmp_path)
    assert [found[f"r{i}"]["detail"] for i in (1, 2, 3)] == [
        None,
        "linked through r3 (1.00)",
        "linked through r2 (1.00)",
    ]
    expected = [0.9, similarity_of(0, 2), similarity_of(0, 3)]
    assert [found[f"r{i}"]["value"] for i in (1, 2, 3)] == expected
    assert {row["other"] for row in found.values()} == {"r0"}


def test_verdict_on_rows_that_never_met_has_no_link_where_they_are_similar(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "similarity_of", lambda i, j: 0.83)
    found, _ = verdicts([(0, 1, 0.9), (1, 2, 0.95), (0, 2, float("nan"))], tmp_path)
    assert {i: (v["value"], v["detail"]) for i, v in found.items()} == {
        "r1": (0.9, None),
        "r2": (0.83, None),
    }


EDGES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([0.8, 0.9, 1.0])),
    min_size=1,
    max_size=20,
).map(lambda edges: [*{(a, b): (a, b, s) for a, b, s in edges if a < b}.values(), (0, 10, 0.8)])


def greedy_verdicts(known):
    """Go through the rows in order; drop each for the first kept one like it, if there is one."""
    kept, found = [], {}
    for name in sorted(f"r{i}" for i in range(11)):
        i = int(name[1:])
        for keeper in kept:
            value = known.get(frozenset((i, keeper)), similarity_of(i, keeper))
            if value >= THRESHOLD:
                row = {"reason": "twin", "threshold": THRESHOLD, "detail": None}
                found[name] = row | {"other": f"r{keeper}", "value": value}
                break
        else:
            kept.append(i)
    return found


@settings(max_examples=60)
@given(
    *(EDGES, st.permutations(range(11)), st.integers(1, 4), st.integers(0, 9), st.booleans()),
    st.sampled_from(["direct", "chain"]),
)
def test_verdicts_do_not_depend_on_keys_parts_arrival_or_places(
    tmp_path_factory, edges, order, parts, arrival, spread, link
):
    work = tmp_path_factory.getbasetemp()
    expected, _ = verdicts(edges, work, link=link)
    with pytest.MonkeyPatch.context() as patch:
        if spread:
            patch.setattr(pipelines.steps.dedup.clusters.cluster_rounds, "SPREAD_FROM", 1)
            patch.setattr(pipelines.steps.dedup.clusters.star_rounds, "TURNS", 1)
        found, _ = verdicts(edges, work, order, parts, arrival=arrival, link=link)
    assert found == expected
    known = measured(edges)
    if link == "direct":
        assert found == greedy_verdicts(known)
        return
    groups = components(*np.array([(a, b) for a, b, _ in edges]).T, 11)
    for group in np.unique(groups):
        keeper, *others = np.flatnonzero(groups == group).tolist()
        keeper, *others = sorted((keeper, *others), key=lambda i: f"r{i}")
        assert f"r{keeper}" not in found
        for i in others:
            row = found[f"r{i}"]
            value = known.get(frozenset((i, keeper)), similarity_of(i, keeper))
            assert (row["other"], row["value"]) == (f"r{keeper}", value)
            assert (row["detail"] is None) == (value >= THRESHOLD)


@pytest.mark.parametrize("turns", [1, 3])
def test_clusters_in_many_places_are_those_of_one_place(tmp_path, monkeypatch, turns):
    rng = np.random.default_rng(0)
    chain = [(i, i + 1, 0.9) for i in range(400)]  # keys ascend along it
    star = [(401, i, 0.85) for i in range(402, 600)]
    clique = [(i, j, 0.95) for i in range(600, 630) for j in range(i + 1, 630)]
    some = np.unique(np.sort(rng.integers(630, 1200, (400, 2)), axis=1), axis=0)
    other = [(int(a), int(b), 0.8) for a, b in some if a < b]
    edges = [(a, b, s) for a, b, s in rng.permutation(chain + star + clique + other).tolist()]
    edges = [(int(a), int(b), s) for a, b, s in edges]
    lengths = rng.integers(0, 50, 1200)
    expected, none = verdicts(edges, tmp_path, lengths=lengths)
    direct, _ = verdicts(edges, tmp_path, lengths=lengths, link="direct")
    monkeypatch.setattr(pipelines.steps.dedup.clusters.cluster_rounds, "SPREAD_FROM", 1)
    monkeypatch.setattr(pipelines.steps.dedup.clusters.star_rounds, "TURNS", turns)
    found, joined_at_the_end = verdicts(edges, tmp_path, parts=3, lengths=lengths)
    assert found == expected
    assert len(found) > 800
    again, _ = verdicts(edges, tmp_path, parts=3, lengths=lengths, link="direct")
    assert again == direct
    assert 200 < len(direct) < len(found)
    assert none == 0
    assert 0 < joined_at_the_end < len(edges) / 3**turns


@given(EDGES, st.integers(2, 4))
def test_thinned_edges_in_parts_decide_as_all_edges_do(edges, parts):
    keys = np.arange(11)
    expected = decide_clusters(*tables(edges, 11, keys))
    thin = [thinned(*tables(edges[i::parts], 11, keys)) for i in range(parts) if edges[i::parts]]
    for edge, node in thin:
        assert len(edge) <= 2 * len(node)
    found = decide_clusters(*(pa.concat_tables(t) for t in zip(*thin, strict=True)))
    assert found.drop_columns("value").equals(expected.drop_columns("value"))
    np.testing.assert_array_equal(found["value"].to_numpy(), expected["value"].to_numpy())


def test_clusters_of_no_edges_post_nothing(tmp_path):
    site = Site(str(tmp_path), "s", Chance(0, 1), 2)
    none = pa.table({"a": pa.array([], pa.int64())})
    assert list(Clusters(site, "twins", "twin", 0.8, None, None, None).post(none, none)) == []
