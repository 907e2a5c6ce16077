"""You cannot have both: one sample, means of samples and the predictor, by truth (PSNR) and by looks (LPIPS).

A sample of the posterior has twice the mean squared error of the posterior's mean; the mean of n samples has
(1 + 1/n) times it. So averaging gains up to 3.01 dB, and what it averages away is the texture that looked real.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from restore_core.metrics import lpips, psnr

LIMIT_DB = 10 * math.log10(2)  # the whole gain of averaging without end


@dataclass(frozen=True)
class Point:
    """One picture on the plane. psnr in dB (higher is truer), lpips (lower looks more alike), calls of the networks."""

    key: str
    label: str
    psnr: float
    lpips: float
    calls: int


def running_means(samples: Tensor) -> Tensor:
    """(n, 3, H, W) -> the means of the first 1, 2, .. n of them, (n, 3, H, W)."""
    counts = torch.arange(1, len(samples) + 1, device=samples.device).reshape(-1, 1, 1, 1)
    return samples.cumsum(dim=0) / counts


@torch.no_grad()
def measured(pictures: Tensor, clean: Tensor) -> tuple[list[float], list[float]]:
    """PSNR and LPIPS of (n, 3, H, W) against one clean picture, both in [0, 1]."""
    references = clean.expand_as(pictures)
    return psnr(pictures, references).tolist(), lpips(pictures, references).tolist()


def expected_gain(count: int) -> float:
    """dB that the mean of `count` independent posterior samples gains over one: 10 log10(2/(1 + 1/n))."""
    return 10 * math.log10(2 / (1 + 1 / count))
