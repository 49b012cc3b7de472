"""Confident learning: which labels a model contradicts with confidence.

Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021
(arXiv:1911.00068). The threshold of a class is the mean probability that rows labelled so are
given for it; a row whose probability for another class reaches that class's threshold, and tops
all others, is a label issue. Probabilities must be out of fold: see `pipelines.maths.labels.folds`.

Thresholds come out of partial sums that add up exactly (integers), so that they do not depend on
how the rows were cut into parts. A label below 0 means unlabelled: such rows count for nothing and
are never issues.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.maths.arrays import Int64, Mask

Probabilities = npt.NDArray[np.floating]

SCALE = 2**32
"""Probabilities are summed in units of 2^-32: exact in any order, for 2^31 rows a class."""
TOLERANCE = 1e-6
"""How far below its threshold a probability still counts as confident; cleanlab's figure."""
NEVER = 2.0
"""Threshold of a class without rows: no probability reaches it."""


@dataclass(frozen=True)
class SelfConfidence:
    """Sums over rows by label: of the probability of the row's own label, and of rows."""

    total: npt.NDArray[np.int64]
    """Shape (classes,), in units of 1 / SCALE."""
    rows: npt.NDArray[np.int64]
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


def thresholds(sums: SelfConfidence) -> npt.NDArray[np.float64]:
    """Return the mean self-confidence t_j of each class, shape (classes,) (eq. 2 of the paper)."""
    mean = sums.total / np.maximum(sums.rows, 1) / SCALE
    return np.where(sums.rows > 0, mean, NEVER)


def label_issues(
    probabilities: Probabilities, labels: Int64, thresholds: npt.NDArray[np.float64]
) -> tuple[Mask, Int64]:
    """Find the rows off the diagonal of the confident joint (eq. 1 of the paper).

    A row that reaches several thresholds belongs to its likeliest class. A row whose likeliest
    class is its own label is no issue, though another class may be the only one it is confident
    of: that is what `cleanlab.filter.find_label_issues(filter_by="confident_learning")` does.

    Returns:
        Which rows are issues, shape (n,), and the class each row more likely belongs to, shape
        (n,); for rows that reach no threshold, their likeliest class.
    """
    confident = probabilities >= thresholds - TOLERANCE
    reached = confident.sum(axis=1)
    likeliest = probabilities.argmax(axis=1)
    suggested = np.where(reached == 1, confident.argmax(axis=1), likeliest)
    issue = (reached > 0) & (suggested != labels) & (likeliest != labels) & (labels >= 0)
    return issue, suggested.astype(np.int64)
