"""One run over several processes: every batch split by rank, gradients summed after it.

Gradients are summed by one explicit all-reduce per step rather than by DistributedDataParallel: the
model stays the model (no wrapper, no renamed weights, any accumulation, torch.compile as it is)
and ranks may hold unequal shares of a batch. The price is that communication does not overlap the
backward pass. Every function here is a no-op in a process of its own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.errors import UserError

T = TypeVar("T")
PATIENCE = timedelta(hours=1)
"""How long ranks wait for each other: rank 0 alone validates, writes and waits for orders."""


@contextmanager
def process_group(number: int = 0) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did, and yield this one's device.

    Reads RANK, WORLD_SIZE and LOCAL_RANK as torchrun sets them; NCCL if there are GPUs, else gloo.
    Without torchrun, process `number` takes its turn at the GPUs and works alone.

    Raises:
        UserError: more processes than GPUs on this machine, which NCCL cannot do.
    """
    gpus = torch.cuda.device_count()
    local = int(os.environ.get("LOCAL_RANK", number))
    grouped = "WORLD_SIZE" in os.environ
    if grouped and gpus and local >= gpus:
        raise UserError(f"processes: rank {local} has no GPU of its own; start at most {gpus}")
    device = torch.device(f"cuda:{local % gpus}" if gpus else "cpu")
    if gpus:
        torch.cuda.set_device(device)
    if not grouped:
        yield device
        return
    dist.init_process_group("nccl" if gpus else "gloo", timeout=PATIENCE)
    try:
        yield device
        dist.barrier()  # gloo's threads abort a process whose peer has torn the group down
    finally:
        dist.destroy_process_group()


def _grouped() -> bool:
    return bool(dist.is_available() and dist.is_initialized())


def rank() -> int:
    """Return the number of this process; 0 alone writes."""
    return int(dist.get_rank()) if _grouped() else 0


def world() -> int:
    """Return the number of processes."""
    return int(dist.get_world_size()) if _grouped() else 1


def broadcast(value: T) -> T:
    """Return rank 0's value on every rank; it is pickled, so for small things such as a job."""
    values = [value]
    if _grouped():
        dist.broadcast_object_list(values, src=0)
    return values[0]


def share_weights(model: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0."""
    if _grouped():
        for tensor in model.state_dict().values():
            dense = tensor.contiguous()  # channels last is not
            dist.broadcast(dense, src=0)
            tensor.copy_(dense)


def sum_gradients(weights: list[nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
    """Sum the dense gradients of `weights` over all ranks in place and return the summed loss.

    One flat all-reduce: twice the size of the gradients travels, whatever the number of ranks.
    """
    if not _grouped():
        return loss
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    gradients = [weight.grad for weight in weights]
    flat = torch.cat([loss.reshape(1), *(gradient.flatten() for gradient in gradients)])
    dist.all_reduce(flat)
    summed = flat[1:].split([gradient.numel() for gradient in gradients])
    for gradient, total in zip(gradients, summed, strict=True):
        gradient.copy_(total.view_as(gradient))
    return flat[0]


def average_statistics(model: nn.Module) -> None:
    """Average the running statistics of batch norms over the ranks.

    While it trains a batch norm sees its rank's share of the batch alone, so a model with batch
    norm is not the same over two processes as in one; SyncBatchNorm would be, but is for CUDA only.
    """
    if not _grouped():
        return
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            for statistic in (module.running_mean, module.running_var):
                dist.all_reduce(statistic)
                statistic /= world()


def total(count: int) -> int:
    """Return the sum of a count over all ranks."""
    if not _grouped():
        return count
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    counts = torch.tensor(count, dtype=torch.int64, device=device)
    dist.all_reduce(counts)
    return int(counts)
