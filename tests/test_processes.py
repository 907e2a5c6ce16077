"""Laws of the forward processes, and the closed forms of the papers."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import all_processes

from restore_core.errors import SettingsError
from restore_core.grids import leading, sections, truncated
from restore_core.processes import (
    BETA_SCHEDULES,
    MeanReverting,
    Process,
    ResidualShifting,
    VariancePreserving,
    beta_schedule,
    theta_schedule,
    zero_terminal,
)
from restore_core.samplers import GRIDS, time_grid

F64 = torch.float64


def times(process: Process, n: int = 200) -> torch.Tensor:
    return torch.linspace(0, process.steps, n, dtype=F64)


def test_coefficients_are_monotone_and_interpolate(process: Process):
    a, b, s = process.marginal(times(process))
    assert torch.equal(b, 1 - a)
    assert (a.diff() < 0).all() and (s.diff() > 0).all()
    assert a[0] == 1 and s[0] == 0


def test_level_grows_and_is_inverted(process: Process):
    t = times(process)[1:]
    level = process.level(t)
    assert (level.diff() > 0).all()
    assert torch.allclose(process.time_of(level), t, atol=1e-6)


def test_diffuse_has_the_stated_moments(process: Process):
    generator = torch.Generator().manual_seed(0)
    t = torch.tensor(0.6 * process.steps, dtype=F64)
    x0, y = torch.full((200_000,), 0.3, dtype=F64), torch.full((200_000,), -0.5, dtype=F64)
    x = process.diffuse(x0, y, t, torch.randn(200_000, generator=generator, dtype=F64))
    a, b, s = (c.item() for c in process.marginal(t))
    assert x.mean().item() == pytest.approx(a * 0.3 - b * 0.5, abs=5 * s / math.sqrt(200_000))
    assert x.std().item() == pytest.approx(s, rel=0.01)


def test_conversions_agree(process: Process):
    generator = torch.Generator().manual_seed(0)
    x0, y, eps = torch.randn(3, 2, 3, 4, 4, generator=generator, dtype=F64)
    for share in (0.1, 0.5, 0.9):
        t = torch.tensor(share * process.steps, dtype=F64)
        a, _, s = process.marginal(t)
        x = process.diffuse(x0, y, t, eps)
        for p in (
            process.from_x0(x, y, t, x0),
            process.from_eps(x, y, t, eps),
            process.from_v(x, y, t, a * eps - s * (x0 - y)),
        ):
            assert torch.allclose(p.x0, x0, atol=1e-9) and torch.allclose(p.eps, eps, atol=1e-9)
        assert torch.allclose(process.score(t, p), -eps / s)


def test_training_times_are_one_a_picture_and_keep_float32(process: Process):
    t = torch.tensor([0.2, 0.7], dtype=F64).reshape(2, 1, 1, 1) * process.steps
    x0, y, eps = torch.randn(3, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    x = process.diffuse(x0, y, t, eps)
    assert x.dtype == torch.float32
    for i in range(2):
        one = process.diffuse(x0[i : i + 1], y[i : i + 1], t[i, 0, 0, 0], eps[i : i + 1])
        assert torch.allclose(x[i : i + 1], one, atol=1e-6)


@pytest.mark.parametrize("index", [2, 10, 500, 1000])
def test_posterior_is_ddpm_equation_7(index: int):
    betas = beta_schedule("linear", 1000, 1e-4, 2e-2)
    process, abar = VariancePreserving(betas), torch.cumprod(1 - betas, 0)
    beta = (1 - abar[index - 2]) / (1 - abar[index - 1]) * betas[index - 1]
    std = process.posterior_std(torch.tensor(index - 1.0), torch.tensor(float(index)))
    assert std.item() == pytest.approx(beta.sqrt().item(), rel=1e-9)
    large = process.forward_std(torch.tensor(index - 1.0), torch.tensor(float(index)))
    assert large.item() == pytest.approx(betas[index - 1].sqrt().item(), rel=1e-9)


def test_posterior_is_resshifts_table():
    """ResShift's published deviations for T = 4 and T = 15 (4 decimals)."""
    four, fifteen = ResidualShifting(4, 2.0, min_level=0.2), ResidualShifting(15, 2.0)
    t4 = [four.posterior_std(torch.tensor(t - 1.0), torch.tensor(float(t))).item() for t in range(1, 5)]
    assert t4 == pytest.approx([0, 0.1963, 0.7597, 0.9733], abs=6e-5)
    t15 = [fifteen.posterior_std(torch.tensor(t - 1.0), torch.tensor(float(t))).item() for t in (1, 2, 3, 15)]
    assert t15 == pytest.approx([0, 0.0394, 0.1751, 0.7216], abs=6e-5)
    roots = fifteen.sqrt_eta(torch.arange(1, 16, dtype=F64))
    assert roots[[0, 1, 7, 14]].tolist() == pytest.approx([0.02, 0.11717, 0.47586, 0.99], abs=6e-6)


