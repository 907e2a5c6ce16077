"""Samplers of EDM's variables, u = (x - b y)/a against level = s/a, for running published work as it was run.

They are not in SAMPLERS: large steps at a small a are amplified here, and `exponential-noise` and eta give the same
for less. On VarianceExploding(process) they are k-diffusion's to the letter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from restore_core.processes import Process
from restore_core.samplers.base import Denoise, Draw, Step, arrived, is_last, rule
from restore_core.samplers.euler import corrected


def linear_multistep(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw, *, order: int = 4
) -> Iterator[Step]:
    """u' = u + sum_j C_j eps_j,  C_j = integral over the step of the j-th Lagrange polynomial in the level.

    Adams-Bashforth on an uneven grid (Liu et al. 2022, PNDM; k-diffusion's LMS). `order`: guesses used at most.
    """
    past: list[tuple[float, Tensor]] = []
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        level, level_next = process.level(t).item(), process.level(t_next).item()
        if not math.isfinite(level):
            x = rule(process, p, y, t_next, t, noise, 0.0)
            continue
        past = [(level, p.eps), *past[: order - 1]]
        shares = lagrange_means([known for known, _ in past], level, level_next)
        eps = sum(share * guess for share, (_, guess) in zip(shares, past, strict=True))
        x = rule(process, process.from_eps(x, y, t, eps), y, t_next, t, noise, 0.0)
    yield arrived(i + 1, t_next, x)


def lagrange_means(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """Mean over [start, end] of each Lagrange polynomial through `nodes`; they add to 1.

    Solved in v = (level - start)/(end - start): sum_j share_j v_j^k = 1/(k + 1), the mean of v^k.
    """
    v = (torch.tensor(nodes, dtype=torch.float64) - start) / (end - start)
    powers = torch.arange(len(nodes), dtype=torch.float64)
    return torch.linalg.solve(v[None] ** powers[:, None], 1 / (powers + 1)).tolist()


def churned(
    process: Process,
    denoise: Denoise,
    x: Tensor,
    y: Tensor,
    times: Tensor,
    noise: Draw,
    *,
    churn: float = 0.0,
    low: float = 0.0,
    high: float = math.inf,
    grain: float = 1.0,
    heun: bool = False,
) -> Iterator[Step]:
    """Karras et al. 2022 (EDM), algorithm 2: before each step noise is added, up to level (1 + gamma), then taken off.

    churn       S_churn: gamma = min(churn/steps, sqrt 2 - 1) where low <= level <= high (S_tmin, S_tmax), else 0
    grain       S_noise, the deviation of the noise that is added
    heun        second order; otherwise Euler
    Each Step shows the state after the noise was added, for that is where the guess is made.
    """
    gamma = min(churn / (len(times) - 1), math.sqrt(2) - 1)
    for i, (t, t_next) in enumerate(pairwise(times)):
        if gamma > 0 and low <= process.level(t).item() <= high:
            x, t = _raised(process, x, y, t, gamma, grain, noise)
        p = denoise(x, t)
        yield Step(i, t, x, p)
        ahead = rule(process, p, y, t_next, t, noise, 0.0)
        if heun and not is_last(process, t_next):
            ahead = corrected(process, p, denoise(ahead, t_next), x, y, t_next, t)
        x = ahead
    yield arrived(i + 1, t_next, x)


def _raised(
    process: Process, x: Tensor, y: Tensor, t: Tensor, gamma: float, grain: float, noise: Draw
) -> tuple[Tensor, Tensor]:
    """The state with noise added, and the time whose level it then has; never above the process's own start."""
    level = process.level(t)
    top = process.level(torch.tensor(float(process.steps), dtype=torch.float64))
    higher = torch.minimum(level * (1 + gamma), top)
    (a, b, _), raised = process.marginal(t), process.time_of(higher)
    a1, b1, _ = process.marginal(raised)
    fresh = grain * a1 * (higher**2 - level**2).clamp(min=0).sqrt()
    return (a1 / a) * (x - b * y) + b1 * y + fresh * noise(x), raised
