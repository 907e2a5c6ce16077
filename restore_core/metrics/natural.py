"""NIQE: does it look like a photograph? Judged without the original.

Mittal, Soundararajan, Bovik 2013. Locally normalised luma of undamaged photographs has a typical distribution in every
block; 36 numbers describe it (18 on each of two scales). NIQE is the distance of the mean and covariance of
these over the picture's blocks from the mean and covariance over pristine photographs:

    sqrt((m1 - m2)^T ((S1 + S2)/2)^-1 (m1 - m2))
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.images import resize
from restore_core.metrics.base import Metric, check_rgb, precise
from restore_core.metrics.filters import studio_luma
from restore_core.metrics.weights import FOLDER, open_parameters

BLOCK = 96
FEWEST_BLOCKS = 4
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbours right, below, and along both diagonals
MIRROR = 4  # px, the reach of the bicubic kernel at half size
FLAT = 1e-6  # of the normalised luma; below is rounding error, whose distribution says nothing
FILE = FOLDER / "niqe_params.safetensors"


class Pristine(NamedTuple):
    """What undamaged photographs are like: mean (36,), covariance (36, 36); window (7, 7) of the normalisation."""

    mean: Tensor
    covariance: Tensor
    window: Tensor


def niqe(image: Tensor, *, weights: Path = FILE) -> Tensor:
    """NIQE, (N,): 3 to 5 for a good photograph, more is worse. Needs at least four blocks of 96 px.

    As in the original release: Y (BT.601, 16 to 235) rounded to integers, whole blocks of 96 px, the second scale half
    the size by antialiased bicubic. Flat blocks, which have no distribution to speak of, are left out.
    """
    check_rgb(image)
    height, width = image.shape[-2:]
    if (height // BLOCK) * (width // BLOCK) < FEWEST_BLOCKS:
        raise SettingsError(
            f"The picture is {width} × {height} px, but NIQE compares statistics over blocks of {BLOCK} px and needs "
            f"{FEWEST_BLOCKS} of them. Choose a picture of {2 * BLOCK} px a side or more."
        )
    whole = image[..., : height // BLOCK * BLOCK, : width // BLOCK * BLOCK]
    y = studio_luma(precise(whole)).round()
    pristine = _pristine(Path(weights))
    return torch.stack([_distance(block_features(picture[None], pristine.window), pristine) for picture in y])


def block_features(y: Tensor, window: Tensor) -> Tensor:
    """36 features for every block of (1, 1, H, W) luma in grey levels; NaN in blocks that are flat."""
    whole = _scale_features(_normalise(y, window), BLOCK)
    half = _scale_features(_normalise(_halve(y), window), BLOCK // 2)
    return torch.cat([whole, half], dim=1)


def _distance(features: Tensor, pristine: Pristine) -> Tensor:
    textured = features[features.isfinite().all(dim=1)]
    if len(textured) < 2:
        raise SettingsError(
            "The picture is flat nearly everywhere, so NIQE finds no texture to compare with photographs. "
            "Choose a picture with more detail or another measure."
        )
    mean = textured.mean(dim=0) - pristine.mean.to(features)
    covariance = (textured.T.cov() + pristine.covariance.to(features)) / 2
    return (mean @ torch.linalg.pinv(covariance, hermitian=True) @ mean).clamp(min=0).sqrt()


def _halve(y: Tensor) -> Tensor:
    """Half the size by antialiased bicubic, borders mirrored (edge pixels twice) as in the original release."""
    height, width = y.shape[-2:]
    mirrored = y[..., _mirrored(height, y.device), :][..., _mirrored(width, y.device)]
    shrunk = resize(mirrored, (height // 2 + MIRROR, width // 2 + MIRROR))
    inner = slice(MIRROR // 2, -(MIRROR // 2))
    return shrunk[..., inner, inner]


def _mirrored(length: int, device: torch.device) -> Tensor:
    """Indices 3 2 1 0 | 0 1 ... n-1 | n-1 n-2 n-3 n-4."""
    inside = torch.arange(length, device=device)
    return torch.cat([inside[:MIRROR].flip(0), inside, inside[-MIRROR:].flip(0)])


def _normalise(y: Tensor, window: Tensor) -> Tensor:
    """(y - mu) / (sigma + 1) with mean and deviation under the window, borders repeated (eq. 1 to 3)."""
    window = window.to(y)[None, None]
    radius = window.shape[-1] // 2

    def local_mean(z: Tensor) -> Tensor:
        return F.conv2d(F.pad(z, (radius,) * 4, mode="replicate"), window)

    mu = local_mean(y)
    sigma = (local_mean(y * y) - mu * mu).abs().sqrt()
    return (y - mu) / (sigma + 1)


def _scale_features(normalised: Tensor, block: int) -> Tensor:
    """(blocks, 18): shape and spread of the values, then shape, mean and both spreads of four neighbour products."""
    x = normalised.unfold(2, block, block).unfold(3, block, block).reshape(-1, block, block)
    flat = x.abs().amax(dim=(1, 2)) < FLAT
    shape, left, right = asymmetric_gaussian(x.flatten(1))
    columns = [shape, (left + right) / 2]
    for shift in SHIFTS:
        product = x * x.roll(shift, dims=(1, 2))
        shape, left, right = asymmetric_gaussian(product.flatten(1))
        mean = (right - left) * torch.exp(torch.lgamma(2 / shape) - torch.lgamma(1 / shape))
        columns += [shape, mean, left, right]
    return torch.stack(columns, dim=1).masked_fill(flat[:, None], torch.nan)


def asymmetric_gaussian(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shape, left and right scale of a generalised Gaussian fitted to each row by its moments, (B, n) -> 3 x (B,).

    Lasmar, Stitou, Berthoumieu 2009: the ratio (E|x|)^2 / E x^2, corrected for asymmetry, fixes the shape.
    """
    left = _root_mean_square(x, x < 0)
    right = _root_mean_square(x, x > 0)
    g = left / right
    ratio = x.abs().mean(dim=1) ** 2 / x.square().mean(dim=1)
    ratio = ratio * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    shape = _shape_of(ratio)
    scale = torch.exp((torch.lgamma(1 / shape) - torch.lgamma(3 / shape)) / 2)
    return shape, left * scale, right * scale


def _root_mean_square(x: Tensor, chosen: Tensor) -> Tensor:
    return ((x * chosen).square().sum(dim=1) / chosen.sum(dim=1)).sqrt()


def _shape_of(ratio: Tensor) -> Tensor:
    """The shape in 0.2, 0.201 ... 10 whose Gamma(2/a)^2 / (Gamma(1/a) Gamma(3/a)) is nearest; that rises with a."""
    shapes = torch.arange(200, 10001, dtype=ratio.dtype, device=ratio.device) / 1000
    ratios = torch.exp(2 * torch.lgamma(2 / shapes) - torch.lgamma(1 / shapes) - torch.lgamma(3 / shapes))
    above = torch.searchsorted(ratios, ratio.contiguous()).clamp(1, len(shapes) - 1)
    nearer_below = ratio - ratios[above - 1] < ratios[above] - ratio
    return shapes[above - nearer_below.long()]


@lru_cache(maxsize=2)
def _pristine(path: Path) -> Pristine:
    state = open_parameters(path, frozenset({"mu_pris_param", "cov_pris_param", "gaussian_window"}))
    return Pristine(state["mu_pris_param"].flatten(), state["cov_pris_param"], state["gaussian_window"])


NIQE = Metric("niqe", "NIQE", "lower", "", False, niqe, "Mittal, Soundararajan, Bovik 2013, eq. 10")
