"""The forward processes. Every one is the same Gaussian interpolation between the clean picture and an anchor y:

    x_t = a_t x_0 + b_t y + s_t eps,        b_t = 1 - a_t,        eps ~ N(0, I)

    family                            a_t               s_t                         gain (noise kept from t' to t > t')
    variance preserving (SR3, DvSR)   sqrt(abar_t)      sqrt(1 - abar_t)            a_t / a_t'
    residual shifting (ResShift)      1 - eta_t         kappa sqrt(eta_t)           1
    mean reverting (IR-SDE)           exp(-thetabar_t)  lambda sqrt(1 - a_t^2)      a_t / a_t'

Time t is the position on the grid that the network was trained on: 0 is clean, `steps` is the start; it may be
fractional. SR3 and DiffBIR anchor at y = 0, DvSR at its predictor's output g(y). Coefficients are float64; `t` is a
0-d tensor in sampling and (N, 1, 1, 1) in training; states x are (N, C, H, W) in whatever space a method works.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from restore_core.errors import SettingsError


class Marginal(NamedTuple):
    """Coefficients of x_t = a x0 + b y + s eps."""

    a: Tensor
    b: Tensor
    s: Tensor


class Prediction(NamedTuple):
    """Two views of one guess: x_t = a x0 + b y + s eps."""

    x0: Tensor
    eps: Tensor


class Process(ABC):
    """A forward process on t in [0, steps]. Subclasses say a and s; everything else follows."""

    steps: int

    @abstractmethod
    def signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(a_t, s_t), float64, shaped like t."""

    def marginal(self, t: Tensor) -> Marginal:
        """(a, b, s) at time t, with b = 1 - a."""
        a, s = self.signal_and_noise(torch.as_tensor(t, dtype=torch.float64))
        return Marginal(a, 1 - a, s)

    def level(self, t: Tensor) -> Tensor:
        """s/a, the noise beside a clean picture of unit scale: 0 at t = 0, infinite where a = 0."""
        a, _, s = self.marginal(t)
        return s / a

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda = log(a/s), half the log signal-to-noise ratio: infinite at t = 0, minus infinity where a = 0."""
        return -self.level(t).log()

    def gain(self, t_next: Tensor, t: Tensor) -> Tensor:
        """How much of the cleaner state's noise survives in the noisier one: a_t / a_next unless the paper differs."""
        return self.marginal(t).a / self.marginal(t_next).a

    def posterior_std(self, t_next: Tensor, t: Tensor) -> Tensor:
        """Deviation of q(x_next | x_t, x_0): s_next sqrt(1 - (gain s_next / s_t)^2).

        DDPM eq. 7; ResShift's and IR-SDE's posterior deviations are this line with their own a, s and gain.
        """
        s_next, s = self.marginal(t_next).s, self.marginal(t).s
        ratio = torch.where(s > 0, self.gain(t_next, t) * s_next / s, 1.0)
        return s_next * (1 - ratio**2).clamp(min=0).sqrt()

    def forward_std(self, t_next: Tensor, t: Tensor) -> Tensor:
        """Deviation of q(x_t | x_next), the noise that one forward step adds: sqrt(s_t^2 - (gain s_next)^2).

        For variance preserving processes its square is beta_t, DDPM's "large" choice of the reverse variance.
        """
        s_next, s = self.marginal(t_next).s, self.marginal(t).s
        return (s**2 - (self.gain(t_next, t) * s_next) ** 2).clamp(min=0).sqrt()

    def mean(self, x0: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """a x0 + b y."""
        a, b, _ = self._fitting(t, x0)
        return a * x0 + b * y

    def diffuse(self, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """a x0 + b y + s eps: the state at t of a known clean picture."""
        a, b, s = self._fitting(t, x0)
        return a * x0 + b * y + s * eps

    def prior(self, y: Tensor, eps: Tensor) -> Tensor:
        """x_T as the published samplers draw it: y + s_T eps, the mean exactly at the anchor."""
        return y + self._fitting(torch.tensor(float(self.steps)), y).s * eps

    def from_x0(self, x: Tensor, y: Tensor, t: Tensor, x0: Tensor) -> Prediction:
        """eps = (x - a x0 - b y)/s; zero where s = 0, for there is no noise to speak of."""
        a, b, s = self._fitting(t, x)
        return Prediction(x0, (x - a * x0 - b * y) * torch.where(s > 0, 1 / s, 0.0))

    def from_eps(self, x: Tensor, y: Tensor, t: Tensor, eps: Tensor) -> Prediction:
        """x0 = (x - b y - s eps)/a. Where a = 0 the state tells nothing of x0, and the guess is the anchor."""
        a, b, s = self._fitting(t, x)
        known = (a > 0).to(x.dtype)
        return Prediction((x - b * y - s * eps) / torch.where(a > 0, a, 1.0) * known + (1 - known) * y, eps)

    def from_v(self, x: Tensor, y: Tensor, t: Tensor, v: Tensor) -> Prediction:
        """With w = x - y = a w0 + s eps and v = a eps - s w0:  w0 = (a w - s v)/n,  eps = (s w + a v)/n,  n = a^2 + s^2.

        Salimans and Ho 2022, section 4; for variance preserving processes n = 1. Sound at a = 0 and at s = 0.
        """
        a, _, s = self._fitting(t, x)
        n, w = a**2 + s**2, x - y
        return Prediction(y + (a * w - s * v) / n, (s * w + a * v) / n)

    def score(self, t: Tensor, prediction: Prediction) -> Tensor:
        """grad log p(x_t) = -eps/s; only for t > 0."""
        return -prediction.eps / self._fitting(t, prediction.eps).s

    def time_of(self, level: Tensor, low: float = 0.0) -> Tensor:
        """The t in [low, steps] whose s/a is `level` (float64, any shape), by bisection: s/a grows with t."""
        level = torch.as_tensor(level, dtype=torch.float64)
        below, above = torch.full_like(level, low), torch.full_like(level, float(self.steps))
        for _ in range(60):
            middle = (below + above) / 2
            smaller = self.level(middle) < level
            below, above = torch.where(smaller, middle, below), torch.where(smaller, above, middle)
        return (below + above) / 2

    def _fitting(self, t: Tensor, x: Tensor) -> Marginal:
        """Coefficients in x's dtype where they have x's rank; 0-d ones stay float64, for they do not widen x."""
        m = self.marginal(t)
        return m if m.a.ndim == 0 else Marginal(*(c.to(x) for c in m))


def _interpolate(table: Tensor, t: Tensor) -> Tensor:
    """Linear in t between the entries 0, 1, 2, ... of a 1-d table."""
    low = t.floor().clamp(0, len(table) - 2).long()
    table, share = table.to(t.device), t - low
    return torch.lerp(table[low], table[low + 1], share)


class VariancePreserving(Process):
    """a = sqrt(abar_t), s = sqrt(1 - abar_t), abar_t = product of (1 - beta_i) for i = 1..t. Ho et al. 2020, eq. 4.

    betas    (T,) float64 in (0, 1]; a last beta of 1 (zero terminal signal-to-noise ratio) is allowed
    Between indices log(a/s) is linear in t; below index 1 a is linear, as SR3 draws its noise levels.
    """

    def __init__(self, betas: Tensor):
        betas = torch.as_tensor(betas, dtype=torch.float64)
        if betas.ndim != 1 or len(betas) == 0 or not bool(((betas > 0) & (betas <= 1)).all()):
            raise SettingsError(
                "A noise schedule needs a list of betas above 0 and at most 1, and this one has others, so no process "
                "can be made of it. Choose a smaller noise level or another schedule."
            )
        self.steps = len(betas)
        # abar below 1e-60 cannot be told from 0 in any use, and products of (1 - beta) must not underflow
        self.abar = torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - betas, 0)])
        self.abar = torch.where(self.abar > 0, self.abar.clamp(min=1e-60), 0.0)
        self._a = self.abar.sqrt()
        self._s = (1 - self.abar).sqrt()
        self._log_level = 0.5 * ((1 - self.abar[1:]) / self.abar[1:]).log()

    def signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        log_level = self._log_level_at(t)
        a = torch.rsqrt(1 + torch.exp(2 * log_level))
        s = torch.rsqrt(1 + torch.exp(-2 * log_level))
        at_index = t == t.round()  # exact there: no trip through the logarithm
        index = t.round().clamp(0, self.steps).long()
        early = torch.lerp(torch.ones_like(t), self._a[1].to(t.device), t.clamp(max=1))
        a = torch.where(at_index, self._a.to(t.device)[index], torch.where(t < 1, early, a))
        s = torch.where(at_index, self._s.to(t.device)[index], torch.where(t < 1, (1 - early**2).sqrt(), s))
        return a, s

    def _log_level_at(self, t: Tensor) -> Tensor:
        if self.steps == 1:
            return self._log_level.to(t.device)[0].expand(t.shape)
        finite = self._log_level.clone()
        if torch.isinf(finite[-1]):  # the last stretch to zero signal: steeper than the one before, but finite
            finite[-1] = finite[-2] + 20.0
        return _interpolate(finite, t.clamp(min=1) - 1)

    def prior(self, y: Tensor, eps: Tensor) -> Tensor:
        """x_T = y + eps: unit variance, whatever s_T is."""
        return y + eps


