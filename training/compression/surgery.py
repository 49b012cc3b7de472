"""Replace modules of a model by name."""

import copy
from collections.abc import Mapping

import torch
from torch import nn

Inputs = tuple[torch.Tensor, ...]
"""What a model is called with."""


def replace_modules(model: nn.Module, new: Mapping[str, nn.Module]) -> nn.Module:
    """Return a copy of the model with the modules of these names replaced; "" is the model."""
    if "" in new:
        return new[""]
    changed = copy.deepcopy(model)
    for name, module in new.items():
        parent, _, own = name.rpartition(".")
        setattr(changed.get_submodule(parent), own, module)
    return changed


def tied(model: nn.Module) -> set[int]:
    """Return the ids of parameters that more than one module holds."""
    seen: set[int] = set()
    twice: set[int] = set()
    for module in model.modules():
        for weight in module._parameters.values():
            if weight is not None:
                (twice if id(weight) in seen else seen).add(id(weight))
    return twice