def test_resshifts_first_step_is_capped_and_its_divisor_is_that_of_its_space():
    process = ResidualShifting(15, 2.0, cap=0.001)
    assert process.sqrt_eta(torch.tensor(1.0, dtype=F64)).item() == pytest.approx(0.001)
    assert [ResidualShifting(15, kappa).start for kappa in (2.0, 0.5)] == pytest.approx([0.02, 0.04])
    one = ResidualShifting(1, 2.0)  # a run of one step begins with all the noise there is
    assert one.sqrt_eta(torch.tensor(1.0, dtype=F64)).item() == pytest.approx(0.99)
    t = torch.tensor(9.0, dtype=F64)
    s = process.marginal(t).s.item()
    assert process.divisor(t).item() == pytest.approx(math.sqrt(s**2 + 1))
    assert process.divisor(t, latent=False).item() == pytest.approx(3 * s + 1)


def test_coefficients_that_are_remembered_take_a_bounded_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("restore_core.processes.REMEMBERED", 8)
    process, fresh = all_processes()["vp"], all_processes()["vp"]
    for k in (*range(40), 3):
        t = torch.tensor(k / 3, dtype=F64)
        assert all(torch.equal(x, y) for x, y in zip(process.marginal(t), fresh._marginal(t), strict=True))
    assert len(process._known) <= 8


def test_posterior_is_irsdes():
    process = MeanReverting(theta_schedule("cosine", 100), 0.2)
    assert process.dt == pytest.approx(0.1040938, rel=1e-5)
    for t in (2, 50, 100):
        big, small = (process.marginal(torch.tensor(float(i))).a.item() for i in (t - 1, t))
        step = small / big
        std = 0.2 * math.sqrt((1 - step**2) * (1 - big**2) / (1 - small**2))
        ours = process.posterior_std(torch.tensor(t - 1.0), torch.tensor(float(t))).item()
        assert ours == pytest.approx(std, rel=1e-9)
    assert process.marginal(torch.tensor(100.0)).a.item() == pytest.approx(0.005, rel=1e-9)


@pytest.mark.parametrize("schedule, dt", [("linear", 0.5272477), ("constant", 0.0529832)])
def test_theta_schedules_end_where_they_should(schedule: str, dt: float):
    assert MeanReverting(theta_schedule(schedule, 100), 0.2).dt == pytest.approx(dt, rel=1e-5)


def test_sr3_schedules_end_where_published():
    end = lambda *args: VariancePreserving(beta_schedule(*args)).abar[-1].item()  # noqa: E731
    assert end("linear", 2000, 1e-6, 1e-2) == pytest.approx(4.39e-5, rel=2e-3)
    assert end("linear", 2000, 1e-4, 2e-2) == pytest.approx(1.63e-9, rel=5e-3)
    assert end("linear", 100, 1e-6, 1e-2) == pytest.approx(0.61, abs=5e-3)


@pytest.mark.parametrize("name", BETA_SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 10, 500])
def test_every_schedule_makes_a_process(name: str, steps: int):
    process = VariancePreserving(beta_schedule(name, steps, 1e-6, 0.5))
    a, _, s = process.marginal(times(process))
    assert torch.isfinite(a).all() and torch.isfinite(s).all() and (a.diff() <= 0).all()


