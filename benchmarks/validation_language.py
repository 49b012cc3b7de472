"""Small language models for the validation: an exact n-gram model and a GPT, both of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.validation_settings import Settings
from training.arrays import FloatArray
from training.nets.bytelm import ByteModel, fit_bytes
from training.pool.tokens import BYTES, Documents, byte_documents
from training.recipes import RECIPES

IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]


class Model(Protocol):
    """A trained model of bytes."""

    def bits(self, documents: Documents) -> FloatArray:
        """Return the bits of each document, its end included."""

    def next_bytes(self, contexts: ByteArray) -> ByteArray:
        """Return the likeliest byte after each context, shape (contexts, length) to (contexts,)."""


class Train(Protocol):
    """Trains a model on documents at `rows`, each read once."""

    def __call__(self, documents: Documents, rows: IntArray, *, seed: int) -> Model:
        """Return the trained model."""


class NGram:
    """The instrument's order-n byte model."""

    def __init__(self, model: ByteModel) -> None:
        self.model = model

    def bits(self, documents: Documents) -> FloatArray:
        """Return the bits of each document."""
        return self.model.bits(*documents)

    def next_bytes(self, contexts: ByteArray) -> ByteArray:
        """Return the likeliest byte after each context; equal contexts are asked once."""
        seen = contexts[:, -(self.model.order - 1) :]
        distinct, where = np.unique(seen, axis=0, return_inverse=True)
        likeliest = [int(self.model.probabilities(c.tobytes())[:BYTES].argmax()) for c in distinct]
        return np.array(likeliest, np.uint8)[where.reshape(-1)]


class Gpt:
    """The instrument's GPT of bytes."""

    def __init__(self, model: Any, context: int) -> None:
        self.model, self.context = model, context

    def bits(self, documents: Documents) -> FloatArray:
        """Return the bits of each document."""
        from training.nets.gpt import document_bits

        return document_bits(self.model, *documents, end=BYTES, context=self.context)

    def next_bytes(self, contexts: ByteArray) -> ByteArray:
        """Return the likeliest byte after each context, which starts a document."""
        import torch

        end = np.full((len(contexts), 1), BYTES, np.int64)
        tokens = np.concatenate([end, contexts.astype(np.int64)], axis=1)[:, -self.context :]
        with torch.inference_mode():
            logits = self.model(torch.from_numpy(tokens))[:, -1, :BYTES]
        return np.asarray(logits.argmax(dim=1).numpy(), np.uint8)


def ngram(order: int) -> Train:
    """Return a trainer of order-n models; the seed changes nothing."""

    def train(documents: Documents, rows: IntArray, *, seed: int) -> Model:
        return NGram(fit_bytes(*documents.take(rows), order=order))

    return train


def gpt_once(documents: Documents, rows: IntArray, *, seed: int) -> Model:
    """Train the recipe `gpt-bytes` for one pass over the rows."""
    import torch

    from training.loop.fit import fit
    from training.nets.gpt import gpt
    from training.nets.windows import Windows

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    recipe = RECIPES["gpt-bytes"]
    model = gpt(recipe, BYTES + 1)
    windows = Windows(documents, rows, end=BYTES, context=recipe.context, seed=seed)
    fit(model, windows, recipe=recipe, steps=max(1, len(windows) // recipe.batch), seed=seed)
    model.eval()
    return Gpt(model, recipe.context)


def copied(
    model: Model, documents: Documents, rows: IntArray, *, length: int
) -> npt.NDArray[np.bool_]:
    """Return for which documents the model goes on word for word.

    The prompt is the first `length` bytes, the answer is greedy, and it counts as copied if all of
    its `length` bytes are those that follow in the document.
    """
    starts = documents.offsets[rows]
    assert (documents.lengths()[rows] >= 2 * length).all()
    text = documents.flat[starts[:, None] + np.arange(2 * length)]
    right = np.ones(len(rows), np.bool_)
    for at in range(length, 2 * length):  # while the answer is right, it is the text itself
        live = np.flatnonzero(right)
        if not len(live):
            break
        right[live] = model.next_bytes(text[live, :at]) == text[live, at]
    return right


def filled(documents: Documents, order: IntArray, most: int) -> IntArray:
    """Return the first rows of an order that hold no more than `most` bytes together."""
    return order[: int(np.searchsorted(np.cumsum(documents.lengths()[order]), most, side="right"))]


def as_documents(texts: Sequence[str]) -> Documents:
    """Return texts as documents of bytes."""
    return byte_documents(pa.array(texts, pa.large_string()))


def prose(settings: Settings, size: int) -> tuple[Documents, str]:
    """Return prose in documents of `size` bytes and what it is: novels, or Python's own help."""
    path = settings.data / "prose" / "english_novels_100.parquet"
    if path.is_file() and not settings.quick:
        books = pq.read_table(path)["text"].to_pylist()
        what = f"{len(books)} novels"
    else:
        from pydoc_data.topics import topics

        books, what = list(topics.values()), "the help texts of Python"
    flat = np.frombuffer("\n\n".join(books).encode(), np.uint8)
    count = len(flat) // size
    return Documents(flat[: count * size], np.arange(count + 1) * size), what
