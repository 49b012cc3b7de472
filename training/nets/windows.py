"""Windows of an arm's text, what a language model trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.arrays import IntArray
from training.pool.tokens import Documents

if TYPE_CHECKING:
    import torch


class Windows:
    """An arm's documents in shuffled order as one ring of tokens, cut into windows.

    Each document is followed by `end`, each window begins with the last token of the one before,
    so every token of the arm is a target once per pass; the last window goes on at the start of the
    ring. Documents are read where they lie: memory is 16 bytes per row of the arm.
    """

    def __init__(
        self, documents: Documents, rows: IntArray, *, end: int, context: int, seed: int
    ) -> None:
        """Shuffle the documents at `rows` by `seed`; `end` is the token that ends a document."""
        self.flat = documents.flat
        self.end = end
        self.context = context
        order = np.random.default_rng(seed).permutation(rows)
        self.starts = documents.offsets[order]
        lengths = documents.offsets[order + 1] - self.starts
        self.edges = np.append(0, np.cumsum(lengths + 1))

    def __len__(self) -> int:
        """Return the windows of one pass."""
        return -(-int(self.edges[-1]) // self.context)

    def batch(
        self, where: IntArray, rng: np.random.Generator | None
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Return ((tokens,), next tokens), each int64 of shape (windows, context).

        Nothing is augmented: `rng` isn't used.
        """
        import torch

        found = torch.from_numpy(self.tokens(where))
        return (found[:, :-1],), found[:, 1:]

    def tokens(self, where: IntArray) -> IntArray:
        """Return the windows at `where`, shape (windows, context + 1)."""
        first = where[:, None] * self.context - 1
        position = (first + np.arange(self.context + 1)) % self.edges[-1]
        row = np.searchsorted(self.edges, position, side="right") - 1
        last = position == self.edges[row + 1] - 1
        # Behind a document's last symbol lies the next one's first or nothing: any valid place will
        # do for an end.
        place = self.starts[row] + position - self.edges[row] - last
        found = self.flat[np.maximum(place, 0)].astype(np.int64) if len(self.flat) else place
        return np.where(last, self.end, found)
