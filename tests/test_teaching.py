"""What the Learn tab computes: laws that hold for every process and sampler, and the handlers without a page."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from restore_core.engine import Noise, start_of, times_of
from restore_core.errors import SettingsError
from restore_core.library import Library
from restore_core.problem import Problem
from restore_core.processes import MeanReverting, Process, theta_schedule
from restore_core.samplers import SAMPLERS
from restore_core.settings import Settings
from restore_core.teaching import (
    anatomy,
    averages,
    convergence,
    formulas,
    forward,
    levels,
    randomness,
    scenes,
    traces,
)

SIZE = (1, 3, 12, 10)


def picture(seed: int, size: tuple[int, ...] = SIZE, dtype: torch.dtype = torch.float64) -> Tensor:
    return (
        torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        .mul(2)
        .sub(1)
        .to(dtype)
    )


def toy(process: Process, dtype: torch.dtype = torch.float64) -> Problem:
    """A denoiser that is neither constant nor linear, so that no term of a step can hide behind another."""
    y = picture(1, dtype=dtype)

    def network(x: Tensor, t: Tensor, cond: dict) -> Tensor:
        return torch.tanh(0.6 * x + 0.3 * y) * (0.9 - 0.2 * float(t) / process.steps)

    return Problem(process, network, "x0", y, encode=lambda i: i * 2 - 1, decode=lambda x: (x + 1) / 2)


def run(process: Process, sampler: str, dtype: torch.dtype, **options: float) -> list[traces.Moment]:
    problem = toy(process, dtype)
    steps = min(7, process.steps)
    settings = Settings("toy", "toy", sampler, steps, spacing="uniform", options=options)
    draw, times = Noise(3), times_of(problem, settings)
    x = start_of(problem, settings, times[0], draw)
    return list(traces.walk(problem, settings, problem.denoise, x, times, draw))


# --- forward ---------------------------------------------------------------------------------------------------


def test_the_moments_are_those_of_the_histogram(process: Process):
    """The histogram of x_t, drawn with real noise, has the mean and deviation that the page draws its bell with."""
    x0, y = picture(1, (1, 3, 96, 96)), picture(2, (1, 3, 96, 96)) * 0.5 + 0.2
    seen = forward.curves(process)
    over = forward.moments(seen, x0, y)
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for k in (0, len(seen.t) // 3, len(seen.t) // 2, len(seen.t) - 1):
        state = process.diffuse(x0, y, seen.t[k], eps)
        error = 4 * seen.s[k].item() / math.sqrt(x0.numel()) + 1e-9  # four standard errors
        assert state.mean().item() == pytest.approx(over.mean[k].item(), abs=error)
        assert state.std(correction=0).item() == pytest.approx(over.std[k].item(), abs=error)


def test_curves_begin_clean_and_are_the_process(process: Process):
    seen = forward.curves(process)
    assert seen.t[0] == 0 and seen.t[-1] == process.steps
    assert seen.a[0] == 1 and seen.s[0] == 0 and seen.snr[0] == forward.SHOWN_DB
    assert torch.equal(seen.b, 1 - seen.a) and bool((seen.snr.diff() <= 0).all())
    middle = len(seen.t) // 2
    a, _, s = process.marginal(seen.t[middle])
    assert seen.snr[middle].item() == pytest.approx(20 * math.log10(a / s), rel=1e-9)
    assert 300 <= len(seen.t) <= 1001


def test_the_marked_times_of_ddpm_are_points_of_its_curve():
    seen = forward.curves(forward.ddpm())
    assert {0.0, 50.0, 100.0, 500.0, 999.0} <= set(seen.t.tolist())
    assert seen.a[500].item() ** 2 == pytest.approx(0.0786, abs=1e-3)  # abar_500 of the linear schedule


# --- one step as a formula -------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("sampler", list(formulas.FORMULAS))
def test_the_formula_with_its_numbers_is_the_samplers_next_x(process: Process, sampler: str, eta: float):
    moments = run(
        process, sampler, torch.float64, **({"eta": eta} if sampler not in ("heun", "multistep") else {})
    )
    assert len(moments) == min(7, process.steps)
    for moment in moments:
        assert torch.allclose(moment.formula.total(), moment.after, rtol=1e-12, atol=1e-12)


def test_ddims_formula_is_the_next_x_to_the_bit(process: Process):
    for moment in run(process, "ddim", torch.float32, eta=0.7):
        assert torch.equal(moment.formula.total(), moment.after)


@pytest.mark.parametrize("sampler", list(formulas.FORMULAS))
def test_the_formulas_terms_are_written_and_add_up_at_one_pixel(process: Process, sampler: str):
    moment = run(process, sampler, torch.float64)[0]
    found = moment.formula
    text = found.latex(6)
    total = 0.0
    for term in found.terms:
        assert term.symbol in text
        assert term.role == "state" or f"{abs(term.coefficient):.6f}" in text
        total += term.coefficient * term.picture[0, 1, 4, 3].item()
    assert total == pytest.approx(moment.after[0, 1, 4, 3].item(), abs=1e-12)
    roles = [t.role for t in found.terms]
    drawn = any(o.key == "eta" for o in SAMPLERS[sampler].options)
    assert roles.count("fresh") == int(drawn) and roles.count("noise") == 1 and roles.count("guess") == 1


def test_the_last_step_returns_the_guess(process: Process):
    for sampler in formulas.FORMULAS:
        last = run(process, sampler, torch.float64)[-1]
        assert [t.role for t in last.formula.terms] == ["guess"] and last.formula.terms[0].coefficient == 1
        assert torch.equal(last.after, last.step.prediction.x0) and last.t_next == 0


def test_an_unknown_sampler_has_no_formula(process: Process):
    moment = run(process, "ddim", torch.float64)[0]
    made = formulas.Made(
        process, picture(1), moment.step.t, moment.t_next, moment.step.x, [moment.step.prediction], None, None
    )
    with pytest.raises(SettingsError, match="no formula"):
        formulas.formula("unknown", made)


# --- averages, spread, steps -----------------------------------------------------------------------------------


def test_the_gain_of_averaging_posterior_samples():
    """Samples of N(m, v) about a truth that is a sample too: MSE (1 + 1/n) v."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(9, 400_000, generator=generator, dtype=torch.float64)
    truth, samples = draws[0], draws[1:]
    single = (samples - truth).square().mean()
    for n in (2, 4, 8):
        found = 10 * torch.log10(single / (samples[:n].mean(0) - truth).square().mean()).item()
        assert found == pytest.approx(averages.expected_gain(n), abs=0.03)
    assert averages.expected_gain(1) == 0 and averages.expected_gain(10**9) == pytest.approx(
        averages.LIMIT_DB
    )


