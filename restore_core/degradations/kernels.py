"""The blur kernels of blind restoration: Gaussians, their generalised and flat-topped relatives, and the ringing sinc.

With q = p^T S^-1 p over whole pixels p, S = R diag(sigma_x^2, sigma_y^2) R^T and R a turn by theta (Liu et al. 2020,
Real-ESRGAN's mixture): Gaussian exp(-q/2), generalised exp(-q^beta/2), plateau 1/(1 + q^beta). All are float64, odd,
and add to one.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SHAPES = ("gaussian", "generalised", "plateau")


def mixed_kernel(
    shape: str, size: int, sigma_x: float, sigma_y: float, theta: float = 0.0, beta: float = 1.0
) -> Tensor:
    """(size, size). `shape` is one of SHAPES; sigmas in px, theta in radians; equal sigmas: isotropic."""
    p = _places(size)
    turn = torch.tensor(
        [[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]], dtype=torch.float64
    )
    spread = torch.diag(torch.tensor([sigma_x**2, sigma_y**2], dtype=torch.float64))
    q = torch.einsum("hwi,ij,hwj->hw", p, torch.linalg.inv(turn @ spread @ turn.T), p)
    if shape == "plateau":
        kernel = 1 / (1 + q**beta)
    else:
        kernel = torch.exp(-0.5 * (q if shape == "gaussian" else q**beta))
    return kernel / kernel.sum()


def sinc_kernel(size: int, cutoff: float, pad_to: int = 0) -> Tensor:
    """The ideal low-pass of radius `cutoff` (0 to pi) cut to `size`: c J1(c r) / (2 pi r), c^2 / (4 pi) in the middle.

    What halos and ringing are made of. Zeros are laid around it up to `pad_to`.
    """
    r = _places(size).square().sum(-1).sqrt()
    ring = cutoff * torch.special.bessel_j1(cutoff * r) / (2 * math.pi * r.clamp(min=1e-9))
    kernel = torch.where(r > 0, ring, cutoff**2 / (4 * math.pi))
    kernel = kernel / kernel.sum()
    return F.pad(kernel, ((pad_to - size) // 2,) * 4) if pad_to > size else kernel


def _places(size: int) -> Tensor:
    """(size, size, 2): x and y of each pixel from the middle."""
    i = torch.arange(size, dtype=torch.float64) - size // 2
    return torch.stack(torch.meshgrid(i, i, indexing="xy"), dim=-1)
