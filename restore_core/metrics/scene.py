"""What lies between the camera and the scene, or on the print: haze, rain, a lost colour. From one picture alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.metrics.base import check_rgb, check_size
from restore_core.metrics.filters import luma

SMALLEST = 32
PATCH = 15  # px, in which something dark is looked for
DARKEST = 0.1  # share of the patches that must not all be lit
CELLS = 4
THIN = 7  # px, wider things are no streaks


class Streaks(NamedTuple):
    """Thin bright things: how much alike they lie (0 to 1), their tilt from upright in degrees, their strength, and by
    how much they lie more alike than thin dark things do."""

    alike: float
    tilt: float
    strength: float
    more_than_dark: float


def veil(image: Tensor) -> Tensor:
    """The light that lies over the darkest places, (N,), 0 to 1: the dark channel of He et al. 2009.

    In 15 x 15 px of a clear photograph something is nearly black in some colour; of such minima the darkest tenth is
    looked at, so that a bright sky does not count. Snow and white paper from edge to edge pass for haze.
    """
    check_rgb(image)
    check_size(image, SMALLEST, "an estimate of haze")
    dark = -F.max_pool2d(-image.float().amin(dim=1, keepdim=True), PATCH, stride=PATCH // 2)
    return dark.flatten(1).quantile(DARKEST, dim=1)


def streaks(image: Tensor) -> Streaks:
    """Rain in one picture (1, 3, H, W): thin bright lines of one direction, which thin dark ones do not share.

    White and black top-hats (what is thinner than 7 px), and how much their gradients agree all over the picture: a
    fence is upright in one place, rain everywhere. Strength is the root mean square of the bright one in grey levels.
    """
    check_rgb(image)
    check_size(image, SMALLEST, "an estimate of rain")
    y = 255 * luma(image.float())
    low, high = (-_largest(-y)), _largest(y)
    bright, dark = y - _largest(low), -_largest(-high) - y
    (alike, tilt), (other, _) = _direction(bright), _direction(dark)
    return Streaks(alike, tilt, bright.square().mean().sqrt().item(), alike - other)


def _largest(y: Tensor) -> Tensor:
    return F.max_pool2d(y, THIN, stride=1, padding=THIN // 2)


def _direction(y: Tensor) -> tuple[float, float]:
    """(how much the gradients of all places agree, degrees between the lines and upright).

    The structure tensor's doubled angle, as vectors of length (l1 - l2)/(l1 + l2), in CELLS x CELLS parts of the
    picture: each part's share along the whole picture's direction, its lower quartile.
    """
    across = (y[..., 1:-1, 2:] - y[..., 1:-1, :-2])[0]
    down = (y[..., 2:, 1:-1] - y[..., :-2, 1:-1])[0]
    parts = torch.stack([across.square() - down.square(), 2 * across * down, across.square() + down.square()], dim=1)
    parts = F.adaptive_avg_pool2d(parts, CELLS).flatten(2)[0]
    whole = parts[:2].sum(dim=1)
    towards = whole / whole.norm().clamp(min=1e-9)
    agreement = (towards @ parts[:2]) / parts[2].clamp(min=1e-3)
    return agreement.quantile(0.25).item(), 0.5 * math.degrees(math.atan2(whole[1].item(), whole[0].item()))


def colour_left(image: Tensor) -> tuple[Tensor, Tensor]:
    """(how much colours differ from place to place, red less blue of the mean), each (N,), in shares of white.

    The first is the root mean square of the colour differences R - G and B - G about a straight line in luma, which a
    tinted print in one colour lies on; below 0.02 there is one hue only.
    """
    check_rgb(image)
    check_size(image, SMALLEST, "an estimate of colour")
    image = F.avg_pool2d(image.float(), 4)
    flat = image.flatten(2)
    y, chroma = flat.mean(dim=1, keepdim=True), flat[:, [0, 2]] - flat[:, 1:2]
    y, chroma = y - y.mean(-1, keepdim=True), chroma - chroma.mean(-1, keepdim=True)
    slope = (chroma * y).mean(-1, keepdim=True) / y.square().mean(-1, keepdim=True).clamp(min=1e-8)
    left = (chroma - slope * y).square().mean(dim=(1, 2)).sqrt()
    return left, (flat[:, 0] - flat[:, 2]).mean(-1)


__all__ = ["Streaks", "colour_left", "streaks", "veil"]
