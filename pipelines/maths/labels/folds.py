"""Out-of-fold probabilities: each row judged by a linear model that never saw its fold."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.maths.arrays import Floats, Int64
from pipelines.maths.labels.regression import Linear, fit, scores, snapped, softmax

Features = npt.NDArray[np.floating]

INVERSE_PENALTY = 10.0
"""scikit-learn's C. Unit vectors need less shrinking than its default of 1."""


class TooFewLabels(ValueError):
    """There are too few rows with a label to fit a model; the message is for the user."""


@dataclass(frozen=True)
class FoldModels:
    """One linear model per fold, as plain arrays.

    A class that a model has never seen has intercept -inf there, so its probability is 0.
    """

    coef: Floats
    """Shape (folds, classes, dimensions)."""
    intercept: Floats
    """Shape (folds, classes)."""


def fit_folds(
    vectors: Features,
    labels: Int64,
    folds: npt.NDArray[np.integer],
    n_folds: int,
    n_classes: int | None = None,
) -> FoldModels:
    """Fit a logistic regression to the rows outside each fold.

    Rows in the same order give the same models, to the last bit, on any machine.

    Args:
        vectors: shape (n, dimensions).
        labels: shape (n,), 0 to classes - 1; rows with a label below 0 are left out.
        folds: shape (n,), 0 to n_folds - 1.
        n_folds: number of folds, at least 2.
        n_classes: number of classes; default: the largest label plus 1.

    Raises:
        TooFewLabels: no labelled row is left outside a fold.
    """
    if n_folds < 2:
        raise ValueError(f"folds is {n_folds}; out-of-fold probabilities need at least 2")
    classes = int(labels.max(initial=-1)) + 1 if n_classes is None else n_classes
    coef = np.zeros((n_folds, classes, vectors.shape[1]))
    intercept = np.full((n_folds, classes), -np.inf)
    for fold in range(n_folds):
        row = _training_rows(labels, folds, fold)
        seen = np.unique(labels[row])
        intercept[fold, seen] = 0.0
        if len(seen) == 1:
            continue
        numbers = np.searchsorted(seen, labels[row])
        linear = fit(vectors[row], numbers, len(seen), 1 / (INVERSE_PENALTY * len(row)))
        coef[fold, seen], intercept[fold, seen] = linear.coef, linear.intercept
    return FoldModels(coef, intercept)


def predict(models: FoldModels, vectors: Features, folds: npt.NDArray[np.integer]) -> Floats:
    """Return the probabilities of each row by the model of its fold, shape (n, classes)."""
    probabilities = np.zeros((len(vectors), models.coef.shape[1]))
    for fold in np.unique(folds).tolist():
        row = np.flatnonzero(folds == fold)
        linear = Linear(models.coef[fold], models.intercept[fold])
        probabilities[row] = softmax(scores(snapped(vectors[row]), linear))
    return probabilities


def _training_rows(labels: Int64, folds: npt.NDArray[np.integer], fold: int) -> Int64:
    """Return the labelled rows outside a fold, ascending."""
    row = np.flatnonzero((folds != fold) & (labels >= 0))
    if not row.size:
        raise TooFewLabels(
            f"no labelled row is left outside fold {fold}: use fewer folds or more labelled rows"
        )
    return row
