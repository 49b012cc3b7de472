"""Language models in the proof: their tokens, their budget in bytes, and a run that counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.arrays import FloatArray
from training.design.plan import save_json
from training.nets.bytelm import fit_bytes, floor_bits, packed_bits
from training.pool.data import Pool, PoolRows
from training.pool.tokens import BYTES, Documents, bpe_documents, byte_documents, train_bpe
from training.recipes import ModelRecipe

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MOST_TESTED = 8_192
"""Bytes of each test document that are scored, so that no single long one decides."""


def save_documents(pool: Pool, recipe: ModelRecipe, folder: Path) -> None:
    """Write bytes, and for a BPE model tokens, of each distinct text for the workers."""
    byte_documents(pool.distinct).save(folder, "bytes")
    vocabulary = BYTES
    if recipe.model == "gpt-bpe":
        seen = np.unique(np.concatenate([pool.rows["raw"].x, pool.rows["curated"].x]))
        tokenizer = train_bpe(pool.distinct.take(pa.array(seen)), recipe.vocabulary)
        tokenizer.save(str(folder / "tokenizer.json"))
        bpe_documents(tokenizer, pool.distinct).save(folder, "tokens")
        vocabulary = tokenizer.get_vocab_size()
    save_json(folder / "vocabulary.json", vocabulary)


def load_documents(folder: Path, recipe: ModelRecipe) -> tuple[Documents, int]:
    """Return the documents that `recipe`'s model reads, and its number of symbols without end."""
    documents = Documents.load(folder, "tokens" if recipe.model == "gpt-bpe" else "bytes")
    return documents, int(json.loads((folder / "vocabulary.json").read_text("utf-8")))


def load_tokenizer(folder: Path) -> Tokenizer | None:
    """Return the BPE tokenizer that `save_documents` trained, if it did."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def cut_documents(documents: Documents, most: int | None) -> Documents:
    """Return the documents up to `most` bytes in all; the last one may be cut short."""
    if most is None or documents.offsets[-1] <= most:
        return documents
    whole = int(np.searchsorted(documents.offsets, most, side="left"))
    offsets = np.append(documents.offsets[:whole], most)
    return Documents(documents.flat[:most], offsets)


def count(
    documents: Documents,
    rows: PoolRows,
    tests: dict[str, PoolRows],
    recipe: ModelRecipe,
    most: int | None,
) -> tuple[dict[str, FloatArray], int]:
    """Fit the order-n byte model on `rows` in their order; return bits per test document.

    Args:
        documents: bytes of each distinct text.
        rows: what to train on; read up to `most` bytes.
        tests: test sets by name.
        recipe: its `depth` is the order of the model.
        most: the budget, or None to read every byte once.

    Returns:
        (bits of each document of each test set, bytes read)
    """
    train = cut_documents(documents.take(rows.x), most)
    model = fit_bytes(*train, order=recipe.depth)
    bits = {name: model.bits(*clipped(documents, test)) for name, test in tests.items()}
    return bits, int(train.offsets[-1])


def per_byte(bits: FloatArray, lengths: npt.NDArray[np.int64]) -> FloatArray:
    """Return the score of each document: minus its bits per byte.

    Weighted by length their mean is minus the bits per byte of all documents together.
    """
    return -bits / np.maximum(lengths, 1)


def clipped(documents: Documents, rows: PoolRows) -> Documents:
    """Return the first MOST_TESTED bytes of each of a test set's documents."""
    whole = documents.take(rows.x)
    lengths = np.minimum(whole.lengths(), MOST_TESTED)
    inside = np.arange(len(whole.flat)) - np.repeat(whole.offsets[:-1], whole.lengths())
    return Documents(whole.flat[inside < MOST_TESTED], np.append(0, np.cumsum(lengths)))


def baseline(pool: Pool) -> tuple[FloatArray, FloatArray, dict[str, float]]:
    """Return the floor's score and the bytes of each test document, and zstd's and xz's figures."""
    documents = byte_documents(pool.distinct)
    raw, test = documents.take(pool.rows["raw"].x), clipped(documents, pool.rows["test"])
    scores = per_byte(floor_bits(raw, test), test.lengths())
    return scores, np.maximum(test.lengths(), 1).astype(np.float64), packed_bits(test)
