"""The losses. Pictures are (N, 3, H, W) in [-1, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from restore_core.networks.compact_unet import CompactModel

LOG_LEVEL_MEAN, LOG_LEVEL_STD = -1.6, 1.4  # log level ~ N(mean, std^2), as EDM draws it; levels in units of [-1, 1]


def predictor_loss(model: CompactModel, x0: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(mean |g(y) - x0|, g(y)): DvSR's predictor term, explicit."""
    g = model.predict(y)
    return (g - x0).abs().mean(), g


def denoiser_loss(
    model: CompactModel, x0: Tensor, y: Tensor, g: Tensor, generator: torch.Generator, drop: float
) -> Tensor:
    """E | F - F* |^2 with F* the raw output that makes D exact; equals E d^2/(level sd)^2 |D - x0|^2.

    The weight makes every level count alike at the start (EDM, appendix B.6). In a share `drop` of the pictures the
    condition is absent: y = g = 0 and the deviation of x0 itself in place of the residual's.
    """
    n = len(x0)
    level = torch.exp(LOG_LEVEL_MEAN + LOG_LEVEL_STD * torch.randn(n, generator=generator)).to(x0)
    z = torch.randn(x0.shape, generator=generator).to(x0)
    kept = (torch.rand(n, generator=generator) >= drop).to(x0).reshape(-1, 1, 1, 1)
    sd = kept * model.sd + (1 - kept) * model.data_sd
    y, g = y * kept, g.detach() * kept
    s, a = level.reshape(-1, 1, 1, 1), torch.ones_like(kept)
    r = x0 + s * z - g
    raw = model.denoiser(model.network_input(r, a, s, g, y, sd), level).float()
    return (raw - model.target(x0, r, a, s, g, sd)).square().mean()
