import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from tiny_datasets import CLASSES, run_texts

from training.own import hf_trainer, sklearn_trainer


def nearest():
    return make_pipeline(CountVectorizer(), KNeighborsClassifier(1))


def test_an_sklearn_estimator_is_a_trainer(texts, tmp_path):
    found = run_texts(texts, "clean", tmp_path, train=sklearn_trainer(nearest()))
    assert found.verdict == "better"
    assert found.model.startswith("sklearn Pipeline ")
    assert any("every seed gave the same score" in remark for remark in found.remarks)
    assert {run["device"] for run in found.runs} == {"own"}
    again = run_texts(texts, "clean", tmp_path, train=sklearn_trainer(nearest()))
    assert again.gap == found.gap
    assert next(guard for guard in again.guards if guard.name == "plan").passed


def test_another_estimator_is_a_changed_plan(texts, tmp_path):
    run_texts(texts, "clean", tmp_path, train=sklearn_trainer(nearest()))
    other = make_pipeline(CountVectorizer(), MultinomialNB())
    found = run_texts(texts, "clean", tmp_path, train=sklearn_trainer(other))
    assert "The plan changed after runs had finished: model." in found.refusals


def test_an_estimator_is_seeded(texts, tmp_path):
    seen = []

    class Seeded(DummyClassifier):
        def fit(self, x, y):
            seen.append(self.random_state)
            return super().fit(x, y)

    estimator = make_pipeline(CountVectorizer(max_features=30), Seeded())
    run_texts(texts, "clean", tmp_path, train=sklearn_trainer(estimator))
    assert {0, 1, 2, 1_000, 1_001, 1_002} == set(seen)


class Trainer:
    """A trainer in the style of Hugging Face's: the label of the nearest text."""

    def __init__(self, train_dataset, seed, examples):
        self.rows, self.examples = train_dataset, examples

    def train(self):
        labels = [row["label"] for row in self.rows]
        self.model = nearest().fit([row["text"] for row in self.rows], labels)

    def predict(self, dataset):
        answers = self.model.predict([row["text"] for row in dataset])

        class Output:
            predictions = np.eye(len(CLASSES))[answers]

        return Output()


def test_a_trainer_in_the_style_of_hugging_face_joins(texts, tmp_path):
    budgets = []

    def make(dataset, seed, examples):
        budgets.append(examples)
        return Trainer(dataset, seed, examples)

    found = run_texts(texts, "clean", tmp_path, train=hf_trainer(make))
    assert found.verdict == "better"
    assert sorted(set(budgets)) == [8550, 15360]  # curated at equal epochs sees fewer
    assert found.plan_hash


def test_own_trainers_get_learning_curves(texts, tmp_path):
    estimator = make_pipeline(CountVectorizer(), MultinomialNB(alpha=0.1))
    found = run_texts(texts, "clean", tmp_path, train=sklearn_trainer(estimator), sizes=3)
    assert [point.share for point in found.curve.points if point.arm == "raw"] == [0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones(3), r"train: returned scores of shape \(3,\) for 'test'; allowed: 800 for 'test'"),
        ({"exam": np.ones(800)}, "for 'exam'; allowed"),
        ({"validation": np.ones(73)}, "train: returned no scores for test"),
    ],
)
def test_scores_of_another_shape_are_explained(texts, tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        run_texts(texts, "clean", tmp_path, train=lambda rows, seed, budget: given)