def test_running_means_are_the_means_of_the_first():
    samples = picture(0, (5, 3, 4, 4))
    means = averages.running_means(samples)
    for n in range(1, 6):
        assert torch.allclose(means[n - 1], samples[:n].mean(0))


def test_spread_is_zero_without_chance_and_the_deviation_with_it(process: Process):
    problem = toy(process, torch.float32)
    settings = Settings("toy", "toy", "ddim", min(6, process.steps), spacing="uniform", seed=2)
    calm, wild = randomness.spreads(problem, settings, (0.0, 1.0), 3, same_start=True)
    assert torch.equal(calm.deviation, torch.zeros(1, 1, 12, 10)) and calm.grey_levels == 0
    assert wild.grey_levels > 0
    own = next(randomness.spreads(problem, settings, (0.0,), 3, same_start=False))
    assert own.grey_levels > 0
    assert torch.equal(own.results[0], calm.results[0])  # the first run is the same either way
    expected = wild.results.std(dim=0).square().mean().sqrt().item() * 255
    assert wild.grey_levels == pytest.approx(expected, rel=1e-4)


def test_more_steps_come_closer_to_the_path():
    problem = toy(MeanReverting(theta_schedule("cosine", 100), 0.3), torch.float64)
    settings = Settings("toy", "toy", "ddim", 5)
    end = convergence.flow(problem, settings, *convergence.REFERENCE).picture
    for sampler, order in (("ddim", 1), ("multistep", 2)):
        errors = [
            convergence.distance(convergence.flow(problem, settings, sampler, n).picture, end)
            for n in (8, 16, 32)
        ]
        assert errors[0] > errors[1] > errors[2]
        assert math.log2(errors[1] / errors[2]) > 0.7 * order
    assert convergence.flow(problem, settings, "heun", 8).calls == 15


