"""Operators, chains, random chains, tasks: units, limits, repeatability, JSON both ways."""

from __future__ import annotations

import json
import math

import cv2
import pytest
import torch

from restore_core.degradations import DEGRADATIONS, TASKS, Chain, Step
from restore_core.degradations import realworld as rw
from restore_core.degradations import soft_jpeg as coder
from restore_core.degradations.ageing import dust, fade, pale, scratches, unfaded
from restore_core.degradations.blur import (
    blur,
    defocus_kernel,
    gaussian_kernel,
    motion_kernel,
    trajectory_kernel,
)
from restore_core.degradations.compression import jpeg
from restore_core.degradations.kernels import mixed_kernel, sinc_kernel
from restore_core.degradations.light import to_linear, to_srgb
from restore_core.degradations.noise import (
    camera_noise,
    decibels_from_iso,
    electron,
    film_grain,
    gaussian_noise,
    iso_from_decibels,
    poisson_gaussian,
)
from restore_core.degradations.published import MODES, filtered, resized
from restore_core.degradations.soft_jpeg import soft_jpeg
from restore_core.degradations.weather import haze, rain
from restore_core.engine import Noise
from restore_core.errors import SettingsError
from restore_core.evaluation import pairs
from restore_core.export import save
from restore_core.images import Photo, to_8bit
from restore_core.metrics.defects import blockiness
from restore_core.tradeoff import damaged


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    """Smooth waves with edges, (1, 3, 96, 120)."""
    y, x = torch.meshgrid(torch.linspace(0, 6, 96), torch.linspace(0, 8, 120), indexing="ij")
    waves = torch.stack([torch.sin(x + y), torch.cos(2 * x), torch.sign(torch.sin(3 * y) * torch.cos(x))])
    return (0.5 + 0.35 * waves)[None]


# optics


@pytest.mark.parametrize("path", [0, 1, 77])
def test_a_shaken_path_keeps_its_length_and_its_centre(path: int):
    k = trajectory_kernel(15, path).double()
    i = torch.arange(len(k), dtype=torch.float64) - len(k) // 2
    assert len(k) % 2 == 1 and k.sum().item() == pytest.approx(1, abs=1e-6)
    assert (k.sum(0) @ i).item() == pytest.approx(0, abs=0.01) and (k.sum(1) @ i).item() == pytest.approx(0, abs=0.01)
    spans = [(line > 0).nonzero().flatten() for line in (k.sum(0), k.sum(1))]
    assert 14 <= max(s[-1] - s[0] for s in spans) <= 17
    assert torch.equal(trajectory_kernel(15, path), trajectory_kernel(15, path))
    assert not torch.equal(trajectory_kernel(15, path), trajectory_kernel(15, path + 1))


@pytest.mark.parametrize("radius", [2.0, 4.5, 8.0])
def test_a_disk_has_its_radius(radius: float):
    k = defocus_kernel(radius).double()
    i = torch.arange(len(k), dtype=torch.float64) - len(k) // 2
    second = k.sum(0) @ i**2  # of an even disk r^2/4; a pixel's own width adds 1/12
    assert second.item() == pytest.approx(radius**2 / 4 + 1 / 12, rel=0.06)


def test_a_point_becomes_the_kernel_itself_and_correlation_turns_it_round():
    kernel = trajectory_kernel(9, 3)
    radius = len(kernel) // 2
    point = torch.zeros(1, 3, 4 * radius + 1, 4 * radius + 1)
    point[..., 2 * radius, 2 * radius] = 1
    inner = slice(radius, 3 * radius + 1)
    assert not torch.allclose(kernel, kernel.flip(0, 1), atol=1e-3)
    assert torch.allclose(blur(point, kernel)[0, 1, inner, inner], kernel, atol=1e-6)
    assert torch.allclose(filtered(point, kernel)[0, 1, inner, inner], kernel.flip(0, 1), atol=1e-6)


@pytest.mark.parametrize("kernel", [motion_kernel(16, 30), gaussian_kernel(4.0, 1.0, 30.0)])
def test_angles_rise_from_the_rows_upwards(kernel: torch.Tensor):
    middle = len(kernel) // 2
    upper_right, upper_left = kernel[:middle, middle + 1 :].sum(), kernel[:middle, :middle].sum()
    assert upper_right > 0.3 and upper_left < 0.12


