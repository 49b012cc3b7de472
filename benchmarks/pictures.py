"""A folder of pictures with planted near-copies, from a seed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image, ImageDraw, ImageEnhance

SIDE = 64
Pixels = npt.NDArray[np.uint8]


def write_images(folder: Path, rows: int, seed: int = 0) -> pa.Table:
    """Write pictures of 64 px as files; returns their truth: id (file name), kind, cluster.

    A picture is smooth coloured noise (amplitudes fall as 1/f, as in photographs) with a few
    shapes. One in ten has the background of another with other shapes (`lookalike`): not a copy. A
    tenth are copies of others: `resized`, `reencoded` (JPEG of quality 30 to 70), `brightness`
    (0.7 to 1.3), `cropped` (3 to 8 % of each side) or `exact`, in equal parts.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    copies, lookalikes = rows // 10, rows // 10
    base = rows - copies - lookalikes
    names = [f"p{place:07d}" for place in rng.permutation(rows)]
    backgrounds = np.concatenate([noise(rng, min(256, base - i)) for i in range(0, base, 256)])
    sources = rng.choice(base, lookalikes, replace=False)
    truth = []
    for number in range(base + lookalikes):
        back = backgrounds[number if number < base else sources[number - base]]
        picture = with_shapes(back, rng)
        name = f"{names[number]}.jpg"
        picture.save(folder / name, quality=92)
        truth.append((name, "base" if number < base else "lookalike", number))
    for number in range(copies):
        source = int(rng.integers(base))
        kind = ("resized", "reencoded", "brightness", "cropped", "exact")[number % 5]
        original = (folder / f"{names[source]}.jpg").read_bytes()
        name = f"{names[base + lookalikes + number]}.jpg"
        (folder / name).write_bytes(copied(original, kind, rng))
        truth.append((name, kind, source))
    ids, kinds, clusters = zip(*sorted(truth), strict=True)
    return pa.table({"id": list(ids), "kind": list(kinds), "cluster": list(clusters)})


def noise(rng: np.random.Generator, count: int) -> Pixels:
    """Return pictures of random phase whose amplitude falls with frequency, (count, 64, 64, 3)."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :])
    frequency[0, 0] = 1
    grey, tint = (
        np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) / frequency**1.5, s=(SIDE, SIDE))
        for shape in ((count, 1, SIDE, SIDE), (count, 3, SIDE, SIDE))
    )
    mixed = grey + 0.4 * tint
    mixed = 128 + 50 * mixed / mixed.std(axis=(1, 2, 3), keepdims=True)
    return np.clip(mixed, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def with_shapes(background: Pixels, rng: np.random.Generator) -> Image.Image:
    """Return a picture with two to four random shapes in front."""
    picture = Image.fromarray(background)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(2, 5)):
        x, y = rng.integers(-8, SIDE - 16, 2)
        width, height = rng.integers(12, 40, 2)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        box = (int(x), int(y), int(x + width), int(y + height))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=colour)
    return picture


def copied(original: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Return a file that shows the same picture, changed as `kind` says."""
    if kind == "exact":
        return original
    picture = Image.open(io.BytesIO(original))
    quality = 92
    if kind == "resized":
        side = int(rng.choice([40, 48, 96, 128]))
        picture = picture.resize((side, side), Image.Resampling.BICUBIC)
    elif kind == "reencoded":
        quality = int(rng.integers(30, 71))
    elif kind == "brightness":
        factor = rng.uniform(1.1, 1.3) if rng.random() < 0.5 else rng.uniform(0.7, 0.9)
        picture = ImageEnhance.Brightness(picture).enhance(factor)
    elif kind == "cropped":
        left, top, right, bottom = rng.integers(2, 6, 4)
        box = (int(left), int(top), int(SIDE - right), int(SIDE - bottom))
        picture = picture.crop(box).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    else:
        raise ValueError(f"no kind {kind!r} of copy")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()
