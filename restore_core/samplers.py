"""Samplers: plain generators that walk from x_T to a clean picture, for every process alike.

With D the denoiser's guess of x0, primes for the next (cleaner) time and r the process's gain, all of them are

    x' = a' D + b' y + rho (x - a D - b y) + sigma z

    posterior, eta = 1     rho = r s'^2/s^2,   sigma_small^2 = s'^2 - rho^2 s^2
    DDIM(eta)              sigma = eta sigma_small,   rho = sqrt(s'^2 - sigma^2)/s

or higher-order versions of the same. A sampler gets (process, denoise, x, y, times, noise): `denoise(x, t)` returns a
Prediction, `times` is float64, descending and ends at 0, `noise(like)` draws a standard normal; it is called exactly
once in each step that uses noise and never in the last. It yields one Step before each update, and the result last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.processes import Prediction, Process
from restore_core.settings import Option

Denoise = Callable[[Tensor, Tensor], Prediction]
Draw = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Step:
    """The state x at time t with the denoiser's guess there; on the last one t = 0, x0 = x and eps = 0."""

    index: int
    t: Tensor
    x: Tensor
    prediction: Prediction


Walk = Callable[..., Iterator[Step]]


@dataclass(frozen=True)
class Sampler:
    """A way of stepping. `order`: the error falls as (1/steps)^order; `calls`: network calls of one step."""

    key: str
    label: str
    order: int
    calls: int
    options: tuple[Option, ...]
    paper: str
    spacing: str
    run: Walk

    def total_calls(self, steps: int) -> int:
        """Network calls of a run; the last step always takes one."""
        return self.calls * (steps - 1) + 1


SAMPLERS: dict[str, Sampler] = {}

ETA = Option(
    "eta", "Randomness (eta)", 1.0, 0.0, 1.0, 0.05,
    help="0: same noise, same path. 1: fresh detail at every step.",
)  # fmt: skip
VARIANCE = Option(
    "variance", "Reverse variance", 0.0, 0.0, 1.0, 0.05,
    help="0: small (the posterior's). 1: large (beta). Large adds grain when steps are few.",
)  # fmt: skip


def sampler(
    key: str,
    label: str,
    *,
    order: int,
    paper: str,
    spacing: str,
    calls: int = 1,
    options: tuple[Option, ...] = (),
) -> Callable[[Walk], Walk]:
    """Enter a generator function in SAMPLERS; `spacing` is the time grid that suits it."""

    def enter(run: Walk) -> Walk:
        SAMPLERS[key] = Sampler(key, label, order, calls, options, paper, spacing, run)
        return run

    return enter


def arrived(index: int, t: Tensor, x: Tensor) -> Step:
    """The last step: x itself is the guess and there is no noise left."""
    return Step(index, t, x, Prediction(x, torch.zeros_like(x)))


def _is_last(process: Process, t_next: Tensor) -> bool:
    return process.marginal(t_next).s.item() == 0


def _rule(
    process: Process,
    x: Tensor,
    y: Tensor,
    t: Tensor,
    t_next: Tensor,
    x0: Tensor,
    noise: Draw,
    eta: float,
    variance: float = 0.0,
) -> Tensor:
    """x' = a' D + b' y + rho (x - a D - b y) + sigma z, with sigma = eta sigma_small^(1-w) sigma_large^w, w = variance.

    `variance` widens sigma only, never changes rho: that is what "large" is (DDPM section 3.2).
    """
    if _is_last(process, t_next):
        return process.mean(x0, y, t_next)
    small = process.posterior_std(t_next, t)
    s, s_next = process.marginal(t).s, process.marginal(t_next).s
    rho = (s_next**2 - (eta * small) ** 2).clamp(min=0).sqrt() / s
    x_next = process.mean(x0, y, t_next) + rho * (x - process.mean(x0, y, t))
    sigma = eta * (small ** (1 - variance) * process.forward_std(t_next, t) ** variance)
    return x_next + sigma * noise(x) if sigma > 0 else x_next


