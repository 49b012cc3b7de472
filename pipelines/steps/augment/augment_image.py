"""Make changed copies of images with albumentations."""

import io
import os
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from pipelines.errors import UserError
from pipelines.maths.arrays import Picture
from pipelines.maths.images.pixels import decode_image
from pipelines.rows import Rows
from pipelines.rows.keys import MAX_COPIES
from pipelines.steps.step import Chance, Derive

Method = Literal[
    "flip",
    "rotate",
    "shift_scale",
    "crop",
    "brightness_contrast",
    "color_jitter",
    "blur",
    "noise",
    "jpeg",
]

_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "F")


class AugmentImage(Derive):
    """Add changed copies of each image.

    Each copy gets `at_once` of the methods, drawn at random (RandAugment, Cubuk et al. 2020), at
    full size. The draw depends on the recipe's seed, the row's id and the copy alone. PNG stays
    PNG, other formats become JPEG of quality 95; grey images stay grey. A small image takes 1 to
    3 ms.
    """

    varies: ClassVar[str | None] = "pixels by a shade, as OpenCV computes them"
    op: Literal["augment_image"] = "augment_image"
    needs: ClassVar[tuple[str, ...]] = ("image",)
    extra: ClassVar[str | None] = "image"
    imports: ClassVar[tuple[str, ...]] = ("PIL", "cv2", "albumentations")

    methods: tuple[Method, ...] = Field(
        default=("rotate", "shift_scale", "brightness_contrast", "noise"), min_length=1
    )
    """What may be done. Use `flip` (left to right) only where a mirror image has the same label:
    not for digits or text."""
    copies: int = Field(default=1, ge=1, le=MAX_COPIES)
    """Rows made from each row."""
    at_once: int = Field(default=2, ge=1)
    """Number of methods applied to one copy, at most all of them."""
    strength: float = Field(default=0.5, gt=0, le=1)
    """How far a method goes: at 1, rotation by 30 degrees, shift and crop by 20 %, light 40 %."""

    @field_validator("methods")
    @classmethod
    def _each_method_once(cls, methods: tuple[Method, ...]) -> tuple[Method, ...]:
        if len(set(methods)) < len(methods):
            raise UserError(f"a method stands twice: {', '.join(methods)}; name each once")
        return methods

    def derive(self, rows: Rows, copy: int, chance: Chance) -> Rows:
        """Return one changed copy of each row; see `Derive.derive`."""
        augment = self._compose()  # for this call alone: no other thread shares its random state
        made: list[bytes] = []
        for row_id, value in zip(rows.ids.to_pylist(), rows.image_bytes, strict=True):
            seeds = chance.generator(row_id).integers(1 << 32, size=copy + 1)
            augment.set_random_seed(int(seeds[copy]))
            data = value.as_py()
            made.append(_encoded_like(data, augment(image=decode_image(data))["image"]))
        name = rows.columns.image
        column = rows.column(name, "image")
        return rows.replace(str(name), _images(made, column.type))

    def _compose(self) -> Any:
        """Return the albumentations pipeline of this step's options."""
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # the import would ask PyPI for a version
        import albumentations

        methods = [_method(name, self.strength) for name in self.methods]
        some = albumentations.SomeOf(methods, n=min(self.at_once, len(methods)), replace=False, p=1)
        return albumentations.Compose([some])


def _method(name: Method, strength: float) -> Any:
    """Return one method of albumentations, with `strength` of its range."""
    import albumentations as A
    import cv2

    span, far = 0.2 * strength, 0.4 * strength
    edge = cv2.BORDER_REPLICATE  # black corners would be a mark of augmented rows
    light = (1 - far, 1 + far)
    match name:
        case "flip":
            return A.HorizontalFlip(p=1)
        case "rotate":
            return A.Rotate(limit=(-30 * strength, 30 * strength), border_mode=edge, p=1)
        case "shift_scale":
            return A.Affine(
                translate_percent=(-span, span), scale=(1 - span, 1 + span), border_mode=edge, p=1
            )
        case "crop":
            return A.CropAndPad(percent=(-span, 0.0), sample_independently=True, p=1)
        case "brightness_contrast":
            return A.RandomBrightnessContrast((-far, far), (-far, far), p=1)
        case "color_jitter":
            return A.ColorJitter(light, light, light, (-span / 4, span / 4), p=1)
        case "blur":
            return A.GaussianBlur(blur_limit=0, sigma_limit=(0.2, 0.2 + 2 * strength), p=1)
        case "noise":
            return A.GaussNoise(std_range=(0.01, 0.01 + span / 2), p=1)
        case "jpeg":
            return A.ImageCompression(quality_range=(round(90 - 70 * strength), 90), p=1)


def _encoded_like(source: bytes, picture: Picture) -> bytes:
    """Return the picture as PNG if `source` is one, else as JPEG; grey if `source` is."""
    from PIL import Image

    with Image.open(io.BytesIO(source)) as original:
        kind, grey = original.format, original.mode in _GREY_MODES
    image = Image.fromarray(np.ascontiguousarray(picture))
    image = image.convert("L") if grey else image
    out = io.BytesIO()
    if kind == "PNG":
        image.save(out, "PNG")
    else:
        image.save(out, "JPEG", quality=95)
    return out.getvalue()


def _images(encoded: list[bytes], kind: pa.DataType) -> pa.Array:
    """Return encoded images as a column of type `kind`: binary, or a struct with `bytes`."""
    if not pa.types.is_struct(kind):
        return pa.array(encoded, type=kind)
    columns = [
        pa.array(encoded, type=member.type)
        if member.name == "bytes"
        else pa.nulls(len(encoded), type=member.type)  # the copy lies at no path
        for member in kind
    ]
    return pa.StructArray.from_arrays(columns, fields=list(kind))
