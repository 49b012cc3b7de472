"""Drop pictures that anybody sees are broken: tiny, blank, black, white, blurred."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pipelines.errors import UserError
from pipelines.maths.arrays import Floats
from pipelines.maths.images.pixels import Pixels
from pipelines.rows import Rows
from pipelines.rows.views import pixels
from pipelines.steps.step import Chance, Filter, Verdicts, first_of, within


class ImageCheck(Filter):
    """Drop images that are too small, out of shape, black, white, blank or blurred.

    Each image is decoded once; later steps share its pixels. Files that cannot be decoded are
    quarantined, not dropped. Light and sharpness are measured on a grey copy (0..255) whose longest
    side is at most 256 pixels, so the bounds mean the same for photographs of any size. The
    defaults drop only what nobody would keep: none of the 14,781 photographs and digits tried.
    """

    op: Literal["image_check"] = "image_check"
    needs: ClassVar[tuple[str, ...]] = ("image",)
    extra: ClassVar[str | None] = "image"
    imports: ClassVar[tuple[str, ...]] = ("PIL", "cv2")

    side_at_least: int = Field(default=8, ge=1)
    """Fewest pixels of the shorter side."""
    pixels_at_most: int | None = Field(default=None, ge=1)
    """Most pixels (width x height); past 89,478,485 an image is not decoded at all."""
    aspect_at_most: float | None = Field(default=10.0, ge=1)
    """Greatest ratio of the longer side to the shorter one."""
    brightness_at_least: float | None = Field(default=5.0, ge=0, le=255)
    """Least mean luma."""
    brightness_at_most: float | None = Field(default=252.0, ge=0, le=255)
    """Greatest mean luma."""
    contrast_at_least: float | None = Field(default=3.0, ge=0)
    """Least standard deviation of luma; photographs have 10 to 100, one colour has 0."""
    sharpness_at_least: float | None = Field(default=3.0, ge=0)
    """Least variance of the Laplacian (Pech-Pacheco et al. 2000); photographs have 50 to 10,000,
    strongly blurred ones less than 20."""

    @model_validator(mode="after")
    def _some_brightness_left(self) -> ImageCheck:
        low, high = self.brightness_at_least, self.brightness_at_most
        if low is not None and high is not None and low > high:
            raise UserError(f"brightness_at_least {low} is above brightness_at_most {high}")
        return self

    def judge(self, rows: Rows, chance: Chance) -> Verdicts:
        """Judge each image by its size in the file, then by what is seen in it."""
        view = pixels(rows)
        width, height = view.sizes[:, 0], view.sizes[:, 1]
        short = np.minimum(width, height)
        light, contrast, sharpness = _measured(view)
        least, most = self.brightness_at_least, self.brightness_at_most
        return first_of(
            [
                _bounded(short, self.side_at_least, None, "too_small"),
                _bounded(width * height, None, self.pixels_at_most, "too_large"),
                _bounded(
                    np.maximum(width, height) / short, None, self.aspect_at_most, "odd_aspect"
                ),
                within(light, least, most, below="too_dark", above="too_bright"),
                _bounded(contrast, self.contrast_at_least, None, "blank"),
                _bounded(sharpness, self.sharpness_at_least, None, "blurry"),
            ]
        )


def _bounded(
    value: npt.ArrayLike, at_least: float | None, at_most: float | None, reason: str
) -> Verdicts:
    """Judge by one bound with one reason."""
    verdicts = within(value, at_least, at_most, below=reason, above=reason)
    code = np.minimum(verdicts.code, 1).astype(np.int16)
    return replace(verdicts, code=code, reasons=(reason,))


def _measured(view: Pixels) -> tuple[Floats, Floats, Floats]:
    """Return mean and standard deviation of luma, and variance of its Laplacian, per row."""
    import cv2

    out = np.zeros((3, len(view)))
    for row, picture in enumerate(view):  # pictures differ in size
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        edges = cv2.Laplacian(grey, cv2.CV_64F)
        out[:, row] = grey.mean(), grey.std(), edges.var()
    return out[0], out[1], out[2]
