"""Weights in eight bits: in the file alone, or in the products of linear layers as well."""

import copy

import torch
from torch import nn

from training.compression.surgery import replace_modules

LEVELS = 127
LEAST_SLICE = 16
"""Weights that must share a scale: below, four bytes of scale would undo the saving."""


def to_int8(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (int8 values, scales) of a weight with two or more axes.

    Symmetric, one scale for each slice along the first axis (an output channel, or a row of an
    embedding), or along the second where such a slice is short. The error of a weight is at most
    half its scale.
    """
    axis = 0 if weight[0].numel() >= LEAST_SLICE else 1
    others = [place for place in range(weight.ndim) if place != axis]
    scale = weight.abs().amax(dim=others, keepdim=True) / LEVELS
    scale = torch.where(scale > 0, scale, 1.0)
    return torch.round(weight / scale).to(torch.int8), scale


def store_int8(model: nn.Module) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """Return the model as it is after loading an int8 file, and the state that the file holds.

    Matrices, kernels and embeddings are stored as int8 with float32 scales and become float32 on
    loading: the file shrinks to about a quarter, memory and speed stay as they were.
    """
    loaded = copy.deepcopy(model)
    state: dict[str, torch.Tensor] = dict(loaded.state_dict())
    for weight in loaded.parameters():
        if weight.ndim < 2 or not weight.is_floating_point():
            continue
        values, scale = to_int8(weight.detach())
        names = [name for name, held in state.items() if held.data_ptr() == weight.data_ptr()]
        with torch.no_grad():
            weight.copy_(values * scale)
        for name in names:  # tied weights have several names and are saved once
            state[name] = values
            state[f"{name}.scale"] = scale
    return loaded, state


class Int8Linear(nn.Module):  # type: ignore[misc]
    """A linear layer whose product is int8 × int8 → int32; inputs are rounded on the fly.

    Dynamic quantisation with a scale for each input vector and each output channel (as in
    LLM.int8(), Dettmers et al. 2022, without its outliers). `torch.ao.quantization` does the same
    and is deprecated; the product here is `torch._int_mm`, on a CPU.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        values, scale = to_int8(layer.weight.detach())
        if scale.shape[0] != len(values):  # few inputs: one scale for all
            scale = layer.weight.detach().abs().amax().clamp_min(1e-30).reshape(1, 1) / LEVELS
            values = torch.round(layer.weight.detach() / scale).to(torch.int8)
        self.register_buffer("weight", values.t().contiguous())
        self.scale = nn.Parameter(scale.reshape(1, -1), requires_grad=False)
        bias = None if layer.bias is None else layer.bias.detach().clone()
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the layer would, up to rounding."""
        rows = x.reshape(-1, x.shape[-1])
        scale = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-30) / LEVELS
        product = torch._int_mm(torch.round(rows / scale).to(torch.int8), self.weight)
        found = product.float() * (scale * self.scale)
        if self.bias is not None:
            found += self.bias
        return found.reshape(*x.shape[:-1], -1)


def compute_int8(model: nn.Module) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """Return the model with int8 products in its linear layers, and what its file holds.

    Everything else is stored in int8 and computed in float32. Convolutions, too: oneDNN's int8 one
    with inputs rounded on the fly took 1.8 to 3.7 times as long as float32 at batch 1 for the 16 to
    64 channels of a small CNN, and 0.5 to 1 times at batch 32 (one thread, AVX512-VNNI).
    """
    loaded, stored = store_int8(model)
    linear = {
        name: Int8Linear(layer)
        for name, layer in loaded.named_modules()
        if type(layer) is nn.Linear
    }
    quantised = replace_modules(loaded, linear)
    own = quantised.state_dict()
    linear_state = {name: held for name, held in own.items() if name.rpartition(".")[0] in linear}
    rest = {name: held for name, held in stored.items() if not _inside(name, linear)}
    return quantised, rest | linear_state


def _inside(name: str, modules: dict[str, nn.Module]) -> bool:
    return any(name.startswith(f"{module}." if module else "") for module in modules)
