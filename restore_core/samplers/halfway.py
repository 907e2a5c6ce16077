"""Samplers that look half way before each step: second order without a memory, at two network calls a step.

With h the step in lambda = log(a/s), each takes a first-order step to the middle (lambda + h/2), asks the denoiser
there, and makes the whole step with that second guess. Fresh noise is added as k-diffusion's ancestral samplers do it:
the flow is followed beyond the next level, to what `kept` leaves of its noise, and the rest is drawn anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor

from restore_core.processes import Process
from restore_core.samplers.base import ETA, Denoise, Draw, Step, arrived, kept, rule, sampler


def middle(process: Process, t_next: Tensor, t: Tensor, eta: float = 0.0) -> Tensor | None:
    """The time half way in lambda between t and the level of what is kept; None where an end of the way is infinite."""
    level = process.level(t) * kept(process, t_next, t, eta) / process.marginal(t_next).a
    finite = bool(level.isfinite()) and level.item() > 0
    return process.time_of(level.sqrt()) if finite else None


@sampler(
    "singlestep", "Single-step 2S (flow or ancestral)", order=2, calls=2, options=(ETA,), spacing="log-snr",
    paper="Lu et al. 2022, DPM-Solver++(2S), algorithm 1 with r = 1/2; eta 1: Crowson 2022 (k-diffusion, 2S ancestral)",
)  # fmt: skip
def singlestep(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw, *, eta: float = 1.0
) -> Iterator[Step]:
    """The rule with D replaced by the guess half way. First-order where the signal is zero and in the last step."""
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        half = middle(process, t_next, t, eta)
        if half is not None:
            q = denoise(rule(process, p, y, half, t, noise, 0.0), half)
            p = process.from_x0(x, y, t, q.x0)
        x = rule(process, p, y, t_next, t, noise, eta)
    yield arrived(i + 1, t_next, x)


@sampler(
    "singlestep-sde", "Single-step SDE", order=2, calls=2, draws=2, options=(ETA,), spacing="log-snr",
    paper="Lu et al. 2022, SDE-DPM-Solver++, as a single step; Crowson 2022 (k-diffusion, DPM++ SDE)",
)  # fmt: skip
def singlestep_sde(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw, *, eta: float = 1.0
) -> Iterator[Step]:
    """The half step is stochastic as well, and the whole step's noise is that of the half and of the rest: one path.

    Drawn apart (as they seem to be where no Brownian path is kept), the two would leave first order behind.
    """
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        half = middle(process, t_next, t)
        if half is None:
            x = rule(process, p, y, t_next, t, noise, eta)
            continue
        first = noise(x) if eta > 0 else x
        q = denoise(rule(process, p, y, half, t, lambda like: first, eta), half)  # noqa: B023  used at once
        c = overlap(process, t_next, half, t)
        whole = c * first + (1 - c**2).clamp(min=0).sqrt() * noise(x) if eta > 0 else first
        x = rule(process, process.from_x0(x, y, t, q.x0), y, t_next, t, lambda like: whole, eta)  # noqa: B023
    yield arrived(i + 1, t_next, x)


def overlap(process: Process, t_next: Tensor, half: Tensor, t: Tensor) -> Tensor:
    """Correlation of a whole step's noise with that of its first half, on one path of the ancestral chain.

    The chain composes: sigma(t', t) z = rho(t', half) sigma(half, t) z_1 + sigma(t', half) z_2.
    """
    s_next, s_half = process.marginal(t_next).s, process.marginal(half).s
    rho = process.gain(t_next, half) * s_next**2 / s_half**2
    return rho * process.posterior_std(half, t) / process.posterior_std(t_next, t)


def midpoint(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw, *, eta: float = 0.0
) -> Iterator[Step]:
    """x' = x + (a'-a) D2 + (b'-b) y + (s_d - s) eps2 + sigma z,  D2, eps2 half way, s_d what is kept. DPM-Solver-2.

    Lu et al. 2022 (DPM-Solver), algorithm 1, and k-diffusion's DPM2 (eta 0) and DPM2 ancestral (eta 1), in differences
    of a, b, s. Not in SAMPLERS: `singlestep` does the same better, for the guess of x0 is the smoother of the two.
    """
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        half = middle(process, t_next, t, eta)
        if half is None:
            x = rule(process, p, y, t_next, t, noise, eta)
            continue
        q = denoise(rule(process, p, y, half, t, noise, 0.0), half)
        (a, b, s), (a1, b1, _) = process.marginal(t), process.marginal(t_next)
        down = kept(process, t_next, t, eta)
        x = x + (a1 - a) * q.x0 + (b1 - b) * y + (down - s) * q.eps
        fresh = eta * process.posterior_std(t_next, t)
        if fresh > 0:
            x = x + fresh * noise(x)
    yield arrived(i + 1, t_next, x)