def test_a_long_gaussian_lies_along_its_angle():
    k = gaussian_kernel(3.0, 1.0, 90.0).double()
    i = torch.arange(len(k), dtype=torch.float64) - len(k) // 2
    assert (k.sum(1) @ i**2).sqrt().item() == pytest.approx(3, rel=0.03)
    assert (k.sum(0) @ i**2).sqrt().item() == pytest.approx(1, rel=0.03)


def test_published_kernels_in_their_limits():
    gaussian = mixed_kernel("gaussian", 21, 2.0, 2.0)
    assert torch.allclose(mixed_kernel("generalised", 21, 2.0, 2.0, beta=1.0), gaussian)
    flat = mixed_kernel("plateau", 21, 3.0, 3.0, beta=8.0)
    assert flat[10, 10] / flat[10, 12] < 1.05 and flat[10, 10] / flat[10, 16] > 50
    assert sinc_kernel(21, math.pi)[10, 10] > 0.7 and (sinc_kernel(21, 1.0) < 0).any()


@pytest.mark.parametrize("mode", MODES)
def test_no_side_is_made_less_than_a_pixel(mode: str, picture: torch.Tensor):
    assert resized(picture[..., :1, :40], mode, scale=0.5).shape == (1, 3, 1, 20)


# noise, in its units


def test_iso_gain_and_decibels_agree():
    assert decibels_from_iso(100) == 0 and decibels_from_iso(3200) == pytest.approx(30.103, abs=1e-3)
    assert iso_from_decibels(decibels_from_iso(1234)) == pytest.approx(1234)
    assert electron(3200, 16_000) == pytest.approx(0.002)


@pytest.mark.parametrize("x", [0.05, 0.4, 0.9])
def test_poisson_gaussian_has_its_mean_and_variance(x: float):
    y = poisson_gaussian(torch.full((1, 3, 300, 300), x), 0.004, 0.02, seeded())
    assert y.mean().item() == pytest.approx(x, abs=1e-3)
    assert y.var().item() == pytest.approx(0.004 * x + 0.02**2, rel=0.02)


def test_camera_noise_grows_with_iso_as_the_square_root():
    grey = to_srgb(torch.full((1, 3, 256, 256), 0.3))
    deviation = [to_linear(camera_noise(grey, iso, seeded(), read=0.0)).std().item() for iso in (400, 1600)]
    assert deviation[1] / deviation[0] == pytest.approx(2, rel=0.02)
    assert deviation[0] == pytest.approx(math.sqrt(electron(400) * 0.3), rel=0.02)


def test_reading_adds_its_electrons_whatever_the_iso():
    grey = to_srgb(torch.full((1, 3, 256, 256), 0.3))
    for iso in (400, 1600):
        variance = to_linear(camera_noise(grey, iso, seeded(), read=30.0)).var().item()
        assert variance == pytest.approx(electron(iso) * 0.3 + (electron(iso) * 30) ** 2, rel=0.03)


def test_light_and_srgb_are_inverse():
    ramp = torch.linspace(0, 1, 300).reshape(1, 1, 15, 20)
    assert torch.allclose(to_srgb(to_linear(ramp)), ramp, atol=1e-6)
    assert to_linear(torch.tensor([0.5])).item() == pytest.approx(0.21404, abs=1e-5)


def test_grain_has_its_deviation_and_no_colour():
    grey = torch.full((1, 3, 200, 200), 0.5)
    grain = film_grain(grey, 12, 2.0, seeded()) - grey
    assert (grain * 255).std().item() == pytest.approx(12, rel=0.05)
    assert torch.allclose(grain[:, 0], grain[:, 2], atol=1e-6)
    assert film_grain(grey, 0, 2.0, seeded()) is grey


# files


def test_jpeg_quality_chroma_and_grid(picture: torch.Tensor):
    def error(**options: float) -> float:
        return (jpeg(picture, **{"quality": 50, **options}) - picture).square().mean().item()

    assert error(quality=10) > error(quality=50) > error(quality=95)
    assert error(chroma=1) > error(chroma=0)
    moved = jpeg(picture, 5, left=3, top=5)
    steps = moved.mean(1)[0].diff(dim=1).abs().mean(0)
    on_grid = steps[torch.arange(len(steps)) % 8 == 4]  # between columns 8 k - 3 - 1 and 8 k - 3
    assert moved.shape == picture.shape and on_grid.mean() > 2 * steps.mean()


