"""Levels of a faded print, drawn apart again. RGB in [0, 1], (N, 3, H, W).

    x <- (1 - k) x + k (x - low)/(high - low)

for each picture and channel by itself: low and high are what all but a hundredth of the picture lies between, so
blacks become black and paper white again, whatever has lifted, dimmed or yellowed them. How colours paled among each
other is not undone: nothing in the picture tells it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MARGIN = 0.005  # share of the pixels beyond low, and beyond high
LEAST_SPAN = 0.25  # of high - low: a fog is not drawn into noise
LOOKED_AT = 256  # px: grain and marks, which are smaller than a pixel of this thumbnail, are not levels


def drawn_apart(image: Tensor, strength: float = 1.0) -> Tensor:
    """The picture with its levels from 0 to 1; strength k in [0, 1], 0 gives the picture itself."""
    if strength == 0:
        return image
    low, high = _ends(image)
    gain = 1 / (high - low)
    return (image * (1 - strength + strength * gain) - strength * low * gain).clamp(0, 1)


def _ends(image: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel, (N, 3, 1, 1), at least LEAST_SPAN apart about their middle, within [0, 1]."""
    small = F.interpolate(image.float(), _thumbnail(*image.shape[-2:]), mode="area")
    shares = torch.tensor([MARGIN, 1 - MARGIN], device=image.device)
    low, high = small.flatten(2).quantile(shares, dim=2)[..., None, None]
    missing = (LEAST_SPAN - (high - low)).clamp(min=0) / 2
    low, high = low - missing, high + missing
    return low.to(image), high.to(image)


def _thumbnail(height: int, width: int) -> tuple[int, int]:
    shrink = max(1.0, max(height, width) / LOOKED_AT)
    return max(1, round(height / shrink)), max(1, round(width / shrink))


__all__ = ["drawn_apart"]