# --- the shipped networks --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library() -> Library:
    return Library("cpu")


@pytest.fixture(scope="module")
def scene(library: Library) -> scenes.Scene:
    ramp = torch.linspace(0, 1, 150).expand(1, 3, 140, 150)
    return scenes.scene((ramp + 0.2 * torch.sin(40 * ramp)).clamp(0, 1), "sr4", library)


def test_a_scene_is_the_middle_of_the_photo_and_its_damage(scene: scenes.Scene, library: Library):
    assert scene.clean.shape == (1, 3, 128, 128) and scene.damaged.shape == (1, 3, 32, 32)
    assert torch.equal(scene.clean.mul(255).round(), scene.clean.mul(255))
    assert scenes.scene(scene.clean, "sr4", library).key == scene.key
    assert scenes.scene(scene.clean, "denoise", library).key != scene.key
    assert scenes.scene(torch.rand(1, 3, 1, 1), "deblur", library).clean.shape == (1, 3, 128, 128)


@pytest.mark.parametrize("method", scenes.METHODS)
def test_every_method_steps_by_its_formula_on_a_real_network(
    method: str, scene: scenes.Scene, library: Library
):
    settings = scenes.settings_of(scene, library, method, sampler="ddim", steps=3, spacing="log-snr", eta=1.0)
    moments = traces.trace(scenes.pose(scene, library, settings), settings)
    assert len(moments) == 3
    for moment in moments:
        assert torch.allclose(moment.formula.total(), moment.after, atol=1e-5)


def test_the_anatomy_is_that_of_the_weights(library: Library):
    model = library.network("compact/sr4")
    y = torch.zeros(1, 3, 128, 128)
    found = anatomy.anatomy(model.denoiser, lambda: model.denoise(y, torch.ones(()), torch.tensor(0.1), y, y))
    shapes = {part.name: part.shape for part in found.parts}
    assert found.enters == (9, 128, 128) and found.leaves == (3, 128, 128)
    widths = [conv.in_channels for conv in model.denoiser.shrink] + [model.denoiser.shrink[-1].out_channels]
    for k, width in enumerate(widths):  # half of the size on the way in, and half again from level to level
        assert shapes[f"down.{k}"] == (width, 64 >> k, 64 >> k)
    assert shapes["head"] == (widths[0], 64, 64) and shapes["tail"] == (12, 64, 64)
    assert [(found.parts[i].name, found.parts[j].name) for i, j in found.skips] == [
        (f"down.{k}", f"up.{k}") for k in reversed(range(len(widths) - 1))
    ]
    assert found.parameters == sum(p.numel() for p in model.denoiser.parameters())
    embedders = sum(p.numel() for p in model.denoiser.embed.parameters())
    assert sum(part.parameters for part in found.parts) == found.parameters - embedders
    assert all(part.maps.shape[1:] == part.shape[1:] and 0 <= part.maps.min() for part in found.parts)
    assert not any(m._forward_hooks for m in model.denoiser.modules())


def test_the_truth_about_the_noise_is_best_told(scene: scenes.Scene, library: Library):
    found = levels.told(scene, library, (0.05, 0.3, 2.0))
    assert found.answers.shape == (3, 3, 3, 128, 128)
    assert found.psnr.argmax(dim=1).tolist() == [0, 1, 2]
    assert found.psnr[0, 0] > found.psnr[1, 1] > found.psnr[2, 2]
