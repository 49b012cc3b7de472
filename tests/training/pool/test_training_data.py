import io
import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from tiny_datasets import write_split

from training.pool.data import load_pool
from training.pool.features import image_features, text_features
from training.pool.origins import RowOrigins
from training.recipes import MODELS, RECIPES


def pool(home, **changes):
    columns = {"content": "text", "label": "label"}
    task = changes.pop("task", "text_classification")
    folders = {role: home / role for role in ("raw", "curated", "test")}
    return load_pool(RowOrigins(folders, **{**columns, **changes}), task, RECIPES[MODELS[task][0]])


def write_three(home, raw, curated, test, **options):
    for role, columns in (("raw", raw), ("curated", curated), ("test", test)):
        write_split(home / role, columns, **options)


def texts(*rows):
    return {"text": [text for text, _ in rows], "label": [label for _, label in rows]}


BASE = texts(("a one", "x"), ("b two", "y"), ("c three", "x"))
TEST = texts(("t four", "x"), ("t five", "y"))


def test_saved_by_datasets_is_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"])
    )
    rows = {"text": ["a", "b", "c"], "label": [0, 1, 1]}
    other = {"text": ["d", "e"], "label": [0, 1]}
    made = datasets.Dataset.from_dict(rows, features=features)
    held = datasets.Dataset.from_dict(other, features=features)
    datasets.DatasetDict(train=made).save_to_disk(tmp_path / "raw")
    made.save_to_disk(tmp_path / "curated", num_shards=2)
    datasets.DatasetDict(train=made, test=held).save_to_disk(tmp_path / "test")
    found = pool(tmp_path)
    assert found.labels == ("no", "yes")
    assert list(found.rows["raw"].y) == list(found.rows["curated"].y) == [0, 1, 1]
    assert list(found.rows["test"].y) == [0, 1]


def test_bare_arrow_files_are_read_in_order(tmp_path):
    write_three(tmp_path, BASE, BASE, TEST, shards=2)
    for role in ("raw", "curated", "test"):
        (tmp_path / role / "state.json").unlink()
    assert list(pool(tmp_path).rows["raw"].y) == [0, 1, 0]


def test_labels_are_matched_by_name(tmp_path):
    write_split(tmp_path / "raw", {"text": ["a", "b"], "label": [0, 1]}, names=["x", "y"])
    write_split(tmp_path / "curated", {"text": ["a", "b"], "label": [1, 0]}, names=["y", "x"])
    write_split(tmp_path / "test", texts(("t", "x"), ("u", "y")))
    found = pool(tmp_path)
    assert (
        list(found.rows["raw"].y)
        == list(found.rows["curated"].y)
        == list(found.rows["test"].y)
        == [0, 1]
    )


def test_integers_do_not_take_the_names_of_another_dataset(tmp_path):
    write_split(tmp_path / "raw", {"text": ["a", "b"], "label": [0, 1]}, names=["x", "y"])
    write_split(tmp_path / "curated", {"text": ["a", "b"], "label": [0, 1]})
    write_split(tmp_path / "test", texts(("t", "x"), ("u", "y")))
    with pytest.raises(ValueError, match=r"curated: .* integers without class names, raw has"):
        pool(tmp_path)


def test_integers_match_class_names_that_are_numbers(tmp_path):
    write_split(tmp_path / "raw", {"text": ["a", "b"], "label": [0, 1]}, names=["7", "8"])
    write_split(tmp_path / "curated", {"text": ["a", "b"], "label": [7, 8]})
    write_split(tmp_path / "test", texts(("t", "7"), ("u", "8")))
    assert pool(tmp_path).labels == ("7", "8")


def test_rows_without_text_or_label_are_counted(tmp_path):
    raw = texts(("a", "x"), (None, "x"), ("c", None), ("d", "y"))
    write_three(tmp_path, raw, BASE, TEST)
    found = pool(tmp_path)
    assert found.skipped["raw"] == {"no text": 1, "no label": 1}
    assert len(found.rows["raw"]) == 2


def test_minus_one_means_unlabelled(tmp_path):
    write_three(tmp_path, BASE, BASE, TEST)
    write_split(tmp_path / "raw", {"text": list("abc"), "label": [0, -1, 1]}, names=["x", "y"])
    assert pool(tmp_path).skipped["raw"] == {"no label": 1}


def test_text_that_stands_in_test_leaves_every_train_set(tmp_path):
    leaking = texts(("  T   FOUR ", "x"), ("a", "x"), ("b", "y"))
    write_three(tmp_path, leaking, leaking, TEST)
    found = pool(tmp_path)
    assert found.leaked == {"raw": 1, "curated": 1}
    assert len(found.rows["raw"]) == len(found.rows["curated"]) == len(found.rows["test"]) == 2
    kept = found.features.keys[np.concatenate([found.rows["raw"].x, found.rows["curated"].x])]
    assert not np.isin(kept, found.features.keys[found.rows["test"].x]).any()


def test_same_data_same_hash_other_label_other_hash(tmp_path):
    write_three(tmp_path, BASE, BASE, TEST)
    first = pool(tmp_path).hashes
    assert first["raw"] == first["curated"]
    write_split(tmp_path / "curated", texts(("a one", "y"), ("b two", "y"), ("c three", "x")))
    second = pool(tmp_path).hashes
    assert second["raw"] == first["raw"]
    assert second["curated"] != first["curated"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"content": "body"}, "raw: .* has no column 'body'; it has text, label"),
        ({"label": "topic"}, "has no column 'topic'"),
        ({"task": "image_classification"}, "holds text; use task='text_classification'"),
    ],
)
def test_wrong_columns_are_explained(tmp_path, change, message):
    write_three(tmp_path, BASE, BASE, TEST)
    with pytest.raises(ValueError, match=message):
        pool(tmp_path, **change)


