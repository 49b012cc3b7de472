"""Networks that read texts: a linear bag, a convolution over words, a small transformer."""

import torch
from torch import nn
from torch.nn import functional

from training.pool.features import PADDING
from training.recipes import ModelRecipe

WINDOWS = (3, 4, 5)
HEAD = 32
"""Dimensions of an attention head, at most."""


def linear_bag(buckets: int, labels: int) -> nn.Module:
    """Return a linear classifier as an embedding bag: a text's logits are a sum of rows.

    Starts at zero; gradients are sparse, so a step costs the grams of a batch, not the table.
    """
    model = nn.EmbeddingBag(buckets, labels, mode="sum", sparse=True)
    nn.init.zeros_(model.weight)
    return model


def word_table(buckets: int, width: int) -> nn.Embedding:
    """Return vectors of hashed words, small at first: a rare word moves in few steps, or not."""
    table = nn.Embedding(buckets, width, padding_idx=PADDING)
    with torch.no_grad():
        table.weight.mul_(0.1)
    return table


class TextCNN(nn.Module):  # type: ignore[misc]
    """Convolutions over windows of 3, 4 and 5 words, the maximum of each over the text.

    After Kim 2014 (arXiv:1408.5882), with hashed words in place of pretrained ones and
    `recipe.width` both as dimension of a word and as number of filters of each window.
    """

    def __init__(self, recipe: ModelRecipe, buckets: int, labels: int) -> None:
        super().__init__()
        width = recipe.width
        self.words = word_table(buckets, width)
        self.windows = nn.ModuleList(nn.Conv1d(width, width, window) for window in WINDOWS)
        self.dropout = nn.Dropout(recipe.dropout)
        self.head = nn.Linear(len(WINDOWS) * width, labels)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits of tokens, which end in at least five of padding."""
        words = self.words(tokens).transpose(1, 2)
        found = [functional.relu(window(words)).amax(dim=2) for window in self.windows]
        return self.head(self.dropout(torch.cat(found, dim=1)))


class TextTransformer(nn.Module):  # type: ignore[misc]
    """A pre-norm transformer encoder over hashed words; the mean of its words is classified.

    Xiong et al. 2020 (arXiv:2002.04745) show that pre-norm trains without a long warm-up, which
    a few hundred steps have no time for.
    """

    def __init__(self, recipe: ModelRecipe, buckets: int, labels: int) -> None:
        super().__init__()
        width = recipe.width
        self.words = word_table(buckets, width)
        self.places = nn.Embedding(recipe.context, width)
        nn.init.normal_(self.places.weight, std=0.1)
        self.layers = nn.ModuleList(
            EncoderLayer(width, recipe.dropout) for _ in range(recipe.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(recipe.dropout)
        self.head = nn.Linear(width, labels)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits of tokens padded at the end."""
        tokens = tokens[:, : self.places.num_embeddings]
        real = tokens != PADDING
        found = self.words(tokens) + self.places.weight[: tokens.shape[1]]
        found = self.dropout(found)
        for layer in self.layers:
            found = layer(found, real[:, None, None, :])
        weight = real.unsqueeze(2).to(found.dtype)
        mean = (self.norm(found) * weight).sum(dim=1) / weight.sum(dim=1)
        return self.head(self.dropout(mean))


class EncoderLayer(nn.Module):  # type: ignore[misc]
    """Self-attention, then two linear layers, each added to what came in."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD)
        self.before_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, found: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Return the changed vectors, shape (texts, words, width); `attended` masks keys."""
        texts, words, width = found.shape
        parts = self.query_key_value(self.before_attention(found))
        query, key, value = parts.view(texts, words, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=attended)
        found = found + self.dropout(self.out(seen.transpose(1, 2).reshape(texts, words, width)))
        return found + self.dropout(self.feed(found))
