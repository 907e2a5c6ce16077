"""Blur: kernels that add to one, and their application. Pictures are RGB in [0, 1], (N, C, H, W)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_kernel(sigma: float, across: float | None = None, angle: float = 0.0) -> Tensor:
    """exp(-(u^2 / sigma^2 + v^2 / across^2) / 2) on an odd square reaching 3 sigma (at most 31 px), normalised.

    sigma    deviation in pixels along u, which is turned by `angle` degrees from the rows
    across   deviation along v; None: as sigma
    """
    radius = min(15, max(1, math.ceil(3 * max(sigma, across or 0))))
    i = torch.arange(-radius, radius + 1, dtype=torch.float64)
    if across is None or across == sigma:
        row = torch.exp(-(i**2) / (2 * max(sigma, 1e-3) ** 2))
        kernel = row[:, None] * row
    else:
        turn = math.radians(angle)
        u = i * math.cos(turn) - i[:, None] * math.sin(turn)
        v = i * math.sin(turn) + i[:, None] * math.cos(turn)
        kernel = torch.exp(-((u / max(sigma, 1e-3)) ** 2 + (v / max(across, 1e-3)) ** 2) / 2)
    return (kernel / kernel.sum()).float()


def motion_kernel(length: float, angle: float) -> Tensor:
    """A straight shake: constant speed over `length` pixels at `angle` degrees (0 = along rows), antialiased."""
    radius = max(1, math.ceil(length / 2))
    along = torch.linspace(-length / 2, length / 2, max(2, math.ceil(8 * length)), dtype=torch.float64)
    return _drawn(along * math.cos(math.radians(angle)), -along * math.sin(math.radians(angle)), radius)


def trajectory_kernel(length: float, path: float) -> Tensor:
    """A hand's shake: the path numbered `path`, `length` px from end to end of its longer side, antialiased.

    Velocity is a constant plus Brownian motion (tremor with inertia; cf. Boracchi and Foi 2012, section II); the
    centre of mass stays where it was, so that nothing is shifted.
    """
    if length <= 0:
        return torch.ones(1, 1)
    generator = torch.Generator().manual_seed(int(path))
    points = max(32, math.ceil(8 * length))
    steady = torch.randn(2, 1, generator=generator, dtype=torch.float64)
    tremor = torch.randn(2, points, generator=generator, dtype=torch.float64).cumsum(1) / math.sqrt(points)
    place = (0.3 * steady + tremor).cumsum(1)
    place = place * length / (place.amax(1) - place.amin(1)).max()
    place = place - place.mean(1, keepdim=True)
    return _drawn(place[0], place[1], max(1, math.ceil(place.abs().max().item())))


def defocus_kernel(radius: float) -> Tensor:
    """A lens out of focus: an even disk of `radius` px, each weight the part of its pixel that the disk covers."""
    if radius <= 0:
        return torch.ones(1, 1)
    reach, fine = max(1, math.ceil(radius)), 9
    i = (torch.arange(fine * (2 * reach + 1), dtype=torch.float64) + 0.5) / fine - reach - 0.5
    disk = (i[:, None] ** 2 + i**2 <= radius**2).double()
    kernel = F.avg_pool2d(disk[None, None], fine)[0, 0]
    return (kernel / kernel.sum()).float()


def _drawn(x: Tensor, y: Tensor, radius: int) -> Tensor:
    """Points about the middle, each spread over its four pixels, as a kernel of side 2 radius + 1 that adds to one."""
    x, y = x + radius, y + radius
    kernel = torch.zeros(2 * radius + 2, 2 * radius + 2, dtype=torch.float64)
    x0, y0 = x.floor().long(), y.floor().long()
    fx, fy = x - x0, y - y0
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            kernel.index_put_((y0 + dy, x0 + dx), wy * wx, accumulate=True)
    kernel = kernel[:-1, :-1]
    return (kernel / kernel.sum()).float()


def blur(image: Tensor, kernel: Tensor) -> Tensor:
    """image * kernel (true convolution), edges reflected, size kept; kernel (k, k) with odd k."""
    radius = kernel.shape[-1] // 2
    mode = "reflect" if radius < min(image.shape[-2:]) else "replicate"
    padded = F.pad(image, (radius,) * 4, mode=mode)
    weight = kernel.flip(0, 1).to(image).expand(image.shape[1], 1, -1, -1)
    return F.conv2d(padded, weight, groups=image.shape[1])
