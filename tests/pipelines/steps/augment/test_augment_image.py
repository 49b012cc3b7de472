import io
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pydantic import ValidationError

from pipelines.rows import Columns, Rows
from pipelines.rows.chance import Chance
from pipelines.steps.augment.augment_image import AugmentImage, Method

BINARY = pa.binary()
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def encoded(seed: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((40, 30)).convert(mode).save(out, kind)
    return out.getvalue()


def rows_of(images: list[bytes], kind: pa.DataType = BINARY) -> Rows:
    values = [{"bytes": data, "path": "a.png"} for data in images] if kind == STRUCT else images
    table = pa.table(
        {
            "image": pa.array(values, kind),
            "label": [n % 3 for n in range(len(images))],
            "_key": np.arange(len(images)),
            "_id": [f"i{n}" for n in range(len(images))],
        }
    )
    return Rows(table, Columns(image="image", label="label"))


def derived(rows: Rows, copy: int = 0, seed: int = 0, **options: object) -> list[bytes]:
    step = AugmentImage(op="augment_image", **options)
    return step.derive(rows, copy, Chance(seed, 4)).image_bytes.to_pylist()


@pytest.mark.parametrize("method", get_args(Method))
def test_augment_image_method_changes_pixels_and_keeps_the_size(method: Method):
    sources = [encoded(n) for n in range(4)]
    made = derived(rows_of(sources), methods=[method], strength=1)
    for before, after in zip(sources, made, strict=True):
        old, new = Image.open(io.BytesIO(before)), Image.open(io.BytesIO(after))
        assert new.size == old.size
        assert (np.asarray(new) != np.asarray(old)).any()


def test_augment_image_does_not_depend_on_the_batch():
    rows = rows_of([encoded(n) for n in range(6)])
    whole = derived(rows, methods=get_args(Method))
    parts = derived(rows.slice(4, 2), methods=get_args(Method))
    assert parts == whole[4:]
    assert derived(rows, methods=get_args(Method)) == whole


def test_augment_image_copies_and_seeds_differ():
    rows = rows_of([encoded(0)])
    made = {derived(rows)[0], derived(rows, copy=1)[0], derived(rows, seed=1)[0]}
    assert len(made) == 3


def test_augment_image_keeps_format_and_grey():
    sources = [encoded(0), encoded(0, "JPEG"), encoded(0, "GIF"), encoded(0, mode="L")]
    made = [Image.open(io.BytesIO(data)) for data in derived(rows_of(sources), methods=["noise"])]
    assert [image.format for image in made] == ["PNG", "JPEG", "JPEG", "PNG"]
    assert [image.mode for image in made] == ["RGB", "RGB", "RGB", "L"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), STRUCT])
def test_augment_image_keeps_the_column_type_and_other_columns(kind: pa.DataType):
    rows = rows_of([encoded(0), encoded(1)], kind)
    made = AugmentImage(op="augment_image").derive(rows, 0, Chance(0, 0))
    assert made.table.schema == rows.table.schema
    assert made.table["label"].equals(rows.table["label"])
    if kind == STRUCT:
        assert made.table["image"].to_pylist()[0]["path"] is None


def test_augment_image_names_a_method_once():
    with pytest.raises(ValidationError, match="stands twice"):
        AugmentImage(op="augment_image", methods=["flip", "flip"])


def test_augment_image_refuses_an_undecodable_file():
    with pytest.raises(ValueError, match="not an image"):
        derived(rows_of([b"no image"]))