def test_missing_or_empty_directories_are_explained(tmp_path):
    with pytest.raises(ValueError, match=r"raw: .* is not a directory"):
        pool(tmp_path)
    for role in ("raw", "curated", "test"):
        (tmp_path / role).mkdir()
    with pytest.raises(ValueError, match=r"no \*.arrow file in"):
        pool(tmp_path)


def test_a_torn_shard_is_named(tmp_path):
    write_three(tmp_path, BASE, BASE, TEST)
    (tmp_path / "raw" / "data-00000-of-00001.arrow").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"data-00000-of-00001\.arrow cannot be read"):
        pool(tmp_path)


def test_foreign_labels_are_explained(tmp_path):
    write_three(tmp_path, BASE, BASE, texts(("t", "0"), ("u", "1")))
    with pytest.raises(ValueError, match="no label in common with raw"):
        pool(tmp_path)


def test_label_out_of_its_class_names_is_explained(tmp_path):
    write_three(tmp_path, BASE, BASE, TEST)
    write_split(tmp_path / "raw", {"text": ["a", "b"], "label": [0, 7]}, names=["x", "y"])
    with pytest.raises(ValueError, match=r"label 7 .* beyond its 2 class names"):
        pool(tmp_path)


def test_nothing_left_is_explained(tmp_path):
    write_three(tmp_path, BASE, TEST, TEST)
    with pytest.raises(ValueError, match=r"curated: 0 usable rows of 2 .*2 that stand in test"):
        pool(tmp_path)


def test_grams_are_words_and_pairs():
    found = text_features(
        pa.array(["One two", "one  TWO!", "two one", ""], pa.large_string()), RECIPES["linear"]
    )
    grams, offsets = found.arrays["grams"], found.arrays["offsets"]
    bags = [sorted(grams[a:b]) for a, b in pairwise(offsets)]
    assert [len(bag) for bag in bags] == [4, 4, 4, 1]
    assert bags[0] == bags[1]
    assert len(set(bags[0]) & set(bags[2])) == 3


def encoded(pixels, kind="png", **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def test_images_are_brought_to_one_side_and_mode():
    grey = np.full((40, 60), 200, np.uint8)
    colour = np.zeros((20, 20, 3), np.uint8)
    found = image_features(
        pa.array([encoded(grey), encoded(colour), b"no image"], pa.large_binary()), RECIPES["cnn"]
    )
    assert found.arrays["pixels"].shape == (3, 3, 32, 32)
    assert list(found.readable) == [True, True, False]
    assert (found.arrays["pixels"][0] == 200).all()


def test_image_key_is_that_of_the_pixels():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (9, 9), dtype=np.uint8)
    other = pixels.copy()
    other[0, 0] ^= 1
    stored = [
        encoded(pixels),
        encoded(pixels, "bmp"),
        encoded(other),
        encoded(np.dstack([pixels] * 3)),
    ]
    keys = image_features(pa.array(stored, pa.large_binary()), RECIPES["cnn"]).keys
    assert keys[0] == keys[1] == keys[3] != keys[2]


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_deep_grey_is_read_by_its_high_byte(kind):
    levels = np.array([0, 1000, 30_000, 65_535], np.uint16)
    stored = [encoded(np.full((8, 8), level, np.uint16), kind) for level in levels]
    found = image_features(pa.array(stored, pa.large_binary()), RECIPES["cnn"])
    assert found.arrays["pixels"].shape == (4, 1, 8, 8)
    assert list(found.arrays["pixels"][:, 0, 0, 0]) == [0, 3, 117, 255]
    assert len(set(found.keys)) == 4


def test_float_grey_is_scaled():
    stored = [encoded(np.full((8, 8), level, np.float32), "tiff") for level in (0.5, 200)]
    found = image_features(pa.array(stored, pa.large_binary()), RECIPES["cnn"])
    assert list(found.arrays["pixels"][:, 0, 0, 0]) == [127, 200]


def test_transparent_pixels_are_white_paper():
    clear = np.zeros((8, 8, 4), np.uint8)
    palette = Image.fromarray(np.zeros((8, 8), np.uint8), "L").convert("P")
    stored = [encoded(clear), encoded(clear[..., :2]), encoded(palette, transparency=0)]
    found = image_features(pa.array(stored, pa.large_binary()), RECIPES["cnn"])
    assert (found.arrays["pixels"] == 255).all()
    assert len(set(found.keys)) == 1
    assert (
        image_features(pa.array(stored[1:2], pa.large_binary()), RECIPES["cnn"])
        .arrays["pixels"]
        .shape[1]
        == 1
    )


def test_broken_images_are_skipped_and_counted(tmp_path):
    rng = np.random.default_rng(0)
    good = [encoded(rng.integers(0, 255, (8, 8), dtype=np.uint8)) for _ in range(6)]
    rows = {"image": [*good[:3], good[3][:60]], "label": ["x", "y", "x", "y"]}
    write_three(tmp_path, rows, rows, {"image": good[4:], "label": ["x", "y"]})
    found = pool(tmp_path, task="image_classification", content="image")
    assert found.skipped["raw"] == {"unreadable image": 1}
    assert len(found.rows["raw"]) == 3


def test_manifest_is_not_needed_but_metadata_may_lie_beside(tmp_path):
    write_three(tmp_path, BASE, BASE, TEST)
    (tmp_path / "curated" / "_curate").mkdir()
    (tmp_path / "curated" / "_curate" / "manifest.json").write_text(json.dumps({"rows": {"in": 3}}))
    assert len(pool(tmp_path).rows["curated"]) == 3
