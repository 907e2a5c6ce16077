"""Samplers that remember: the guess is carried on as a polynomial in lambda = log(a/s), at one network call a step.

On every process, whatever b is, the flow from lambda to lambda' = lambda + h is

    x' = b' y + (s'/s)(x - b y) + s' integral of e^l D(l) dl            (Lu et al. 2022, for any b)

so a step is the rule with D replaced by a weighted mean of the extrapolated guesses: weight e^(-q (1 - v)) at v = u/h
of the way, q = h on the flow, 2h with as much noise as the process has of its own, log(a'/(a rho)) in general.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from restore_core.bands import by_bands
from restore_core.processes import Process
from restore_core.samplers.base import ETA, Denoise, Draw, Step, arrived, kept, rule, sampler
from restore_core.settings import Option

ORDER = Option(
    "order", "Order", 2.0, 1.0, 3.0, 1.0,
    help="How many guesses are joined by a curve. 3 is best where the network is smooth, shaky where it is not.",
)  # fmt: skip

BEND = Option(
    "bend", "Quadratic term", "whole", choices=("whole", "half"),
    help="whole: the parabola as it is. half: as published codes have it, who lose the third order by it.",
)  # fmt: skip


class Past(NamedTuple):
    """One guess (of x0 or of eps) and the log(a/s) at which it was made."""

    log_snr: float
    guess: Tensor


def averages(q: float) -> tuple[float, float]:
    """Means of v and of v^2 on [0, 1] under the weight e^(-q (1 - v)): 1/2 and 1/3 at q = 0."""
    if abs(q) < 1e-5:
        return 1 / 2 + q / 12, 1 / 3 + q / 12
    first = -1 / math.expm1(-q) - 1 / q
    return first, -1 / math.expm1(-q) - 2 * first / q


def carried_on(past: Sequence[Past], h: float, first: float, second: float) -> Tensor:
    """Mean over the step of the polynomial through the past guesses (newest first), v = 0 now, v = 1 after h.

    P(v) = D + slope v + bend v (v + r),  slope = (D - D_1)/r,  r = h_1/h (Newton's form);  first, second: means of v
    and of v^2.
    """
    now = past[0]
    if len(past) == 1 or not math.isfinite(h):
        return now.guess
    r = (now.log_snr - past[1].log_snr) / h
    if len(past) == 2:
        return by_bands(lambda new, old: new + first * ((new - old) / r), now.guess, past[1].guess)
    slope = (now.guess - past[1].guess) / r
    r_before = (past[1].log_snr - past[2].log_snr) / h
    bend = (slope - (past[1].guess - past[2].guess) / r_before) / (r + r_before)
    return now.guess + (first * (slope + r * bend) + second * bend)


def _walk(
    process: Process,
    denoise: Denoise,
    x: Tensor,
    y: Tensor,
    times: Tensor,
    noise: Draw,
    *,
    eta: float,
    order: float | Sequence[int],
    midpoint: bool,
    bend: float = 1.0,
) -> Iterator[Step]:
    past: list[Past] = []
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        past = [Past(process.log_snr(t).item(), p.x0), *past[: most_of(order) - 1]]
        del p  # its eps is of no use here, and as large as the picture
        used = past[: order_of(order, i)]
        h = process.log_snr(t_next).item() - past[0].log_snr
        first, second = averages(_weight(process, t_next, t, eta))
        if midpoint and len(used) == 2:
            first = 1 / 2
        guess = process.from_x0(x, y, t, carried_on(used, h, first, bend * second))
        del x  # likewise, while the next is made
        x = rule(process, guess, y, t_next, t, noise, eta)
        del guess
    yield arrived(i + 1, t_next, x)


def order_of(order: float | Sequence[int], index: int) -> int:
    """The order of step `index`: one number for all of them, or one for each."""
    return order[index] if isinstance(order, Sequence) else round(order)


def most_of(order: float | Sequence[int]) -> int:
    """How many guesses are ever joined."""
    return max(order) if isinstance(order, Sequence) else round(order)


def _weight(process: Process, t_next: Tensor, t: Tensor, eta: float) -> float:
    """q = log(a'/(a rho)), infinite at the ends."""
    (a, _, s), a_next = process.marginal(t), process.marginal(t_next).a
    return (a_next * s / (a * kept(process, t_next, t, eta))).log().item()


@sampler(
    "multistep", "Multistep 2M (flow)", order=2, spacing="log-snr",
    paper="Lu et al. 2022, DPM-Solver++(2M), algorithm 2, for any b",
)  # fmt: skip
def multistep(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw
) -> Iterator[Step]:
    """D + (D - D_prev) h/(2 h_prev): second order from one network call a step. First and last step are first order."""
    return _walk(process, denoise, x, y, times, noise, eta=0.0, order=2, midpoint=True)


@sampler(
    "multistep-sde", "Multistep 2M (stochastic)", order=2, options=(ETA,), spacing="log-snr",
    paper="Lu et al. 2022, SDE-DPM-Solver++(2M), section 5, for any b",
)  # fmt: skip
def multistep_sde(
    process: Process, denoise: Denoise, x: Tensor, y: Tensor, times: Tensor, noise: Draw, *, eta: float = 1.0
) -> Iterator[Step]:
    """The same with fresh noise, sigma = eta sigma_small."""
    return _walk(process, denoise, x, y, times, noise, eta=eta, order=2, midpoint=True)


@sampler(
    "multistep-3-sde", "Multistep 3M (stochastic)", order=2, options=(ETA, BEND), spacing="log-snr",
    paper="Lu et al. 2022, SDE-DPM-Solver++(3M); Crowson 2023 (k-diffusion, DPM++ 3M SDE)",
)  # fmt: skip
def multistep_3_sde(
    process: Process,
    denoise: Denoise,
    x: Tensor,
    y: Tensor,
    times: Tensor,
    noise: Draw,
    *,
    eta: float = 1.0,
    bend: str = "whole",
) -> Iterator[Step]:
    """A parabola through the last three guesses, integrated exactly, with fresh noise: DiffBIR v2.1's own choice.

    bend   "half" for k-diffusion's code, which keeps half of the quadratic term
    """
    share = {"whole": 1.0, "half": 0.5}[bend]
    return _walk(process, denoise, x, y, times, noise, eta=eta, order=3, midpoint=False, bend=share)


@sampler(
    "exponential", "Exponential integrator (MaRS)", order=2, options=(ETA, ORDER), spacing="log-snr",
    paper="Li et al. 2025 (MaRS), data prediction; Lu et al. 2022, DPM-Solver++(3M)",
)  # fmt: skip
def exponential(
    process: Process,
    denoise: Denoise,
    x: Tensor,
    y: Tensor,
    times: Tensor,
    noise: Draw,
    *,
    eta: float = 1.0,
    order: float | Sequence[int] = 2,
    midpoint: bool = False,
    bend: float = 1.0,
) -> Iterator[Step]:
    """The extrapolated guess integrated exactly, up to order 3.

    order      1, 2 or 3, or one for each step (published codes lower it towards the end of short runs)
    midpoint   steps of order 2 take the guess half way, as DPM-Solver++ does by default
    bend       share of the quadratic term: the codes of DPM-Solver++ and MaRS take 1/2, which leaves third order behind
    """
    return _walk(process, denoise, x, y, times, noise, eta=eta, order=order, midpoint=midpoint, bend=bend)


@sampler(
    "exponential-noise", "Exponential integrator, of the noise", order=2, spacing="log-snr",
    paper="Li et al. 2025 (MaRS), noise prediction; Lu et al. 2022, DPM-Solver-2M",
)  # fmt: skip
def exponential_noise(
    process: Process,
    denoise: Denoise,
    x: Tensor,
    y: Tensor,
    times: Tensor,
    noise: Draw,
    *,
    order: float | Sequence[int] = 2,
    bend: float = 1.0,
) -> Iterator[Step]:
    """The noise carried on instead of the picture: x' = b' y + (a'/a)(x - b y) - s' integral of e^(h - u) eps(u) du.

    `order` and `bend` as above. There is no stochastic form: it would be of first order.
    """
    past: list[Past] = []
    for i, (t, t_next) in enumerate(pairwise(times)):
        p = denoise(x, t)
        yield Step(i, t, x, p)
        past = [Past(process.log_snr(t).item(), p.eps), *past[:2]]
        used, h = past[: order_of(order, i)], process.log_snr(t_next).item() - past[0].log_snr
        if len(used) > 1 and math.isfinite(h):  # else the guess as it is, which at a = 0 no noise tells
            first, second = averages(-h)
            p = process.from_eps(x, y, t, carried_on(used, h, first, bend * second))
        x = rule(process, p, y, t_next, t, noise, 0.0)
    yield arrived(i + 1, t_next, x)
