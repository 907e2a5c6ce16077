"""Linear light and sRGB (IEC 61966-2-1), (N, 3, H, W) in [0, 1]: photons and haze act on light, files hold sRGB."""

from __future__ import annotations

import torch
from torch import Tensor


def to_linear(image: Tensor) -> Tensor:
    """sRGB -> light: v/12.92 up to 0.04045, ((v + 0.055)/1.055)^2.4 above."""
    image = image.clamp(0, 1)
    return torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def to_srgb(light: Tensor) -> Tensor:
    """Light -> sRGB; what lies outside [0, 1] is clipped, as a camera does."""
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
