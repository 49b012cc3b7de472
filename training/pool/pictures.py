"""Decode images as a viewer shows them; unreadable ones are None."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import xxhash

if TYPE_CHECKING:
    from PIL.Image import Image

Mode = Literal["L", "RGB"]
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def head(payload: bytes) -> tuple[int, bool] | None:
    """Return (longest side, is grey) from an image's header, or None if there is none."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(payload)) as image:
            return max(image.size), image.mode in GREY
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def decode_picture(
    payload: bytes, side: int, mode: Mode, *, smooth: bool = False
) -> tuple[npt.NDArray[np.uint8], int] | None:
    """Return (pixels in CHW at `side`, key of the pixels at full size), or None if unreadable.

    A smaller picture is enlarged by repeating pixels, or smoothly for a pretrained encoder, which
    has never seen such blocks.
    """
    from PIL import Image, ImageOps

    how = Image.Resampling.BILINEAR if smooth else Image.Resampling.BOX
    try:
        with Image.open(io.BytesIO(payload)) as opened:
            image = _seen(ImageOps.exif_transpose(opened))
            full = np.asarray(image)
            fitted = image.convert(mode)
            if fitted.size != (side, side):
                fitted = fitted.resize((side, side), how)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    key = xxhash.xxh3_64_intdigest(full.tobytes(), seed=full.shape[0])
    return np.asarray(fitted).reshape(side, side, -1).transpose(2, 0, 1), key


def _seen(image: Image) -> Image:
    """Return an image as RGB as a viewer shows it: deep grey by its high byte, alpha on white."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return 16-bit grey by its high byte; floats in [0, 1] or [0, 255] scaled to bytes."""
    if values.dtype.kind == "f":
        top = 255.0 if np.nanmax(values, initial=0.0) <= 1.0 else 1.0
        return np.asarray(np.clip(np.nan_to_num(values) * top, 0, 255), dtype=np.uint8)
    return np.asarray(np.clip(values.astype(np.int64), 0, 65_535) >> 8, dtype=np.uint8)
