"""Duplicates of different labels, against the rule applied group by group."""

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from corpus import cuts, decide, make_rows, play
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines.steps.dedup.clusters.cluster_rounds
from pipelines.rows import HOME, KEY, Columns, Rows
from pipelines.rows.keys import pack
from pipelines.steps.dedup.clusters.conflicts import (
    LABEL,
    OTHER_LABEL,
    label_hashes,
    settle_conflicts,
)
from pipelines.steps.dedup.clusters.duplicates import decide_clusters
from pipelines.steps.dedup.clusters.keepers import MERIT, QUALITY, ROW_ID
from pipelines.steps.dedup.clusters.settled import judge
from pipelines.steps.dedup.exact_dedup import ExactDedup
from pipelines.steps.dedup.near_dedup import NearDedup
from pipelines.steps.dedup.semantic_dedup import SemanticDedup

POLICIES = ["keep", "drop_all", "majority"]


def by_rule(groups: list[list[int]], labels: list, policy: str):
    """{row: (row it is dropped for, whether for the conflict)}; a group has its best row first."""
    found = {}
    for group in groups:
        known = [labels[i] for i in group if labels[i] is not None]
        counts = Counter(known).most_common()
        if len(counts) < 2 or policy == "keep":
            found |= dict.fromkeys(group[1:], (group[0], False))
        elif policy == "majority" and counts[0][1] > counts[1][1]:
            kept = next(i for i in group if labels[i] == counts[0][0])
            found |= {i: (kept, False) for i in group if i != kept}
        else:
            labelled = [i for i in group if labels[i] is not None]
            for i in group:
                found[i] = (next(j for j in labelled if labels[j] != labels[i]), True)
    return found


LABELS = st.one_of(st.none(), st.sampled_from("abc"))
ROWS = st.lists(st.tuples(st.integers(0, 4), LABELS), min_size=1, max_size=25)


def grouped(rows) -> list[list[int]]:
    groups = defaultdict(list)
    for i, (group, _) in enumerate(rows):
        groups[group].append(i)
    return list(groups.values())


@given(ROWS, st.sampled_from(POLICIES), st.randoms(use_true_random=False))
def test_groups_are_settled_by_the_rule(rows, policy, random):
    place = list(range(len(rows)))
    random.shuffle(place)
    groups = [sorted(group, key=lambda i: place[i]) for group in grouped(rows)]
    labels = [label for _, label in rows]
    keeper = np.zeros(len(rows), np.int64)
    for group in groups:
        keeper[group] = group[0]
    codes = np.array(["abc".index(label) if label else 9 for label in labels], np.uint64)
    known = np.array([label is not None for label in labels])
    settled = settle_conflicts(keeper, np.array(place), codes, known, policy)
    gone = np.flatnonzero(settled.other != np.arange(len(rows))).tolist()
    found = {i: (int(settled.other[i]), bool(settled.conflict[i])) for i in gone}
    expected = by_rule(groups, labels, policy)
    assert found == expected
    differs = {i for i, (j, conflict) in expected.items() if not conflict and labels[i]}
    differs = {i for i in differs if labels[expected[i][0]] not in (None, labels[i])}
    assert set(np.flatnonzero(settled.differs).tolist()) == differs


@settings(max_examples=30)
@given(ROWS, st.sampled_from(POLICIES), cuts(10), st.data(), st.integers(0, 9))
def test_exact_dedup_settles_labels_for_any_cut_and_order(
    tmp_path_factory, rows, policy, cut, data, arrival
):
    labels = [label for _, label in rows]
    texts = [f"text {group}" for group, _ in rows]
    order = data.draw(st.permutations(range(len(rows))))
    made = make_rows(text=texts, label=pa.array(labels, pa.string()), order=order)
    step = ExactDedup(conflicts=policy)
    found = play(step, made, tmp_path_factory.getbasetemp(), cut, arrival=arrival)
    expected = by_rule(grouped(rows), labels, policy)
    names = {f"r{i:05d}": i for i in range(len(rows))}
    assert {
        names[i]: (names[v.other], v.reason == "label_conflict") for i, v in found.verdicts.items()
    } == expected
    differing = [v for v in found.verdicts.values() if v.detail == OTHER_LABEL]
    assert found.noted == len(differing)
    assert {v.detail for v in found.verdicts.values()} <= {None, OTHER_LABEL}


WORDS = [f"w{i}" for i in range(200)]


def near_texts() -> tuple[list[str], list[str | None]]:
    """Thirty originals with up to five versions each, of which a word differs, and labels."""
    rng = np.random.default_rng(3)
    texts, labels = [], []
    for _ in range(30):
        words = rng.choice(WORDS, 60).tolist()
        for _ in range(rng.integers(1, 6)):
            version = list(words)
            version[rng.integers(60)] = "other"
            texts.append(" ".join(version))
            labels.append([None, "a", "b", "c"][rng.integers(4)])
    return texts, labels


