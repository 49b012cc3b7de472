"""Turn distinct texts and images into the arrays a run memory-maps, once for all runs."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

if TYPE_CHECKING:
    from PIL.Image import Image

KeyArray = npt.NDArray[np.uint64]

BIAS = 0
"""Bucket that stands in every text, so that the linear model needs no separate bias."""
MOST_WORDS = 400
"""Words read of each text; a linear bag learns little from the rest of a long document."""
MOST_SIDE = 32
"""Largest side of a training image in pixels: what two cores train on in seconds."""
LEAST_SIDE = 8
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")


@dataclass(frozen=True)
class Features:
    """Model inputs of each distinct content, and a key that is equal for equal content."""

    arrays: dict[str, npt.NDArray[np.generic]]
    keys: KeyArray
    readable: npt.NDArray[np.bool_]

    def save(self, folder: Path) -> None:
        """Write each array as a .npy file that the workers memory-map."""
        for name, array in self.arrays.items():
            np.save(folder / f"{name}.npy", array)


def text_features(texts: pa.Array, buckets: int) -> Features:
    """Hash the word 1- and 2-grams of each text into `buckets`; the order of grams is lost.

    Words are runs of letters and digits in lower case: a text in a script without spaces counts
    as few, long words, which is a weak reading of it. The key ignores case and white space.
    """
    rows = len(texts)
    split = pc.split_pattern_regex(pc.utf8_lower(texts), r"[^\p{L}\p{N}]+")
    lengths = pc.list_value_length(split).to_numpy(zero_copy_only=False)
    words = split.flatten().dictionary_encode()
    document = np.repeat(np.arange(rows), lengths)
    position = np.arange(len(document)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    code = words.indices.to_numpy()
    filled = pc.not_equal(words.dictionary, "").to_numpy(zero_copy_only=False)
    keep = filled[code] & (position < MOST_WORDS)
    document, hashed = document[keep], _hashes(words.dictionary.to_pylist())[code[keep]]
    adjacent = document[1:] == document[:-1]
    pairs = _mix(hashed[:-1], hashed[1:])[adjacent]

    owner = np.concatenate([np.arange(rows), document, document[1:][adjacent]])
    bucket = np.concatenate([hashed, pairs]) % np.uint64(buckets - 1) + np.uint64(1)
    grams = np.concatenate([np.full(rows, BIAS, np.int32), bucket.astype(np.int32)])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=rows))])
    arrays = {"grams": grams[np.argsort(owner, kind="stable")], "offsets": offsets}
    keys = _hashes([" ".join(text.casefold().split()) for text in texts.to_pylist()])
    return Features(arrays, keys, np.ones(rows, dtype=np.bool_))


def _hashes(strings: list[str]) -> KeyArray:
    return np.array([xxhash.xxh3_64_intdigest(string.encode()) for string in strings], np.uint64)


def _mix(first: KeyArray, second: KeyArray) -> KeyArray:
    """Hash an ordered pair of hashes (the finisher of SplitMix64, Steele et al. 2014)."""
    mixed = first * np.uint64(0x9E3779B97F4A7C15) + second
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(27))


def image_features(payloads: pa.Array, most_side: int = MOST_SIDE) -> Features:
    """Decode each image once to a common even square side, uint8, in NCHW order.

    Grey if every image is grey, else RGB. The key covers the decoded pixels at full size, so
    one picture in two lossless encodings is one content; a re-compressed copy is another.
    """
    encoded = payloads.to_pylist()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        heads = list(pool.map(_head, encoded))
        sides = [head[0] for head in heads if head]
        side = int(np.clip(np.median(sides), LEAST_SIDE, most_side)) if sides else LEAST_SIDE
        side += side % 2
        mode = "L" if all(head[1] for head in heads if head) else "RGB"
        found = list(pool.map(lambda payload: _decode(payload, side, mode), encoded))
    blank = np.zeros((len(mode), side, side), dtype=np.uint8)
    return Features(
        {"pixels": np.stack([blank if image is None else image[0] for image in found])},
        np.array([0 if image is None else image[1] for image in found], dtype=np.uint64),
        np.array([image is not None for image in found]),
    )


def _head(payload: bytes) -> tuple[int, bool] | None:
    """Return (longest side, is grey) from an image's header, or None if there is none."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(payload)) as image:
            return max(image.size), image.mode in GREY
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _decode(payload: bytes, side: int, mode: str) -> tuple[npt.NDArray[np.uint8], int] | None:
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(payload)) as opened:
            image = _seen(ImageOps.exif_transpose(opened))
            full = np.asarray(image)
            fitted = image.convert(mode)
            if fitted.size != (side, side):
                fitted = fitted.resize((side, side), Image.Resampling.BOX)
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
