"""Laws of the samplers, measured: with the exact denoiser of Gaussian data every update is affine, so the deviation of
the returned pictures is known exactly and the order of convergence can be read off (no sampling error)."""

from __future__ import annotations

import itertools
import math
from itertools import pairwise

import pytest
import torch
from conftest import all_processes
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.processes import Prediction, Process, VariancePreserving, beta_schedule, zero_terminal
from restore_core.samplers import GRIDS, SAMPLERS, time_grid
from restore_core.samplers.euler import noiseless

F64 = torch.float64
MEAN, STD, ANCHOR = 0.3, 0.4, -0.5
THREE = ("vp", "resshift", "mean-reverting")


def gaussian(process: Process, y: Tensor, std: float = STD):
    """The exact denoiser of x0 ~ N(MEAN, std^2): a linear function of x."""

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        a, b, s = process.marginal(t)
        pull = a * std**2 / (a**2 * std**2 + s**2)
        return process.from_x0(x, y, t, MEAN + pull * (x - a * MEAN - b * y))

    return denoise


class Axes:
    """Noise for a state whose last axis is [constant, start, draw 1, draw 2, ...]: the k-th draw is the k-th unit
    vector, so after a run the coefficients of every source of randomness stand side by side."""

    def __init__(self, used: int):
        self.used = used

    def __call__(self, like: Tensor) -> Tensor:
        z = torch.zeros_like(like)
        z[..., self.used] = 1
        self.used += 1
        return z


def final_std(process: Process, key: str, times: Tensor, std: float = STD, **options) -> tuple[float, float]:
    """(mean, deviation) at the last nonzero time, from the exact marginal at the first."""
    n = 2 * len(times) + 2  # two draws a step at most
    unit = torch.zeros(1, 1, 1, n, dtype=F64)
    unit[..., 0] = 1  # the constant 1; affine maps act on [mean, coefficients ...]
    a, b, s = process.marginal(times[0])
    x = torch.zeros_like(unit)
    x[..., 0] = a * MEAN + b * ANCHOR
    x[..., 1] = (a**2 * std**2 + s**2).sqrt()
    anchor = ANCHOR * unit

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        a, b, s = process.marginal(t)
        pull = a * std**2 / (a**2 * std**2 + s**2)
        return process.from_x0(x, anchor, t, MEAN * unit + pull * (x - (a * MEAN + b * ANCHOR) * unit))

    last = None
    for step in SAMPLERS[key].run(process, denoise, x, anchor, times, Axes(2), **options):
        last = step
    return last.x[..., 0].item(), last.x[..., 1:].norm().item()


def order(process: Process, key: str, **options) -> float:
    """log2 of the ratio of the deviation's errors at 128 and 256 steps, on the grid even in log SNR down to t = 1."""
    errors = []
    for n in (128, 256):
        times = GRIDS["log-snr"](process, n + 1, float(process.steps))
        a, _, s = process.marginal(times[-1])
        mean, std = final_std(process, key, times, **options)
        errors.append(abs(std - (a**2 * STD**2 + s**2).sqrt().item()))
        assert mean == pytest.approx((a * MEAN + (1 - a) * ANCHOR).item(), abs=1e-9)
    return math.log2(errors[0] / errors[1])


CASES = [
    (key, options)
    for key, made in SAMPLERS.items()
    for options in ([{"eta": 0.0}, {"eta": 0.5}, {"eta": 1.0}] if made.options else [{}])
]


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize("key, options", CASES, ids=lambda v: str(v))
def test_measured_order_is_the_declared_one(name: str, key: str, options: dict):
    measured = order(all_processes()[name], key, **options)
    if key == "multistep-3-sde" and options["eta"] < 1:  # its noise alone keeps it at the declared order
        assert measured > (3.2 if options["eta"] == 0 else SAMPLERS[key].order)
        return
    assert measured == pytest.approx(SAMPLERS[key].order, abs=0.1)


@pytest.mark.parametrize("name", THREE)
def test_large_variance_is_first_order(name: str):
    assert order(all_processes()[name], "ddim", variance=1.0) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", THREE)