def unit_vectors(n: int) -> pa.Array:
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(30, 8)).repeat(8, axis=0)[:n]
    vectors = (centres + 0.02 * rng.normal(size=(n, 8))).astype(np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8)


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("make", [NearDedup, SemanticDedup])
def test_similar_rows_are_settled_alike_for_any_cut(tmp_path, monkeypatch, make, policy, spread):
    texts, labels = near_texts()
    options = {"column": "v"} if make is SemanticDedup else {"similarity": 0.7}
    made = make_rows(text=texts, label=pa.array(labels, pa.string()), v=unit_vectors(len(texts)))
    duplicates = decide(make(**options), made.replace("label", pa.nulls(len(made))), tmp_path)
    groups = defaultdict(list)
    for i in range(len(texts)):
        name = f"r{i:05d}"
        groups[duplicates[name].other if name in duplicates else name].append(name)
    size = {f"r{i:05d}": len(text) for i, text in enumerate(texts)}
    label_of = {f"r{i:05d}": label for i, label in enumerate(labels)}
    ordered = [sorted(group, key=lambda i: (-size[i], i)) for group in groups.values()]
    expected = by_rule(ordered, label_of, policy)
    assert any(conflict for _, conflict in expected.values()) == (policy != "keep")
    if spread:
        monkeypatch.setattr(pipelines.steps.dedup.clusters.cluster_rounds, "SPREAD_FROM", 1)
    step = make(conflicts=policy, **options)
    whole = play(step, made, tmp_path)
    found = {i: (v.other, v.reason == "label_conflict") for i, v in whole.verdicts.items()}
    assert found == expected
    for v in whole.verdicts.values():  # the row that a vote keeps may not have been compared
        voted = v.value is None and policy != "keep" and "linked through" in v.detail
        assert voted or 0 < v.value <= 1
    differing = sum(OTHER_LABEL in (v.detail or "") for v in whole.verdicts.values())
    assert (differing > 0) == (policy != "drop_all")
    assert whole.noted >= differing  # star rounds note something too
    cut = play(step, made, tmp_path, ((7, 20), (5,), (31, 2)), arrival=4)
    assert cut.verdicts == whole.verdicts


@pytest.mark.parametrize("policy", POLICIES)
def test_labels_of_rows_dropped_for_an_earlier_run_are_not_judged(policy):
    keys = np.array([-7, *pack(0, np.arange(3))])
    nodes = pa.table(
        {
            KEY: keys, HOME: [-1, 0, 0, 0], QUALITY: np.zeros(4), MERIT: np.zeros(4, np.int64),
            ROW_ID: ["e", "a", "b", "c"], LABEL: pa.array([None, 1, 2, 2], pa.uint64()),
        }
    )  # fmt: skip
    edges = pa.table({"a": keys[[0, 0, 0]], "b": keys[1:], "similarity": [0.9, 0.9, 0.9]})
    found = judge(decide_clusters(edges, nodes), policy)
    assert found.dropped["other"].to_pylist() == ["e", "e", "e"]
    assert not found.conflict.any()
    assert not found.differs.any()


def test_row_that_is_similar_through_others_says_so_whatever_the_labels(tmp_path):
    """A chain a-b-c: c is kept for its label, and a, at the other end, is not similar to it."""
    words = WORDS[:40]
    chain = [words[:30], words[3:33], words[6:36]]
    texts = [" ".join(chain[0]) + " long long", " ".join(chain[1]), " ".join(chain[2])]
    rows = make_rows(text=texts, label=["a", "b", "b"])
    step = NearDedup(similarity=0.7, shingle=1, conflicts="majority", link="chain")
    found = decide(step, rows, tmp_path)
    kept = ({"r00000", "r00001", "r00002"} - found.keys()).pop()
    assert kept in ("r00001", "r00002")
    assert found["r00000"].other == kept
    assert found["r00000"].detail.endswith(OTHER_LABEL)
    far = found["r00000"].value is None or found["r00000"].value < 0.7
    assert ("linked through" in found["r00000"].detail) == far


def hashes(values, role="label") -> list[int | None]:
    table = pa.table({"label": values, "_key": pack(0, np.arange(len(values)))})
    return label_hashes(Rows(table, Columns(**{role: "label"}))).to_pylist()


def test_labels_are_equal_if_they_are_stored_alike():
    texts = hashes(["1", None, "2"])
    assert texts[1] is None
    assert texts[0] != texts[2]
    for same in ([1, None, 2], [1.0, None, 2.0], pa.array(["1", None, "2"]).dictionary_encode()):
        assert hashes(same) == texts


@pytest.mark.parametrize(
    "values", [[["a"], ["b"]], [{"a": 1}, {"a": 2}], pa.nulls(2), [None, None]]
)
def test_what_holds_no_classes_has_no_labels(values):
    assert hashes(values) == [None, None]
    assert hashes(["a", "b"], role="text") == [None, None]
