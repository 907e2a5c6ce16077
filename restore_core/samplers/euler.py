"""Samplers that look at the present state alone: Euler's and Heun's steps on the flow and on the reverse SDE."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor

from restore_core.processes import Prediction, Process
from restore_core.samplers.base import ETA, Denoise, Draw, Step, arrived, is_last, rule, sampler
from restore_core.settings import Option

VARIANCE = Option(
    "variance", "Reverse variance", 0.0, 0.0, 1.0, 0.05,
    help="0: small (the posterior's). 1: large (beta). Large adds grain when steps are few.",
)  # fmt: skip
DRIFT = Option(
    "drift", "Drift", "exact", choices=("exact", "plain"),
    help="exact: sound at any number of steps. plain: as IR-SDE was published, for all of its steps.",
)  # fmt: skip


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
    """x' = a' D + b' y + sqrt(s'^2 - f^2) eps + f z,  f = eta posterior_std. eta = 0 is Euler on the exact flow.

    A variance that the network learned takes the place of `variance`.
    """
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        x = rule(process, p, y, t_next, t, noise, eta, variance if p.variance is None else p.variance)
        del p  # two pictures, which need not wait for the next guess
    yield arrived(i + 1, t_next, x)


@sampler(
    "euler-maruyama", "Reverse SDE (Euler-Maruyama)", order=1, options=(ETA, DRIFT), spacing="quadratic",
    paper="Song et al. 2021 (SDE), eq. 6, in differences of a, b, s; plain: Luo et al. 2023 (IR-SDE)",
)  # fmt: skip
def euler_maruyama(
    process: Process,
    denoise: Denoise,
    x: Tensor,
    y: Tensor,
    times: Tensor,
    noise: Draw,
    *,
    eta: float = 1.0,
    drift: str = "exact",
) -> Iterator[Step]:
    """x' = x + (a'-a) D + (b'-b) y + (s'-s - G/(2s)) eps + sqrt(G) z,   G = eta^2 (s^2 - r^2 s'^2).

    Reverse SDE of dx = (a. D + b. y + s. eps) dt with diffusion g^2 = d(s^2)/dt - 2 s^2 dlog(r)/dt, whose finite form
    is G. eta = 0 is the flow. The last step returns D. With drift "plain" the differences are derivatives instead
    (Process.euler_mean), and the last step is like any other, its noise included: IR-SDE's code to the letter.
    """
    step = _plain if drift == "plain" else _in_differences
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        if is_last(process, t_next) and drift != "plain":
            x = process.mean(p.x0, y, t_next)
            continue
        x, fresh = step(process, x, y, t_next, t, p, eta)
        if fresh > 0:
            x = x + fresh * noise(x)
    yield arrived(i + 1, t_next, x)


def _in_differences(
    process: Process, x: Tensor, y: Tensor, t_next: Tensor, t: Tensor, p: Prediction, eta: float
) -> tuple[Tensor, Tensor]:
    (a, b, s), (a1, b1, s1) = process.marginal(t), process.marginal(t_next)
    fresh = eta * process.forward_std(t_next, t)
    return x + (a1 - a) * p.x0 + (b1 - b) * y + (s1 - s - fresh**2 / (2 * s)) * p.eps, fresh


def _plain(
    process: Process, x: Tensor, y: Tensor, t_next: Tensor, t: Tensor, p: Prediction, eta: float
) -> tuple[Tensor, Tensor]:
    return process.euler_mean(x, y, t_next, t, p, eta), eta * process.rates(t_next, t).g2.sqrt()


@sampler(
    "heun", "Flow, Heun", order=2, calls=2, spacing="quadratic",
    paper="Karras et al. 2022 (EDM), algorithm 1 without churn, in differences of a, b, s",
)  # fmt: skip
def heun(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw
) -> Iterator[Step]:
    """x' = x + (a'-a)(D + D2)/2 + (b'-b) y + (s'-s)(eps + eps2)/2,  D2, eps2 at the DDIM(0) point. Last step: D.

    On VarianceExploding(process) this is EDM's own step.
    """
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        ahead = rule(process, p, y, t_next, t, noise, 0.0)
        if is_last(process, t_next):
            x = ahead
            continue
        x = corrected(process, p, denoise(ahead, t_next), x, y, t_next, t)
    yield arrived(i + 1, t_next, x)


def corrected(
    process: Process, p: Prediction, q: Prediction, x: Tensor, y: Tensor, t_next: Tensor, t: Tensor
) -> Tensor:
    """Heun's step from x at t, by the mean of the guesses p at t and q at the point that Euler's step led to."""
    (a, b, s), (a1, b1, s1) = process.marginal(t), process.marginal(t_next)
    return x + (a1 - a) * (p.x0 + q.x0) / 2 + (b1 - b) * y + (s1 - s) * (p.eps + q.eps) / 2


def invert(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, *, ahead: bool = False
) -> Iterator[Step]:
    """DDIM(0) upwards, from a picture to the noise that it comes from: x' = a' D + b' y + (s'/s)(x - a D - b y).

    times   ascending, from above 0: a picture counts as a state of the first
    ahead   ask for the guess at the time that is moved to (SinSR) instead of the present one (Song et al. 2021)
    The last Step's x is the noisy state, and its guess the last one made.
    """
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t_next if ahead else t)
        p = process.from_x0(x, y, t, p.x0)
        yield Step(i, t, x, p)
        x = rule(process, p, y, t_next, t, noiseless, 0.0)
    yield Step(i + 1, t_next, x, p)


def noiseless(like: Tensor) -> Tensor:
    """The draw of walks that never draw."""
    raise AssertionError("A deterministic step asked for noise.")
