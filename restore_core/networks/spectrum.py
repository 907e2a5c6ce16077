"""The power spectrum of a picture, as a description of its damage that a network can be told.

How a picture is blurred shows in its spectrum better than in its pixels: a Gaussian lets high frequencies fade, a
straight shake leaves parallel dark lines (the zeros of a sinc), noise puts a floor under everything. A small network
without normalisation hardly learns to read this off the pixels by itself (weights/README.md has the trial).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 32
SIZE = WINDOW * (WINDOW // 2 + 1)  # numbers in one spectrum
MOST_WINDOWS = 2048
FLOOR = 1e-4  # well below the power of one grey level of noise


def power_spectrum(y: Tensor) -> Tensor:
    """log(P + floor)/4 of y (N, 3, H, W) in [-1, 1]: (N, SIZE), with P Welch's estimate (1967).

    P is the mean of |FFT|^2 over windows of 32 x 32 px of the mean of R, G and B, each without its own mean and under
    a Hann window, half overlapping (further apart in large pictures). float32 whatever the precision around it.
    """
    grey = _at_least_a_window(y.float().mean(dim=1, keepdim=True))
    stride = max(WINDOW // 2, math.ceil(math.sqrt(grey.shape[-1] * grey.shape[-2] / MOST_WINDOWS)))
    windows = F.unfold(grey, WINDOW, stride=stride).transpose(1, 2).unflatten(2, (WINDOW, WINDOW))
    hann = torch.hann_window(WINDOW, periodic=False, device=y.device)
    windows = (windows - windows.mean(dim=(2, 3), keepdim=True)) * hann[:, None] * hann
    power = torch.fft.rfft2(windows).abs().square().mean(dim=1)
    return (power + FLOOR).log().flatten(1) / 4


def _at_least_a_window(x: Tensor) -> Tensor:
    down, right = (max(0, WINDOW - side) for side in x.shape[-2:])
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x
