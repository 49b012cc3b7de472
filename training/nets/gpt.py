"""A small decoder-only transformer over bytes or byte-pair tokens, and the bits of documents."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from training.arrays import FloatArray, IntArray
from training.errors import UserError
from training.recipes import ModelRecipe

HEAD = 32
"""Dimensions of an attention head of a model less than 512 wide; a wider one has 64."""
LOGITS_AT_ONCE = 1 << 22
"""Logits of an evaluation batch: 16 MB of float32."""


def gpt(recipe: ModelRecipe, vocabulary: int) -> nn.Module:
    """Return a GPT with random weights; logits of (batch, context) tokens have a third axis.

    `vocabulary` counts the end token. About 12·depth·width² parameters and 2·vocabulary·width for
    embedding and head. The parts are those of modded-nanogpt and nanochat: RMSNorm before each
    block (Zhang and Sennrich 2019), rotary positions (Su et al. 2021), normalised queries and keys
    (Henry et al. 2020), ReLU² (So et al. 2021), no biases, blocks that start as the identity.

    Raises:
        UserError: width isn't a multiple of a head's dimensions, or there is no layer or context.
    """
    head = HEAD if recipe.width < 512 else 2 * HEAD
    if recipe.width % head:
        raise UserError(
            f"recipe: width {recipe.width} given for {recipe.model}; a width "
            f"{'below' if head == HEAD else 'from'} 512 is a multiple of {head}"
        )
    if recipe.depth < 1 or recipe.context < 1:
        raise UserError(
            f"recipe: depth {recipe.depth} and context {recipe.context} given for {recipe.model}; "
            "both are at least 1"
        )
    return GPT(vocabulary, recipe.width, recipe.depth, recipe.context, head, recipe.dropout)


class GPT(nn.Module):  # type: ignore[misc]
    """Next-token logits from tokens."""

    def __init__(
        self, vocabulary: int, width: int, depth: int, context: int, head: int, dropout: float
    ) -> None:
        super().__init__()
        self.context = context
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(AttentionBlock(width, head, dropout) for _ in range(depth))
        self.output = nn.Linear(width, vocabulary, bias=False)
        nn.init.normal_(self.embedding.weight)
        nn.init.zeros_(self.output.weight)
        for name, angles in zip(("cos", "sin"), rotary_angles(context, head), strict=True):
            self.register_buffer(name, angles, persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (batch, length, vocabulary) of tokens of shape (batch, length)."""
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        x = rms_norm(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.output(rms_norm(x))


class AttentionBlock(nn.Module):  # type: ignore[misc]
    """Causal self-attention, then a two-layer perceptron, each added to its input."""

    def __init__(self, width: int, head: int, dropout: float) -> None:
        super().__init__()
        self.head = head
        self.dropout = dropout
        self.attend = nn.Linear(width, 3 * width, bias=False)
        self.mix = nn.Linear(width, width, bias=False)
        self.expand = nn.Linear(width, 4 * width, bias=False)
        self.contract = nn.Linear(4 * width, width, bias=False)
        for layer in (self.attend, self.expand):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(width))
        for layer in (self.mix, self.contract):
            nn.init.zeros_(layer.weight)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Return x of shape (batch, length, width) with what both layers add to it."""
        queries, keys, values = (
            part.unflatten(-1, (-1, self.head)).transpose(1, 2)
            for part in self.attend(rms_norm(x)).chunk(3, dim=-1)
        )
        queries, keys = (rotate(rms_norm(part), cos, sin).to(values) for part in (queries, keys))
        found = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self._drop(self.mix(found.transpose(1, 2).flatten(-2)))
        hidden = functional.relu(self.expand(rms_norm(x))).square()
        return x + self._drop(self.contract(hidden))

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return functional.dropout(x, self.dropout, self.training)


def rms_norm(x: torch.Tensor) -> torch.Tensor:
    """Scale the last axis to a root mean square of one, without learned factors."""
    return functional.rms_norm(x, x.shape[-1:])


def rotary_angles(context: int, head: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosine and sine of each position's angles, shape (context, head / 2) each."""
    rates = 10_000.0 ** -torch.linspace(0, 1, head // 2)
    angles = torch.outer(torch.arange(context, dtype=torch.float32), rates)
    return angles.cos(), angles.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn the pairs (i, i + head / 2) of (batch, heads, length, head) by their angles."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


def document_bits(
    model: nn.Module,
    flat: npt.NDArray[Any],
    offsets: IntArray,
    *,
    end: int,
    context: int,
    stride: int | None = None,
) -> FloatArray:
    """Return the bits of each document, its end included: -log2 of its probability.

    Each token is scored once, in a window of its own document with at least context - stride tokens
    before it (fewer only near the document's start); `stride` is half the context unless given, a
    smaller one costs more and finds fewer bits. Divide by UTF-8 bytes, not tokens, to compare
    models with different tokens. In float32 and on the model's device.
    """
    stride = stride or max(1, context // 2)
    document, start, scored = scored_windows(np.diff(offsets) + 1, context, stride)
    lengths = np.minimum(np.diff(offsets)[document] + 1 - start, context)
    order = np.argsort(lengths, kind="stable")
    device = next(model.parameters()).device
    size = max(1, LOGITS_AT_ONCE // (context * (end + 1)))
    total = np.zeros(len(offsets) - 1)
    was_training = model.training
    model.eval()
    for first in range(0, len(order), size):
        some = order[first : first + size]
        place = np.arange(lengths[some].max() + 1) - 1  # of the token before each target
        inside = start[some, None] + place
        is_text = (inside >= 0) & (inside < np.diff(offsets)[document[some], None])
        where = np.where(is_text, offsets[document[some], None] + inside, 0)
        tokens = np.full(where.shape, end, np.int64)
        tokens[is_text] = flat[where[is_text]]
        with torch.inference_mode():
            given = torch.from_numpy(tokens).to(device)
            logits = model(given[:, :-1]).float()
            loss = functional.cross_entropy(logits.mT, given[:, 1:], reduction="none")
        counted = (place[1:] >= scored[some, None]) & (place[1:] < lengths[some, None])
        nats = np.where(counted, loss.cpu().numpy(), 0).sum(axis=1, dtype=np.float64)
        total += np.bincount(document[some], nats, len(total))
    model.train(was_training)
    return total / math.log(2)


def scored_windows(
    targets: IntArray, context: int, stride: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Return (document, first target, first target within the window that counts) of all windows.

    `targets` holds those of each document. Its first window counts them all, each later one lies up
    to `stride` further and counts those that the one before didn't reach.
    """
    windows = 1 + -(-np.maximum(targets - context, 0) // stride)
    document = np.repeat(np.arange(len(targets)), windows)
    number = np.arange(len(document)) - np.repeat(np.cumsum(windows) - windows, windows)
    last = np.maximum(targets - context, 0)[document]
    start = np.minimum(number * stride, last)
    reached = np.where(number > 0, np.minimum((number - 1) * stride, last) + context, 0)
    return document, start, np.maximum(reached - start, 0)
