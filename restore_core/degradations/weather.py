"""Rain and haze. Pictures are RGB in [0, 1], (N, 3, H, W); random fields come from the generator alone."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.degradations.blur import motion_kernel

STREAK = 0.92  # brightness that a drop takes from the sky
CELLS = 4  # random depths a side of the picture, between which haze varies smoothly


def rain(
    image: Tensor,
    generator: torch.Generator,
    *,
    density: float,
    length: float,
    angle: float,
    width: float = 1.0,
    strength: float = 0.7,
    layers: float = 3,
    veil: float = 0.0,
) -> Tensor:
    """Streaks in layers, nearest last: x <- x + S (sky - x), then the same even veil everywhere. Not clipped.

    density    drops that begin in a thousand pixels of a layer
    length     px of the nearest layer's streaks; each layer behind has 0.7 of it, and thinner ones
    angle      degrees from the horizontal, 90: straight down; layers differ by a few degrees, as gusts do
    width      px; strength   how opaque, 0 to 1; veil   how much the rain far away whitens, 0 to 1
    """
    out, count = image, max(1, round(layers))
    for depth in reversed(range(count)):
        near = 0.7**depth
        turn = angle + 4 * torch.randn((), generator=generator).item()
        streaks = _streaks(image, generator, density, max(2.0, length * near), turn, max(0.5, width * near))
        out = out + (strength * (0.5 + 0.5 * near)) * streaks * (STREAK - out)
    return out + veil * (STREAK - out)


def _streaks(
    image: Tensor, generator: torch.Generator, density: float, length: float, angle: float, width: float
) -> Tensor:
    """(N, 1, H, W) in [0, 1]: a drop's brightness varies, its ends are soft."""
    size = (len(image), *image.shape[-2:])
    chance = torch.rand(size, generator=generator)
    bright = 0.35 + 0.65 * torch.rand(size, generator=generator)
    drops = torch.where(chance < density / 1000, bright, torch.zeros(())).numpy()
    kernel = motion_kernel(length, angle).numpy()
    kernel = cv2.GaussianBlur(np.pad(kernel, 2), (0, 0), width / 2)
    kernel = kernel / kernel.max()
    planes = [cv2.filter2D(plane, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT) for plane in drops]
    return torch.from_numpy(np.stack(planes))[:, None].clamp(0, 1).to(image)


def haze(
    image: Tensor,
    generator: torch.Generator,
    *,
    beta: float,
    airlight: float = 0.9,
    warmth: float = 0.0,
    relief: float = 0.6,
    horizon: float = 0.5,
) -> Tensor:
    """I = J t + A (1 - t), t = exp(-beta d) (Koschmieder 1924; He et al. 2009, eq. 1). Not clipped.

    beta       haze over the mean distance 1: t there is exp(-beta)
    airlight   A; warmth adds to its red and takes from its blue
    relief     how much the distance d varies at random from place to place, 0 to 1
    horizon    how much farther the top is than the bottom, 0 to 1
    """
    height, width = image.shape[-2:]
    cells = torch.rand((len(image), 1, CELLS, CELLS), generator=generator) * 2 - 1
    bumps = F.interpolate(cells, size=(height, width), mode="bicubic", align_corners=True).to(image)
    up = torch.linspace(1, -1, height, device=image.device)[:, None] if height > 1 else image.new_zeros(1, 1)
    distance = (1 + 0.8 * relief * bumps + 0.8 * horizon * up).clamp(min=0.05)
    t = torch.exp(-beta * distance)
    a = image.new_tensor([airlight + warmth, airlight, airlight - warmth])[:, None, None]
    return image * t + a * (1 - t)