def test_jpeg_in_arithmetic_is_the_file_but_for_its_turned_table(picture: torch.Tensor, monkeypatch):
    grey = picture.mean(1, keepdim=True).expand(-1, 3, -1, -1)  # files enlarge colour more smoothly
    file = jpeg(grey, 30)
    loss = (file - grey).abs().mean()
    assert (soft_jpeg(grey, 30) - grey).abs().mean() == pytest.approx(loss.item(), rel=0.3)
    monkeypatch.setattr(coder, "LUMA", tuple(zip(*coder.LUMA, strict=True)))  # as the standard has it
    assert (soft_jpeg(grey, 30) - file).abs().mean() < 0.35 * loss
    assert soft_jpeg(picture[..., :13, :21], 50).shape == (1, 3, 13, 21)


# weather and years


def test_haze_is_the_mixture_of_the_model(picture: torch.Tensor):
    flat = haze(picture, seeded(), beta=0.7, airlight=0.8, relief=0.0, horizon=0.0)
    t = math.exp(-0.7)
    assert torch.allclose(flat, picture * t + 0.8 * (1 - t), atol=1e-6)
    assert torch.allclose(haze(picture, seeded(), beta=0.0), picture)
    warm = haze(torch.zeros(1, 3, 8, 8), seeded(), beta=0.7, airlight=0.8, warmth=0.1, relief=0.0, horizon=0.0)
    assert torch.allclose(warm[0, :, 0, 0], torch.tensor([0.9, 0.8, 0.7]) * (1 - t))
    far = haze(picture, seeded(), beta=1.0, horizon=1.0, relief=0.0)
    assert far[..., :20, :].std() < far[..., -20:, :].std()


def test_rain_brightens_along_its_angle():
    dark = torch.full((1, 3, 128, 128), 0.2)
    wet = rain(dark, seeded(), density=4, length=30, angle=90, layers=1, strength=0.8)
    assert wet.min() >= 0.2 - 1e-5 and wet.max() > 0.4
    down, across = (wet[:, 0].diff(dim=d).abs().mean() for d in (1, 2))
    assert across > 2 * down
    assert torch.equal(rain(dark, seeded(), density=0, length=30, angle=90), dark)
    veiled = rain(dark, seeded(), density=0, length=30, angle=90, veil=0.25)
    assert torch.allclose(veiled, 0.75 * dark + 0.25 * 0.92)


def test_so_many_drops_fall_in_a_thousand_pixels_and_those_behind_are_smaller():
    dark = torch.zeros(1, 3, 512, 512)
    fall = {"length": 2.0, "angle": 90.0, "width": 0.5, "strength": 1.0}
    wet = rain(dark, seeded(), density=0.5, layers=1, **fall)[0, 0] > 0.05
    drops = cv2.connectedComponents(wet.numpy().astype("uint8"))[0] - 1
    assert drops == pytest.approx(0.5 * 512**2 / 1000, rel=0.25)
    fall |= {"length": 40.0, "width": 4.0, "density": 0.2}
    one, two = (rain(dark, seeded(), layers=layers, **fall).mean().item() for layers in (1, 2))
    assert 1.2 < two / one < 1.7  # behind: 0.7 of the length, 0.7 of the width, 0.85 of the strength


def test_years(picture: torch.Tensor):
    grey = fade(picture, 0.0, colourless=1.0)
    assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-5) and torch.allclose(fade(picture, 0.0), picture)
    old = fade(picture, 0.8, yellow=0.8)
    assert old.std() < picture.std() and old[:, 0].mean() > old[:, 2].mean()
    flat = torch.full((1, 3, 256, 256), 0.5)
    for marks in (scratches, dust):
        few, many = (((marks(flat, n, seeded(3)) - flat).abs() > 0.05).float().mean() for n in (2.0, 8.0))
        assert 0 < few < many < 0.4
        assert torch.equal(marks(flat, 0.0, seeded()), flat)
        light, dark = (marks(flat, 8.0, seeded(3), light=share) - flat for share in (1.0, 0.0))
        assert light.min() >= 0 >= dark.max() and light.max() > 0.2 and dark.min() < -0.2


def test_fading_is_undone_where_its_numbers_are_known(picture: torch.Tensor):
    old = fade(picture, 0.7, yellow=0.6, colourless=0.3)
    assert torch.allclose(unfaded(old, 0.7, yellow=0.6), pale(picture, 0.3), atol=1e-5)


