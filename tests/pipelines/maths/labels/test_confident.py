import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.maths.labels.confident import NEVER, label_issues, partial_sums, thresholds


def random_case(seed):
    draw = np.random.default_rng(seed)
    classes, rows = int(draw.integers(2, 6)), int(draw.integers(1, 60))
    labels = draw.integers(-1, classes, rows)
    scores = draw.normal(size=(rows, classes)) * 2
    scores[np.arange(rows), labels] += 1.5
    raised = np.exp(scores)
    return raised / raised.sum(axis=1, keepdims=True), labels


def slow_issues(probabilities, labels):
    """Find label issues one row at a time, after the simplified code in cleanlab's documentation.

    Northcutt et al. 2021, section 3.1: each row is counted for at most one class.
    """
    classes = probabilities.shape[1]
    bar = [
        probabilities[labels == j, j].mean() if (labels == j).any() else 2 for j in range(classes)
    ]
    issues = []
    for row, label in zip(probabilities, labels, strict=True):
        confident = [j for j in range(classes) if row[j] >= bar[j] - 1e-6]
        if len(confident) > 1:
            confident = [int(np.argmax(row))]
        issues.append(
            label >= 0
            and bool(confident)
            and confident[0] != label
            and int(np.argmax(row)) != label
        )
    return issues


@given(st.integers(0, 10_000))
def test_label_issues_equal_a_slow_reference(seed):
    probabilities, labels = random_case(seed)
    issue, _ = label_issues(probabilities, labels, thresholds(partial_sums(probabilities, labels)))
    assert issue.tolist() == slow_issues(probabilities, labels)


def test_label_issues_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.05, 0.95], [0.2, 0.8], [0.1, 0.9]])
    labels = np.array([0, 0, 0, 1, 1])
    bars = thresholds(partial_sums(probabilities, labels))
    assert bars == pytest.approx([0.55, 0.85])
    issue, suggested = label_issues(probabilities, labels, bars)
    assert issue.tolist() == [False, False, True, False, False]
    assert suggested.tolist() == [0, 0, 1, 1, 1]


def test_label_issues_leave_unlabelled_rows_alone():
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.0, 1.0]])
    labels = np.array([0, 1, -1])
    sums = partial_sums(probabilities, labels)
    assert sums.rows.tolist() == [1, 1]
    issue, suggested = label_issues(probabilities, labels, thresholds(sums))
    assert not issue.any()
    assert suggested[2] == 1


@given(st.integers(0, 10_000), st.permutations(range(4)))
def test_partial_sums_add_up_exactly_in_any_order(seed, order):
    probabilities, labels = random_case(seed)
    parts = np.array_split(np.arange(len(labels)), 4)
    sums = [partial_sums(probabilities[part], labels[part]) for part in parts]
    total = sums[order[0]] + sums[order[1]] + sums[order[2]] + sums[order[3]]
    at_once = partial_sums(probabilities, labels)
    assert total.total.tolist() == at_once.total.tolist()
    assert total.rows.tolist() == at_once.rows.tolist()


def test_thresholds_of_a_class_without_rows_are_out_of_reach():
    sums = partial_sums(np.array([[0.25, 0.25, 0.5]]), np.array([2]))
    assert thresholds(sums).tolist() == [NEVER, NEVER, 0.5]
