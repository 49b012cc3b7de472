"""What steps derive from a batch of rows, computed once per batch: tokens, shingles, pixels."""

import numpy as np

from pipelines.maths.arrays import Picture
from pipelines.maths.images.pixels import SIDE, Pixels, decode_sized
from pipelines.maths.text.characters import character_tokens
from pipelines.maths.text.tokens import Tokens, shingles, tokenize
from pipelines.rows.rows import Rows


def tokens_of(rows: Rows) -> Tokens:
    """Return the tokens of the text column, computed once per batch."""
    return rows.view("tokens", lambda r: tokenize(r.text))


def shingles_of(rows: Rows, size: int) -> Tokens:
    """Return the hashes of the windows of `size` words of each text, computed once per batch."""
    return rows.view(f"shingles:{size}", lambda r: shingles(tokens_of(r), size))


def character_shingles_of(rows: Rows, size: int) -> Tokens:
    """Return the hashes of the windows of `size` characters of each text, once per batch."""
    return rows.view(
        f"character_shingles:{size}", lambda r: shingles(character_tokens(r.text), size)
    )


def pixels(rows: Rows) -> Pixels:
    """Return the decoded pictures of the rows, shared by all steps that ask.

    Raises:
        ValueError: a picture cannot be decoded; the engine finds out which and quarantines it.
    """
    return rows.view("pixels", _decode_rows)


def _decode_rows(rows: Rows) -> Pixels:
    images: list[Picture] = []
    sizes = np.zeros((len(rows), 2), dtype=np.int64)
    for row, data in enumerate(rows.image_bytes):  # one file at a time: formats and sizes differ
        picture, sizes[row] = decode_sized(data.as_py(), SIDE)
        images.append(picture)
    return Pixels(images, sizes)
