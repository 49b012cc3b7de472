"""Early stopping on validation."""

import math
from collections.abc import Callable

import torch
from torch import nn

from training.loop import distributed


class EarlyStopping:
    """Keeps the weights that did best on validation, and says when to stop waiting for better.

    Rank 0 validates for all. Without patience nothing is validated or kept.
    """

    def __init__(self, patience: int | None, validate: Callable[[nn.Module], float] | None) -> None:
        self.patience = patience
        self.validate = validate
        self.best = math.inf
        self.waited = 0
        self.weights: dict[str, torch.Tensor] = {}

    def ends(self, model: nn.Module) -> bool:
        """Validate the model; return whether the last `patience` times brought nothing better."""
        if self.patience is None or self.validate is None:
            return False
        distributed.average_statistics(model)
        model.eval()
        loss = distributed.broadcast(self.validate(model) if distributed.rank() == 0 else math.nan)
        model.train()
        if loss < self.best:
            self.best, self.waited = loss, 0
            self.weights = {name: value.clone() for name, value in model.state_dict().items()}
        else:
            self.waited += 1
        return self.waited >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Give the model the best weights."""
        if self.weights:
            model.load_state_dict(self.weights)
