"""Planted label errors, cleanlab's answers, and the same verdicts for any cut."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from corpus import cuts, decide, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import UserError
from pipelines.maths.labels.confident import label_issues, partial_sums, thresholds
from pipelines.maths.labels.folds import fit_folds, predict
from pipelines.rows import MissingColumn
from pipelines.rows.chance import Chance
from pipelines.steps.labels.label_errors import DropLabelErrors, class_numbers

STEP = DropLabelErrors(column="v")
NAMES = np.array(["cat", "dog", "owl"])


@cache
def planted(rows: int = 240, flips: int = 24, spread: float = 0.3):
    """Vectors in three clumps, their labels, and which labels were flipped."""
    rng = np.random.default_rng(0)
    true = np.arange(rows) % 3
    vectors = np.eye(3, 8)[true] + spread * rng.normal(size=(rows, 8))
    flipped = np.sort(rng.choice(rows, flips, replace=False))
    given_labels = true.copy()
    given_labels[flipped] = (true[flipped] + rng.integers(1, 3, flips)) % 3
    return vectors, NAMES[given_labels], flipped


def column(vectors: np.ndarray) -> pa.Array:
    flat = pa.array(np.asarray(vectors, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def planted_rows(order=None, **how):
    vectors, labels, _ = planted(**how)
    return make_rows(v=column(vectors), label=labels.tolist(), order=order)


def test_label_errors_that_were_planted_are_found(tmp_path):
    planted_ids = {f"r{i:05d}" for i in planted(spread=0.1)[2]}
    found = decide(STEP, planted_rows(spread=0.1), tmp_path, cut=[[50, 50], [70]])
    assert set(found) <= planted_ids
    assert len(found) >= 0.85 * len(planted_ids)
    true = NAMES[np.arange(240) % 3]
    for row_id, verdict in found.items():
        assert verdict.reason == "label_error"
        assert verdict.detail.startswith(f"looks like {true[int(row_id[1:])]} (0.")
        assert verdict.value < 0.5 < verdict.threshold


def probabilities_by_hand(step, seed=0):
    """Out-of-fold probabilities of the planted rows, by id order."""
    vectors, labels, _ = planted()
    unit = vectors.astype(np.float32).astype(np.float64)
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    numbers = class_numbers(pa.array(labels.tolist()), sorted(NAMES.tolist()))
    chance = Chance(seed, 1)
    ids = pa.array([f"r{i:05d}" for i in range(len(unit))])
    folds = (chance.hashes(ids) % np.uint64(step.folds)).astype(np.int64)
    order = np.argsort(chance.uniform(ids))
    models = fit_folds(unit[order], numbers[order], folds[order], step.folds, 3)
    return predict(models, unit, folds), numbers


def test_label_errors_equal_confident_learning_by_hand(tmp_path):
    probabilities, labels = probabilities_by_hand(STEP)
    bounds = thresholds(partial_sums(probabilities, labels))
    issue, _ = label_issues(probabilities, labels, bounds)
    found = decide(STEP, planted_rows(), tmp_path, cut=[[100, 20], [30]])
    assert sorted(found) == [f"r{i:05d}" for i in np.flatnonzero(issue)]
    for row_id, verdict in found.items():
        i = int(row_id[1:])
        assert verdict.value == pytest.approx(probabilities[i, labels[i]], abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_label_errors_equal_those_of_cleanlab(tmp_path):
    cleanlab = pytest.importorskip("cleanlab.filter")
    probabilities, labels = probabilities_by_hand(STEP)
    expected = cleanlab.find_label_issues(
        labels, probabilities, filter_by="confident_learning", n_jobs=1
    )
    assert 10 < expected.sum() < 60
    found = decide(STEP, planted_rows(), tmp_path)
    assert sorted(found) == [f"r{i:05d}" for i in np.flatnonzero(expected)]


@cache
def reference(work: str, fit_rows: int):
    return decide(DropLabelErrors(column="v", fit_rows=fit_rows), planted_rows(), work)


@settings(max_examples=12)
@given(cuts(120), st.permutations(range(240)), st.integers(0, 9), st.sampled_from([100, 1000]))
def test_label_errors_do_not_depend_on_cut_order_or_arrival(
    tmp_path_factory, cut, order, arrival, fit_rows
):
    work = str(tmp_path_factory.getbasetemp())
    step = DropLabelErrors(column="v", fit_rows=fit_rows)
    found = decide(step, planted_rows(order), work, cut, arrival=arrival)
    assert found == reference(work, fit_rows)


def test_label_errors_fit_no_more_rows_than_told(tmp_path):
    work = str(tmp_path)
    assert reference(work, 100) != reference(work, 1000)


def test_label_errors_at_most_spares_rows_with_a_probable_label(tmp_path):
    every = decide(STEP, planted_rows(), tmp_path)
    sure = decide(STEP.model_copy(update={"at_most": 0.1}), planted_rows(), tmp_path)
    assert sure == {i: v for i, v in every.items() if v.value <= 0.1}
    assert 0 < len(sure) < len(every)


@pytest.mark.parametrize("cut", [((1 << 30,),), ((240,), (2, 1), (1,)), ((241, 1), (1,))])
def test_label_errors_leave_rows_without_label_or_content_alone(tmp_path, cut):
    vectors, labels, _ = planted()
    unlike = np.concatenate([vectors, vectors[:2], np.zeros((2, 8))])
    named = [*labels.tolist(), None, None, "cat", "owl"]
    rows = make_rows(v=column(unlike), label=pa.array(named))
    assert decide(STEP, rows, tmp_path, cut) == decide(STEP, planted_rows(), tmp_path)


@pytest.mark.parametrize("cut", [((1 << 30,),), ((240,), (1,), (1,))])
def test_label_errors_drop_labelled_vectors_of_a_length_unlike_most(tmp_path, cut):
    vectors, labels, _ = planted()
    ragged = [*vectors.tolist(), [1.0], [1.0, 2.0]]
    rows = make_rows(v=ragged, label=pa.array([*labels.tolist(), "cat", None]))
    found = decide(STEP, rows, tmp_path, cut)
    odd = found.pop("r00240")
    assert (odd.reason, odd.value, odd.threshold) == ("odd_vector", 1.0, 8.0)
    assert "label_error" in {v.reason for v in found.values()}
    assert "r00241" not in found


@pytest.mark.parametrize(
    ("labels", "said"), [(["cat"] * 8, "'cat'"), ([None] * 8, "no label"), ([3] * 8, "'3'")]
)
def test_label_errors_need_two_classes(tmp_path, labels, said):
    rows = make_rows(v=column(np.ones((8, 2))), label=pa.array(labels))
    with pytest.raises(ValueError, match=f"drop_label_errors found {said}; it needs two labels"):
        decide(STEP, rows, tmp_path)


def test_label_errors_need_vectors_that_say_something(tmp_path):
    rows = make_rows(v=column(np.zeros((8, 2))), label=["a", "b"] * 4)
    with pytest.raises(ValueError, match="vectors that are not zero"):
        decide(STEP, rows, tmp_path)


def test_label_errors_tell_the_user_that_labelled_rows_are_too_few(tmp_path):
    ids = [f"r{i:05d}" for i in range(40)]
    chance = Chance(0, 1)
    fold = chance.hashes(pa.array(ids)) % np.uint64(STEP.folds)
    alone = [name for name, number in zip(ids, fold, strict=True) if number == fold[0]][:2]
    rows = make_rows(ids=alone, v=column(np.eye(2)), label=["a", "b"])
    with pytest.raises(
        UserError, match=r"no labelled row is left outside fold \d: use fewer folds"
    ):
        decide(STEP, rows, tmp_path)


def test_label_errors_work_with_two_classes_and_labels_of_numbers(tmp_path):
    rng = np.random.default_rng(1)
    true = np.arange(100) % 2
    given_labels = true.copy()
    given_labels[[10, 51]] = 1 - true[[10, 51]]
    vectors = np.eye(2, 4)[true] + 0.1 * rng.normal(size=(100, 4))
    rows = make_rows(v=column(vectors), label=given_labels.tolist())
    assert sorted(decide(STEP, rows, tmp_path)) == ["r00010", "r00051"]


def test_label_errors_on_lists_of_labels_condemn_the_recipe():
    with pytest.raises(MissingColumn, match="label"):
        STEP.sign(make_rows(v=column(np.ones((1, 2))), label=[["a"]]), Chance(0, 1))


def test_label_errors_warn_where_many_labels_are_taken_for_wrong() -> None:
    few, many = ({"judged": 1000.0, "dropped": n} for n in (250.0, 251.0))
    assert STEP.in_words(few) == "takes 250 of 1,000 labels for wrong (25.0%)"
    assert STEP.in_words(many).endswith("(25.1%): many, so prove that dropping them helps")


def test_class_that_a_model_was_not_shown_is_not_judged(tmp_path):
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(100), 3)
    vectors = np.eye(100)[true] + 0.01 * rng.normal(size=(300, 100))
    labels = [f"class {n:03}" for n in true]
    rows = make_rows(v=column(vectors), label=labels)
    folds = STEP._folds(rows, Chance(0, 1)).reshape(100, 3)
    alone = (folds == folds[:, :1]).all(axis=1)
    assert alone.any()  # all rows of some classes lie in one fold
    assert decide(STEP, rows, tmp_path) == {}


def test_rows_that_are_not_judged_are_told():
    said = STEP.in_words({"judged": 297.0, "dropped": 2.0, "unseen": 3.0})
    assert said.endswith("; 3 rows of classes too small for every fold are not judged")
    assert "judged" not in STEP.in_words({"judged": 300.0, "dropped": 2.0})
