"""Take rows out of embedding tables: most hash buckets of words are hardly ever looked up."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import nn

from training.compression.surgery import Inputs, replace_modules

LEAST_ROWS = 10_000
"""Of an embedding that is looked at; a smaller one is a vocabulary, not a hash table."""


def bucket_use(model: nn.Module, batches: Sequence[Inputs]) -> dict[str, torch.Tensor]:
    """Return how often each row of each large table is looked up over training data.

    Tables: embedding bags that sum, where a look-up counts by its squared weight, and embeddings.
    One forward pass over `batches`.
    """
    used: dict[str, torch.Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(partial(_count, used, name))
        for name, layer in model.named_modules()
        if _is_bag(layer)
        or (isinstance(layer, nn.Embedding) and layer.num_embeddings >= LEAST_ROWS)
    ]
    if hooks:
        model.eval()
        with torch.inference_mode():
            for inputs in batches:
                model(*inputs)
    for hook in hooks:
        hook.remove()
    return used


def _is_bag(layer: nn.Module) -> bool:
    return isinstance(layer, nn.EmbeddingBag) and layer.mode == "sum"


def _count(used: dict[str, torch.Tensor], name: str, layer: nn.Module, given: Inputs) -> None:
    places = given[0].flatten().long()
    weights = given[2].flatten() if len(given) > 2 else torch.ones(1, device=places.device)
    found = used.setdefault(name, torch.zeros(layer.num_embeddings, device=places.device))
    found.index_add_(0, places, weights.float().square().expand(len(places)))


def keep_buckets(model: nn.Module, use: Mapping[str, torch.Tensor], share: float) -> nn.Module:
    """Return the model with this share of each table's rows, those that move its outputs most.

    A row counts by its use times the squared distance to what would stand in for it: zero in a bag
    (Joulin et al. 2016, FastText.zip, by length alone), else the mean row. Nothing is trained.
    """
    new = {}
    for name, used in use.items():
        table = model.get_submodule(name)
        rows = table.weight.detach()
        centre = 0 if _is_bag(table) else used @ rows / used.sum()
        moved = used * (rows - centre).square().sum(dim=1)
        if table.padding_idx is not None:
            moved[table.padding_idx] = torch.inf
        kept = moved.argsort(descending=True, stable=True)[: max(1, round(share * len(rows)))]
        new[name] = FewInBags(table, kept) if _is_bag(table) else FewRows(table, kept, used)
    return replace_modules(model, new)


class FewInBags(nn.Module):  # type: ignore[misc]
    """An embedding bag with few of its rows; the others count as zero.

    A kept row costs four bytes more for its number, a look-up a binary search.
    """

    def __init__(self, bag: nn.EmbeddingBag, kept: torch.Tensor) -> None:
        super().__init__()
        kept = kept.sort().values
        self.register_buffer("kept", kept.to(torch.int32))
        self.bag = nn.EmbeddingBag(len(kept), bag.embedding_dim, mode="sum", sparse=bag.sparse)
        self.bag.weight = nn.Parameter(bag.weight.detach()[kept].clone())

    def forward(
        self, buckets: torch.Tensor, starts: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the weighted sum of each bag's rows that are kept."""
        place, found = _find(self.kept, buckets)
        before = torch.cumsum(found, 0) - found.long()
        before = torch.cat([before, found.sum()[None]])  # an empty bag may start behind the last
        return self.bag(place[found], before[starts.long()], weights[found])


class FewRows(nn.Module):  # type: ignore[misc]
    """An embedding with few of its rows; the mean of the others, by use, stands in for them."""

    def __init__(self, table: nn.Embedding, kept: torch.Tensor, used: torch.Tensor) -> None:
        super().__init__()
        kept = kept.sort().values
        rows = table.weight.detach()
        left = used.clone()
        left[kept] = 0
        other = left @ rows / left.sum().clamp_min(1e-9)
        self.register_buffer("kept", kept.to(torch.int32))
        self.table = nn.Embedding(len(kept) + 1, table.embedding_dim)
        self.table.weight = nn.Parameter(torch.cat([rows[kept], other[None]]))

    def forward(self, buckets: torch.Tensor) -> torch.Tensor:
        """Return a row for each bucket."""
        place, found = _find(self.kept, buckets)
        return self.table(torch.where(found, place, len(self.kept)))


def _find(kept: torch.Tensor, buckets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the place of each bucket among the sorted `kept`, and whether it is there."""
    place = torch.searchsorted(kept, buckets.to(torch.int32)).clamp_(max=len(kept) - 1)
    return place, kept[place] == buckets
