"""A trained arm that is to be made smaller, and a smaller one before it is measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from training.arrays import FloatArray
from training.compression.surgery import Inputs
from training.loop.examples import Examples
from training.recipes import ModelRecipe

Score = Callable[[nn.Module], FloatArray]
Build = Callable[[ModelRecipe], nn.Module]


@dataclass(frozen=True)
class Trained:
    """A trained arm, and what is needed to train a little more and to score.

    Attributes:
        models: one a seed, on their device.
        seeds: of the models, in order.
        train: the arm's training set of each seed.
        test: test examples, for their inputs alone.
        score: scores of every test row in order, higher is better; called once for each model of
            each operating point.
        build: a fresh model from a recipe, for students.
        recipe: of the models.
        steps: that they were trained for.
    """

    models: Sequence[nn.Module]
    seeds: Sequence[int]
    train: Sequence[Examples]
    test: Examples
    score: Score
    build: Build
    recipe: ModelRecipe
    steps: int


@dataclass(frozen=True)
class Candidate:
    """An operating point before it is measured: a model a seed."""

    name: str
    how: str
    models: list[nn.Module]
    macs: int
    state: Mapping[str, torch.Tensor] | None = None
    """What the first model's file holds, where that is not its state dict."""
    extra_flops: int = 0


@dataclass(frozen=True)
class CompressionBudget:
    """What points that train may spend, as shares of the FLOPs of the uncompressed run."""

    fine_tune: float = 0.1
    """Of each model with fewer channels."""
    student: float = 0.25
    """Of the distilled student, and of the same on labels."""


def device_of(trained: Trained) -> torch.device:
    """Return where the models are."""
    return next(trained.models[0].parameters()).device


def inputs_of(
    examples: Examples, count: int, device: torch.device, seed: int = 0, part: int = 0
) -> Inputs:
    """Return the model's arguments for `count` random examples.

    Parts of one seed follow each other in a random order of all examples, which starts again where
    it ends.
    """
    order = np.random.default_rng(seed).permutation(len(examples))
    given, _ = examples.batch(order[np.arange(part * count, (part + 1) * count) % len(order)], None)
    return tuple(tensor.to(device) for tensor in given)
