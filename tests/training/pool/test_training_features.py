import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from tiny_datasets import picture

from training.pool.features import PADDING, START, VOCABULARY, image_features, text_features
from training.recipes import RECIPES

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from training.nets.inputs import WIDEST, Labelled, augment, inputs  # noqa: E402

TEXTS = ["The cat sat", "sat the CAT!", "", "one two three four five six seven"]


def tokens(texts, context=5):
    recipe = RECIPES["textcnn"].model_copy(update={"context": context})
    found = text_features(pa.array(texts, pa.large_string()), recipe)
    flat, offsets = found.arrays["tokens"], found.arrays["offsets"]
    return [list(flat[start:end]) for start, end in pairwise(offsets)]


def test_sequences_keep_the_order_of_words():
    first, second, empty, _ = tokens(TEXTS)
    assert first[0] == second[0] == START
    assert first[1:] == [second[2], second[3], second[1]]
    assert empty == [START]
    assert all(START < token < VOCABULARY for token in first[1:])


def test_sequences_end_at_the_context():
    assert [len(text) for text in tokens(TEXTS, context=5)] == [4, 4, 1, 5]
    assert tokens(TEXTS, context=5)[3] == tokens(TEXTS, context=99)[3][:5]


def test_sequences_are_padded_at_the_end(tmp_path):
    recipe = RECIPES["transformer"]
    text_features(pa.array(TEXTS, pa.large_string()), recipe).save(tmp_path)
    (read,) = inputs(tmp_path, recipe)(np.array([2, 0, 2]), None)
    assert read.shape == (3, 4 + WIDEST)
    assert read[0].tolist() == [START] + [PADDING] * (3 + WIDEST)
    assert (read[1, :4] != PADDING).all()


def test_labelled_rows_are_read_with_their_labels(tmp_path):
    text_features(pa.array(TEXTS, pa.large_string()), RECIPES["textcnn"]).save(tmp_path)
    rows = Labelled(
        inputs(tmp_path, RECIPES["textcnn"]), np.array([3, 2, 0, 0]), np.array([7, 6, 5, 4])
    )
    (read,), labels = rows.batch(np.array([3, 1]), None)
    assert len(rows) == 4
    assert labels.tolist() == [4, 6]
    assert (read != PADDING).sum(dim=1).tolist() == [4, 1]


@pytest.mark.parametrize(("side", "expected"), [(32, 12), (8, 8)])
def test_images_are_no_larger_than_the_recipe_says(side, expected):
    payloads = pa.array([picture(0, np.random.default_rng(0))], pa.large_binary())
    found = image_features(payloads, RECIPES["cnn"].model_copy(update={"side": side}))
    assert found.arrays["pixels"].shape == (1, 1, expected, expected)


def test_pixels_lie_between_minus_one_and_one(tmp_path):
    np.save(tmp_path / "pixels.npy", np.array([0, 255], np.uint8).reshape(2, 1, 1, 1))
    (read,) = inputs(tmp_path, RECIPES["cnn"])(np.array([1, 0]), None)
    assert read.flatten().tolist() == [1, -1]


def test_augmented_images_are_windows_of_the_reflected_one():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 6, 6), dtype=np.uint8)
    padded = np.pad(pixels, [(0, 0), (0, 0), (2, 2), (2, 2)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (6, 6), axis=(2, 3))
    for flip in (False, True):
        found = augment(pixels, np.random.default_rng(1), shift=2, flip=flip)
        plain = (windows == found[:, :, None, None]).all(axis=(1, 4, 5))
        mirrored = (windows == found[:, :, None, None, :, ::-1]).all(axis=(1, 4, 5))
        assert (plain | mirrored).any(axis=(1, 2)).all()
        assert len(np.unique(np.argwhere(plain | mirrored)[:, 1:], axis=0)) > 10
        assert mirrored.any() == flip


@pytest.mark.parametrize(("channels", "mirrored"), [(1, False), (3, True)])
def test_only_colour_images_are_mirrored(tmp_path, channels, mirrored):
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    np.save(tmp_path / "pixels.npy", np.tile(pixels, (50, channels, 1, 1)))
    recipe = RECIPES["cnn"].model_copy(update={"flip": True, "shift": 0})
    (read,) = inputs(tmp_path, recipe)(np.arange(50), np.random.default_rng(0))
    assert bool((read[:, 0, 0, 0] > read[:, 0, 0, -1]).any()) == mirrored


def test_unshifted_images_stay_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
    assert (augment(pixels, np.random.default_rng(1), shift=0, flip=False) == pixels).all()


def test_features_are_made_without_torch():
    code = "import sys, training.pool.features; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
