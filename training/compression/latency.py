"""What a model costs to use: milliseconds, multiply-adds, parameters and bytes on disk."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from training.compression.surgery import Inputs
from training.loop.cost import flop_counter

WARM_UP = 3
LEAST_ROUNDS, MOST_ROUNDS = 20, 200
TRIES = 5
UNDISTURBED = 0.9
"""Share of a pass that its thread must have spent on a core."""


def latencies(
    models: Mapping[str, nn.Module], inputs: Sequence[Inputs], *, seconds: float = 3.0
) -> dict[str, npt.NDArray[np.float64]]:
    """Time one forward pass of each model per round, in milliseconds of wall-clock time.

    Every round takes the next of `inputs` for all models, in a shuffled order, so that none is
    always the one after the largest. As many rounds as fit into about `seconds`, at least 20 and at
    most 200, after three that do not count. On a CPU a pass in which another process took the core
    away is timed again, up to five times: the latency is that of a machine with nothing else to do.
    On a GPU each pass is waited for.
    """
    rng = np.random.default_rng(0)
    names = list(models)
    for model in models.values():
        model.eval()
    started = time.perf_counter()
    for turn in range(WARM_UP):
        for model in models.values():
            _pass(model, inputs[turn % len(inputs)])
    one_round = (time.perf_counter() - started) / WARM_UP
    rounds = int(np.clip(seconds / one_round, LEAST_ROUNDS, MOST_ROUNDS))
    taken = {name: np.empty(rounds) for name in names}
    for turn in range(rounds):
        for place in rng.permutation(len(names)):
            name = names[place]
            taken[name][turn] = _pass(models[name], inputs[turn % len(inputs)])
    return taken


def _pass(model: nn.Module, inputs: Inputs) -> float:
    on_gpu = inputs[0].is_cuda
    with torch.inference_mode():
        for _ in range(TRIES):
            if on_gpu:
                torch.cuda.synchronize()
            on_core, started = time.thread_time(), time.perf_counter()
            model(*inputs)
            if on_gpu:
                torch.cuda.synchronize()
            taken, on_core = time.perf_counter() - started, time.thread_time() - on_core
            if on_gpu or on_core > UNDISTURBED * taken:
                break
    return 1_000 * taken


def macs(model: nn.Module, inputs: Inputs, examples: int) -> int:
    """Return the multiply-adds of a forward pass per example; see `cost.flop_counter`."""
    model.eval()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # a fused kernel that the counter cannot read
    try:
        with torch.inference_mode(), flop_counter() as counter:
            model(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    bags = counter.get_flop_counts()["Global"].get(torch.ops.aten._embedding_bag, 0)
    # The counter charges a bag's gradient together with its forward pass; here is no gradient.
    return round(float(counter.get_total_flops() - bags / 2) / 2 / examples)


def parameters(model: nn.Module) -> int:
    """Return the number of weights, a shared one once, int8 ones included."""
    # Buffers count where they stand for weights: batch statistics do not.
    weights = {id(weight): weight.numel() for weight in model.parameters()}
    weights |= {id(held): held.numel() for held in model.buffers() if held.dtype == torch.int8}
    return sum(weights.values())


def saved_bytes(state: Mapping[str, torch.Tensor]) -> int:
    """Return the size of the file that `torch.save` writes of a state dict."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        torch.save(dict(state), path)
        return path.stat().st_size
