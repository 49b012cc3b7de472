"""Take whole channels out of a model, so that every layer really gets smaller."""

import copy
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from training.arrays import IntArray
from training.compression.channels import NORMS, Group, channel_axis, channel_groups


def importance(model: nn.Module, group: Group) -> torch.Tensor:
    """Return the L1 norm of each channel's weights (Li et al. 2017), batch norm folded in.

    The norm's scale over its running deviation is what the channel is multiplied by when used.
    """
    found = model.get_submodule(group.source).weight.detach().abs().flatten(1).sum(dim=1)
    for name in group.followers:
        norm = model.get_submodule(name)
        if isinstance(norm, NORMS):
            found = found * norm.weight.detach().abs() / (norm.running_var + norm.eps).sqrt()
    return found


def prune(model: nn.Module, groups: Sequence[Group], keep: float) -> nn.Module:
    """Return a copy of the model that keeps this share of each group's channels, at least one.

    The same share of every layer, so that all seeds have one architecture. A removed channel is
    taken as zero by what follows; a fine-tune is meant to repair that.
    """
    out: dict[str, IntArray] = {}
    into: dict[str, list[IntArray]] = {}
    for group in groups:
        scores = importance(model, group)
        left = max(1, round(keep * len(scores)))
        kept = np.sort(scores.argsort(descending=True, stable=True)[:left].cpu().numpy())
        gone = np.setdiff1d(np.arange(len(scores)), kept)
        for name in (group.source, *group.followers):
            out[name] = kept
        for name, places in group.consumers.items():
            into.setdefault(name, []).append(places[gone].ravel())
    pruned = copy.deepcopy(model)
    with torch.no_grad():
        for name, kept in out.items():
            _keep_outputs(pruned.get_submodule(name), torch.from_numpy(kept))
        for name, gone_places in into.items():
            layer = pruned.get_submodule(name)
            left_places = np.setdiff1d(
                np.arange(layer.weight.shape[1]), np.concatenate(gone_places)
            )
            _keep_inputs(layer, torch.from_numpy(left_places))
    return pruned


def usable_groups(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[Group]:
    """Return the groups without some of whose channels the model answers as if those were zero.

    Others stay whole: a residual stream that several layers write to, or heads of attention, whose
    widths are written down elsewhere. Such a model does not run, or answers something else.
    """
    groups = channel_groups(model, inputs)
    return [group for group in groups if _answers_the_same(model, group, inputs)]


def _answers_the_same(model: nn.Module, group: Group, inputs: tuple[torch.Tensor, ...]) -> bool:
    smaller = prune(model, [group], keep=0.6)
    scores = importance(model, group)
    gone = scores.argsort(descending=True, stable=True)[max(1, round(0.6 * len(scores))) :]
    hooks = [
        model.get_submodule(name).register_forward_pre_hook(
            partial(_zero, channel_axis(model.get_submodule(name)), places[gone.cpu()].ravel())
        )
        for name, places in group.consumers.items()
    ]
    try:
        with torch.no_grad():
            wanted = model(*inputs)
            found = smaller(*inputs)
    except RuntimeError:  # a shape written down in its code: what we are here to find out
        return False
    finally:
        for hook in hooks:
            hook.remove()
    if found.shape != wanted.shape:
        return False
    return bool(torch.allclose(found, wanted, rtol=1e-3, atol=1e-4))


def _zero(
    axis: int, places: IntArray, _: nn.Module, given: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, ...]:
    changed = given[0].clone()
    changed.index_fill_(axis, torch.from_numpy(places).to(changed.device), 0.0)
    return (changed, *given[1:])


def _keep_outputs(layer: nn.Module, kept: torch.Tensor) -> None:
    if isinstance(layer, NORMS):
        layer.num_features = len(kept)
        for name in ("running_mean", "running_var"):
            setattr(layer, name, _take(getattr(layer, name), 0, kept))
    elif isinstance(layer, nn.Linear):
        layer.out_features = len(kept)
    else:
        layer.out_channels = len(kept)
        if layer.groups > 1:
            layer.in_channels = layer.groups = len(kept)
    for name in ("weight", "bias"):
        held = getattr(layer, name)
        if held is not None:
            setattr(layer, name, nn.Parameter(_take(held.detach(), 0, kept)))


def _keep_inputs(layer: nn.Module, kept: torch.Tensor) -> None:
    setattr(layer, "in_features" if isinstance(layer, nn.Linear) else "in_channels", len(kept))
    layer.weight = nn.Parameter(_take(layer.weight.detach(), 1, kept))


def _take(tensor: torch.Tensor, axis: int, kept: torch.Tensor) -> torch.Tensor:
    found = tensor.index_select(axis, kept.to(tensor.device))
    if tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return found.contiguous(memory_format=torch.channels_last)
    return found


def zero_weights(model: nn.Module, share: float) -> nn.Module:
    """Return a copy with this share of each matrix or kernel set to zero, the smallest first."""
    zeroed = copy.deepcopy(model)
    with torch.no_grad():
        for weight in zeroed.parameters():
            if weight.ndim >= 2:
                cut = max(1, round(share * weight.numel()))
                limit = weight.abs().flatten().kthvalue(cut).values
                weight.mul_(weight.abs() > limit)
    return zeroed
