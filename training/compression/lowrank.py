"""Layers as a product of two thin ones, along the directions their outputs really take."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from training.compression.surgery import Inputs, replace_modules, tied

WIDEST = 1_024
"""Most outputs of a layer that is looked at: its eigenvectors cost outputs cubed."""
FACTORED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True)
class Spectrum:
    """Principal directions of a layer's outputs on training data."""

    mean: torch.Tensor
    energy: torch.Tensor
    """Variance along each direction, the largest first."""
    directions: torch.Tensor
    """(outputs, outputs), a direction a column."""

    def rank(self, energy: float) -> int:
        """Return the fewest directions that keep this share of the variance."""
        share = self.energy.clamp_min(0).cumsum(0) / self.energy.clamp_min(0).sum()
        return min(int((share < energy).sum()) + 1, len(share))


class Factored(nn.Module):  # type: ignore[misc]
    """A layer with few outputs, then a linear map (or 1×1 convolution) to the outputs wanted."""

    def __init__(self, reduce: nn.Module, expand: nn.Module) -> None:
        super().__init__()
        self.reduce = reduce
        self.expand = expand

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return what the layer would, up to what was cut off."""
        return self.expand(self.reduce(*inputs))


def spectra(model: nn.Module, batches: list[Inputs]) -> dict[str, Spectrum]:
    """Return the spectrum of every layer that can be factored; one forward pass over `batches`.

    Layers: linear, convolution in one group, embedding and embedding bag, with up to 1,024 outputs
    and weights of their own. One that is never called as a module is not found.
    """
    moments: dict[str, torch.Tensor] = {}
    shared = tied(model)
    hooks = [
        layer.register_forward_hook(partial(_add_moments, moments, name))
        for name, layer in model.named_modules()
        if _can_be_factored(layer) and id(layer.weight) not in shared
    ]
    model.eval()
    with torch.inference_mode():
        for inputs in batches:
            model(*inputs)
    for hook in hooks:
        hook.remove()
    return {name: _spectrum(moment) for name, moment in moments.items()}


def _can_be_factored(layer: nn.Module) -> bool:
    if isinstance(layer, nn.EmbeddingBag) and layer.mode != "sum":
        return False
    if type(layer) in (nn.Conv1d, nn.Conv2d) and layer.groups != 1:
        return False
    return type(layer) in FACTORED and _outputs(layer) <= WIDEST


def _outputs(layer: nn.Module) -> int:
    return int(layer.weight.shape[0 if _rows_are_outputs(layer) else 1])


def _add_moments(
    moments: dict[str, torch.Tensor], name: str, layer: nn.Module, _: Inputs, output: torch.Tensor
) -> None:
    """Add the outputs' second moments, with a column of ones for mean and count."""
    axis = 1 if isinstance(layer, nn.Conv1d | nn.Conv2d) else -1
    rows = output.movedim(axis, -1).flatten(0, -2).double()
    rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
    moments[name] = moments.get(name, 0) + rows.T @ rows


def _spectrum(moment: torch.Tensor) -> Spectrum:
    mean = moment[-1, :-1] / moment[-1, -1]
    covariance = moment[:-1, :-1] / moment[-1, -1] - torch.outer(mean, mean)
    energy, directions = torch.linalg.eigh(covariance)
    return Spectrum(mean, energy.flip(0), directions.flip(1))


def ranks_for(model: nn.Module, found: Mapping[str, Spectrum], energy: float) -> dict[str, int]:
    """Return the rank of each layer that gets smaller by keeping this share of its variance."""
    ranks = {name: spectrum.rank(energy) for name, spectrum in found.items()}
    return {name: rank for name, rank in ranks.items() if _saves(model.get_submodule(name), rank)}


def _saves(layer: nn.Module, rank: int) -> bool:
    outputs = _outputs(layer)
    each = layer.weight.numel() // outputs
    return bool(rank * (each + outputs) < each * outputs)


def _rows_are_outputs(layer: nn.Module) -> bool:
    return not isinstance(layer, nn.Embedding | nn.EmbeddingBag)


def low_rank(
    model: nn.Module, found: Mapping[str, Spectrum], ranks: Mapping[str, int]
) -> nn.Module:
    """Return a copy of the model with these layers factored; nothing is trained.

    Of all maps of this rank the one with the least squared error of the layer's *outputs* on the
    data seen (Zhang et al. 2015, "Accelerating Very Deep Convolutional Networks"), which a singular
    value decomposition of the weights alone is only for white inputs.
    """
    new = {
        name: _factor(model.get_submodule(name), found[name], rank) for name, rank in ranks.items()
    }
    return replace_modules(model, new)


def _factor(layer: nn.Module, spectrum: Spectrum, rank: int) -> nn.Module:
    with torch.no_grad():
        kept = spectrum.directions[:, :rank]
        weight = layer.weight.detach().double()
        bias = getattr(layer, "bias", None)
        centre = -spectrum.mean if bias is None else bias.detach().double() - spectrum.mean
        offset = spectrum.mean + kept @ (kept.T @ centre)
        if _rows_are_outputs(layer):
            thin = (kept.T @ weight.flatten(1)).reshape(rank, *weight.shape[1:])
        else:
            thin = weight @ kept
        reduce, expand = _empty_pair(layer, rank)
        reduce.weight.copy_(thin)
        expand.weight.copy_(kept.reshape(expand.weight.shape))
        expand.bias.copy_(offset)
    return Factored(reduce, expand).train(layer.training)


def _empty_pair(layer: nn.Module, rank: int) -> tuple[nn.Module, nn.Module]:
    """Return the two layers with weights of their own: a view would save the whole storage."""
    place = {"device": layer.weight.device, "dtype": layer.weight.dtype}
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        kind = type(layer)
        reduce = kind(
            layer.in_channels, rank, layer.kernel_size, stride=layer.stride,
            padding=layer.padding, dilation=layer.dilation, padding_mode=layer.padding_mode,
            bias=False, **place,
        )  # fmt: skip
        pair = reduce, kind(rank, layer.out_channels, 1, **place)
        return tuple(part.to(memory_format=_format(layer)) for part in pair)
    if isinstance(layer, nn.Linear):
        reduce = nn.Linear(layer.in_features, rank, bias=False, **place)
        return reduce, nn.Linear(rank, layer.out_features, **place)
    rows, padding = layer.num_embeddings, layer.padding_idx
    if isinstance(layer, nn.EmbeddingBag):
        reduce = nn.EmbeddingBag(rows, rank, mode="sum", padding_idx=padding, **place)
    else:
        reduce = nn.Embedding(rows, rank, padding_idx=padding, **place)
    return reduce, nn.Linear(rank, layer.embedding_dim, **place)


def _format(layer: nn.Module) -> torch.memory_format:
    last = layer.weight.ndim == 4 and layer.weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
