"""Operators as the blind methods' training code has them, where they differ from ours. RGB in [0, 1], (N, 3, H, W)."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.images import resize, to_8bit

MODES = ("antialiased", "area", "bilinear", "bicubic")
SHARPENING = 51  # px, side of the Gaussian that unsharp masking takes off


def filtered(image: Tensor, kernel: Tensor) -> Tensor:
    """Correlation with an odd kernel, the border mirrored without its own pixel ("reflect-101"), in float32."""
    weight = kernel.float().cpu().numpy()
    planes = image.detach().float().cpu().permute(0, 2, 3, 1).contiguous().numpy()
    done = [cv2.filter2D(plane, cv2.CV_32F, weight, borderType=cv2.BORDER_REFLECT_101) for plane in planes]
    return torch.from_numpy(np.stack(done).reshape(planes.shape)).permute(0, 3, 1, 2).contiguous().to(image)


def sharpened(image: Tensor, weight: float = 0.5, threshold: float = 10.0) -> Tensor:
    """Unsharp masking x + weight (x - blur x), where |x - blur x| exceeds `threshold` grey levels, softly bounded.

    Real-ESRGAN sharpens its targets so: what is learnt is to be crisper than photographs are.
    """
    sigma = 0.3 * ((SHARPENING - 1) / 2 - 1) + 0.8  # OpenCV's rule
    i = torch.arange(SHARPENING, dtype=torch.float64) - SHARPENING // 2
    row = torch.exp(-(i**2) / (2 * sigma**2))
    row = row / row.sum()
    kernel = row[:, None] * row
    residual = image - filtered(image, kernel)
    mask = filtered((residual.abs() * 255 > threshold).to(image), kernel)
    return mask * (image + weight * residual).clamp(0, 1) + (1 - mask) * image


def gaussian_noise(image: Tensor, sigma: float, z: Tensor) -> Tensor:
    """image + sigma/255 z, clipped; z (N, 1, H, W) is grey noise."""
    return (image + sigma / 255 * z).clamp(0, 1)


def tones(image: Tensor) -> float:
    """2^ceil(log2 n), n the number of distinct 8-bit values: what stands for photons in white. image (1, C, H, W)."""
    return 2.0 ** math.ceil(math.log2(len(torch.unique(to_8bit(image)))))


def poisson_noise(image: Tensor, scale: float, generator: torch.Generator, grey: bool = False) -> Tensor:
    """image + scale (Poisson(x v)/v - x), clipped, x the picture in 8 bits and v = tones(x); grey: of its luma."""
    if grey:
        mean = (image * image.new_tensor([0.2989, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    else:
        mean = image
    x = to_8bit(mean)
    v = tones(x)
    drawn = torch.poisson(x.float().cpu() * v, generator=generator).to(x) / v
    return (image + scale * (drawn - x)).clamp(0, 1)


def resized(image: Tensor, mode: str, *, scale: float | None = None, size: tuple[int, int] | None = None) -> Tensor:
    """By `scale` or to `size` (height, width). Only "antialiased" averages what it shrinks by bicubic weights.

    With a scale the samples lie 1/scale apart, whatever the rounded size, as torch has it.
    """
    if size is None:
        size = tuple(max(1, int(side * scale)) for side in image.shape[-2:])
        if mode in ("bilinear", "bicubic") and min(side * scale for side in image.shape[-2:]) >= 1:
            return F.interpolate(image, scale_factor=scale, mode=mode)
    if mode == "antialiased":
        return resize(image, size)
    return F.interpolate(image, size=size, mode=mode)
