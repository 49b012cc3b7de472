import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter
from pydantic import ValidationError

from pipelines.rows import Columns, Rows
from pipelines.rows.chance import Chance
from pipelines.rows.verdicts import Verdicts
from pipelines.steps.images.image_check import ImageCheck


def photo(width: int = 120, height: int = 80) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


BLURRED = photo().filter(ImageFilter.GaussianBlur(15))


def judge(images: list[Image.Image], **options: object) -> Verdicts:
    encoded = []
    for image in images:
        out = io.BytesIO()
        image.save(out, "PNG")
        encoded.append(out.getvalue())
    table = pa.table({"image": encoded, "_key": np.arange(len(images)), "_id": ["x"] * len(images)})
    step = ImageCheck(op="image_check", **options)
    return step.judge(Rows(table, Columns(image="image")), Chance(0, 0))


def reasons(verdicts: Verdicts) -> list[str | None]:
    return [verdicts.reasons[code - 1] if code else None for code in verdicts.code]


def test_image_check_keeps_photographs_and_digits():
    digit = np.zeros((28, 28), dtype=np.uint8)
    digit[5:23, 13:15] = 255
    assert judge([photo(), Image.fromarray(digit)]).keep.all()


def test_image_check_reports_each_reason_once():
    verdicts = judge([photo()])
    assert len(set(verdicts.reasons)) == len(verdicts.reasons)


@pytest.mark.parametrize(
    ("image", "options", "reason", "value", "threshold"),
    [
        (photo(120, 7), {"aspect_at_most": None}, "too_small", 7, 8),
        (photo(), {"pixels_at_most": 9_000}, "too_large", 9_600, 9_000),
        (photo(200, 10), {}, "odd_aspect", 20, 10),
        (Image.new("RGB", (50, 50), "black"), {}, "too_dark", 0, 5),
        (Image.new("RGB", (50, 50), "white"), {}, "too_bright", 255, 252),
        (Image.new("RGB", (50, 50), "grey"), {}, "blank", 0, 3),
        (BLURRED, {"contrast_at_least": None}, "blurry", None, 3),
    ],
)
def test_image_check_drops_with_reason_and_evidence(
    image: Image.Image, options: dict, reason: str, value: float | None, threshold: float
):
    verdicts = judge([photo(60, 40), image], **options)
    assert reasons(verdicts) == [None, reason]
    assert verdicts.threshold[1] == threshold
    if value is not None:
        assert verdicts.value[1] == pytest.approx(value)


def test_image_check_sharpness_means_the_same_for_large_photographs():
    small, large = photo(256, 171), photo(256, 171).resize((2048, 1368), Image.Resampling.BICUBIC)
    verdicts = judge([small, large], sharpness_at_least=1000)
    assert reasons(verdicts) == ["blurry", "blurry"]
    assert verdicts.value[0] == pytest.approx(verdicts.value[1], rel=0.05)


def test_image_check_refuses_an_undecodable_file():
    table = pa.table({"image": [b"no image"], "_key": [0], "_id": ["x"]})
    with pytest.raises(ValueError, match="not an image"):
        ImageCheck(op="image_check").judge(Rows(table, Columns(image="image")), Chance(0, 0))


def test_image_check_refuses_bounds_that_cross():
    with pytest.raises(ValidationError, match="is above brightness_at_most"):
        ImageCheck(op="image_check", brightness_at_least=200, brightness_at_most=100)