def test_eta_1_is_the_posterior(name: str):
    """x' = posterior mean + posterior deviation z, from Bayes' rule on the chain x0 -> x_next -> x_t."""
    process = all_processes()[name]
    generator = torch.Generator().manual_seed(0)
    x, y, x0, z = torch.randn(4, 1, 3, 4, 4, generator=generator, dtype=F64)
    t, t_next = torch.tensor([0.7, 0.5], dtype=F64) * process.steps
    (a, b, s), (a1, b1, s1), r = process.marginal(t), process.marginal(t_next), process.gain(t_next, t)
    forward = s**2 - r**2 * s1**2  # x_t = r x_next + (a - r a1) x0 + (b - r b1) y + sqrt(forward) eps
    precision = 1 / s1**2 + r**2 / forward
    evidence = (a1 * x0 + b1 * y) / s1**2 + r * (x - (a - r * a1) * x0 - (b - r * b1) * y) / forward
    steps = SAMPLERS["ddim"].run(
        process, lambda x, t: process.from_x0(x, y, t, x0), x, y, torch.stack([t, t_next]), lambda like: z, eta=1.0
    )
    next(steps)
    assert torch.allclose(next(steps).x, evidence / precision + precision**-0.5 * z, atol=1e-12)


@pytest.mark.parametrize("name", list(all_processes()))
@pytest.mark.parametrize("key", ["ddim", "euler-maruyama"])
def test_eta_0_is_euler_on_the_flow_in_differences(name: str, key: str):
    process = all_processes()[name]
    y = torch.full((1, 1, 4, 4), ANCHOR, dtype=F64)
    denoise = gaussian(process, y)
    times = time_grid(process, 9, "log-snr")
    x = process.prior(y, torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64))
    ours = [s.x for s in SAMPLERS[key].run(process, denoise, x, y, times, Axes(0), eta=0.0)]
    for i, (t, t1) in enumerate(pairwise(times)):
        p, (a, b, s), (a1, b1, s1) = denoise(x, t), process.marginal(t), process.marginal(t1)
        x = x + (a1 - a) * p.x0 + (b1 - b) * y + (s1 - s) * p.eps
        assert torch.allclose(ours[i + 1], x, atol=1e-12)


def test_the_variance_dial_widens_sigma_and_nothing_else():
    process = all_processes()["vp"]
    t, t1 = torch.tensor(600.0, dtype=F64), torch.tensor(400.0, dtype=F64)
    x, y = torch.ones(1, 1, 2, 2, dtype=F64), torch.zeros(1, 1, 2, 2, dtype=F64)
    small, large = process.posterior_std(t1, t), process.forward_std(t1, t)

    def moved(variance: float, draw: float, eta: float = 1.0) -> Tensor:
        run = SAMPLERS["ddim"].run(
            process, gaussian(process, y), x, y, torch.stack([t, t1]), lambda like: draw * torch.ones_like(like),
            eta=eta, variance=variance,
        )  # fmt: skip
        next(run)
        return next(run).x

    assert torch.equal(moved(0.0, 0.0), moved(1.0, 0.0))
    for w in (0.0, 0.3, 1.0):
        assert torch.allclose(moved(w, 1.0) - moved(w, 0.0), small ** (1 - w) * large**w * torch.ones_like(x))
        assert torch.allclose(moved(w, 1.0, 0.5) - moved(w, 0.0, 0.5), 0.5 * (moved(w, 1.0) - moved(w, 0.0)))
        assert torch.equal(moved(w, 1.0, 0.0), moved(0.0, 0.0, 0.0))


def test_a_learned_variance_draws_nothing_at_eta_0():
    process = all_processes()["vp"]
    x, y = torch.ones(1, 1, 2, 2, dtype=F64), torch.zeros(1, 1, 2, 2, dtype=F64)
    exact, times = gaussian(process, y), time_grid(process, 4, "quadratic")
    learned = lambda x, t: exact(x, t)._replace(variance=torch.full_like(x, 0.3))  # noqa: E731
    *_, told = SAMPLERS["ddim"].run(process, learned, x, y, times, noiseless, eta=0.0)
    *_, plain = SAMPLERS["ddim"].run(process, exact, x, y, times, noiseless, eta=0.0)
    assert torch.equal(told.x, plain.x)