@sampler(
    "ddim", "DDIM / ancestral", order=1, options=(ETA, VARIANCE), spacing="quadratic",
    paper="Song et al. 2021, eq. 12; eta 1 is DDPM, ResShift's and IR-SDE's posterior step",
)  # fmt: skip
def ddim(
    process: Process,
    denoise: Denoise,
    x: Tensor,
    y: Tensor,
    times: Tensor,
    noise: Draw,
    *,
    eta: float = 1.0,
    variance: float = 0.0,
) -> Iterator[Step]:
    """x' = a' D + b' y + sqrt(s'^2 - f^2) eps + f z,  f = eta posterior_std. eta = 0 is Euler on the exact flow."""
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        x = _rule(process, x, y, t, t_next, p.x0, noise, eta, variance)
    yield arrived(i + 1, t_next, x)


@sampler(
    "euler-maruyama", "Reverse SDE (Euler-Maruyama)", order=1, options=(ETA,), spacing="quadratic",
    paper="Song et al. 2021 (SDE), eq. 6, in differences of a, b, s",
)  # fmt: skip
def euler_maruyama(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw, *, eta: float = 1.0
) -> Iterator[Step]:
    """x' = x + (a'-a) D + (b'-b) y + (s'-s - G/(2s)) eps + sqrt(G) z,   G = eta^2 (s^2 - r^2 s'^2).

    Reverse SDE of dx = (a. D + b. y + s. eps) dt with diffusion g^2 = d(s^2)/dt - 2 s^2 dlog(r)/dt, whose finite form
    is G. eta = 0 is the flow. The last step returns D.
    """
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        if _is_last(process, t_next):
            x = process.mean(p.x0, y, t_next)
            continue
        (a, b, s), (a1, b1, s1) = process.marginal(t), process.marginal(t_next)
        fresh = eta * process.forward_std(t_next, t)
        x = x + (a1 - a) * p.x0 + (b1 - b) * y + (s1 - s - fresh**2 / (2 * s)) * p.eps
        if fresh > 0:
            x = x + fresh * noise(x)
    yield arrived(i + 1, t_next, x)


@sampler(
    "heun", "Flow, Heun", order=2, calls=2, spacing="quadratic",
    paper="Karras et al. 2022 (EDM), algorithm 1 without churn, in differences of a, b, s",
)  # fmt: skip
def heun(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw
) -> Iterator[Step]:
    """x' = x + (a'-a)(D + D2)/2 + (b'-b) y + (s'-s)(eps + eps2)/2,  D2, eps2 at the DDIM(0) point. Last step: D."""
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        ahead = _rule(process, x, y, t, t_next, p.x0, noise, 0.0)
        if _is_last(process, t_next):
            x = ahead
            continue
        q = denoise(ahead, t_next)
        (a, b, s), (a1, b1, s1) = process.marginal(t), process.marginal(t_next)
        x = x + (a1 - a) * (p.x0 + q.x0) / 2 + (b1 - b) * y + (s1 - s) * (p.eps + q.eps) / 2
    yield arrived(i + 1, t_next, x)


def _multistep(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw, eta: float
) -> Iterator[Step]:
    """The rule with D replaced by D + (D - D_prev) h/(2 h_prev), h = step in log(a/s)."""
    before: Tensor | None = None
    h_before = math.inf
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        h = (process.log_snr(t_next) - process.log_snr(t)).item()
        guess = p.x0
        if before is not None and math.isfinite(h) and math.isfinite(h_before):
            guess = p.x0 + (p.x0 - before) * (h / (2 * h_before))
        x = _rule(process, x, y, t, t_next, guess, noise, eta)
        before, h_before = p.x0, h
    yield arrived(i + 1, t_next, x)


