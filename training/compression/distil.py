"""Train a smaller model to answer as a larger one does, and the same model without its help."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.loop.examples import Examples
from training.loop.fit import batches
from training.loop.optimizers import optimizers_for
from training.loop.schedules import peak_share
from training.recipes import ModelRecipe

TEMPERATURE = 2.0
SOFT = 0.5
"""Share of the loss that is the teacher's; the rest is the labels'."""


def distil(
    student: nn.Module,
    teacher: nn.Module,
    examples: Examples,
    *,
    recipe: ModelRecipe,
    steps: int,
    seed: int,
) -> None:
    """Train `student` in place on half the labels' and half the teacher's loss.

    Hinton et al. 2015: the teacher's loss is the divergence between both softmaxes at a temperature
    of 2, times its square so that the gradients keep their size. A step costs three forward passes
    of the student and one of the teacher; both see the same augmented batch. In float32.
    """
    device = next(student.parameters()).device
    rng = np.random.default_rng([seed, 2])
    torch.manual_seed(int(rng.integers(2**63)))  # dropout
    order = batches(np.random.default_rng([seed, 1]), len(examples), recipe.batch)
    optimizers = optimizers_for(student, recipe)
    student.train()
    teacher.eval()
    for step in range(steps):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * peak_share(recipe, step, steps)
        given, targets = examples.batch(next(order), rng)
        inputs = tuple(tensor.to(device) for tensor in given)
        with torch.no_grad():
            wanted = teacher(*inputs).flatten(0, -2)
        loss = distillation_loss(student(*inputs).flatten(0, -2), wanted, targets.to(device))
        loss.backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(student.parameters(), recipe.clip)
        for optimizer in optimizers:
            optimizer.step()
        student.zero_grad(set_to_none=True)


def distillation_loss(
    logits: torch.Tensor, teacher: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return the loss of (rows, classes) logits, a mean over rows."""
    soft = functional.kl_div(
        functional.log_softmax(logits / TEMPERATURE, dim=-1),
        functional.log_softmax(teacher / TEMPERATURE, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    hard = functional.cross_entropy(logits, targets.flatten())
    return SOFT * TEMPERATURE**2 * soft + (1 - SOFT) * hard


class Folded(nn.Module):  # type: ignore[misc]
    """A smaller hash table for the same grams: a bucket is taken modulo its size."""

    def __init__(self, bag: nn.EmbeddingBag) -> None:
        super().__init__()
        self.bag = bag

    def forward(
        self, buckets: torch.Tensor, starts: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the weighted sum of each bag's rows."""
        return self.bag(buckets % self.bag.num_embeddings, starts, weights)
