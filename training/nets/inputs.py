"""The inputs of each model, read a batch at a time from the arrays that `features` made."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from training.arrays import IntArray
from training.errors import UserError
from training.pool.features import PADDING, VOCABULARY
from training.recipes import Model, ModelRecipe

WIDEST = 5
"""Padding behind the longest text of a batch: the widest window of the text CNN. Then each text has
a window of padding alone, so the maximum over windows does not depend on the rest of the batch."""


class Inputs(Protocol):
    """Reads the model inputs of pool rows; `rng` augments, None does not."""

    channels: int
    """What the model must know of its input: hash buckets, image channels or dimensions."""

    def __call__(self, rows: IntArray, rng: np.random.Generator | None) -> tuple[torch.Tensor, ...]:
        """Return the arguments of the model for one batch."""


class Bags:
    """Bags of gram buckets, each weighted by 1/√length so that long texts do not dominate.

    To train on, a share of the grams is left out at random, if the recipe says so.
    """

    def __init__(self, folder: Path, recipe: ModelRecipe) -> None:
        self.grams = np.load(folder / "grams.npy", mmap_mode="r")
        self.offsets = np.load(folder / "offsets.npy", mmap_mode="r")
        self.channels = recipe.width
        self.dropout = recipe.dropout

    def __call__(self, rows: IntArray, rng: np.random.Generator | None) -> tuple[torch.Tensor, ...]:
        """Return (buckets, start of each bag, weights) as `nn.EmbeddingBag` takes them."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        starts = np.cumsum(lengths) - lengths
        where = np.repeat(self.offsets[rows] - starts, lengths) + np.arange(lengths.sum())
        weights = np.repeat((1 / np.sqrt(lengths)).astype(np.float32), lengths)
        if rng is not None and self.dropout:
            kept = rng.random(len(weights), dtype=np.float32) >= self.dropout
            weights = weights * kept / np.float32(1 - self.dropout)
        return (
            torch.from_numpy(self.grams[where]),
            torch.from_numpy(starts.astype(np.int32)),
            torch.from_numpy(weights),
        )


class Sequences:
    """Words in order, as hash buckets; shorter texts are padded at the end."""

    def __init__(self, folder: Path, recipe: ModelRecipe) -> None:
        self.tokens = np.load(folder / "tokens.npy", mmap_mode="r")
        self.offsets = np.load(folder / "offsets.npy", mmap_mode="r")
        self.channels = VOCABULARY

    def __call__(self, rows: IntArray, rng: np.random.Generator | None) -> tuple[torch.Tensor, ...]:
        """Return (tokens,), int64 of shape (rows, longest of them + WIDEST)."""
        lengths = (self.offsets[rows + 1] - self.offsets[rows])[:, None]
        position = np.arange(int(lengths.max()) + WIDEST)
        inside = position < lengths
        where = np.where(inside, self.offsets[rows][:, None] + position, 0)
        found = np.where(inside, self.tokens[where], PADDING)
        return (torch.from_numpy(found.astype(np.int64)),)


class Vectors:
    """Vectors of a frozen encoder."""

    def __init__(self, folder: Path, recipe: ModelRecipe) -> None:
        self.vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        self.channels = self.vectors.shape[1]

    def __call__(self, rows: IntArray, rng: np.random.Generator | None) -> tuple[torch.Tensor, ...]:
        """Return (vectors,), float32 of shape (rows, dimensions)."""
        return (torch.from_numpy(self.vectors[rows].astype(np.float32)),)


class Pixels:
    """Images in [-1, 1]; those to train on are shifted and, if so told, mirrored, each its way.

    Grey images are never mirrored: they are often characters or scans, where left is not right.
    On 300 digits mirroring cost the small CNN 2.5 points of accuracy.
    """

    def __init__(self, folder: Path, recipe: ModelRecipe) -> None:
        self.pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        self.channels = self.pixels.shape[1]
        self.shift = recipe.shift
        self.flip = recipe.flip and self.channels > 1

    def __call__(self, rows: IntArray, rng: np.random.Generator | None) -> tuple[torch.Tensor, ...]:
        """Return one float32 batch in NCHW, channels last in memory."""
        pixels = self.pixels[rows]
        if rng is not None:
            pixels = augment(pixels, rng, shift=self.shift, flip=self.flip)
        batch = torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)
        return (batch.float() / 127.5 - 1,)


def augment(
    pixels: npt.NDArray[np.uint8], rng: np.random.Generator, *, shift: int, flip: bool
) -> npt.NDArray[np.uint8]:
    """Shift each image by up to `shift` pixels either way, its border reflected; mirror half.

    Random crop after padding and horizontal flip, the standard augmentation of small pictures (He
    et al. 2016). As many random numbers are drawn whether or not images are mirrored.
    """
    images, side = len(pixels), pixels.shape[-1]
    padded = np.pad(pixels, [(0, 0), (0, 0), (shift, shift), (shift, shift)], mode="reflect")
    down, right = rng.integers(0, 2 * shift + 1, size=(2, images, 1))
    mirrored = rng.integers(0, 2, size=(images, 1)) * flip
    along = np.arange(side)
    rows = (down + along)[:, None, :, None]
    columns = (right + np.where(mirrored, along[::-1], along))[:, None, None, :]
    image = np.arange(images)[:, None, None, None]
    channel = np.arange(pixels.shape[1])[None, :, None, None]
    return np.asarray(padded[image, channel, rows, columns])


READERS: dict[Model, Callable[[Path, ModelRecipe], Inputs]] = {
    "linear": Bags,
    "textcnn": Sequences,
    "transformer": Sequences,
    "pretrained": Vectors,
    "cnn": Pixels,
    "features": Vectors,
    "finetune": Pixels,
}


def inputs(folder: Path, recipe: ModelRecipe) -> Inputs:
    """Memory-map the arrays in `folder` that the recipe's model reads.

    Raises:
        UserError: the model is no classifier.
    """
    if recipe.model not in READERS:
        raise UserError(f"model: {recipe.model!r} given; classifiers are {', '.join(READERS)}")
    return READERS[recipe.model](folder, recipe)


@dataclass(frozen=True)
class Labelled:
    """Examples of classification: pool rows and their labels (see `training.loop.examples`)."""

    inputs: Inputs
    x: IntArray
    y: IntArray

    def __len__(self) -> int:
        return len(self.x)

    def batch(
        self, where: npt.NDArray[Any], rng: np.random.Generator | None
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Return (arguments of the model, labels) of the examples at `where`."""
        return self.inputs(self.x[where], rng), torch.from_numpy(self.y[where])