@pytest.mark.parametrize("key", TASKS)
def test_a_lesson_is_the_clean_picture_and_what_is_seen_of_it(key: str, picture: torch.Tensor):
    task = TASKS[key]
    found, given = task.lesson(picture, task.standard, seeded(2))
    damaged = task(picture, task.standard, seeded(2))
    if key == "old":
        assert torch.allclose(found, pale(picture, 0.4)) and given.std() > 1.1 * damaged.std()
        assert (given - found).square().mean() < 0.3 * (damaged - picture).square().mean()
    else:
        assert torch.equal(found, picture) and torch.equal(given, damaged)


# every operator


@pytest.mark.parametrize("key", DEGRADATIONS)
def test_every_operator_repeats_and_takes_odd_sizes(key: str):
    small = torch.rand(1, 3, 33, 21, generator=seeded(5))
    chain = Chain((Step(key),), 3)
    one, two = chain(small), chain(small)
    assert torch.equal(one, two) and 0 <= one.min() and one.max() <= 1 and torch.isfinite(one).all()
    assert torch.allclose(one * 255, (one * 255).round(), atol=1e-3)
    tiny = Chain((Step(key),), 3)(small[..., :1, :2])
    assert torch.isfinite(tiny).all() and min(tiny.shape[-2:]) >= 1


@pytest.mark.parametrize("key", DEGRADATIONS)
def test_every_operator_works_at_the_ends_of_its_ranges(key: str):
    small = torch.rand(1, 3, 40, 40, generator=seeded(5))
    for option in DEGRADATIONS[key].options:
        ends = option.choices or ([False, True] if isinstance(option.default, bool) else [option.low, option.high])
        for value in ends:
            assert torch.isfinite(Chain((Step(key, {option.key: value}),))(small)).all(), (option.key, value)


@pytest.mark.parametrize("key", [k for k, d in DEGRADATIONS.items() if d.group == "photo" and k != "sensor"])
def test_every_operator_does_something_by_default(key: str, picture: torch.Tensor):
    assert (Chain((Step(key),))(picture) - picture).abs().mean() > 2e-3


# chains


def test_a_chain_as_json_and_as_text():
    chain = Chain((Step("blur", {"sigma": 1.5}), Step("noise", {"iso": 800}), Step("small", {"back": False})), 9)
    assert Chain.from_text(json.dumps(chain.to_json())) == chain
    assert Step.from_text("blur:sigma=1.5, ratio=0.5") == Step("blur", {"sigma": 1.5, "ratio": 0.5})
    assert Step.from_text("small:back=no,mode=area").values["back"] is False
    assert "deviation (px) 1.5" in str(chain.steps[0]) and "enlarge it to its size again no" in str(chain.steps[2])


def test_moving_one_step_leaves_the_noise_of_the_others():
    grey = torch.full((1, 3, 64, 64), 0.5)
    chains = [Chain((Step("blur", {"sigma": s}), Step("gaussian", {"sigma": 20})), 4) for s in (0.5, 3.0)]
    assert torch.equal(chains[0](grey), chains[1](grey))
    assert not torch.equal(chains[0](grey), Chain(chains[0].steps, 5)(grey))


def test_the_same_step_twice_draws_twice_and_no_stage_leaves_the_range():
    grey = torch.full((1, 3, 128, 128), 0.5)
    twice = Chain((Step("gaussian", {"sigma": 10}),) * 2, 4)(grey)
    assert ((twice - grey) * 255).std().item() == pytest.approx(10 * math.sqrt(2), rel=0.03)
    loud = list(Chain((Step("gaussian", {"sigma": 100}), Step("blur")), 4).stages(grey))
    assert all(0 <= stage.min() and stage.max() <= 1 for stage in loud)
    assert loud[0].min() == 0 and loud[0].max() == 1


@pytest.mark.parametrize(
    "data, words",
    [
        ([], "not a chain"),
        ({"steps": "blur"}, r"names no operator|not a chain"),
        ({"steps": [{"sigma": 1}]}, "names no operator"),
        ({"steps": [{"operator": "blurr"}]}, "no damage called 'blurr'. Choose one of blur"),
        ({"steps": [{"operator": ["blur"]}]}, "no damage called"),
        ({"steps": [{"operator": "blur", "sigma": 99}]}, "between 0 and 5"),
        ({"steps": [{"operator": "blur", "sigma": math.nan}]}, "between 0 and 5"),
        ({"steps": [{"operator": "blur", "radius": 1}]}, "no option called radius"),
        ({"steps": [{"operator": "small", "back": "perhaps"}]}, "neither yes nor no"),
        ({"steps": [{"operator": "blur"}] * 100}, "at most 64"),
        ({"steps": [], "seed": -1}, "seed"),
        ({"steps": [], "sed": 1}, "sed too"),
    ],
)
def test_bad_chains_are_refused_in_words(data, words: str):
    with pytest.raises(SettingsError, match=words):
        Chain.from_json(data)


