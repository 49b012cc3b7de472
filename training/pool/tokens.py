"""Documents as flat arrays of bytes or of byte-pair tokens, memory-mapped by every run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.arrays import IntArray
from training.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


BYTES = 256
"""Distinct byte tokens; as with BPE, the id after the last one ends a document."""
VOCABULARY = 2_048
"""Byte-pair tokens: small beside the models that two cores train."""
MOST_TOKENS = 2**16 - 1
ENCODED_AT_ONCE = 1_000


class Documents(NamedTuple):
    """Symbols of many documents end to end: document d is flat[offsets[d]:offsets[d + 1]]."""

    flat: npt.NDArray[Any]
    """uint8 bytes or uint16 tokens, shape (symbols,); ends of documents aren't stored."""
    offsets: IntArray
    """Shape (documents + 1,)."""

    def lengths(self) -> IntArray:
        """Return the symbols of each document."""
        return np.diff(self.offsets)

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> Documents:
        """Copy the documents at `rows`, in that order and as often as they stand there.

        Takes 8 bytes of memory per symbol on the way.
        """
        lengths = self.lengths()[rows]
        offsets = np.append(0, np.cumsum(lengths))
        where = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Documents(self.flat[where], offsets)

    def save(self, folder: Path, name: str) -> None:
        """Write NAME.npy and NAME.offsets.npy."""
        np.save(folder / f"{name}.npy", self.flat)
        np.save(folder / f"{name}.offsets.npy", self.offsets)

    @staticmethod
    def load(folder: Path, name: str) -> Documents:
        """Memory-map what `save` wrote."""
        flat = np.load(folder / f"{name}.npy", mmap_mode="r")
        return Documents(flat, np.load(folder / f"{name}.offsets.npy"))


def byte_documents(texts: pa.Array) -> Documents:
    """Return the UTF-8 bytes of texts without nulls, as views of Arrow's own buffers."""
    assert texts.null_count == 0
    texts = texts.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return Documents(np.zeros(0, np.uint8), np.zeros(len(texts) + 1, np.int64))
    edges = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    flat = np.frombuffer(data, np.uint8)[edges[0] : edges[-1]]
    return Documents(flat, edges - edges[0])


def train_bpe(texts: pa.Array, vocabulary: int = VOCABULARY) -> Tokenizer:
    """Train one byte-level BPE tokenizer for all arms, on the union of raw and curated train text.

    Each distinct text once, never a test text: an arm's own tokenizer would score its own repeats
    cheaply. Any bytes can be told in its tokens. Deterministic for the same texts. About 1 s per
    MB; needs the package tokenizers. Sennrich et al. 2016 (arXiv:1508.07909).

    Raises:
        UserError: the vocabulary is smaller than the 256 bytes or larger than uint16 holds.
    """
    if not BYTES <= vocabulary <= MOST_TOKENS:
        raise UserError(
            f"vocabulary: {vocabulary} given; a byte-level tokenizer has {BYTES} to {MOST_TOKENS}"
        )
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    parts = (part for some in _parts(texts) for part in some)
    tokenizer.train_from_iterator(parts, trainer, length=len(texts))
    return tokenizer


def bpe_documents(tokenizer: Tokenizer, texts: pa.Array) -> Documents:
    """Encode texts without nulls; the end of a document is `tokenizer.get_vocab_size()`."""
    parts, lengths = [np.zeros(0, np.uint16)], [0]
    for some in _parts(texts):
        for encoding in tokenizer.encode_batch_fast(some):
            parts.append(np.array(encoding.ids, np.uint16))
            lengths.append(len(encoding.ids))
    return Documents(np.concatenate(parts), np.cumsum(lengths))


def _parts(texts: pa.Array) -> Iterator[list[str]]:
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        yield texts.slice(start, ENCODED_AT_ONCE).to_pylist()
