"""Distance to the known original, pixel by pixel: PSNR and SSIM.

Nothing is rounded here. Published numbers are of 8-bit files: pass pictures through images.to_8bit first.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.metrics.base import Metric, check_size, matched, precise
from restore_core.metrics.filters import filter_separably, gaussian, studio_luma

HIGHEST_PSNR = 100.0  # dB; what identical pictures get instead of infinity
WINDOW_STD = 1.5
WINDOW_RADIUS = 5  # 11 x 11
LUMINANCE_FLOOR = 0.01**2  # C1 = (K1 L)^2, L = 1
CONTRAST_FLOOR = 0.03**2  # C2 = (K2 L)^2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2


def decibels(mean_squared_error: Tensor) -> Tensor:
    """-10 log10(MSE) for a peak of 1, at most HIGHEST_PSNR dB."""
    return -10 * mean_squared_error.clamp(min=10 ** (-HIGHEST_PSNR / 10)).log10()


def psnr(result: Tensor, reference: Tensor, *, crop_border: int = 0) -> Tensor:
    """10 log10(1 / MSE) in dB over all pixels and channels, (N,); 100 dB at most, which identical pictures get."""
    result, reference = matched(result, reference, crop_border)
    return decibels((precise(result) - precise(reference)).square().mean(dim=(1, 2, 3)))


def psnr_y(result: Tensor, reference: Tensor, *, crop_border: int = 0) -> Tensor:
    """PSNR of Y (BT.601, 16 to 235) against a peak of 255, as super-resolution papers print it; 100 dB at most."""
    result, reference = matched(result, reference, crop_border)
    difference = (studio_luma(precise(result)) - studio_luma(precise(reference))) / 255
    return decibels(difference.square().mean(dim=(1, 2, 3)))


def ssim(result: Tensor, reference: Tensor, *, crop_border: int = 0) -> Tensor:
    """Structural similarity, (N,), at most 1: luminance x structure, averaged over positions and RGB channels.

    Wang et al. 2004, eq. 13, with their 11 x 11 Gaussian window (deviation 1.5), K1 = 0.01, K2 = 0.03, and only
    positions where the window lies inside the picture.
    """
    result, reference = matched(result, reference, crop_border)
    check_size(result, 2 * WINDOW_RADIUS + 1, "SSIM")
    luminance, structure = _similarity(precise(result), precise(reference))
    return (luminance * structure).mean(dim=(1, 2, 3))


def ms_ssim(result: Tensor, reference: Tensor, *, crop_border: int = 0) -> Tensor:
    """SSIM over five scales, (N,), at most 1: luminance of the coarsest times weighted powers of structure of all.

    Wang, Simoncelli, Bovik 2003, eq. 7; scales are halved by 2 x 2 means. A negative mean structure, for which the
    power has no value, counts as 0. Computed per RGB channel, then averaged.
    """
    result, reference = matched(result, reference, crop_border)
    check_size(result, (2 * WINDOW_RADIUS + 1) * 2 ** (len(SCALE_WEIGHTS) - 1), "MS-SSIM")
    x, y = precise(result), precise(reference)
    product = torch.ones(x.shape[:2], dtype=x.dtype, device=x.device)
    for scale, weight in enumerate(SCALE_WEIGHTS):
        luminance, structure = _similarity(x, y)
        coarsest = scale == len(SCALE_WEIGHTS) - 1
        mean = (luminance * structure if coarsest else structure).mean(dim=(2, 3))
        product = product * mean.clamp(min=0) ** weight
        x, y = _halve(x), _halve(y)
    return product.mean(dim=1)


def _similarity(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Maps of (2 mx my + C1)/(mx^2 + my^2 + C1) and (2 sxy + C2)/(sx^2 + sy^2 + C2)."""
    window = gaussian(WINDOW_STD, WINDOW_RADIUS, x)
    mx, my, xx, yy, xy = (filter_separably(z, window) for z in (x, y, x * x, y * y, x * y))
    luminance = (2 * mx * my + LUMINANCE_FLOOR) / (mx**2 + my**2 + LUMINANCE_FLOOR)
    structure = (2 * (xy - mx * my) + CONTRAST_FLOOR) / (xx - mx**2 + yy - my**2 + CONTRAST_FLOOR)
    return luminance, structure


def _halve(x: Tensor) -> Tensor:
    """2 x 2 means; an odd last row or column is its own mean, as with mirrored borders."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


PSNR = Metric("psnr", "PSNR", "higher", "dB", True, psnr, "10 log10(1 / MSE), RGB; at most 100 dB")
PSNR_Y = Metric(
    "psnr-y", "PSNR (luma)", "higher", "dB", True, psnr_y, "ITU-R BT.601 Y, 16 to 235; at most 100 dB"
)
SSIM = Metric("ssim", "SSIM", "higher", "", True, ssim, "Wang et al. 2004, eq. 13")
MS_SSIM = Metric("ms-ssim", "MS-SSIM", "higher", "", True, ms_ssim, "Wang, Simoncelli, Bovik 2003, eq. 7")
