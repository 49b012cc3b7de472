"""The bundled classifiers, built from a recipe; torch is imported here and below."""

from pathlib import Path

import torch
from torch import nn

from training.nets.imagenets import fine_tuned, small_cnn
from training.nets.inputs import Inputs, Labelled, inputs
from training.nets.textnets import TextCNN, TextTransformer, linear_bag
from training.recipes import ModelRecipe

__all__ = ["Inputs", "Labelled", "build_model", "inputs"]


def build_model(recipe: ModelRecipe, folder: Path, labels: int) -> nn.Module:
    """Return a fresh model for the inputs in `folder`; the caller seeds torch first.

    Raises:
        UserError: the model is no classifier.
    """
    channels = inputs(folder, recipe).channels
    match recipe.model:
        case "linear":
            return linear_bag(channels, labels)
        case "textcnn":
            return TextCNN(recipe, channels, labels)
        case "transformer":
            return TextTransformer(recipe, channels, labels)
        case "cnn":
            return small_cnn(recipe, channels, labels)
        case "finetune":
            return fine_tuned(recipe, labels)
        case _:
            return Probe(channels, labels)


class Probe(nn.Module):  # type: ignore[misc]
    """A linear classifier of frozen vectors, each scaled to mean 0 and deviation 1."""

    def __init__(self, dimensions: int, labels: int) -> None:
        super().__init__()
        self.scale = nn.LayerNorm(dimensions, elementwise_affine=False)
        self.head = nn.Linear(dimensions, labels)
        nn.init.zeros_(self.head.weight)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return logits of vectors."""
        return self.head(self.scale(vectors))
