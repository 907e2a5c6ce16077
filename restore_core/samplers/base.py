"""What every sampler is made of: the step that is shown, the record in the table, and the one rule.

A sampler gets (process, denoise, x, y, times, noise): `denoise(x, t)` returns a Prediction, `times` is float64,
descending and ends at 0, `noise(like)` draws a standard normal; it is called `draws` times (once, but for one sampler)
in each step that uses noise and never in the last. It yields one Step before each update, and the result last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from restore_core.bands import by_bands
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

    def of(self, k: int) -> Step:
        """The k-th picture of a batch."""
        return Step(self.index, self.t, self.x[k : k + 1], self.prediction.of(k))


Walk = Callable[..., Iterator[Step]]


@dataclass(frozen=True)
class Sampler:
    """A way of stepping. `order`: the error falls as (1/steps)^order; `calls`: network calls of one step, and `draws`
    its draws of noise, where it uses any."""

    key: str
    label: str
    order: int
    calls: int
    options: tuple[Option, ...]
    paper: str
    spacing: str
    run: Walk
    draws: int = 1

    def total_calls(self, steps: int) -> int:
        """Network calls of a run; the last step always takes one."""
        return self.calls * (steps - 1) + 1


SAMPLERS: dict[str, Sampler] = {}

ETA = Option(
    "eta", "Randomness (eta)", 1.0, 0.0, 1.0, 0.05,
    help="0: same noise, same path. 1: fresh detail at every step.",
)  # fmt: skip


def sampler(
    key: str,
    label: str,
    *,
    order: int,
    paper: str,
    spacing: str,
    calls: int = 1,
    draws: int = 1,
    options: tuple[Option, ...] = (),
) -> Callable[[Walk], Walk]:
    """Enter a generator function in SAMPLERS; `spacing` is the time grid that suits it."""

    def enter(run: Walk) -> Walk:
        SAMPLERS[key] = Sampler(key, label, order, calls, options, paper, spacing, run, draws)
        return run

    return enter


def arrived(index: int, t: Tensor, x: Tensor) -> Step:
    """The last step: x itself is the guess and there is no noise left."""
    return Step(index, t, x, Prediction(x, x.new_zeros(()).expand_as(x)))


def is_last(process: Process, t_next: Tensor) -> bool:
    """Whether no noise is left at t_next, so that the step can only return the guess."""
    return process.marginal(t_next).s.item() == 0


def kept(process: Process, t_next: Tensor, t: Tensor, eta: float) -> Tensor:
    """rho s = sqrt(s'^2 - (eta sigma_small)^2): how much of eps lives on in x'."""
    return _kept(process.marginal(t_next).s, process.posterior_std(t_next, t), eta)


def _kept(s_next: Tensor, small: Tensor, eta: float) -> Tensor:
    return (s_next**2 - (eta * small) ** 2).clamp(min=0).sqrt()


def rule(
    process: Process,
    guess: Prediction,
    y: Tensor,
    t_next: Tensor,
    t: Tensor,
    noise: Draw,
    eta: float,
    variance: float | Tensor = 0.0,
) -> Tensor:
    """x' = a' D + b' y + rho s eps + sigma z, with sigma = eta sigma_small^(1-w) sigma_large^w, w = variance.

    `variance` widens sigma only, never changes rho: that is what "large" is (DDPM section 3.2).
    """
    if is_last(process, t_next):
        return process.mean(guess.x0, y, t_next)
    small = process.posterior_std(t_next, t)
    share = _kept(process.marginal(t_next).s, small, eta)
    x_next = by_bands(
        lambda x0, y, eps: process.mean(x0, y, t_next) + share * eps, guess.x0, y, guess.eps
    )
    sigma = eta * small
    if isinstance(variance, Tensor) or variance:
        sigma = eta * (small ** (1 - variance) * process.forward_std(t_next, t) ** variance)
    if sigma.ndim:  # learned, a picture on the device: whether any of it is above zero is not asked there
        return x_next + sigma * noise(x_next) if eta > 0 else x_next
    if sigma <= 0:
        return x_next
    return by_bands(lambda x, z: x + sigma * z, x_next, noise(x_next), onto=x_next)
