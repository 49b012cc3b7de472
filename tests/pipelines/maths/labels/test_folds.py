import numpy as np
import pytest

from pipelines.maths.labels.confident import label_issues, partial_sums, thresholds
from pipelines.maths.labels.folds import FoldModels, fit_folds, predict


def clusters(rows=300, classes=3, dimensions=8, seed=0):
    draw = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    vectors = draw.normal(size=(rows, dimensions)) * 0.5 + 2 * np.eye(classes, dimensions)[labels]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), labels, draw.integers(0, 4, rows)


def test_predict_finds_the_classes_out_of_fold():
    vectors, labels, folds = clusters()
    probabilities = predict(fit_folds(vectors, labels, folds, 4), vectors, folds)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(labels)))
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.9


def test_predict_uses_a_model_that_did_not_see_the_row():
    vectors, labels, folds = clusters()
    models = fit_folds(vectors, labels, folds, 4)
    flipped = labels.copy()
    flipped[folds == 2] = (labels[folds == 2] + 1) % 3
    again = fit_folds(vectors, flipped, folds, 4)
    np.testing.assert_array_equal(models.coef[2], again.coef[2])
    assert not np.array_equal(models.coef[1], again.coef[1])


def test_predict_does_not_depend_on_batches_or_order():
    vectors, labels, folds = clusters(700)
    models = fit_folds(vectors, labels, folds, 4)
    at_once = predict(models, vectors, folds)
    order = np.random.default_rng(1).permutation(700)
    np.testing.assert_array_equal(predict(models, vectors[order], folds[order]), at_once[order])
    parts = [predict(models, vectors[i : i + 37], folds[i : i + 37]) for i in range(0, 700, 37)]
    np.testing.assert_array_equal(np.concatenate(parts), at_once)


def test_fit_folds_is_deterministic():
    case = clusters()
    one, other = fit_folds(*case, 4), fit_folds(*case, 4)
    np.testing.assert_array_equal(one.coef, other.coef)
    np.testing.assert_array_equal(one.intercept, other.intercept)


def test_fit_folds_equals_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    vectors, labels, folds = clusters()
    probabilities = predict(fit_folds(vectors, labels, folds, 4), vectors, folds)
    model = LogisticRegression(C=10.0, max_iter=1000, tol=1e-6)
    model.fit(vectors[folds != 1].astype(float), labels[folds != 1])
    expected = model.predict_proba(vectors[folds == 1])
    np.testing.assert_allclose(probabilities[folds == 1], expected, atol=1e-4)


def test_fit_folds_with_two_classes_equals_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    vectors, labels, folds = clusters(classes=2)
    probabilities = predict(fit_folds(vectors, labels, folds, 4), vectors, folds)
    model = LogisticRegression(C=10.0, max_iter=1000, tol=1e-6)
    model.fit(vectors[folds != 0].astype(float), labels[folds != 0])
    expected = model.predict_proba(vectors[folds == 0])
    np.testing.assert_allclose(probabilities[folds == 0], expected, atol=1e-4)


def test_fit_folds_gives_unseen_classes_no_probability():
    vectors, labels, folds = clusters()
    labels = np.where(folds == 3, 2, labels % 2)  # class 2 stands in fold 3 alone
    probabilities = predict(fit_folds(vectors, labels, folds, 4, n_classes=5), vectors, folds)
    assert probabilities.shape[1] == 5
    assert not probabilities[folds == 3, 2:].any()
    assert (probabilities[folds == 0, 2] > 0).all()
    assert np.isfinite(probabilities).all()


def test_fit_folds_with_one_class_is_certain():
    vectors, labels, folds = clusters()
    probabilities = predict(fit_folds(vectors, labels * 0, folds, 4), vectors, folds)
    assert probabilities.tolist() == [[1.0]] * len(labels)


def test_fit_folds_leaves_unlabelled_rows_out():
    vectors, labels, folds = clusters()
    hidden = np.random.default_rng(1).random(len(labels)) < 0.5
    models = fit_folds(vectors, np.where(hidden, -1, labels), folds, 4)
    shown = fit_folds(vectors[~hidden], labels[~hidden], folds[~hidden], 4)
    np.testing.assert_array_equal(models.coef, shown.coef)


def test_fit_folds_refuses_too_few_rows_and_folds():
    vectors, labels, folds = clusters()
    with pytest.raises(ValueError, match="outside fold 0: use fewer folds"):
        fit_folds(vectors, labels, folds * 0, 4)
    with pytest.raises(ValueError, match="at least 2"):
        fit_folds(vectors, labels, folds * 0, 1)


def test_fold_models_are_plain_arrays():
    models = fit_folds(*clusters(), 4)
    assert isinstance(models, FoldModels)
    assert (models.coef.shape, models.intercept.shape) == ((4, 3, 8), (4, 3))


def test_folds_and_confident_learning_find_planted_label_noise():
    vectors, labels, folds = clusters(900)
    wrong = np.random.default_rng(2).random(900) < 0.2
    noisy = np.where(wrong, (labels + 1) % 3, labels)
    probabilities = predict(fit_folds(vectors, noisy, folds, 4), vectors, folds)
    bars = thresholds(partial_sums(probabilities, noisy))
    issue, suggested = label_issues(probabilities, noisy, bars)
    assert wrong[issue].mean() > 0.9
    assert issue[wrong].mean() > 0.8
    assert (suggested[issue & wrong] == labels[issue & wrong]).mean() > 0.95