def test_the_variance_between_is_exact_for_gaussian_data():
    """sigma^2 = sigma_small^2 + (a' - rho a)^2 Var[x0 | x_t] has no discretisation error at any number of steps."""
    process = all_processes()["vp"]
    times = time_grid(process, 5, "quadratic")[:-1]
    a, _, s = process.marginal(times[0])
    variance = a**2 * STD**2 + s**2
    for t, t1 in pairwise(times):
        (a, _, s), (a1, _, s1) = process.marginal(t), process.marginal(t1)
        rho = process.gain(t1, t) * s1**2 / s**2
        v = STD**2 * s**2 / (a**2 * STD**2 + s**2)
        pull = a * STD**2 / (a**2 * STD**2 + s**2)
        sigma2 = process.posterior_std(t1, t) ** 2 + (a1 - rho * a) ** 2 * v
        variance = (rho + (a1 - rho * a) * pull) ** 2 * variance + sigma2
        assert variance.item() == pytest.approx((a1**2 * STD**2 + s1**2).item(), rel=1e-12)


@pytest.mark.parametrize("name", list(all_processes()))
@pytest.mark.parametrize("key", SAMPLERS)
def test_the_declared_draws_in_each_step_that_uses_noise_and_none_in_the_last(name: str, key: str):
    process = all_processes()[name]
    y = torch.zeros(1, 1, 2, 2, dtype=F64)
    drawn: list[int] = []

    def noise(like: Tensor) -> Tensor:
        drawn[-1] += 1
        return torch.zeros_like(like)

    stochastic = bool(SAMPLERS[key].options)
    for eta in (0.0, 1.0) if stochastic else (None,):
        drawn.clear()
        options = {} if eta is None else {"eta": eta}
        drawn.append(0)
        for _ in SAMPLERS[key].run(
            process, gaussian(process, y), process.prior(y, torch.ones_like(y)), y, time_grid(process, 6, "log-snr"),
            noise, **options,
        ):  # fmt: skip
            drawn.append(0)
        used = drawn[1:-1]  # between one Step and the next: one update each
        assert used == ([SAMPLERS[key].draws] * 5 + [0] if eta == 1.0 else [0] * 6)


@pytest.mark.parametrize("name", list(all_processes()))
@pytest.mark.parametrize("key", SAMPLERS)
def test_counts_of_calls_and_steps(name: str, key: str):
    process = all_processes()[name]
    y = torch.zeros(1, 1, 2, 2, dtype=F64)
    exact, calls = gaussian(process, y), []

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        calls.append(t)
        return exact(x, t)

    for n in (1, 2, 5):
        calls.clear()
        times = time_grid(process, n, "quadratic")
        steps = list(SAMPLERS[key].run(process, denoise, y + 1, y, times, torch.zeros_like))
        assert len(steps) == n + 1 and [s.index for s in steps] == list(range(n + 1))
        assert len(calls) == SAMPLERS[key].total_calls(n)
        assert steps[-1].t == 0 and torch.equal(steps[-1].x, steps[-1].prediction.x0)


@pytest.mark.parametrize("key", SAMPLERS)
@pytest.mark.parametrize("spacing", GRIDS)
@pytest.mark.parametrize("predicts", ["from_v", "from_x0", "from_eps"])
def test_zero_terminal_signal_gives_no_nan(key: str, spacing: str, predicts: str):
    process = VariancePreserving(zero_terminal(beta_schedule("linear", 1000, 1e-4, 2e-2)))
    y = torch.zeros(1, 3, 4, 4)
    denoise = lambda x, t: getattr(process, predicts)(x, y, t, 0.3 * x)  # noqa: E731
    noise = lambda like: torch.randn(like.shape, generator=torch.Generator().manual_seed(1))  # noqa: E731
    for step in SAMPLERS[key].run(process, denoise, noise(y), y, time_grid(process, 8, spacing), noise):
        assert torch.isfinite(step.x).all()


