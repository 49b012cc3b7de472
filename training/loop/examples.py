"""What the training loop reads: numbered examples that become tensors a batch at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from training.arrays import IntArray

if TYPE_CHECKING:
    import torch


class Examples(Protocol):
    """The training set of one run: a row of an arm, or a window of its text, is an example."""

    def __len__(self) -> int:
        """Return the number of examples in one pass."""

    def batch(
        self, where: IntArray, rng: np.random.Generator | None
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Return (arguments of the model, targets) of the examples at `where`.

        Targets are int64, one for each logit vector: shape (batch,) for a class, (batch, context)
        for next tokens. `rng` augments; None does not.
        """
