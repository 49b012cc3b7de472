"""Confident learning: which labels a model contradicts with confidence.

Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021
(arXiv:1911.00068). The threshold of a class is the mean probability of that class over the rows
with its label. A row is a label issue if its probability of another class reaches the threshold of
that class and is its highest. Probabilities must be out of fold: see `folds` beside this module.

Thresholds are computed from partial sums of integers, which add up exactly, so that they do not
depend on how the rows were cut into parts. A label below 0 means that a row has none: it counts for
nothing and is never an issue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.maths.arrays import Floats, Int64, Mask

Probabilities = npt.NDArray[np.floating]

SCALE = 2**32
"""Probabilities are summed in units of 2^-32: exact in any order, for up to 2^31 rows per class."""
TOLERANCE = 1e-6
"""How far below its threshold a probability still counts as confident; cleanlab's figure."""
NEVER = 2.0
"""Threshold of a class without rows: no probability reaches it."""


@dataclass(frozen=True)
class SelfConfidence:
    """Sums over the rows of each label: their probabilities of that label, and their number."""

    total: Int64
    """Shape (classes,), in units of 1 / SCALE."""
    rows: Int64
    """Shape (classes,)."""

    def __add__(self, other: SelfConfidence) -> SelfConfidence:
        """Return the sums over the rows of both."""
        return SelfConfidence(self.total + other.total, self.rows + other.rows)


def partial_sums(probabilities: Probabilities, labels: Int64) -> SelfConfidence:
    """Sum the self-confidence of rows by label.

    Args:
        probabilities: shape (n, classes).
        labels: shape (n,), below 0 for unlabelled.
    """
    classes = probabilities.shape[1]
    row = np.flatnonzero(labels >= 0)
    label = labels[row]
    units = np.rint(probabilities[row, label].astype(np.float64) * SCALE).astype(np.int64)
    total = np.zeros(classes, dtype=np.int64)
    np.add.at(total, label, units)
    return SelfConfidence(total, np.bincount(label, minlength=classes))


def thresholds(sums: SelfConfidence) -> Floats:
    """Return the mean self-confidence t_j of each class, shape (classes,) (eq. 2 of the paper)."""
    mean = sums.total / np.maximum(sums.rows, 1) / SCALE
    return np.where(sums.rows > 0, mean, NEVER)


def label_issues(
    probabilities: Probabilities, labels: Int64, thresholds: Floats
) -> tuple[Mask, Int64]:
    """Find the rows off the diagonal of the confident joint (eq. 1 of the paper).

    A row that reaches several thresholds belongs to its likeliest class. A row whose likeliest
    class is its own label is no issue, even if another class is the only one whose threshold it
    reaches: so does `cleanlab.filter.find_label_issues(filter_by="confident_learning")`.

    Returns:
        which rows are issues, shape (n,), and the class each row more likely belongs to, shape
        (n,); for rows that reach no threshold, their likeliest class.
    """
    confident = probabilities >= thresholds - TOLERANCE
    reached = confident.sum(axis=1)
    likeliest = probabilities.argmax(axis=1)
    suggested = np.where(reached == 1, confident.argmax(axis=1), likeliest)
    issue = (reached > 0) & (suggested != labels) & (likeliest != labels) & (labels >= 0)
    return issue, suggested.astype(np.int64)
