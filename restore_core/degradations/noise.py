"""Noise. Pictures are RGB in [0, 1]; deviations are told in 8-bit grey levels (0 to 255), as the papers do."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_noise(image: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """image + sigma/255 z, z standard normal and independent in each pixel and channel; not clipped."""
    z = torch.randn(image.shape, generator=generator, dtype=torch.float32)
    return image + sigma / 255 * z.to(image)
