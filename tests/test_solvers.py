"""Laws of what goes beyond the common rule: third order, IR-SDE's plain steps, inversion, other views, subsets."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import all_processes
from test_samplers import ANCHOR, F64, GRIDS, MEAN, STD, THREE, Axes, final_std, gaussian

from restore_core.errors import SettingsError
from restore_core.grids import leading, sections, truncated
from restore_core.processes import Denoising, MeanReverting, Process, VarianceExploding, theta_schedule
from restore_core.samplers import SAMPLERS, invert, time_grid
from restore_core.samplers.multistep import averages
from restore_core.training.objectives import maximum_likelihood_loss


def std_error(process: Process, key: str, n: int, **options) -> float:
    times = GRIDS["log-snr"](process, n + 1, float(process.steps))
    a, _, s = process.marginal(times[-1])
    return abs(final_std(process, key, times, **options)[1] - (a**2 * STD**2 + s**2).sqrt().item())


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize("key, options", [("exponential", {"eta": 0.0}), ("exponential-noise", {})])
def test_the_whole_quadratic_term_is_third_order_and_half_of_it_second(name: str, key: str, options: dict):
    process = all_processes()[name]
    whole = [std_error(process, key, n, order=3, **options) for n in (32, 64)]
    half = [std_error(process, key, n, order=3, bend=0.5, **options) for n in (64, 128)]
    assert math.log2(whole[0] / whole[1]) > 2.9
    assert math.log2(half[0] / half[1]) == pytest.approx(2, abs=0.12)
    assert whole[1] < half[0] / 10


@pytest.mark.parametrize("q", [-2.0, -1e-6, 1e-6, 0.3, 5.0, math.inf])
def test_averages_are_the_kernels(q: float):
    v = torch.linspace(0, 1, 200_001, dtype=F64)
    first, second = averages(q)
    if math.isinf(q):
        assert (first, second) == (1, 1)
        return
    weight = torch.exp(-q * (1 - v))
    mean = lambda f: (torch.trapezoid(weight * f, v) / torch.trapezoid(weight, v)).item()  # noqa: E731
    assert first == pytest.approx(mean(v), abs=1e-8) and second == pytest.approx(mean(v**2), abs=1e-8)


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_plain_drift_tends_to_the_same_as_the_exact_one(name: str, eta: float):
    process = all_processes()[name]
    errors = []
    for n in (64, 128):
        times = GRIDS["log-snr"](process, n + 1, float(process.steps))
        a, b, s = process.marginal(times[-1])
        mean, std = final_std(process, "euler-maruyama", times, eta=eta, drift="plain")
        errors.append(
            abs(mean - (a * MEAN + b * ANCHOR).item()) + abs(std - (a**2 * STD**2 + s**2).sqrt().item())
        )
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("name", list(all_processes()))
def test_inversion_comes_back(name: str):
    process = all_processes()[name]
    y = torch.full((1, 1, 4, 4), ANCHOR, dtype=F64)
    x = MEAN + STD * torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    denoise = gaussian(process, y)
    times = GRIDS["log-snr"](process, 200, float(process.steps))
    up = list(invert(process, denoise, x, y, times.flip(0)))
    assert len(up) == 200 and up[-1].t.item() == pytest.approx(process.steps)
    down = list(SAMPLERS["ddim"].run(process, denoise, up[-1].x, y, times, Axes(0), eta=0.0))
    assert torch.allclose(down[-1].x, x, atol=0.05)


@pytest.mark.parametrize("name", THREE)
def test_the_exploding_view_takes_the_same_first_order_steps(name: str):
    process = all_processes()[name]
    view, y = VarianceExploding(process), torch.full((1, 1, 4, 4), ANCHOR, dtype=F64)
    denoise, times = gaussian(process, y), time_grid(process, 9, "log-snr")
    z = torch.randn(12, 1, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    a, b, s = process.marginal(times[0])
    draws = [iter(z), iter(z)]

    def exploding(u: torch.Tensor, t: torch.Tensor):
        a, b, _ = process.marginal(t)
        return denoise(a * u + b * y, t)

    x = b * y + s * z[-1]
    plain = SAMPLERS["ddim"].run(process, denoise, x, y, times, lambda like: next(draws[0]), eta=1.0)
    seen = SAMPLERS["ddim"].run(
        view, exploding, (x - b * y) / a, y, times, lambda like: next(draws[1]), eta=1.0
    )
    for one, other in zip(plain, seen, strict=True):
        a, b, _ = process.marginal(one.t)
        assert torch.allclose(one.x, a * other.x + b * y, atol=1e-9)


def test_denoising_keeps_the_picture_and_forgets_the_noise():
    process = Denoising(theta_schedule("cosine", 100), 0.3, eps=0.04)
    reverting = MeanReverting(theta_schedule("cosine", 100), 0.3, eps=0.04)
    t, t1 = torch.tensor(60.0, dtype=F64), torch.tensor(59.0, dtype=F64)
    a, b, s = process.marginal(t)
    assert a == 1 and b == 0 and s == reverting.marginal(t).s
    assert process.gain(t1, t) == reverting.gain(t1, t)
    assert process.posterior_std(t1, t) == reverting.posterior_std(t1, t)
    assert process.time_of(s).item() == pytest.approx(60)


@pytest.mark.parametrize("t", [1.0, 30.0, 100.0])
def test_a_network_of_least_likelihood_loss_read_calibrated_is_the_conditional_mean(t: float):
    """eps* makes the plain step land on the posterior mean at E[x0 | x]; read as noise it would not be E[x0 | x]."""
    process = all_processes()["mean-reverting"]
    now = torch.tensor(t, dtype=F64).reshape(1, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    y, x0, eps = torch.randn(3, 1, 3, 8, 8, generator=generator, dtype=F64)
    x = process.diffuse(x0, y, now, eps)
    guess = gaussian(process, y)(x, now)
    zero = process.euler_mean(x, y, now - 1, now, process.from_eps(x, y, now, torch.zeros_like(x)))
    one = process.euler_mean(x, y, now - 1, now, process.from_eps(x, y, now, torch.ones_like(x)))
    best = (process.posterior_mean(x, y, now - 1, now, guess.x0) - zero) / (one - zero)
    assert torch.allclose(process.calibrated(x, y, now - 1, now, best).x0, guess.x0, atol=1e-9)
    at_best = maximum_likelihood_loss(process, lambda x, t: best, guess.x0, y, now, guess.eps, power=2)
    assert at_best.max() < 1e-20
    if t == 100:
        assert (process.from_eps(x, y, now, best).x0 - guess.x0).abs().max() > 0.1


def test_the_published_subsets():
    assert leading(1000, 4).tolist() == [751, 501, 251, 1, 0]
    assert truncated(15, 5).tolist() == [13, 10, 7, 4, 1, 0]
    assert sections(1000, "10").tolist() == [1000, 889, 778, 667, 556, 445, 334, 223, 112, 1, 0]
    assert sections(100, "ddim10").tolist() == [*range(91, 0, -10), 0]
    assert sections(12, "").tolist() == [*range(12, -1, -1)]
    assert sections(10, "1,2").tolist() == [10, 6, 1, 0]
    for impossible in ("ddim30", "30,1"):
        with pytest.raises(SettingsError, match="Choose"):
            sections(50, impossible)
