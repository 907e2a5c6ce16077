"""Every method with its compact weights on small pictures: sizes, ranges, options, and that they do restore."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from restore_core.checkpoints.catalogue import COMPACT
from restore_core.degradations import TASKS
from restore_core.engine import finish, restore
from restore_core.errors import SettingsError
from restore_core.images import load, resize
from restore_core.library import Library, card
from restore_core.methods import METHODS
from restore_core.metrics import lpips, psnr
from restore_core.samplers import SAMPLERS

PHOTO = Path(__file__).parent / "data" / "cat.jpg"


@pytest.fixture(scope="module")
def library() -> Library:
    return Library("cpu")


@pytest.fixture(scope="module")
def clean() -> Tensor:
    """A detailed part of a photograph, (1, 3, 128, 128)."""
    return load(PHOTO).rgb[..., 60:188, 100:228]


def ask(key: str, task: str, **changes):
    return card(key).settings(card(key).variant_for(task).key, **changes)


def solve(library: Library, key: str, image: Tensor, settings) -> Tensor:
    return finish(restore(library.method(key, settings.variant).pose(image, settings), settings)).result


@pytest.mark.parametrize(
    ("key", "sampler"), [*((key, "ddim") for key in METHODS), *(("sr3", sampler) for sampler in SAMPLERS)]
)
def test_samples_that_walk_together_are_those_that_walk_alone(library, clean, key, sampler):
    settings = ask(key, "deblur", steps=3, samples=3, sampler=sampler, precision="float32")
    problem = library.method(key, settings.variant).pose(clean[..., :60, :50], settings)
    assert problem.bytes_per_pixel > 0
    together = [f for f in restore(problem, settings) if f.decoded is not None]
    alone = [f for f in restore(replace(problem, bytes_per_pixel=0.0), settings) if f.decoded is not None]
    assert [f.calls for f in together] == [f.calls for f in alone]
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one.decoded, other.decoded, atol=1e-4)
    assert torch.allclose(together[-1].result, alone[-1].result, atol=1e-4)


@pytest.mark.parametrize("key", METHODS)
@pytest.mark.parametrize("task", COMPACT)
def test_a_run_keeps_size_and_range_and_starts_where_the_paper_says(library, clean, key, task):
    settings = ask(key, task, steps=3)
    image = clean[..., :37, :50]
    problem = library.method(key, settings.variant).pose(image, settings)
    frames = list(restore(problem, settings))
    scale = TASKS[task].scale
    assert frames[-1].result.shape == (1, 3, 37 * scale, 50 * scale)
    assert 0 <= frames[-1].result.min() and frames[-1].result.max() <= 1
    first = frames[0].step
    x, s = first.x, problem.process.marginal(first.t).s
    about = {
        "dvsr": problem.guess,
        "sr3": torch.zeros_like(x),
        "resshift": problem.cond["y"],
        "irsde": problem.cond["y"],
        "diffbir": torch.zeros_like(x),
    }[key]
    stationary = problem.process.scale if key == "irsde" else 1.0
    scale_of_noise = stationary if key in ("sr3", "diffbir", "irsde") else s.item()
    assert (x - about).std().item() == pytest.approx(scale_of_noise, rel=0.05)


@pytest.mark.parametrize("key", METHODS)
@pytest.mark.parametrize("task, damage", [("sr4", {}), ("deblur", {"sigma": 2.0}), ("denoise", {"sigma": 25.0})])
def test_the_result_is_better_than_the_input(library, clean, key, task, damage):
    degraded = TASKS[task](clean, TASKS[task].standard | damage, torch.Generator().manual_seed(0))
    plain = resize(degraded, clean.shape[-2:]).clamp(0, 1)
    settings = ask(key, task, steps=8)
    single = solve(library, key, degraded, settings)
    calm = solve(library, key, degraded, ask(key, task, steps=8, samples=4))
    assert lpips(single, clean).item() < 0.9 * lpips(plain, clean).item()
    assert psnr(calm, clean).item() > psnr(plain, clean).item() + 0.5
    assert psnr(calm, clean).item() > psnr(single, clean).item()


@pytest.mark.parametrize("key", METHODS)
def test_tiles_leave_no_seam(library, clean, key):
    image = clean[..., :96, :128]
    whole, parts = (
        solve(library, key, image, ask(key, "deblur", steps=3, tile=tile, overlap=32)) for tile in (0, 96)
    )
    assert (whole - parts).abs().mean() < 2e-3


@pytest.mark.parametrize("key", METHODS)
@pytest.mark.parametrize("preset", range(5))
def test_presets_are_valid_and_run(library, clean, key, preset):
    settings = ask(key, "denoise", preset=preset)
    assert settings.sampler and settings.steps >= 1
    quick = ask(key, "denoise", preset=preset, steps=2, samples=1)
    assert solve(library, key, clean[..., :16, :16], quick).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("key", [k for k, m in METHODS.items() if any(o.key == "noise" for o in m.card.options)])
def test_noise_level_is_free_between_its_bounds_and_refused_beyond(library, clean, key):
    option = next(o for o in card(key).options if o.key == "noise")
    starts = []
    for value in (option.low, option.high):
        settings = ask(key, "denoise", steps=4, noise=value)
        problem = library.method(key, settings.variant).pose(clean[..., :16, :16], settings)
        assert torch.isfinite(finish(restore(problem, settings)).result).all()
        starts.append(problem.process.level(torch.tensor(float(problem.process.steps))).item())
    assert starts[0] < starts[1]
    for value in (option.high * 2, float("nan"), "loud"):
        with pytest.raises(SettingsError, match="Choose"):
            ask(key, "denoise", noise=value)


@pytest.mark.parametrize("key", METHODS)
@pytest.mark.parametrize("steps", [1, 2, 500])
def test_steps_at_both_ends(library, clean, key, steps):
    settings = ask(key, "denoise", steps=steps)
    assert torch.isfinite(solve(library, key, clean[..., :16, :16], settings)).all()


def test_unknown_words_are_refused_in_a_sentence():
    with pytest.raises(SettingsError, match="no method called 'magic'"):
        card("magic")
    with pytest.raises(SettingsError, match="no weights called"):
        card("dvsr").settings("huge")
    with pytest.raises(SettingsError, match="no weights for the task"):
        card("dvsr").variant_for("colourise")
    with pytest.raises(SettingsError, match="no option called"):
        card("dvsr").settings("compact-deblur", colour=1)
    with pytest.raises(SettingsError, match="no preset 9"):
        card("dvsr").settings("compact-deblur", 9)


def test_what_is_no_setting_is_refused_whatever_it_is_called():
    ours = METHODS["irsde"].card
    assert ours.settings("compact-jpeg", options={"eta": 0.2}).options["eta"] == 0.2
    for wrong in ({"options": 1}, {"self": 1}, {"cls": 1}):
        with pytest.raises(SettingsError):
            ours.settings("compact-jpeg", **wrong)
