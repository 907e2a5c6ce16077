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
from typing import NamedTuple

import torch
from torch import Tensor

from restore_core.bands import by_bands
from restore_core.errors import SettingsError
from restore_core.schedules import BETA_SCHEDULES, beta_schedule, theta_schedule, zero_terminal

__all__ = [
    "BETA_SCHEDULES",
    "Denoising",
    "Marginal",
    "MeanReverting",
    "Prediction",
    "Process",
    "Rates",
    "ResidualShifting",
    "VarianceExploding",
    "VariancePreserving",
    "beta_schedule",
    "theta_schedule",
    "zero_terminal",
]


REMEMBERED = 4096  # times whose coefficients a process keeps


class Marginal(NamedTuple):
    """Coefficients of x_t = a x0 + b y + s eps."""

    a: Tensor
    b: Tensor
    s: Tensor


class Prediction(NamedTuple):
    """Two views of one guess: x_t = a x0 + b y + s eps.

    variance   from a network that learned it: w in [0, 1] between the small and the large reverse variance
               (Nichol and Dhariwal 2021, eq. 15); None otherwise
    """

    x0: Tensor
    eps: Tensor
    variance: Tensor | None = None

    def of(self, k: int) -> Prediction:
        """The k-th picture's of a batch."""
        return Prediction(*(part if part is None else part[k : k + 1] for part in self))


class Rates(NamedTuple):
    """The forward SDE over one step, as plain Euler takes it: dx = da (x0 - y) - k (x - a x0 - b y) + sqrt(g2) z."""

    k: Tensor
    da: Tensor
    g2: Tensor


