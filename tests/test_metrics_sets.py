"""Reference values of LPIPS and NIQE; distances between sets; the path of a run; the damage as an operator."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.degradations.blur import blur, gaussian_kernel, motion_kernel
from restore_core.errors import SettingsError
from restore_core.images import load, resize, to_8bit
from restore_core.metrics import (
    PathLength,
    consistency,
    frechet,
    kernel_distance,
    lpips,
    lpips_features,
    niqe,
    operator_between,
    perceptual_kernel_distance,
    psnr,
    sliced_wasserstein,
)
from restore_core.metrics.distribution import _band
from restore_core.metrics.operators import fitted_kernel

PAIRS = Path(__file__).parent / "pictures" / "lpips"
TEST_SETS = Path(os.environ.get("STEPBACK_DATA", Path(__file__).parents[2] / "shared" / "data")) / "test"


def scene(seed: int = 0, side: int = 128) -> Tensor:
    """Discs and grain, (1, 3, side, side): edges, flat parts and texture."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.full((3, side, side), 0.5)
    for _ in range(40):
        cy, cx, r = (torch.rand(3, generator=generator) * torch.tensor([side, side, side / 5])).tolist()
        inside = (y - cy) ** 2 + (x - cx) ** 2 < r**2
        image[:, inside] = torch.rand(3, 1, generator=generator) * 0.7 + 0.15
    return (image + 0.04 * torch.randn(image.shape, generator=generator)).clamp(0, 1)[None]


# --- reference values ------------------------------------------------------------------------------------------


def test_lpips_equals_the_published_values():
    reference, first, second = (load(PAIRS / f"ex_{name}.png").rgb for name in ("ref", "p0", "p1"))
    assert lpips(first, reference).item() == pytest.approx(0.7219, abs=5e-5)
    assert lpips(second, reference).item() == pytest.approx(0.1376, abs=5e-5)


@pytest.mark.skipif(not (TEST_SETS / "set14").is_dir(), reason="Set14 is not here (STEPBACK_DATA)")
def test_niqe_equals_the_published_value():
    assert niqe(load(TEST_SETS / "set14" / "baboon.webp").rgb).item() == pytest.approx(5.7296, abs=1e-3)


