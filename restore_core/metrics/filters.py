"""Luma and Gaussian filtering, which several metrics are made of."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def luma(image: Tensor) -> Tensor:
    """Y' of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B: (N, 3, H, W) -> (N, 1, H, W), same range."""
    red, green, blue = image.split(1, dim=1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def studio_luma(image: Tensor) -> Tensor:
    """Y of ITU-R BT.601 in studio range: [0, 1] -> [16, 235], 16 + 65.481 R + 128.553 G + 24.966 B, not rounded."""
    red, green, blue = image.split(1, dim=1)
    return 16 + 65.481 * red + 128.553 * green + 24.966 * blue


def gaussian(std: float, radius: int, like: Tensor) -> Tensor:
    """2 radius + 1 samples of a Gaussian, summing to 1, with the type and device of `like`."""
    x = torch.arange(-radius, radius + 1, device=like.device, dtype=like.dtype)
    taps = torch.exp(-0.5 * (x / std) ** 2)
    return taps / taps.sum()


def filter_separably(x: Tensor, taps: Tensor) -> Tensor:
    """Every channel filtered with taps along both axes, where the window fits: a side n becomes n - len(taps) + 1."""
    channels = x.shape[1]
    row = taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(x, row, groups=channels), row.transpose(2, 3), groups=channels)


def gaussian_blur(x: Tensor, std: float) -> Tensor:
    """Gaussian blur cut off at four deviations, mirrored at the borders; size kept."""
    radius = math.ceil(4 * std)
    padded = F.pad(x, (radius, radius, radius, radius), mode="reflect")
    return filter_separably(padded, gaussian(std, radius, x))