@sampler(
    "multistep", "Multistep 2M (flow)", order=2, spacing="log-snr",
    paper="Lu et al. 2022, DPM-Solver++(2M), algorithm 2, for any b",
)  # fmt: skip
def multistep(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw
) -> Iterator[Step]:
    """Second order from one network call a step, deterministic. First and last step are first order."""
    return _multistep(process, denoise, x, y, times, noise, 0.0)


@sampler(
    "multistep-sde", "Multistep 2M (stochastic)", order=2, options=(ETA,), spacing="log-snr",
    paper="Lu et al. 2022, SDE-DPM-Solver++(2M), section 5, for any b",
)  # fmt: skip
def multistep_sde(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw, *, eta: float = 1.0
) -> Iterator[Step]:
    """The same with fresh noise, sigma = eta sigma_small."""
    return _multistep(process, denoise, x, y, times, noise, eta)


# Time grids: (process, steps, start) -> `steps` times from start down to 1 or above; 0 is appended by time_grid.


def _uniform(process: Process, steps: int, start: float) -> Tensor:
    return torch.linspace(start, min(1.0, start), steps, dtype=torch.float64)


def _trailing(process: Process, steps: int, start: float) -> Tensor:
    return start * torch.arange(steps, 0, -1, dtype=torch.float64) / steps


def _quadratic(process: Process, steps: int, start: float) -> Tensor:
    return torch.linspace(math.sqrt(start), math.sqrt(min(1.0, start)), steps, dtype=torch.float64) ** 2


def _by_level(forward: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]):
    """Even in forward(s/a), from the start (or, if no signal is left there, one index below) down to index 1."""

    def grid(process: Process, steps: int, start: float) -> Tensor:
        top = start if torch.isfinite(process.level(torch.tensor(start))) else start - 1
        ends = process.level(torch.tensor([top, min(1.0, top)], dtype=torch.float64))
        even = torch.linspace(*forward(ends).tolist(), steps, dtype=torch.float64)
        times = process.time_of(back(even))
        if steps > 1:
            times[-1] = min(1.0, start)
        return times

    return grid


GRIDS: Mapping[str, Callable[[Process, int, float], Tensor]] = {
    "uniform": _uniform,
    "trailing": _trailing,
    "quadratic": _quadratic,
    "log-snr": _by_level(torch.log, torch.exp),
    "karras": _by_level(lambda level: level ** (1 / 7), lambda root: root**7),
}
GRID_LABELS: Mapping[str, str] = {
    "paper": "The paper's own",
    "uniform": "Even in time",
    "trailing": "Trailing",
    "quadratic": "Quadratic",
    "log-snr": "Even in log signal-to-noise",
    "karras": "Karras (rho 7)",
}


def time_grid(
    process: Process, steps: int, spacing: str, *, start: float | None = None, whole: bool = False
) -> Tensor:
    """`steps` times from `start` (default: process.steps) downwards and then 0: float64, strictly descending.

    spacing   a key of GRIDS
    whole     only whole times (networks told an index): rounded, doubles dropped, so there may be fewer steps
    """
    if spacing not in GRIDS:
        raise SettingsError(f"There is no time grid called '{spacing}'. Choose one of {', '.join(GRIDS)}.")
    if steps < 1:
        raise SettingsError(f"{steps} steps were asked for, and a run takes at least one. Choose 1 or more.")
    if whole and steps > process.steps:
        raise SettingsError(
            f"{steps} steps were asked of a process with {process.steps}: this network was trained on {process.steps} "
            f"noise levels and knows none between them. Choose {process.steps} or fewer."
        )
    start = float(process.steps) if start is None else start
    times = GRIDS[spacing](process, steps, start)
    times[0] = start  # exactly, whatever roots and logarithms left of it
    if whole:
        times = torch.unique(times.round().clamp(min=1)).flip(0)
    return torch.cat([times, torch.zeros(1, dtype=torch.float64)])
