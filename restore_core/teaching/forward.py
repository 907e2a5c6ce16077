"""The way to noise: x_t = a_t x_0 + b_t y + s_t eps, drawn for every method on its own time grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from restore_core.processes import Process, VariancePreserving, beta_schedule

POINTS = 400  # of a curve, about
SHOWN_DB = 60.0  # beyond, signal or noise is all there is


@dataclass(frozen=True)
class Curves:
    """One process on a grid of times, all (K,) float64: t upwards from 0, the coefficients, and snr in decibels."""

    t: Tensor
    a: Tensor
    b: Tensor
    s: Tensor
    snr: Tensor


@dataclass(frozen=True)
class Moments:
    """Mean and deviation over all pixels of x_t, averaged over the noise, (K,) float64."""

    mean: Tensor
    std: Tensor


def times_of(process: Process, points: int = POINTS) -> Tensor:
    """0 .. steps: each whole time where `points` or more of them are there (at most 1,000), fractions otherwise."""
    if process.steps >= points:
        stride = max(1, process.steps // 1000)
        return torch.arange(0, process.steps + 1, stride, dtype=torch.float64)
    between = -(-points // process.steps)
    return torch.arange(0, process.steps * between + 1, dtype=torch.float64) / between


def curves(process: Process) -> Curves:
    """a, b, s and SNR = 20 log10(a/s) in dB, held within +-SHOWN_DB."""
    t = times_of(process)
    a, b, s = process.marginal(t)
    snr = (20 / torch.log(torch.tensor(10.0, dtype=torch.float64)) * process.log_snr(t)).clamp(
        -SHOWN_DB, SHOWN_DB
    )
    return Curves(t, a, b, s, snr)


def moments(seen: Curves, x0: Tensor, y: Tensor) -> Moments:
    """Over pixels and noise: mean = a m_x + b m_y,  variance = a^2 v_x + b^2 v_y + 2 a b c_xy + s^2.

    x0, y   pictures in the process's space, of one shape
    """
    x, z = x0.double().flatten().cpu(), y.double().flatten().cpu()
    mean = seen.a * x.mean() + seen.b * z.mean()
    covariance = ((x - x.mean()) * (z - z.mean())).mean()
    spread = (
        seen.a**2 * x.var(correction=0) + seen.b**2 * z.var(correction=0) + 2 * seen.a * seen.b * covariance
    )
    return Moments(mean, (spread + seen.s**2).sqrt())


def ddpm() -> Process:
    """T = 1000, beta linear from 1e-4 to 0.02, no anchor. Ho et al. 2020, section 4."""
    return VariancePreserving(beta_schedule("linear", 1000, 1e-4, 2e-2))
