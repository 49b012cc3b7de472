"""One readable training loop for every arm, and the one evaluation after its last step."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from training.data import IntArray, Rows
from training.models import Inputs
from training.plan import Recipe

EVALUATION_BATCH = 1_024


def fit(
    model: nn.Module, inputs: Inputs, rows: Rows, *, recipe: Recipe, steps: int, seed: int
) -> None:
    """Train `model` in place for exactly `steps` batches; the learning rate ends at zero.

    The schedule rises linearly over the first `warmup` of the steps and falls linearly to zero
    in every arm, so no arm is caught half-trained. Mixed precision (bf16) on CUDA only.
    """
    device = next(model.parameters()).device
    rng = np.random.default_rng(seed)
    order = epochs(rng, len(rows), steps * recipe.batch).reshape(steps, recipe.batch)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.momentum > 0,
    )
    model.train()
    for step, chosen in enumerate(order):
        done = step / steps
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * min((done + 1 / steps) / recipe.warmup, 1 - done)
        batch = [tensor.to(device) for tensor in inputs(rows.x[chosen], rng)]
        target = torch.from_numpy(rows.y[chosen]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = functional.cross_entropy(model(*batch), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def epochs(rng: np.random.Generator, rows: int, examples: int) -> IntArray:
    """Return `examples` row indices: one fresh permutation after another, the last one cut."""
    passes = -(-examples // rows)
    return np.concatenate([rng.permutation(rows) for _ in range(passes)])[:examples]


def evaluate(
    model: nn.Module, inputs: Inputs, test: Rows
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Return whether each test row is answered rightly, and its log loss in nats."""
    device = next(model.parameters()).device
    model.eval()
    right, losses = [], []
    for start in range(0, len(test), EVALUATION_BATCH):
        part = test.take(np.arange(start, min(start + EVALUATION_BATCH, len(test))))
        target = torch.from_numpy(part.y)
        with torch.inference_mode():
            logits = model(*(tensor.to(device) for tensor in inputs(part.x, None))).float().cpu()
            loss = functional.cross_entropy(logits, target, reduction="none")
        right.append((logits.argmax(dim=1) == target).numpy().astype(np.uint8))
        losses.append(loss.numpy())
    return np.concatenate(right), np.concatenate(losses).astype(np.float32)
