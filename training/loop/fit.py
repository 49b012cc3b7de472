"""One readable training loop for every arm, and the one evaluation after its last step."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from training.arrays import IntArray
from training.errors import UserError
from training.loop import distributed
from training.loop.cost import flop_counter
from training.loop.examples import Examples
from training.loop.fitted import Fitted
from training.loop.optimizers import optimizers_for
from training.loop.schedules import peak_share
from training.loop.stopping import EarlyStopping
from training.recipes import ModelRecipe

EVALUATION_BATCH = 1_024
LOOKS = 100
"""Losses of a run that its record keeps."""
VALIDATIONS = 20
"""Evaluations on validation in the steps allowed, where the recipe stops early."""


def fit(
    model: nn.Module,
    examples: Examples,
    *,
    recipe: ModelRecipe,
    steps: int,
    seed: int,
    fresh: int | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    rate: float = 1.0,
) -> Fitted:
    """Train `model` in place for `steps` batches; the learning rate ends at zero in every arm.

    The same model, recipe and seed give the same weights to the bit on one device (CUDA needs
    `torch.use_deterministic_algorithms`), and arms that share a seed share order and augmentation.
    Started by torchrun, each process takes its share of every batch (`distributed`). Shares of a
    batch, by accumulation or by process, add up to its mean loss, but for what looks at a share as
    a whole: batch norm, dropout and augmentation. `recipe.patience` ends the run on validation and
    keeps the best weights, whose learning rate had not decayed; `steps` is then the budget allowed.

    Args:
        model: on its device; gives logits, one vector for each target.
        examples: the training set, and nothing else.
        recipe: optimizer, schedule, precision and batch.
        steps: optimizer steps, each of `recipe.batch` examples.
        seed: of order, augmentation and dropout; the model comes with its own.
        fresh: rows of a pass, drawn anew for each, where not all (`batches`).
        validate: loss on validation, lower is better; asked only where `recipe.patience` is set.
        rate: factor of the recipe's learning rate.

    Raises:
        UserError: what the recipe asks for cannot be done with this model or these examples.
    """
    _refuse(recipe, len(examples), fresh, validate, steps)
    device = next(model.parameters()).device
    started = time.perf_counter()
    rng = np.random.default_rng([seed, 2 + distributed.rank()])
    torch.manual_seed(int(rng.integers(2**63)))  # dropout
    order = batches(np.random.default_rng([seed, 1]), len(examples), recipe.batch, fresh)
    distributed.share_weights(model)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizers = optimizers_for(model, recipe)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    compiled = torch.compile(model) if recipe.compile else model
    stopping = EarlyStopping(recipe.patience, validate)
    every, pause = max(1, steps // LOOKS), max(1, steps // VALIDATIONS)
    read, stopped, finite, losses, counter = 0, False, True, [], flop_counter()
    model.train()
    for step in range(1, steps + 1):
        for group in groups:
            group["lr"] = recipe.rate * rate * peak_share(recipe, step - 1, steps)
        shares = np.array_split(next(order), recipe.accumulate * distributed.world())
        mine = shares[distributed.rank() :: distributed.world()]
        parts = [examples.batch(share, rng) for share in mine]
        read += sum(tensor.nbytes for inputs, targets in parts for tensor in (*inputs, targets))
        with counter if step == 1 else nullcontext():  # it cannot see into a compiled model
            loss = backward(model if step == 1 else compiled, parts, recipe, device)
            loss = distributed.sum_gradients(weights, loss)
            if recipe.clip is not None:
                nn.utils.clip_grad_norm_(weights, recipe.clip)
            for optimizer in optimizers:
                optimizer.step()
            model.zero_grad(set_to_none=True)
        look = step % every == 0 or step == steps
        if look or loss.is_cpu:  # reading a loss makes a GPU wait
            finite = math.isfinite(loss)
            if look and finite:
                losses.append((step, float(loss)))
            if not finite:
                break
        if (step % pause == 0 or step == steps) and stopping.ends(model):
            stopped = step < steps
            break
    stopping.restore(model)
    distributed.average_statistics(model)
    return Fitted(
        steps=step,
        examples=step * recipe.batch,
        seconds=time.perf_counter() - started,
        flops=distributed.total(counter.get_total_flops()) * step,
        bytes_read=distributed.total(read),
        stopped_early=stopped,
        finite=finite,
        losses=tuple(losses),
    )


def backward(
    network: Callable[..., torch.Tensor],
    parts: list[tuple[tuple[torch.Tensor, ...], torch.Tensor]],
    recipe: ModelRecipe,
    device: torch.device,
) -> torch.Tensor:
    """Add to the gradients those of the parts' share of the batch's mean loss; return that share.

    Runs under bf16 autocast where the recipe says so, by default on CUDA; weights, gradients and
    the loss stay in float32.
    """
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and device.type == "cuda")
    whole = torch.zeros((), device=device)
    for inputs, targets in parts:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = network(*(tensor.to(device) for tensor in inputs))
        loss = functional.cross_entropy(
            logits.flatten(0, -2).float(),
            targets.to(device).flatten(),
            label_smoothing=recipe.smoothing,
        )
        share = loss * (len(targets) / recipe.batch)
        share.backward()
        whole += share.detach()
    return whole


def batches(
    rng: np.random.Generator, rows: int, size: int, fresh: int | None = None
) -> Iterator[IntArray]:
    """Yield batches of row indices for ever, from one random permutation after another.

    With `fresh` each pass is over a new random `fresh` of the rows: repeated random sampling, with
    replacement between passes (RS2, Okanovic et al. 2024).
    """
    left = np.empty(0, dtype=np.int64)
    while True:
        while len(left) < size:
            left = np.concatenate([left, rng.permutation(rows)[:fresh]])
        yield left[:size]
        left = left[size:]


def _refuse(
    recipe: ModelRecipe,
    rows: int,
    fresh: int | None,
    validate: Callable[[nn.Module], float] | None,
    steps: int,
) -> None:
    """Raise ValueError if the recipe, the examples and the arguments do not go together."""
    shares = recipe.accumulate * distributed.world()
    if rows < 1:
        raise UserError("examples: there are none to train on; give at least 1")
    if steps < 1:
        raise UserError(f"steps: {steps} given; at least 1 is needed")
    if fresh is not None and not 1 <= fresh <= rows:
        raise UserError(f"fresh: {fresh} given; allowed is 1 to {rows}, the rows of the arm")
    if recipe.batch < shares:
        raise UserError(
            f"batch: {recipe.batch} given; accumulate {recipe.accumulate} on {distributed.world()} "
            f"processes needs at least {shares}"
        )
    if recipe.patience is not None and validate is None:
        raise UserError(
            f"patience: {recipe.patience} given without validation; give a validation set or "
            "leave patience out"
        )


def evaluate(
    model: nn.Module, examples: Examples
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Return whether each example is classified rightly, and its log loss in nats, in order.

    In float32, with no augmentation. Over several processes each has all the answers.
    """
    device = next(model.parameters()).device
    model.eval()
    right, losses = [], []
    for start in range(0, len(examples), EVALUATION_BATCH):
        where = np.arange(start, min(start + EVALUATION_BATCH, len(examples)))
        inputs, targets = examples.batch(where, None)
        with torch.inference_mode():
            logits = model(*(tensor.to(device) for tensor in inputs)).float().cpu()
            loss = functional.cross_entropy(logits, targets, reduction="none")
        right.append((logits.argmax(dim=1) == targets).numpy().astype(np.uint8))
        losses.append(loss.numpy())
    return np.concatenate(right), np.concatenate(losses).astype(np.float32)