class ResidualShifting(Process):
    """a = 1 - eta_t, b = eta_t, s = kappa sqrt(eta_t), gain 1. Yue et al. 2023 (ResShift), eqs. 1, 2 and 10:

        sqrt(eta_t) = start (end/start)^(u^power),   u = (t - 1)/(T - 1),   start = min(min_level/kappa, min_level)

    kappa       noise scale, in the units of the state
    min_level   noise deviation wanted at the first step;  end: sqrt(eta_T);  cap: optional upper limit of `start`
    """

    def __init__(
        self,
        steps: int = 15,
        kappa: float = 2.0,
        *,
        power: float = 0.3,
        min_level: float = 0.04,
        end: float = 0.99,
        cap: float = math.inf,
    ):
        if not (kappa > 0 and 0 < end <= 1 and power > 0 and steps >= 1):
            raise SettingsError(
                f"Residual shifting was asked for with kappa {kappa}, end {end}, power {power} and {steps} steps; it "
                f"needs positive numbers and an end of at most 1. Choose a noise level above 0."
            )
        self.steps, self.kappa, self.power, self.end = steps, kappa, power, end
        self.start = min(min_level / kappa, min_level, cap)

    def sqrt_eta(self, t: Tensor) -> Tensor:
        """sqrt(eta_t), linear in t below the first index (where eta_0 = 0)."""
        u = (t.clamp(min=1) - 1) / max(1, self.steps - 1)
        grown = self.start * (self.end / self.start) ** (u**self.power)
        if self.steps == 1:
            grown = torch.full_like(grown, self.end)
        return grown * t.clamp(max=1)

    def signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        root = self.sqrt_eta(t)
        return 1 - root**2, self.kappa * root

    def gain(self, t_next: Tensor, t: Tensor) -> Tensor:
        """1: a forward step adds a share of the residual and noise, and scales nothing."""
        return torch.ones_like(self.marginal(t).a)


