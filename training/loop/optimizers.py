"""SGD, AdamW and Muon for any model: which weights each takes, and what it refuses."""

import math

import torch
from torch import nn

from training.errors import UserError
from training.loop.distributed import world
from training.recipes import ModelRecipe

MATRICES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
BETAS = (0.9, 0.95)
"""AdamW's; 0.95 rather than 0.999, as in GPT-3: our runs are too short for a long memory."""
MUON_MOMENTUM = 0.95


def optimizers_for(model: nn.Module, recipe: ModelRecipe) -> list[torch.optim.Optimizer]:
    """Return the optimizers that together hold each trainable weight once.

    `recipe.momentum` is the (Nesterov) momentum of sgd, AdamW's first beta and Muon's momentum;
    at 0 AdamW and Muon take 0.9 and 0.95. Weight decay of sgd is added to the gradient of every
    weight; that of AdamW and Muon is decoupled and spares vectors (biases, norms).

    Raises:
        UserError: the model has sparse gradients and the recipe asks for what those cannot do.
    """
    refuse_sparse(model, recipe)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if recipe.optimizer == "sgd":
        return [
            torch.optim.SGD(
                weights,
                lr=recipe.rate,
                momentum=recipe.momentum,
                weight_decay=recipe.weight_decay,
                nesterov=recipe.momentum > 0,
            )
        ]
    if recipe.optimizer == "adamw":
        return [_adamw(weights, recipe, recipe.momentum or BETAS[0])]
    hidden = hidden_matrices(model)
    chosen = {id(weight) for weight in hidden}
    rest = [weight for weight in weights if id(weight) not in chosen]
    muon = Muon(hidden, recipe.rate, recipe.momentum or MUON_MOMENTUM, recipe.weight_decay)
    return [muon, _adamw(rest, recipe, BETAS[0])]


def _adamw(weights: list[nn.Parameter], recipe: ModelRecipe, beta: float) -> torch.optim.Optimizer:
    groups = [
        {"params": [w for w in weights if w.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=(beta, BETAS[1]))


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Return the trainable weights of linear and convolution layers, less those of the last.

    The last one is the head, which like embeddings is AdamW's: its rows are classes or tokens,
    seen at very different rates. A head tied to an embedding counts as the embedding. A weight
    that a module holds as a bare parameter is not found and is AdamW's, too.

    Raises:
        UserError: there is none.
    """
    layers = [module for module in model.modules() if isinstance(module, MATRICES)]
    tables = {id(m.weight) for m in model.modules() if isinstance(m, EMBEDDINGS)}
    found = [m.weight for m in layers[:-1] if id(m.weight) not in tables and m.weight.requires_grad]
    if not found:
        raise UserError(
            f"optimizer: muon given for {type(model).__name__}, which has no hidden matrices; "
            "use sgd or adamw"
        )
    return found


def refuse_sparse(model: nn.Module, recipe: ModelRecipe) -> None:
    """Raise ValueError if a sparse embedding meets an option that needs dense gradients."""
    if not any(isinstance(m, EMBEDDINGS) and m.sparse for m in model.modules()):
        return
    asked = {
        f"optimizer: {recipe.optimizer}": recipe.optimizer != "sgd",
        f"clip: {recipe.clip}": recipe.clip is not None,
        f"weight_decay: {recipe.weight_decay}": recipe.weight_decay > 0,
        f"processes: {world()}": world() > 1,
    }
    for option, given in asked.items():
        if given:
            raise UserError(
                f"{option} given for {recipe.model!r}, whose gradients are sparse; use optimizer "
                "sgd in one process without clip and weight_decay, or another model"
            )


class Muon(torch.optim.Optimizer):  # type: ignore[misc]
    """Momentum whose matrices are orthogonalised: every direction moves by the same length.

    After Jordan et al. 2024 (kellerjordan.github.io/posts/muon). An update is scaled by
    0.2·sqrt(longer side), which gives it the size of AdamW's (Liu et al. 2025, "Muon is scalable
    for LLM training"), so one learning rate serves both. Kernels of convolutions count as
    matrices of output channels × the rest. Cost: 15 matrix products a matrix and step.
    """

    def __init__(
        self, weights: list[nn.Parameter], lr: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self) -> None:
        """Update every weight in place from its gradient."""
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"]:
                    if weight.grad is not None:
                        self._update(weight, **{k: v for k, v in group.items() if k != "params"})

    def _update(
        self, weight: nn.Parameter, lr: float, momentum: float, weight_decay: float
    ) -> None:
        state = self.state[weight]
        if not state:
            state["average"] = torch.zeros_like(weight)
        state["average"].lerp_(weight.grad, 1 - momentum)
        nesterov = weight.grad.lerp(state["average"], momentum).flatten(1)
        update = orthogonalise(nesterov).reshape(weight.shape)
        weight.mul_(1 - lr * weight_decay)
        weight.add_(update, alpha=-lr * 0.2 * math.sqrt(max(nesterov.shape)))


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """Return about U·Vᵀ of the matrix' singular value decomposition, by five Newton-Schulz steps.

    The quintic's coefficients are Jordan's: steepest at zero, so that small singular values grow
    fast; all but tiny ones end in about [0.7, 1.2]. In bf16 on CUDA, where it is as good.
    """
    x = matrix.bfloat16() if matrix.is_cuda else matrix
    if matrix.shape[0] > matrix.shape[1]:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.T if matrix.shape[0] > matrix.shape[1] else x).to(matrix.dtype)