def test_zero_terminal_schedule_is_finite_everywhere():
    process = VariancePreserving(zero_terminal(beta_schedule("linear", 1000, 1e-4, 2e-2)))
    a, _, s = process.marginal(times(process, 2001))
    assert a[-1] == 0 and s[-1] == 1 and torch.isfinite(a).all() and (a.diff() < 0).all()
    x, y, t = torch.randn(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.tensor(1000.0)
    for convert in (process.from_x0, process.from_eps, process.from_v):
        p = convert(x, y, t, torch.randn(1, 3, 4, 4))
        assert torch.isfinite(p.x0).all() and torch.isfinite(p.eps).all()
    assert torch.equal(process.from_v(x, y, t, torch.ones_like(x)).x0, -torch.ones_like(x))


@pytest.mark.parametrize("end", [0.6, 0.9])
@pytest.mark.parametrize("spacing", GRIDS)
def test_signal_that_falls_below_all_numbers_leaves_a_grid_that_descends(end: float, spacing: str):
    process = VariancePreserving(beta_schedule("linear", 2000, 1e-6, end))  # DvSR's, at 2,000 steps
    assert torch.cumprod(1 - beta_schedule("linear", 2000, 1e-6, end), 0)[-1] == 0 < process.abar[-1]
    grid = time_grid(process, 12, spacing)
    assert grid.isfinite().all() and (grid.diff() < 0).all() and grid[1] > 1


def test_where_grids_and_published_subsets_begin_and_end():
    process = all_processes()["vp"]
    assert time_grid(process, 4, "uniform", start=0.4)[-2].item() == pytest.approx(0.1)
    assert time_grid(process, 7, "log-snr")[-2] == time_grid(process, 7, "karras")[-2] == 1
    assert time_grid(process, 3, "uniform", start=0.4, whole=True).tolist() == [1, 0]
    silent = time_grid(VariancePreserving(torch.ones(1)), 3, "log-snr")  # no signal at its only index
    assert silent.isfinite().all() and (silent.diff() < 0).all()
    assert leading(100, 4, 1).tolist() == [77, 52, 27, 2, 0]
    assert truncated(100, 7).tolist() == [86, 72, 58, 43, 29, 15, 1, 0]
    assert sections(10, "2,2,2").tolist() == [10, 8, 7, 5, 4, 1, 0]


def test_without_signal_the_noise_tells_nothing_and_the_way_there_is_steep():
    process = VariancePreserving(zero_terminal(beta_schedule("linear", 100, 1e-4, 2e-2)))
    x, y, eps = (torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(k)) for k in range(3))
    assert torch.equal(process.from_eps(x, y, torch.tensor(100.0), eps).x0, y)
    assert (process.level(torch.linspace(98.5, 99.99, 50, dtype=F64)).diff() > 0).all()


def test_priors_are_the_published_ones():
    y, z = torch.full((1, 1, 2, 2), 0.3), torch.ones(1, 1, 2, 2)
    made = all_processes()
    assert torch.allclose(made["vp"].prior(y, z), y + 1)
    assert torch.allclose(made["resshift"].prior(y, z), y + 2 * 0.99)
    assert torch.allclose(made["mean-reverting"].prior(y, z), y + 0.2)


def test_diffusing_the_residual_is_vp_anchored_at_the_prediction():
    """DvSR: sqrt(abar)(x0 - g) + sqrt(1 - abar) eps, plus g."""
    process = all_processes()["vp"]
    x0, g, eps = torch.randn(3, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    t = torch.tensor(300.0, dtype=F64)
    a, _, s = process.marginal(t)
    assert torch.allclose(process.diffuse(x0, g, t, eps), a * (x0 - g) + s * eps + g)


@pytest.mark.parametrize(
    "make",
    [
        lambda: VariancePreserving(torch.tensor([0.1, 1.5])),
        lambda: VariancePreserving(torch.tensor([])),
        lambda: ResidualShifting(15, -1.0),
        lambda: MeanReverting(theta_schedule("cosine", 100), 0.0),
        lambda: beta_schedule("nope", 10),
        lambda: theta_schedule("nope", 10),
    ],
)
def test_what_cannot_be_a_process_is_refused_in_a_sentence(make):
    with pytest.raises(SettingsError, match="Choose"):
        make()
