"""Laws of the samplers that look half way, and of the published walks in EDM's variables."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from conftest import all_processes
from test_samplers import ANCHOR, F64, GRIDS, MEAN, STD, THREE, Axes, gaussian
from torch import Tensor

from restore_core.processes import (
    Prediction,
    Process,
    VarianceExploding,
    VariancePreserving,
    beta_schedule,
    zero_terminal,
)
from restore_core.samplers import (
    SAMPLERS,
    churned,
    ddim,
    heun,
    linear_multistep,
    midpoint,
    singlestep_sde,
    time_grid,
)
from restore_core.samplers.exploding import lagrange_means
from restore_core.samplers.halfway import middle, overlap


def deviation_error(process: Process, run: Callable, n: int, **options) -> float:
    """Of the returned deviation, with the exact denoiser of N(MEAN, STD^2), grid even in log SNR down to t = 1."""
    times = GRIDS["log-snr"](process, n + 1, float(process.steps))
    unit = torch.zeros(1, 1, 1, 2 * n + 6, dtype=F64)
    unit[..., 0] = 1  # states are [mean, coefficient of every draw]
    a, b, s = process.marginal(times[0])
    x = (a * MEAN + b * ANCHOR) * unit
    x[..., 1] = (a**2 * STD**2 + s**2).sqrt()

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        a, b, s = process.marginal(t)
        pull = a * STD**2 / (a**2 * STD**2 + s**2)
        return process.from_x0(x, ANCHOR * unit, t, MEAN * unit + pull * (x - (a * MEAN + b * ANCHOR) * unit))

    *_, last = run(process, denoise, x, ANCHOR * unit, times, Axes(2), **options)
    a, _, s = process.marginal(times[-1])
    return abs(last.x[..., 1:].norm().item() - (a**2 * STD**2 + s**2).sqrt().item())


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize(
    "run, options, order",
    [
        (midpoint, {"eta": 0.0}, 2), (midpoint, {"eta": 1.0}, 2),
        (linear_multistep, {"order": 1}, 1), (linear_multistep, {"order": 2}, 2), (linear_multistep, {"order": 3}, 3),
        (linear_multistep, {"order": 4}, 4),
        (churned, {}, 1), (churned, {"churn": 10.0}, 1), (churned, {"heun": True}, 2),
    ],
)  # fmt: skip
def test_measured_orders(name: str, run: Callable, options: dict, order: int):
    process = all_processes()[name]
    errors = [deviation_error(process, run, n, **options) for n in (128, 256)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1 if order < 3 else 0.2)


@pytest.mark.parametrize("name", THREE)
def test_two_draws_that_know_nothing_of_each_other_would_be_first_order(name: str, monkeypatch):
    """The whole step's noise must share the half step's path; k-diffusion keeps a Brownian tree for it."""
    process = all_processes()[name]
    one_path = [deviation_error(process, singlestep_sde, n) for n in (64, 128)]
    monkeypatch.setattr("restore_core.samplers.halfway.overlap", lambda *ignored: torch.zeros((), dtype=F64))
    apart = [deviation_error(process, singlestep_sde, n) for n in (64, 128)]
    assert math.log2(one_path[0] / one_path[1]) == pytest.approx(2, abs=0.12)
    assert math.log2(apart[0] / apart[1]) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("name", list(all_processes()))
def test_the_halves_of_a_step_compose(name: str):
    """sigma(t', t)^2 = (rho(t', m) sigma(m, t))^2 + sigma(t', m)^2, so that overlap^2 + rest^2 = 1."""
    process = all_processes()[name]
    t, t_next = torch.tensor([0.8, 0.3], dtype=F64) * process.steps
    half = middle(process, t_next, t)
    c = overlap(process, t_next, half, t)
    rest = process.posterior_std(t_next, half) / process.posterior_std(t_next, t)
    assert 0 < c < 1 and (c**2 + rest**2).item() == pytest.approx(1, abs=1e-9)
    assert process.log_snr(half).item() == pytest.approx(
        (process.log_snr(t) + process.log_snr(t_next)).item() / 2, abs=1e-9
    )


def test_there_is_no_middle_of_an_infinite_way():
    process = VariancePreserving(zero_terminal(beta_schedule("linear", 1000, 1e-4, 2e-2)))
    start, inside, end = (torch.tensor(t, dtype=F64) for t in (1000.0, 500.0, 0.0))
    assert middle(process, inside, start) is None and middle(process, end, inside) is None


@pytest.mark.parametrize("name", list(all_processes()))
def test_first_order_and_no_churn_are_ddim_and_heun(name: str):
    process = all_processes()[name]
    y = torch.full((1, 1, 4, 4), ANCHOR, dtype=F64)
    exact, times = gaussian(process, y), time_grid(process, 7, "log-snr")
    x = process.prior(y, torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64))
    pairs = [
        (ddim, {"eta": 0.0}, linear_multistep, {"order": 1}), (ddim, {"eta": 0.0}, churned, {}),
        (heun, {}, churned, {"heun": True}),
    ]  # fmt: skip
    for one, options, other, theirs in pairs:
        states = [s.x for s in one(process, exact, x, y, times, Axes(0), **options)]
        for ours, step in zip(states, other(process, exact, x, y, times, Axes(0), **theirs), strict=True):
            assert torch.allclose(ours, step.x, atol=1e-9)


