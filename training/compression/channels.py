"""Find out which channels of a model can leave together, by following NaN through it.

Some channels are set to NaN where a layer gives them out. Batch norms, depthwise convolutions,
activations, pooling, flattening and concatenation pass each on in its own place; the layers that
mix channels show which of their inputs were reached. No description of the model is needed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from training.arrays import IntArray
from training.compression.surgery import Inputs

Mask = npt.NDArray[np.bool_]
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class Group:
    """The channels that one layer gives out, and where they go."""

    source: str
    followers: tuple[str, ...]
    """Batch norms and depthwise convolutions on the way, which have the same channels."""
    consumers: Mapping[str, IntArray]
    """Inputs of each layer that mixes them, shape (channels, inputs of a channel)."""


def channel_axis(layer: nn.Module) -> int:
    """Return the axis of a layer's inputs and outputs that counts channels."""
    return -1 if isinstance(layer, nn.Linear) else 1


def mixes(layer: nn.Module) -> bool:
    """Return whether every output of a layer is made from all its channels."""
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return bool(layer.groups == 1)
    return isinstance(layer, nn.Linear)


def follows(layer: nn.Module) -> bool:
    """Return whether each output channel is made from the input channel of the same number."""
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return bool(1 < layer.groups == layer.in_channels == layer.out_channels)
    return isinstance(layer, NORMS)


def channel_groups(model: nn.Module, inputs: Inputs) -> list[Group]:
    """Return the groups of channels that may be taken out, judged by where they go.

    Left out are layers whose channels reach the answer, a layer norm, or an attention product. One
    that writes to a residual stream may still be here: see `prune.usable_groups`.
    Costs 2·log2(channels) forward passes for each layer, over `inputs`; a few examples will do.
    """
    model.eval()
    clean = _outputs(model, inputs)
    sources = [name for name in clean if mixes(model.get_submodule(name))]
    found = [_group(model, inputs, name, clean) for name in sources]
    return [group for group in found if group is not None]


def _weighted(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that hold weights themselves."""
    return {
        name: module
        for name, module in model.named_modules()
        if any(weight is not None for weight in module._parameters.values())
    }


def _outputs(model: nn.Module, inputs: Inputs) -> dict[str, torch.Tensor]:
    """Return what each module with weights gives out, of those that are called exactly once."""
    calls: Counter[str] = Counter()
    outputs: dict[str, torch.Tensor] = {}

    def keep(name: str, _: nn.Module, __: Inputs, output: torch.Tensor) -> None:
        calls[name] += 1
        outputs[name] = output

    hooks = [
        module.register_forward_hook(partial(keep, name))
        for name, module in _weighted(model).items()
    ]
    with torch.no_grad():
        model(*inputs)
    for hook in hooks:
        hook.remove()
    return {name: output for name, output in outputs.items() if calls[name] == 1}


def _group(
    model: nn.Module, inputs: Inputs, source: str, clean: dict[str, torch.Tensor]
) -> Group | None:
    """Return where the channels of `source` go, or None if they cannot leave.

    Channels are told apart by the bits of their numbers: for each bit those that have it are set to
    NaN, then those that do not. An input that both reach is made from more than one channel.
    """
    count = clean[source].shape[channel_axis(model.get_submodule(source))]
    numbers = np.arange(count)
    channel: dict[str, IntArray] = {}
    reached: dict[str, Mask] = {}
    for bit in range(max(1, (count - 1).bit_length())):
        has = (numbers >> bit) & 1 == 1
        sides = [_follow(model, inputs, source, chosen, clean) for chosen in (has, ~has)]
        if sides[0] is None or sides[1] is None:
            return None
        for name in sides[0].keys() | sides[1].keys():
            with_bit, without = (side.get(name, np.zeros(1, np.bool_)) for side in sides if side)
            either = with_bit | without
            if (with_bit & without).any() or (reached.setdefault(name, either) != either).any():
                return None
            channel[name] = channel.get(name, 0) + (np.broadcast_to(with_bit, either.shape) << bit)
    followers = sorted(name for name in channel if follows(model.get_submodule(name)))
    if any(channel[name].tolist() != numbers.tolist() for name in followers):
        return None
    consumers = {}
    for name in channel.keys() - set(followers):
        places = np.flatnonzero(reached[name])
        places = places[np.argsort(channel[name][places], kind="stable")]
        if len(set(np.bincount(channel[name][places], minlength=count).tolist())) != 1:
            return None
        consumers[name] = places.reshape(count, -1)
    return Group(source, tuple(followers), consumers) if consumers else None


def _follow(
    model: nn.Module, inputs: Inputs, source: str, chosen: Mask, clean: dict[str, torch.Tensor]
) -> dict[str, Mask] | None:
    """Return which inputs of followers and mixing layers the chosen channels of `source` reach.

    None if they reach the answer or a module with weights that is neither.
    """
    reached: dict[str, Mask] = {}
    blocked = False

    def poison(layer: nn.Module, _: Inputs, output: torch.Tensor) -> torch.Tensor:
        where = torch.from_numpy(np.flatnonzero(chosen)).to(output.device)
        return output.clone().index_fill_(channel_axis(layer), where, torch.nan)

    def look(name: str, module: nn.Module, given: Inputs, output: torch.Tensor) -> object:
        nonlocal blocked
        wrong = torch.isnan(given[0])
        if not wrong.any():
            return None
        if not follows(module) and not (name in clean and mixes(module)):
            blocked = True
            return None
        reached[name] = wrong.movedim(channel_axis(module), -1).flatten(0, -2).any(0).cpu().numpy()
        return None if follows(module) else clean[name]

    hooks = [model.get_submodule(source).register_forward_hook(poison)]
    hooks += [
        module.register_forward_hook(partial(look, name))
        for name, module in _weighted(model).items()
        if name != source
    ]
    with torch.no_grad():
        answer = model(*inputs)
    for hook in hooks:
        hook.remove()
    return None if blocked or torch.isnan(answer).any() else reached
