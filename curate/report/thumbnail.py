"""Small pictures for the report, out of whatever bytes a corpus holds."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from markupsafe import Markup

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 180
"""Longest side of a thumbnail in pixels."""
MOST_PIXELS = 40_000_000
"""Larger images are not decoded: a preview is not worth the memory."""
TINY = 64
"""Images up to this side keep every pixel (PNG) and are shown enlarged."""


@dataclass(frozen=True)
class Thumbnail:
    """A preview as a `data:` address, or in words why there is none."""

    uri: Markup | None
    caption: str
    """Size and format of the image, or what is wrong with it."""
    tiny: bool = False


def thumbnail(data: bytes) -> Thumbnail:
    """Return a preview of an encoded image; bytes that are no image give one without a picture."""
    try:
        from PIL import Image
    except ImportError:  # a run that never decodes an image does without
        return Thumbnail(None, "no preview: pip install 'curate-proof[image]'")
    Image.init()
    with warnings.catch_warnings():  # odd metadata in the user's files is no news here
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as image:
                caption = f"{image.width:,} × {image.height:,} {image.format or ''}".strip()
                if image.width * image.height > MOST_PIXELS:
                    return Thumbnail(None, f"{caption}, too large for a preview")
                tiny = max(image.size) <= TINY
                return Thumbnail(_encode(_small(image), tiny), caption, tiny)
        except Exception as error:  # a decoder raises what it likes on broken bytes; it is said
            return Thumbnail(
                None, f"cannot be decoded ({len(data):,} bytes): {type(error).__name__}"
            )


def _small(image: Image) -> Image:
    from PIL import Image as pillow
    from PIL import ImageOps

    image.draft("RGB", (2 * SIDE, 2 * SIDE))
    image.load()
    if image.mode[:1] in "IF":  # 16 and 32 bits a pixel: stretch what is there to 8
        low, high = cast("tuple[float, float]", image.convert("F").getextrema())
        scale = 255 / (high - low) if high > low else 0.0
        image = image.convert("F").point(lambda v: v * scale - low * scale).convert("L")
    image = ImageOps.exif_transpose(image)
    image.thumbnail((SIDE, SIDE))
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        paper = pillow.new("RGBA", seen.size, "white")
        image = pillow.alpha_composite(paper, seen)
    return image.convert("RGB")


def _encode(image: Image, tiny: bool) -> Markup:
    kind = "png" if tiny else "jpeg"
    sink = io.BytesIO()
    image.save(sink, kind, **({"optimize": True} if tiny else {"quality": 80}))
    return Markup(f"data:image/{kind};base64,{base64.b64encode(sink.getvalue()).decode()}")