def test_bad_texts_are_refused_in_words():
    with pytest.raises(SettingsError, match="not JSON"):
        Chain.from_text("blur")
    with pytest.raises(SettingsError, match="not NAME=VALUE"):
        Step.from_text("blur:2")


# random chains


@pytest.mark.parametrize("recipe", rw.RECIPES)
def test_random_chains_are_chains(recipe: str, picture: torch.Tensor):
    for seed in range(12):
        chain = rw.draw(recipe, seed)
        assert Chain.from_text(json.dumps(chain.to_json())) == chain == rw.draw(recipe, seed)
    assert chain(picture).shape == picture.shape
    assert rw.draw(recipe, 1) != rw.draw(recipe, 2)


def test_two_stages_keep_the_published_ranges_and_shares():
    chains = [rw.draw("two-stage", seed) for seed in range(500)]
    steps = [step for chain in chains for step in chain.steps]
    of = lambda key: [s.values for s in steps if s.key == key]  # noqa: E731
    first = [next(s for s in chain.steps if s.key == "resize").values["scale"] for chain in chains]
    assert 0.15 <= min(first) and max(first) <= 1.5
    assert sum(s > 1 for s in first) / 500 == pytest.approx(0.2, abs=0.06)
    assert sum(s < 1 for s in first) / 500 == pytest.approx(0.7, abs=0.06)
    assert {v["size"] for v in of("kernel")} == set(range(7, 22, 2))
    assert all(0.2 <= v["sigma_x"] <= 3 and 0.5 <= v["beta"] <= 4 for v in of("kernel"))
    kernels, shapes = of("kernel"), [v["shape"] for v in of("kernel")]
    assert shapes.count("gaussian") / len(shapes) == pytest.approx(0.7, abs=0.05)
    assert sum(v["sigma_x"] == v["sigma_y"] for v in kernels) / len(kernels) == pytest.approx(0.69, abs=0.05)
    assert len(kernels) / 500 == pytest.approx(0.9 * 1.8, abs=0.1)
    assert all(30 <= v["quality"] <= 95 for v in of("soft-jpeg")) and len(of("soft-jpeg")) == 1000
    assert all(1 <= v["sigma"] <= 30 for v in of("gaussian")) and all(0.05 <= v["scale"] <= 3 for v in of("poisson"))
    grey = [v["grey"] for v in of("gaussian") + of("poisson")]
    assert sum(grey) / len(grey) == pytest.approx(0.4, abs=0.05)
    assert {chain.steps[-1].key for chain in chains} == {"resize-to"}
    assert {chain.steps[-2].key for chain in chains} == {"soft-jpeg", "sinc", "resize-to"}


def test_an_unknown_recipe_is_refused():
    with pytest.raises(SettingsError, match="two-stage"):
        rw.draw("three-stage", 1)


# tasks


@pytest.mark.parametrize("key", TASKS)
def test_drawn_parameters_are_numbers_and_make_a_picture(key: str):
    task, generator = TASKS[key], seeded(2)
    clean = torch.rand(1, 3, 96 + 2 * task.margin, 96 + 2 * task.margin, generator=generator)
    for _ in range(12):
        drawn = task.draw(generator)
        assert all(isinstance(value, float) for value in drawn.values()) and set(drawn) <= set(task.standard)
        assert torch.isfinite(task(clean, drawn, generator)).all()


def test_nothing_new_by_default_in_the_tasks_that_have_weights():
    """What the shipped weights were measured on: a Gaussian of 2 px with noise 1, even noise of 25."""
    clean = torch.rand(1, 3, 64, 64, generator=seeded(1))
    blurred = to_8bit(gaussian_noise(blur(clean, gaussian_kernel(2.0)), 1.0, seeded(7)))
    assert torch.equal(TASKS["deblur"](clean, {}, seeded(7)), blurred)
    assert torch.equal(TASKS["denoise"](clean, {}, seeded(7)), to_8bit(gaussian_noise(clean, 25.0, seeded(7))))


