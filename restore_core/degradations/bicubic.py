"""MATLAB's imresize, by which super-resolution test sets are made small: not quite what Pillow and torch do."""

from __future__ import annotations

import math

import torch
from torch import Tensor

A = -0.5  # Keys's cubic convolution, as MATLAB and Pillow have it; torch and OpenCV take -0.75


def imresize(image: Tensor, scale: float) -> Tensor:
    """(N, C, H, W) -> (N, C, ceil(scale H), ceil(scale W)), bicubic, antialiased where it shrinks. Not clipped.

    Pixel i of the result sits at (i + 1/2)/scale - 1/2 and the borders are mirrored, whatever the sizes; torch's
    antialiased interpolation takes the ratio of the sizes for the scale and drops what lies outside.
    """
    rows, columns = (_weights(n, scale).to(image) for n in image.shape[-2:])
    return rows @ image @ columns.T


def cubic(x: Tensor) -> Tensor:
    """Keys 1981, eq. 15: (a+2)|x|^3 - (a+3)x^2 + 1 up to 1, a(|x|^3 - 5x^2 + 8|x| - 4) up to 2, then 0."""
    x = x.abs()
    near = (A + 2) * x**3 - (A + 3) * x**2 + 1
    far = A * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x <= 1, near, torch.where(x <= 2, far, 0.0))


def _weights(length: int, scale: float) -> Tensor:
    """(ceil(scale length), length), float64: each row sums to 1."""
    count, stretch = math.ceil(length * scale), min(1.0, scale)
    centre = (torch.arange(count, dtype=torch.float64) + 0.5) / scale - 0.5
    reach = math.ceil(2 / stretch) + 1
    taps = centre.floor()[:, None] + torch.arange(-reach, reach + 1)
    weight = cubic((taps - centre[:, None]) * stretch)
    mirrored = taps.long() % (2 * length)
    mirrored = torch.where(mirrored < length, mirrored, 2 * length - 1 - mirrored)
    matrix = torch.zeros(count, length, dtype=torch.float64)
    matrix.scatter_add_(1, mirrored, weight)
    return matrix / weight.sum(1, keepdim=True)
