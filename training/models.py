"""The bundled models and how their inputs are read; torch is imported here and in `fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.data import IntArray
from training.plan import Recipe


class Inputs(Protocol):
    """Reads the model inputs of pool rows; `rng` augments, None does not."""

    def __call__(self, rows: IntArray, rng: np.random.Generator | None) -> tuple[torch.Tensor, ...]:
        """Return the arguments of the model for one batch."""


class TextInputs:
    """Bags of gram buckets, each weighted by 1/√length so that long texts do not dominate."""

    def __init__(self, folder: Path) -> None:
        self.grams = np.load(folder / "grams.npy", mmap_mode="r")
        self.offsets = np.load(folder / "offsets.npy", mmap_mode="r")

    def __call__(self, rows: IntArray, rng: np.random.Generator | None) -> tuple[torch.Tensor, ...]:
        """Return (buckets, start of each bag, weights) as `nn.EmbeddingBag` takes them."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        starts = np.cumsum(lengths) - lengths
        where = np.repeat(self.offsets[rows] - starts, lengths) + np.arange(lengths.sum())
        weights = np.repeat((1 / np.sqrt(lengths)).astype(np.float32), lengths)
        return (
            torch.from_numpy(self.grams[where]),
            torch.from_numpy(starts.astype(np.int32)),
            torch.from_numpy(weights),
        )


class ImageInputs:
    """Pixels standardised by raw's channel means; training batches are shifted by a few pixels."""

    def __init__(self, folder: Path, shift: int) -> None:
        self.pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        self.mean, self.deviation = torch.from_numpy(np.load(folder / "scale.npy"))
        self.shift = shift

    def __call__(self, rows: IntArray, rng: np.random.Generator | None) -> tuple[torch.Tensor, ...]:
        """Return one float batch in NCHW, channels last."""
        batch = (torch.from_numpy(self.pixels[rows]).float() - self.mean) / self.deviation
        if rng is not None and self.shift:
            side = batch.shape[-1]
            down, right = rng.integers(0, 2 * self.shift + 1, size=2)
            batch = functional.pad(batch, [self.shift] * 4)
            batch = batch[:, :, down : down + side, right : right + side]
        return (batch.contiguous(memory_format=torch.channels_last),)


def text_model(recipe: Recipe, labels: int) -> nn.Module:
    """Return a linear classifier as an embedding bag: a text's logits are a sum of rows.

    Starts at zero; gradients are sparse, so a step costs the grams of a batch, not the table.
    """
    model = nn.EmbeddingBag(recipe.width, labels, mode="sum", sparse=True)
    nn.init.zeros_(model.weight)
    return model


def image_model(recipe: Recipe, channels: int, labels: int) -> nn.Module:
    """Return a small convolutional net for images of any even side from 8 pixels.

    After cifar10-airbench: a patch-wise first layer, then convolution, batch norm and pooling at
    growing width. The 2×2 patches quarter the cost of a step on a CPU.
    """
    width = recipe.width
    layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
    before = channels * 4
    for after, pool in ((width, nn.MaxPool2d(2)), (2 * width, nn.MaxPool2d(2)), (4 * width, None)):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
        if pool is not None:
            layers.append(pool)
        before = after
    layers += [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(before, labels)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)