@pytest.mark.parametrize("key", SAMPLERS)
@pytest.mark.parametrize("trained", [1, 2, 1000])
def test_a_picture_that_is_known_is_reached_from_zero_terminal_signal(key: str, trained: int):
    """One picture explains every state: whatever the steps, the end is that picture."""
    process = VariancePreserving(torch.cat([torch.linspace(1e-4, 2e-2, trained - 1), torch.ones(1)]))
    y, picture = torch.full((1, 1, 2, 2), ANCHOR, dtype=F64), torch.full((1, 1, 2, 2), 0.7, dtype=F64)
    denoise = lambda x, t: process.from_x0(x, y, t, picture)  # noqa: E731
    for spacing, steps in itertools.product(GRIDS, (1, 2, 3, 6)):
        times = time_grid(process, steps, spacing)
        assert (times.diff() < 0).all()
        *_, last = SAMPLERS[key].run(process, denoise, process.prior(y, torch.ones_like(y)), y, times, torch.ones_like)
        assert torch.allclose(last.x, picture, atol=1e-9)


def test_anchoring_or_shifting_is_the_same():
    """DvSR as VP anchored at g, and as VP on x - g with g added afterwards, give the same picture."""
    process = all_processes()["vp"]
    g = torch.full((1, 1, 4, 4), ANCHOR, dtype=F64)
    zero, times = torch.zeros_like(g), time_grid(process, 12, "quadratic")
    z = torch.randn(40, 1, 1, 4, 4, generator=torch.Generator().manual_seed(3), dtype=F64)
    exact = gaussian(process, g)

    def shifted(x: Tensor, t: Tensor) -> Prediction:
        return process.from_x0(x, zero, t, exact(x + g, t).x0 - g)

    for key in SAMPLERS:
        draws = [iter(z), iter(z)]
        whole = list(SAMPLERS[key].run(process, exact, g + z[-1], g, times, lambda like: next(draws[0])))  # noqa: B023
        parts = list(SAMPLERS[key].run(process, shifted, z[-1], zero, times, lambda like: next(draws[1])))  # noqa: B023
        assert torch.allclose(whole[-1].x, parts[-1].x + g, atol=1e-10)


@pytest.mark.parametrize("spacing", GRIDS)
@pytest.mark.parametrize("steps", [1, 2, 3, 15])
def test_grids_descend_from_the_start_to_zero(process: Process, spacing: str, steps: int):
    for start in (float(process.steps), 0.6 * process.steps, 1.0, 0.15):  # below 1: the least strengths
        times = time_grid(process, steps, spacing, start=start)
        assert len(times) == steps + 1 and times[0] == start and times[-1] == 0
        assert (times.diff() < 0).all() and times.dtype == F64


def test_whole_grids_hold_whole_times_once(process: Process):
    for spacing in GRIDS:
        times = time_grid(process, process.steps, spacing, whole=True)
        assert torch.equal(times, times.round()) and (times.diff() < 0).all() and times[-2] >= 1
    assert torch.equal(
        time_grid(process, process.steps, "uniform", whole=True), torch.arange(process.steps, -1, -1, dtype=F64)
    )
    with pytest.raises(SettingsError, match=str(process.steps)):
        time_grid(process, process.steps + 1, "uniform", whole=True)


@pytest.mark.parametrize("ask", [lambda p: time_grid(p, 0, "uniform"), lambda p: time_grid(p, 5, "nope")])
def test_impossible_grids_are_refused(process: Process, ask):
    with pytest.raises(SettingsError, match="Choose"):
        ask(process)


def test_log_snr_grid_is_even_in_log_snr(process: Process):
    times = time_grid(process, 11, "log-snr")[:-1]
    h = process.log_snr(times).diff()
    assert torch.allclose(h, h.mean().expand_as(h), rtol=1e-6)
