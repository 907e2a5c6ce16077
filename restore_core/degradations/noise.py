"""Noise, and the units it is told in. Pictures are RGB in [0, 1], (N, C, H, W).

Deviations of even noise are told in 8-bit grey levels (0 to 255), as the papers do. A sensor's noise is told by ISO:

    y = K Poisson(x / K) + sigma z,      var(y) = K x + sigma^2,      K = (ISO / 100) / full well,  sigma = K read

K is the brightness (full scale 1) that one electron gives, `full well` the electrons that fill a pixel at ISO 100 and
`read` the deviation of reading it in electrons. Gain factor ISO / 100, in decibels 20 log10 of it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from restore_core.degradations.blur import blur, gaussian_kernel
from restore_core.degradations.light import to_linear, to_srgb

FULL_WELL = 15_000.0  # electrons at ISO 100: between a telephone's sensor (5,000) and a large camera's (60,000)
READ_NOISE = 3.0  # electrons


def factor_from_iso(iso: float) -> float:
    """Gain factor: ISO / 100."""
    return iso / 100


def decibels_from_iso(iso: float) -> float:
    """Gain in dB: 20 log10(ISO / 100)."""
    return 20 * math.log10(factor_from_iso(iso))


def iso_from_decibels(decibels: float) -> float:
    """ISO of a gain in dB."""
    return 100 * 10 ** (decibels / 20)


def electron(iso: float, full_well: float = FULL_WELL) -> float:
    """K, the brightness of one electron: (ISO / 100) / full well. White at this ISO is 1 / K electrons."""
    return factor_from_iso(iso) / full_well


def gaussian_noise(image: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """image + sigma/255 z, z standard normal and independent in each pixel and channel; not clipped."""
    z = torch.randn(image.shape, generator=generator, dtype=torch.float32)
    return image + sigma / 255 * z.to(image)


def poisson_gaussian(image: Tensor, k: float, sigma: float, generator: torch.Generator) -> Tensor:
    """K Poisson(x/K) + sigma z, not clipped; image is proportional to light, sigma on its scale. K = 0: no Poisson."""
    if k > 0:
        image = k * torch.poisson(image.clamp(min=0).float().cpu() / k, generator=generator).to(image)
    z = torch.randn(image.shape, generator=generator, dtype=torch.float32)
    return image + sigma * z.to(image)


def camera_noise(
    image: Tensor, iso: float, generator: torch.Generator, full_well: float = FULL_WELL, read: float = READ_NOISE
) -> Tensor:
    """A sensor's noise at `iso` on an sRGB picture: laid on its light, then developed and clipped again."""
    k = electron(iso, full_well)
    return to_srgb(poisson_gaussian(to_linear(image), k, k * read, generator))


def film_grain(image: Tensor, sigma: float, size: float, generator: torch.Generator) -> Tensor:
    """Grain of deviation sigma/255, one for all channels, its specks about `size` px wide, strongest in mid-greys."""
    if sigma <= 0:
        return image
    z = torch.randn((len(image), 1, *image.shape[-2:]), generator=generator, dtype=torch.float32)
    kernel = gaussian_kernel(size / 2)
    z = blur(z, kernel) / kernel.square().sum().sqrt()
    luma = image.mean(1, keepdim=True).clamp(0, 1)
    return image + sigma / 255 * z.to(image) * (0.4 + 2.4 * luma * (1 - luma))