class MeanReverting(Process):
    """a = exp(-c_t), s = scale sqrt(1 - a^2), c_t = sum of theta_i dt for i = 1..t. Luo et al. 2023 (IR-SDE), eq. 6.

    thetas    (T,) float64 > 0, theta_1..theta_T;  dt is chosen so that a_T = eps
    scale     lambda, the deviation of the noise at the end, in the units of the state
    """

    def __init__(self, thetas: Tensor, scale: float, *, eps: float = 0.005):
        thetas = torch.as_tensor(thetas, dtype=torch.float64)
        if not (scale > 0 and 0 < eps < 1 and bool((thetas > 0).all())):
            raise SettingsError(
                f"Mean reversion was asked for with lambda {scale}; it needs a noise level above 0. Choose a larger one."
            )
        self.steps, self.scale = len(thetas), scale
        total = torch.cumsum(thetas, 0)
        self.dt = -math.log(eps) / total[-1].item()
        self.thetas = thetas
        self._c = torch.cat([torch.zeros(1, dtype=torch.float64), total * self.dt])

    def signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        c = _interpolate(self._c, t)
        return torch.exp(-c), self.scale * (-torch.expm1(-2 * c)).sqrt()

    def prior(self, y: Tensor, eps: Tensor) -> Tensor:
        """x_T = y + lambda eps, the stationary law."""
        return y + self.scale * eps


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
            f"There is no noise schedule called '{name}', so none can be made. Choose one of {', '.join(BETA_SCHEDULES)}."
        )
    return BETA_SCHEDULES[name](steps, start, end)


def zero_terminal(betas: Tensor) -> Tensor:
    """Betas moved so that abar_T = 0 and sqrt(abar_1) stays. Lin et al. 2024, algorithm 1."""
    root = torch.cumprod(1 - betas, 0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    abar = root**2
    return 1 - torch.cat([abar[:1], abar[1:] / abar[:-1]])


def theta_schedule(name: str, steps: int) -> Tensor:
    """theta_1..theta_T, float64, up to a common factor (dt takes it up). IR-SDE's cosine, linear and constant.

    cosine: theta_i = 1 - f(i+1)/f(0), f(k) = cos^2((k/n + 0.008)/1.008 pi/2), n = T + 2.
    """
    if name == "cosine":
        k, n = torch.arange(steps + 3, dtype=torch.float64), steps + 2
        f = torch.cos((k / n + 0.008) / 1.008 * math.pi / 2) ** 2
        return (1 - f / f[0])[2 : steps + 2]
    if name == "linear":
        k = 1000 / (steps + 1)
        return torch.linspace(1e-4 * k, 0.02 * k, steps + 1, dtype=torch.float64)[1:]
    if name == "constant":
        return torch.ones(steps, dtype=torch.float64)
    raise SettingsError(f"There is no theta schedule called '{name}'. Choose one of cosine, linear, constant.")
