"""The losses. Pictures are (N, 3, H, W) in [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.networks.compact_unet import CompactModel
from restore_core.processes import Process

LOG_LEVEL_MEAN, LOG_LEVEL_STD = (
    -1.6,
    1.4,
)  # log level ~ N(mean, std^2), as EDM draws it; levels in units of [-1, 1]


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
    fed = model.network_input(r, a, s, g, y, sd)
    raw = model.denoiser(fed, level, model.describe(y)).float()
    return (raw - model.target(x0, r, a, s, g, sd)).square().mean()


# The families' published losses, pure functions of everything drawn. `network(x, told)` returns its raw output with
# whatever else it sees already bound; t is float64 (N, 1, 1, 1), whole times count from 1; each returns one loss a
# picture, (N,).

Network = Callable[[Tensor, Tensor], Tensor]


def distance(raw: Tensor, aim: Tensor, power: int = 2) -> Tensor:
    """Mean of |raw - aim|^power over all but the batch: power 1 or 2."""
    return (raw - aim).abs().pow(power).flatten(1).mean(1)


def target(process: Process, predicts: str, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """What a network should answer that predicts "x0", "eps", "v", "residual" (y - x0) or "noise" (s eps).

    v = a eps - s (x0 - y), Salimans and Ho 2022.
    """
    a, _, s = (c.to(x0) for c in process.marginal(t))
    aims: Mapping[str, Callable[[], Tensor]] = {
        "x0": lambda: x0,
        "eps": lambda: eps,
        "v": lambda: a * eps - s * (x0 - y),
        "residual": lambda: y - x0,
        "noise": lambda: s * eps,
    }
    if predicts not in aims:
        raise SettingsError(f"No network is known to predict '{predicts}'. Choose one of {', '.join(aims)}.")
    return aims[predicts]()


def noise_matching_loss(
    process: Process, network: Network, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor, *, power: int = 2
) -> Tensor:
    """|network(x_t, t) - eps|^power. Ho et al. 2020, eq. 14; a baseline of IR-SDE, Luo et al. 2023."""
    return distance(network(process.diffuse(x0, y, t, eps), t), eps, power)


def clean_matching_loss(
    process: Process, network: Network, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor
) -> Tensor:
    """|network(x_t, t) - x0|^2. ResShift, Yue et al. 2023, unweighted as published."""
    return distance(network(process.diffuse(x0, y, t, eps), t), x0)


def noise_level(process: Process, t: Tensor, u: Tensor) -> Tensor:
    """sqrt(abar) between its values at t - 1 and t, u in [0, 1]: a_{t-1} + u (a_t - a_{t-1}), float64, shaped like t.

    WaveGrad's trick (Chen et al. 2020) in SR3: the network learns all levels, so any schedule will do afterwards.
    """
    return torch.lerp(process.marginal(t - 1).a, process.marginal(t).a, u)


def level_conditional_loss(
    process: Process, network: Network, x0: Tensor, y: Tensor, level: Tensor, eps: Tensor, *, power: int = 1
) -> Tensor:
    """|network(a x0 + b y + s eps, a) - eps|^power at a = level, (N,). SR3, Saharia et al. 2021, eq. 6 (p = 1)."""
    a = level.reshape(-1, 1, 1, 1)
    t = process.time_of((1 - a**2).clamp(min=0).sqrt() / a)
    return distance(network(process.diffuse(x0, y, t, eps), a), eps, power)


def maximum_likelihood_loss(
    process: Process, network: Network, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor, *, power: int = 1
) -> Tensor:
    """|E - x*|^power: E the plain Euler step of the reverse SDE that the predicted noise makes, x* the posterior mean.

    IR-SDE, Luo et al. 2023: one step, from t to t - 1. Process.calibrated reads weights trained so.
    """
    x = process.diffuse(x0, y, t, eps)
    guess = process.from_eps(x, y, t, network(x, t))
    aim = process.posterior_mean(x, y, t - 1, t, x0)
    return distance(process.euler_mean(x, y, t - 1, t, guess), aim, power)


def variational_weight(
    process: Process, predicts: str, t_next: Tensor, t: Tensor, floor: float = 0.0
) -> Tensor:
    """(a' - rho a)^2/(2 sigma_small^2), a squared error's weight in the variational bound; for eps times (s/a)^2.

    Ho et al. 2020, eqs. 8 and 12. sigma_small^2 is at least `floor`, for it is 0 at the last step.
    """
    (a, _, s), one = process.marginal(t), torch.ones_like(t)
    on_x0 = process.posterior_mean(0 * one, 0 * one, t_next, t, one)
    scale = {"x0": one, "residual": one, "eps": s / a}
    if predicts not in scale:
        raise SettingsError(f"No weight is known for '{predicts}'. Choose one of {', '.join(scale)}.")
    return (on_x0 * scale[predicts]) ** 2 / (2 * (process.posterior_std(t_next, t) ** 2).clamp(min=floor))


def residual_noise_loss(
    model: CompactModel, x0: Tensor, y: Tensor, g: Tensor, level: Tensor, eps: Tensor, *, power: int = 1
) -> Tensor:
    """|eps_hat - eps|^power, (N,), eps_hat the noise that the denoiser's D leaves in q = a (x0 - g) + s eps.

    DvSR, Whang et al. 2022: `level` = a = sqrt(abar), float64 (N,), and s = sqrt(1 - a^2). g keeps its gradient:
    predictor and denoiser are trained jointly.
    """
    a = level.to(x0).reshape(-1, 1, 1, 1)
    s = (1 - level**2).sqrt().to(x0).reshape(-1, 1, 1, 1)
    q = a * (x0 - g) + s * eps
    guess = model.denoise(q, a, s, g, y)
    return distance((q - a * (guess - g)) / s, eps, power)
