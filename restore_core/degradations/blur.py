"""Blur: kernels that add to one, and their application. Pictures are RGB in [0, 1], (N, C, H, W)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_kernel(sigma: float) -> Tensor:
    """exp(-(i^2 + j^2) / (2 sigma^2)), sigma in pixels, on an odd square reaching 3 sigma (at most 31 px), sum 1."""
    radius = min(15, max(1, math.ceil(3 * sigma)))
    i = torch.arange(-radius, radius + 1, dtype=torch.float64)
    row = torch.exp(-(i**2) / (2 * max(sigma, 1e-3) ** 2))
    kernel = row[:, None] * row
    return (kernel / kernel.sum()).float()


def motion_kernel(length: float, angle: float) -> Tensor:
    """A straight shake: constant speed over `length` pixels at `angle` degrees (0 = along rows), antialiased."""
    radius = max(1, math.ceil(length / 2))
    along = torch.linspace(-length / 2, length / 2, max(2, math.ceil(8 * length)), dtype=torch.float64)
    x = radius + along * math.cos(math.radians(angle))
    y = radius - along * math.sin(math.radians(angle))
    kernel = torch.zeros(2 * radius + 2, 2 * radius + 2, dtype=torch.float64)
    x0, y0 = x.floor().long(), y.floor().long()
    fx, fy = x - x0, y - y0
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            kernel.index_put_((y0 + dy, x0 + dx), wy * wx, accumulate=True)
    kernel = kernel[:-1, :-1]
    return (kernel / kernel.sum()).float()


def blur(image: Tensor, kernel: Tensor) -> Tensor:
    """image * kernel (true convolution), edges reflected, size kept; kernel (k, k) with odd k."""
    radius = kernel.shape[-1] // 2
    mode = "reflect" if radius < min(image.shape[-2:]) else "replicate"
    padded = F.pad(image, (radius,) * 4, mode=mode)
    weight = kernel.flip(0, 1).to(image).expand(image.shape[1], 1, -1, -1)
    return F.conv2d(padded, weight, groups=image.shape[1])