def test_churn_raises_the_level_inside_its_range_and_never_above_the_start():
    process = all_processes()["vp"]
    y, times = torch.zeros(1, 1, 2, 2, dtype=F64), time_grid(all_processes()["vp"], 10, "log-snr")
    draws: list[Tensor] = []

    def noise(like: Tensor) -> Tensor:
        draws.append(like)
        return torch.ones_like(like)

    levels = [process.level(t).item() for t in times]
    low, high = levels[6], levels[2]
    steps = list(churned(process, gaussian(process, y), y + 1, y, times, noise, churn=3.0, low=low, high=high))
    raised = [process.level(step.t).item() / level for step, level in zip(steps[:-1], levels, strict=False)]
    assert raised == pytest.approx([1.0] * 2 + [1.3] * 5 + [1.0] * 3, rel=1e-6) and len(draws) == 5
    first = next(churned(process, gaussian(process, y), y + 1, y, times, noise, churn=3.0))
    assert first.t.item() == pytest.approx(process.steps)


def test_lagrange_means_integrate_polynomials_exactly():
    nodes = [3.0, 5.0, 9.0, 20.0]
    shares = lagrange_means(nodes, 3.0, 1.5)
    assert sum(shares) == pytest.approx(1)
    mean = sum(share * node**3 for share, node in zip(shares, nodes, strict=True))
    assert mean == pytest.approx((1.5**4 - 3.0**4) / 4 / (1.5 - 3.0))


def test_the_midpoint_walk_is_k_diffusions_on_the_exploding_view():
    """x' = x + (sigma' - sigma)(x2 - D2)/sigma_mid,  x2 = x + (sigma_mid - sigma)(x - D)/sigma, written out."""
    process = VarianceExploding(all_processes()["vp"])
    y = torch.zeros(1, 1, 2, 2, dtype=F64)
    exact, times = gaussian(process, y), GRIDS["log-snr"](process, 5, 1000.0)
    u = 100 * torch.randn(1, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    ours = [s.x for s in midpoint(process, exact, u, y, times, Axes(0))]
    for i in range(4):
        sigma, sigma_next = process.level(times[i]), process.level(times[i + 1])
        half = (sigma * sigma_next).sqrt()
        u2 = u + (half - sigma) * (u - exact(u, times[i]).x0) / sigma
        u = u + (sigma_next - sigma) * (u2 - exact(u2, process.time_of(half)).x0) / half
        assert torch.allclose(ours[i + 1], u, rtol=1e-9)


@pytest.mark.parametrize("run", [midpoint, linear_multistep])
@pytest.mark.parametrize("spacing", GRIDS)
def test_zero_terminal_signal_gives_no_nan(run: Callable, spacing: str):
    process = VariancePreserving(zero_terminal(beta_schedule("linear", 1000, 1e-4, 2e-2)))
    y = torch.zeros(1, 3, 4, 4)
    denoise = lambda x, t: process.from_v(x, y, t, 0.3 * x)  # noqa: E731
    for step in run(process, denoise, torch.ones_like(y), y, time_grid(process, 8, spacing), torch.zeros_like):
        assert torch.isfinite(step.x).all()


def test_samplers_declare_their_draws():
    assert {key for key, made in SAMPLERS.items() if made.draws != 1} == {"singlestep-sde"}