def test_what_deblurring_learns_from_is_the_blur_that_the_lab_draws(picture: torch.Tensor):
    for drawn, step in (
        ({"shake": 15.0, "path": 3.0}, Step("shake", {"length": 15, "path": 3})),
        ({"defocus": 4.0}, Step("defocus", {"radius": 4})),
        ({"length": 12.0, "angle": 30.0}, Step("motion", {"length": 12, "angle": 30})),
    ):
        learnt = TASKS["deblur"](picture, {"sigma": 0.0, "noise": 0.0, **drawn}, seeded())
        assert (learnt - Chain((step,))(picture)).abs().max() < 1.1 / 255, step.key


@pytest.mark.parametrize("stage", [1, 2])
def test_both_stages_of_several_faults_leave_their_own(stage: int, picture: torch.Tensor):
    nothing = {"sigma": 0.0, "factor": 1.0, "noise": 0.0, "iso": 0.0, "quality": 0.0}
    none = {f"{key}_{k}": value for k in (1, 2) for key, value in nothing.items()}
    task = TASKS["blind"]
    assert torch.equal(task(picture, none, seeded()), to_8bit(picture))
    for key, value in {"sigma": 2.0, "factor": 3.0, "noise": 20.0, "iso": 6400.0, "quality": 10.0}.items():
        damaged = task(picture, none | {f"{key}_{stage}": value}, seeded())
        assert (damaged - picture).abs().mean() > 4e-3, key


def test_the_second_stage_is_drawn_milder():
    draws = [TASKS["blind"].draw(seeded(k)) for k in range(300)]
    ends = {"sigma_1": 2, "sigma_2": 1, "factor_1": 2, "factor_2": 1.5, "noise_1": 12, "noise_2": 8}
    for key, high in ends.items():
        largest = max(drawn[key] for drawn in draws)
        assert 0.93 * high < largest <= high, key


@pytest.mark.parametrize("key", ["deblur", "denoise", "rain", "haze"])
def test_damage_is_drawn_with_and_without_a_file_that_leaves_blocks(key: str, picture: torch.Tensor):
    task, drawn = TASKS[key], [TASKS[key].draw(seeded(k)) for k in range(40)]
    assert {0.0} < {parameters["quality"] for parameters in drawn}
    without, saved = (task(picture, {"quality": quality}, seeded()) for quality in (0.0, 20.0))
    assert torch.equal(without, task(picture, {}, seeded()))  # what the shipped weights are measured on
    assert blockiness(saved).item() > 2 * blockiness(without).item()


def test_streaks_of_any_length_and_width_cover_as_much_as_was_drawn():
    draws = [TASKS["rain"].draw(seeded(k)) for k in range(60)]
    covered = [p["density"] * p["length"] * p["width"] / 1000 for p in draws]
    assert min(covered) < 0.06 and max(covered) > 0.3 and all(0.03 <= share <= 0.5 for share in covered)


def test_two_files_leave_two_grids(picture: torch.Tensor):
    once = TASKS["jpeg"](picture, {"quality": 60.0, "left": 4.0}, seeded())
    twice = TASKS["jpeg"](picture, {"quality": 60.0, "first": 12.0, "left": 4.0}, seeded())
    assert (twice - picture).square().mean() > 1.5 * (once - picture).square().mean()


def likeness(damaged: torch.Tensor, clean: torch.Tensor, seed: int) -> float:
    """Correlation of what was added to a picture with the noise that a run of this seed begins with."""
    return torch.corrcoef(torch.stack([(damaged - clean).flatten(), Noise(seed)(clean).flatten()]))[0, 1].abs().item()


@pytest.mark.parametrize("seed", range(4))
def test_the_noise_of_a_damage_is_not_the_noise_of_a_run(seed: int, tmp_path):
    clean = torch.full((1, 3, 96, 96), 0.5)
    photo = Photo(clean, None, False, 8, None, None, (), "grey")
    save(clean, tmp_path / "grey.png")
    (pair,) = pairs(tmp_path, TASKS["denoise"], {}, seed)
    degraded = {
        "evaluate": pair.degraded,
        "sweep": damaged(photo, "denoise", seed=seed).degraded,
        "chain": Chain((Step("gaussian"),), seed)(clean),
        "second step": Chain((Step("blur"), Step("gaussian")), seed)(clean),
    }
    for what, picture in degraded.items():
        assert max(likeness(picture, clean, run) for run in range(8)) < 0.03, what
