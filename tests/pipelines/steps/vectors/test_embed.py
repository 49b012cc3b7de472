import pickle

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from text_rows import text_rows

from pipelines.rows import Columns, Rows
from pipelines.rows.chance import Chance
from pipelines.steps.vectors import embed
from pipelines.steps.vectors.embed import EMBEDDING, Embed

CHANCE = Chance(0, 1)


def test_embed_adds_a_fixed_size_list_of_floats():
    rows = Embed(dimensions=32).apply(text_rows(["a b c", None, "..."]), CHANCE)
    column = rows.table[EMBEDDING].combine_chunks()
    assert rows.table.schema.field(EMBEDDING).type == pa.list_(pa.float32(), 32)
    vectors = column.flatten().to_numpy().reshape(3, 32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0])
    assert rows.text.to_pylist() == ["a b c", None, "..."]


def test_embed_takes_no_rows_and_another_column_name():
    step = Embed(column="_topic")
    rows = step.apply(text_rows([]), CHANCE)
    assert rows.table.schema.field("_topic").type == pa.list_(pa.float32(), 256)
    assert step.adds() == ("_topic",)


def test_embed_needs_what_its_model_needs():
    assert (Embed().roles(), Embed().packages()) == (("text",), (None, ()))
    image = pickle.loads(pickle.dumps(Embed(model="image")))
    assert image.roles() == ("image",)
    assert image.packages()[0] == "image"
    assert Embed(model="minilm").packages()[0] == "minilm"


def test_embed_refuses_dimensions_of_another_model():
    with pytest.raises(ValidationError, match="dimensions belongs to model: hash"):
        Embed(model="minilm", dimensions=64)
    with pytest.raises(ValidationError, match="model"):
        Embed(model="bert")


def test_embed_hands_texts_to_minilm(monkeypatch):
    monkeypatch.setattr(embed, "minilm_vectors", lambda texts: np.ones((len(texts), 384), "f4"))
    rows = Embed(model="minilm").apply(text_rows(["a", "b"]), CHANCE)
    assert rows.table.schema.field(EMBEDDING).type.list_size == 384


def test_embed_hands_pixels_to_image_features():
    cv2 = pytest.importorskip("cv2")
    shades = np.random.default_rng(0).integers(0, 255, (3, 24, 24, 3), dtype=np.uint8)
    images = [cv2.imencode(".png", shade)[1].tobytes() for shade in shades]
    rows = Rows(pa.table({"image": pa.array(images, pa.binary())}), Columns(image="image"))
    column = Embed(model="image").apply(rows, CHANCE).table[EMBEDDING].combine_chunks()
    assert column.type == pa.list_(pa.float32(), 256)
    vectors = column.flatten().to_numpy().reshape(3, 256)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-3)
