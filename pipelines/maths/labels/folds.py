"""Out-of-fold probabilities: each row judged by a linear model that never saw its fold."""

import importlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.maths.arrays import Floats, Int64

Features = npt.NDArray[np.floating]

INVERSE_PENALTY = 10.0
"""scikit-learn's C. Unit vectors need less shrinking than its default of 1."""
ITERATIONS = 1000
ENOUGH = 1e-6
"""The solver stops where no slope is steeper. In float64 and with this, two processors differ by
less than 1e-11 in a probability; in float32 by 0.002."""
DECIMALS = 8
"""Of a probability: what processors make differ is rounded away before it is compared."""
BLOCK = 256
"""Rows multiplied at a time. Always this many, padded with zeros: the shape of a product changes
its last bits, and a probability may depend on its row alone."""


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
    """Fit a logistic regression of scikit-learn to the rows outside each fold.

    Rows in the same order give the same models: one BLAS thread is used, on any machine.

    Args:
        vectors: shape (n, dimensions).
        labels: shape (n,), 0 to classes - 1; rows with a label below 0 are left out.
        folds: shape (n,), 0 to n_folds - 1.
        n_folds: number of folds, at least 2.
        n_classes: number of classes; default: the largest label plus 1.

    Raises:
        TooFewLabels: no labelled row is left outside a fold.
    """
    from sklearn.linear_model import LogisticRegression

    threadpools = importlib.import_module("threadpoolctl")  # scikit-learn brings it
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
        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=ITERATIONS, tol=ENOUGH)
        with threadpools.threadpool_limits(limits=1, user_api="blas"):
            model.fit(vectors[row].astype(np.float64), labels[row])
        if len(seen) == 2:  # one row of weights stands for the second class; the first has zeros
            coef[fold, seen[1]], intercept[fold, seen[1]] = model.coef_[0], model.intercept_[0]
        else:
            coef[fold, seen], intercept[fold, seen] = model.coef_, model.intercept_
    return FoldModels(coef, intercept)


def predict(models: FoldModels, vectors: Features, folds: npt.NDArray[np.integer]) -> Floats:
    """Return the probabilities of each row by the model of its fold, shape (n, classes)."""
    probabilities = np.zeros((len(vectors), models.coef.shape[1]))
    for fold in np.unique(folds).tolist():
        row = np.flatnonzero(folds == fold)
        for start in range(0, len(row), BLOCK):
            block = row[start : start + BLOCK]
            padded = np.zeros((BLOCK, vectors.shape[1]))
            padded[: len(block)] = vectors[block]
            scores = (padded @ models.coef[fold].T)[: len(block)] + models.intercept[fold]
            probabilities[block] = _softmax(scores)
    return np.round(probabilities, DECIMALS)


def _training_rows(labels: Int64, folds: npt.NDArray[np.integer], fold: int) -> Int64:
    """Return the labelled rows outside a fold, ascending."""
    row = np.flatnonzero((folds != fold) & (labels >= 0))
    if not row.size:
        raise TooFewLabels(
            f"no labelled row is left outside fold {fold}: use fewer folds or more labelled rows"
        )
    return row


def _softmax(scores: Floats) -> Floats:
    """Return exp(scores) scaled to sum 1 along the last axis, without overflow."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    scaled: Floats = raised / raised.sum(axis=1, keepdims=True)
    return scaled