class Process(ABC):
    """A forward process on t in [0, steps]. Subclasses say a and s; everything else follows."""

    steps: int

    @abstractmethod
    def signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(a_t, s_t), float64, shaped like t."""

    def marginal(self, t: Tensor) -> Marginal:
        """(a, b, s) at time t, with b = 1 - a. A time that was asked for before is remembered: samplers ask often."""
        t = torch.as_tensor(t, dtype=torch.float64)
        if t.ndim or t.device.type != "cpu":
            return self._marginal(t)
        known, at = self.__dict__.setdefault("_known", {}), t.item()
        if at not in known:
            if len(known) >= REMEMBERED:
                known.clear()
            known[at] = self._marginal(t)
        return known[at]

    def _marginal(self, t: Tensor) -> Marginal:
        a, s = self.signal_and_noise(t)
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

    def posterior_mean(self, x: Tensor, y: Tensor, t_next: Tensor, t: Tensor, x0: Tensor) -> Tensor:
        """Mean of q(x_next | x_t, x_0): a' x0 + b' y + rho (x - a x0 - b y), rho = gain s'^2/s^2. DDPM eq. 7."""
        keep, on_x0 = (_fit(c, x) for c in self._posterior_weights(t_next, t))
        return by_bands(lambda x, y, x0: y + keep * (x - y) + on_x0 * (x0 - y), x, y, x0)

    def _posterior_weights(self, t_next: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """(rho, a' - rho a): the posterior mean's weights on x - y and on x0 - y."""
        (a, _, s), (a_next, _, s_next) = self.marginal(t), self.marginal(t_next)
        keep = torch.where(s > 0, self.gain(t_next, t) * s_next**2 / s**2, 0.0)
        return keep, a_next - keep * a

    def rates(self, t_next: Tensor, t: Tensor) -> Rates:
        """k = -log(gain), da = a log(a_next/a), g2 = forward_std^2 2k/(1 - gain^2), the limit for small steps kept.

        IR-SDE: k = theta dt, da = a k, g2 = 2 lambda^2 theta dt; ResShift: k = 0, g2 = kappa^2 (eta - eta_next).
        """
        k = -self.gain(t_next, t).log()
        a, a_next = self.marginal(t).a, self.marginal(t_next).a
        spread = torch.where(k > 0, 2 * k / -torch.expm1(-2 * k), 1.0)
        return Rates(k, a * (a_next / a).log(), self.forward_std(t_next, t) ** 2 * spread)

    def euler_mean(
        self, x: Tensor, y: Tensor, t_next: Tensor, t: Tensor, prediction: Prediction, eta: float = 1.0
    ) -> Tensor:
        """x + da (D - y) + (k s - (1 + eta^2) g2/(2 s)) eps: a plain Euler step of the reverse SDE, but for its noise.

        Anderson 1982, with dispersion eta g; eta = 0 is the flow. For mean reversion this is IR-SDE's published step,
        x + k (x - y) - (1 + eta^2) lambda^2 k eps/s. Sound for small steps only; the other samplers have no such limit.
        """
        k, da, g2 = self.rates(t_next, t)
        s = self.marginal(t).s
        on_x0, on_eps = _fit(da, x), _fit(k * s - (1 + eta**2) * g2 / (2 * s), x)
        return by_bands(
            lambda x, x0, y, eps: x + on_x0 * (x0 - y) + on_eps * eps, x, prediction.x0, y, prediction.eps
        )

    def mean(self, x0: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """a x0 + b y."""
        a, b, _ = self._fitting(t, x0)
        return by_bands(lambda x0, y: a * x0 + b * y, x0, y)

    def diffuse(self, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """a x0 + b y + s eps: the state at t of a known clean picture."""
        a, b, s = self._fitting(t, x0)
        return by_bands(lambda x0, y, eps: a * x0 + b * y + s * eps, x0, y, eps)

    def prior(self, y: Tensor, eps: Tensor) -> Tensor:
        """x_T as the published samplers draw it: y + s_T eps, the mean exactly at the anchor."""
        s = self._fitting(torch.tensor(float(self.steps)), y).s
        return by_bands(lambda y, eps: y + s * eps, y, eps)

    def from_x0(self, x: Tensor, y: Tensor, t: Tensor, x0: Tensor) -> Prediction:
        """eps = (x - a x0 - b y)/s; zero where s = 0, for there is no noise to speak of."""
        a, b, s = self._fitting(t, x)
        inverse = torch.where(s > 0, 1 / s, 0.0)
        return Prediction(x0, by_bands(lambda x, x0, y: (x - a * x0 - b * y) * inverse, x, x0, y))

    def from_eps(self, x: Tensor, y: Tensor, t: Tensor, eps: Tensor) -> Prediction:
        """x0 = (x - b y - s eps)/a. Where a = 0 the state tells nothing of x0, and the guess is the anchor."""
        a, b, s = self._fitting(t, x)
        known, divisor = (a > 0).to(x.dtype), torch.where(a > 0, a, 1.0)

        def x0(x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
            return (x - b * y - s * eps) / divisor * known + (1 - known) * y

        return Prediction(by_bands(x0, x, y, eps), eps)

    def from_residual(self, x: Tensor, y: Tensor, t: Tensor, residual: Tensor) -> Prediction:
        """x0 = y - residual: ResShift's networks may be told to find what was added to the clean picture."""
        return self.from_x0(x, y, t, y - residual)

    def from_noise(self, x: Tensor, y: Tensor, t: Tensor, noise: Tensor) -> Prediction:
        """eps = noise/s, for networks that find the noise in the state's own units; only for t > 0."""
        return self.from_eps(x, y, t, noise / self._fitting(t, x).s)

    def calibrated(self, x: Tensor, y: Tensor, t_next: Tensor, t: Tensor, eps: Tensor) -> Prediction:
        """The x0 whose posterior mean is the plain Euler step that `eps` makes, from networks trained to make it so.

        IR-SDE's likelihood loss compares these two, so its minimiser is not E[eps | x]: read as noise, it leaves
        a share of s/a in x0, five lambda at T = 100. Only for weights of that loss, with t_next = t - 1.
        """
        keep, on_x0 = (_fit(c, x) for c in self._posterior_weights(t_next, t))
        aim = self.euler_mean(x, y, t_next, t, self.from_eps(x, y, t, eps))
        return self.from_x0(x, y, t, y + (aim - y - keep * (x - y)) / on_x0)

    def from_v(self, x: Tensor, y: Tensor, t: Tensor, v: Tensor) -> Prediction:
        """Of w = x - y = a w0 + s eps and v = a eps - s w0:  w0 = (a w - s v)/n,  eps = (s w + a v)/n,  n = a^2 + s^2.

        Salimans and Ho 2022, section 4; for variance preserving processes n = 1. Sound at a = 0 and at s = 0.
        """
        a, _, s = self._fitting(t, x)
        n = a**2 + s**2
        x0 = by_bands(lambda x, y, v: y + (a * (x - y) - s * v) / n, x, y, v)
        return Prediction(x0, by_bands(lambda x, y, v: (s * (x - y) + a * v) / n, x, y, v))

    def score(self, t: Tensor, prediction: Prediction) -> Tensor:
        """grad log p(x_t) = -eps/s; only for t > 0."""
        return -prediction.eps / self._fitting(t, prediction.eps).s

    def time_of(self, level: Tensor) -> Tensor:
        """The t in [0, steps] whose s/a is `level` (float64, any shape): s/a grows with t, so 32 parts, 12 times."""
        level = torch.as_tensor(level, dtype=torch.float64)
        below, width = torch.zeros_like(level), float(self.steps)
        share = torch.linspace(0, 1, 33, dtype=torch.float64, device=level.device).reshape(-1, *[1] * level.ndim)
        for _ in range(12):
            smaller = self.level(below + width * share) < level
            width = width / 32
            below = below + width * (smaller.sum(dim=0) - 1).clamp(0, 31)
        return below + width / 2

    def _fitting(self, t: Tensor, x: Tensor) -> Marginal:
        """Coefficients in x's dtype where they have x's rank; 0-d ones stay float64, for they do not widen x."""
        return Marginal(*(_fit(c, x) for c in self.marginal(t)))


def _fit(coefficient: Tensor, x: Tensor) -> Tensor:
    """In x's dtype and place, unless it is 0-d."""
    return coefficient if coefficient.ndim == 0 else coefficient.to(x)


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
        # abar below 1e-60 cannot be told from 0 in any use, and products must not underflow: 0 only after a beta of 1
        abar = torch.where((betas == 1).cumsum(0) > 0, 0.0, torch.cumprod(1 - betas, 0).clamp(min=1e-60))
        self.abar = torch.cat([torch.ones(1, dtype=torch.float64), abar])
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
        if torch.isinf(finite[-1]):  # the stretch to zero signal: steeper than the one before, finite
            finite[-1] = finite[-2] + 20.0
        return _interpolate(finite, t.clamp(min=1) - 1)

    def prior(self, y: Tensor, eps: Tensor) -> Tensor:
        """x_T = y + eps: unit variance, whatever s_T is."""
        return by_bands(torch.add, y, eps)


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

    def divisor(self, t: Tensor, *, latent: bool = True) -> Tensor:
        """What the published networks divide x_t by: sqrt(s^2 + 1) where x0 has unit variance, 3 s + 1 on pixels."""
        s = self.marginal(t).s
        return (s**2 + 1).sqrt() if latent else 3 * s + 1

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
                f"Mean reversion was asked for with lambda {scale}, and without noise there is no way back. "
                f"Choose a noise level above 0."
            )
        self.steps, self.scale = len(thetas), scale
        total = torch.cumsum(thetas, 0)
        self.dt = -math.log(eps) / total[-1].item()
        self.thetas = thetas
        self._c = torch.cat([torch.zeros(1, dtype=torch.float64), total * self.dt])

    def decay(self, t: Tensor) -> Tensor:
        """exp(-c_t): what is left at t of a deviation from where the state is drawn."""
        return torch.exp(-_interpolate(self._c, torch.as_tensor(t, dtype=torch.float64)))

    def signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.decay(t), self._noise(t)

    def _noise(self, t: Tensor) -> Tensor:
        return self.scale * (-torch.expm1(-2 * _interpolate(self._c, t))).sqrt()

    def prior(self, y: Tensor, eps: Tensor) -> Tensor:
        """x_T = y + lambda eps, the stationary law."""
        return by_bands(lambda y, eps: y + self.scale * eps, y, eps)


class Denoising(MeanReverting):
    """a = 1, s = scale sqrt(1 - e^(-2 c_t)), gain e^-(c_t - c_next): mean reversion to x0 itself. Denoising-SDE.

    A noisy picture is already a state: start at time_of(its noise's deviation). The anchor has no part in it.
    """

    def signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(t), self._noise(t)

    def gain(self, t_next: Tensor, t: Tensor) -> Tensor:
        """The noise fades while the picture does not."""
        return self.decay(t) / self.decay(t_next)


class VarianceExploding(Process):
    """Another process seen as u = (x - b y)/a = x0 + level eps, in EDM's and k-diffusion's variables: a = 1, s = level.

    Its first time must have some signal left: a > 0.
    """

    def __init__(self, process: Process):
        self.process, self.steps = process, process.steps

    def signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(t), self.process.level(t)

    def gain(self, t_next: Tensor, t: Tensor) -> Tensor:
        """The process's own, times a_next/a: 1 where it is variance preserving or mean reverting."""
        return self.process.gain(t_next, t) * self.process.marginal(t_next).a / self.process.marginal(t).a