@pytest.mark.skipif(not (TEST_SETS / "set5").is_dir(), reason="Set5 is not here (STEPBACK_DATA)")
def test_set5_bicubic_equals_the_published_value():
    values = []
    for path in sorted((TEST_SETS / "set5").glob("*.webp")):
        clean = load(path).rgb
        height, width = (side // 4 * 4 for side in clean.shape[-2:])
        clean = clean[..., :height, :width]
        small = to_8bit(resize(clean, (height // 4, width // 4)))
        values.append(lpips(to_8bit(resize(small, (height, width))), clean).item())
    assert len(values) == 5 and sum(values) / 5 == pytest.approx(0.340, abs=1e-3)


# --- distances between sets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [sliced_wasserstein, perceptual_kernel_distance])
def test_a_set_is_nearest_to_itself_and_blur_takes_it_away(distance):
    clean = [scene(seed) for seed in range(6)]
    soft = [[blur(image, gaussian_kernel(sigma)) for image in clean] for sigma in (0.7, 1.5, 3.0)]
    values = [distance(pictures, clean) for pictures in soft]
    assert distance(clean, clean) <= 1e-3 and 0 < values[0] < values[1] < values[2]


def test_sliced_wasserstein_forgets_which_picture_is_whose():
    clean = [scene(seed) for seed in range(4)]
    assert sliced_wasserstein(clean[::-1], clean) < 1e-3
    assert sliced_wasserstein(clean[:2], clean) > 1


def test_the_pyramid_adds_up_to_the_picture():
    image = scene(side=64)
    levels = [_band(image, level, 3) for level in range(3)]
    built = levels[-1]
    for band in levels[-2::-1]:
        built = band + F.interpolate(built, size=band.shape[-2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(built, image)


def test_kernel_distance_is_its_sum():
    a, b = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[2.0], [-1.0]])
    k = lambda x, y: (x * y + 1) ** 3  # noqa: E731
    within_a = (k(0, 1) + k(0, 3) + k(1, 3)) / 3
    between = sum(k(x, y) for x in (0, 1, 3) for y in (2, -1)) / 6
    assert kernel_distance(a, b) == pytest.approx(within_a + k(2, -1) - 2 * between)


def test_kernel_distance_of_one_distribution_is_about_zero():
    generator = torch.Generator().manual_seed(0)
    draws = [
        kernel_distance(*(torch.randn(40, 6, generator=generator) for _ in range(2))) for _ in range(200)
    ]
    mean = sum(draws) / len(draws)
    spread = math.sqrt(sum((d - mean) ** 2 for d in draws) / len(draws))
    assert abs(mean) < 4 * spread / math.sqrt(len(draws))


def test_pairs_of_one_scene_are_left_out():
    a = torch.randn(12, 6, generator=torch.Generator().manual_seed(3))
    assert kernel_distance(a, a, paired=True) == pytest.approx(0, abs=1e-9) and kernel_distance(a, a) < -0.1
    clean = [scene(seed) for seed in range(4)]
    values = [
        perceptual_kernel_distance([blur(image, gaussian_kernel(s)) for image in clean], clean, paired=True)
        for s in (0.7, 1.5, 3.0)
    ]
    assert 0 < values[0] < values[1] < values[2]
    with pytest.raises(SettingsError, match="not pairs"):
        kernel_distance(a, a[:5], paired=True)


def test_frechet_of_gaussians():
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(20_000, 3, generator=generator, dtype=torch.float64)
    assert frechet(a, a + torch.tensor([1.0, 2.0, 0.0])) == pytest.approx(5.0)
    assert frechet(a, 3 * a) == pytest.approx(
        4 * a.T.cov().trace().item() + 4 * a.mean(0).square().sum().item()
    )


def test_lpips_features_are_of_whole_pieces():
    picture = scene(side=200)
    found = lpips_features([picture], tile=100)
    assert found.shape == (4, 1152)
    torch.testing.assert_close(found[1], lpips_features([picture[..., :100, 100:]])[0])


def test_sets_are_refused_in_a_sentence():
    with pytest.raises(SettingsError, match="two or more in each"):
        sliced_wasserstein([scene()], [scene()])
    with pytest.raises(SettingsError, match="same network"):
        frechet(torch.zeros(3, 4), torch.zeros(3, 5))


# --- the path of a run -----------------------------------------------------------------------------------------


def test_path_length_is_the_sum_of_the_steps():
    guesses = [blur(scene(side=64), gaussian_kernel(sigma)) for sigma in (3.0, 2.0, 1.0)]
    path = PathLength()
    for guess in guesses:
        path.add(guess)
    steps = lpips(guesses[1], guesses[0]) + lpips(guesses[2], guesses[1])
    assert path.length == pytest.approx(steps.item(), rel=1e-5)
    assert path.detour == pytest.approx(path.length / lpips(guesses[2], guesses[0]).item(), rel=1e-5)


def test_a_walk_there_and_back_is_all_detour():
    path = PathLength(lambda x, y: (x - y).abs().mean((1, 2, 3)))
    for value in (0.0, 1.0, 0.0, 0.5):
        path.add(torch.full((1, 3, 64, 64), value))
    assert path.length == pytest.approx(2.5) and path.detour == pytest.approx(5.0)
    with pytest.raises(SettingsError, match="No guess"):
        PathLength().detour  # noqa: B018


# --- the damage as an operator ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [gaussian_kernel(1.5), motion_kernel(9, 30)], ids=["gaussian", "motion"])
def test_a_blur_is_found_again(kernel: Tensor):
    clean = scene()
    y = to_8bit(blur(clean, kernel))
    again = operator_between(clean, y)(clean)
    assert psnr(again, y, crop_border=8).item() > 50
    found = fitted_kernel(clean, y)
    assert found.sum().item() == pytest.approx(1, abs=0.01)
    assert consistency(clean, y, operator_between(clean, y)) > 10 + psnr(clean, y)


def test_noise_is_nobodys_blur():
    clean = scene()
    y = to_8bit(clean + 0.05 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2)))
    kernel = fitted_kernel(clean, y)
    assert kernel[9, 9].item() > 0.9 and kernel.sum().item() == pytest.approx(1, abs=0.02)


def test_a_larger_result_is_shrunk():
    clean = scene()
    small = resize(clean, (32, 32))
    torch.testing.assert_close(operator_between(clean, small)(clean), small)


def test_a_tiny_photo_has_no_operator():
    with pytest.raises(SettingsError, match="too small to estimate"):
        fitted_kernel(torch.zeros(1, 3, 30, 30), torch.zeros(1, 3, 30, 30))
