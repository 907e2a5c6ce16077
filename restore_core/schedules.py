"""Noise schedules: the betas of variance preserving processes and the thetas of mean reverting ones, all float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from restore_core.errors import SettingsError


def _linear(steps: int, start: float, end: float) -> Tensor:
    if steps == 1:
        return torch.tensor([end], dtype=torch.float64)
    return torch.linspace(start, end, steps, dtype=torch.float64)


def _quad(steps: int, start: float, end: float) -> Tensor:
    return _linear(steps, math.sqrt(start), math.sqrt(end)) ** 2


def _const(steps: int, start: float, end: float) -> Tensor:
    return torch.full((steps,), end, dtype=torch.float64)


def _warmup(share: float) -> Callable[[int, float, float], Tensor]:
    def betas(steps: int, start: float, end: float) -> Tensor:
        values = _const(steps, start, end)
        rising = int(steps * share)
        values[:rising] = torch.linspace(start, end, rising, dtype=torch.float64)
        return values

    return betas


def _jsd(steps: int, start: float, end: float) -> Tensor:
    return 1 / torch.linspace(steps, 1, steps, dtype=torch.float64)


def _cosine(steps: int, start: float, end: float, offset: float = 0.008) -> Tensor:
    i = torch.arange(steps + 1, dtype=torch.float64)
    abar = torch.cos((i / steps + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - abar[1:] / abar[:-1]).clamp(max=0.999)


BETA_SCHEDULES: Mapping[str, Callable[[int, float, float], Tensor]] = {
    "linear": _linear,
    "quad": _quad,
    "cosine": _cosine,
    "warmup10": _warmup(0.1),
    "warmup50": _warmup(0.5),
    "const": _const,
    "jsd": _jsd,
}


def beta_schedule(name: str, steps: int, start: float = 1e-6, end: float = 1e-2) -> Tensor:
    """beta_1..beta_T, float64: the schedules of SR3's code and DDPM's cosine (which takes no start and end)."""
    if name not in BETA_SCHEDULES:
        raise SettingsError(
            f"There is no noise schedule called '{name}', so none is made. Choose one of {', '.join(BETA_SCHEDULES)}."
        )
    return BETA_SCHEDULES[name](steps, start, end)


def zero_terminal(betas: Tensor) -> Tensor:
    """Betas moved so that abar_T = 0 and sqrt(abar_1) stays. Lin et al. 2024, algorithm 1."""
    root = torch.cumprod(1 - betas, 0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    abar = root**2
    return 1 - torch.cat([abar[:1], abar[1:] / abar[:-1]])


def theta_schedule(name: str, steps: int, *, first: int = 1) -> Tensor:
    """theta_first..theta_T, float64, up to a common factor (dt takes it up). IR-SDE's cosine, linear and constant.

    cosine   theta_i = 1 - f(i+1)/f(0), f(k) = cos^2((k/n + 0.008)/1.008 pi/2), n = T + 2
    linear   from 0.1/(T + 1) to 20/(T + 1) in T equal steps
    first    1, or 0 for the theta_0 that IR-SDE's code takes off its sums and MaRS's leaves in
    """
    if name == "cosine":
        k, n = torch.arange(steps + 3, dtype=torch.float64), steps + 2
        f = torch.cos((k / n + 0.008) / 1.008 * math.pi / 2) ** 2
        return (1 - f / f[0])[1 + first : steps + 2]
    if name == "linear":
        k = 1000 / (steps + 1)
        return torch.linspace(1e-4 * k, 0.02 * k, steps + 1, dtype=torch.float64)[first:]
    if name == "constant":
        return torch.ones(steps + 1 - first, dtype=torch.float64)
    raise SettingsError(
        f"There is no theta schedule called '{name}'. Choose one of cosine, linear, constant."
    )
