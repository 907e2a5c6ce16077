"""Metrics against hand computation, second implementations in numpy, and the laws each must obey."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from restore_core.errors import CheckpointError, SettingsError
from restore_core.images import resize, to_8bit
from restore_core.metrics import (
    METRICS,
    blockiness,
    consistency,
    consistency_with,
    edge_blur,
    lpips,
    ms_ssim,
    niqe,
    noise,
    psnr,
    psnr_y,
    sharpness,
    ssim,
)
from restore_core.metrics.filters import gaussian_blur
from restore_core.metrics.natural import FILE as NIQE_FILE
from restore_core.metrics.natural import asymmetric_gaussian, block_features
from restore_core.metrics.perceptual import FILE as LPIPS_FILE

WITH_REFERENCE = [key for key, metric in METRICS.items() if metric.needs_reference]


def leaves(height: int = 192, width: int = 192, seed: int = 0) -> Tensor:
    """Dead leaves: discs of random size and colour one over another, antialiased; (1, 3, H, W), as sharp as can be."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: 2 * height, : 2 * width]
    picture = np.full((2 * height, 2 * width, 3), 0.5)
    for _ in range(120):
        inside = (y - rng.uniform(0, 2 * height)) ** 2 + (x - rng.uniform(0, 2 * width)) ** 2 < rng.uniform(
            6, 60
        ) ** 2
        picture[inside] = rng.uniform(0.15, 0.85, 3)
    return F.avg_pool2d(torch.from_numpy(picture).float().permute(2, 0, 1)[None], 2)


def clouds(height: int = 192, width: int = 192) -> Tensor:
    """Gaussian noise with an amplitude of 1 / frequency^1.2, the spectrum of photographs; (1, 3, H, W)."""
    spectrum = torch.fft.rfft2(torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0)))
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)).clamp(
        min=1 / width
    )
    field = torch.fft.irfft2(spectrum / frequency**1.2, s=(height, width))
    return (0.5 + 0.15 * (field - field.mean()) / field.std()).clamp(0, 1)


def grain(like: Tensor, sigma: float, seed: int = 1) -> Tensor:
    """White noise of sigma grey levels."""
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed)) * sigma / 255


def noisy(image: Tensor, sigma: float, seed: int = 1) -> Tensor:
    return to_8bit(image + grain(image, sigma, seed))


def jpeg(image: Tensor, quality: int) -> Tensor:
    array = image[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    with io.BytesIO() as file:
        Image.fromarray(array).save(file, "JPEG", quality=quality)
        return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None] / 255


@pytest.fixture(scope="module")
def clean() -> Tensor:
    return leaves()


# the table


def test_table_is_keyed_by_each_record():
    assert all(key == metric.key for key, metric in METRICS.items())
    assert {metric.better for metric in METRICS.values()} == {"higher", "lower"}


@pytest.mark.parametrize("key", METRICS)
def test_declared_direction_is_true(key: str, clean: Tensor):
    metric = METRICS[key]
    start = clouds() if key == "niqe" else clean
    damage = {"sharpness": lambda x: gaussian_blur(x, 1.5), "blockiness": lambda x: jpeg(x, 20)}
    damaged = damage.get(key, lambda x: noisy(x, 20))(start)
    if metric.needs_reference:
        good, bad = metric.run(noisy(start, 2), start), metric.run(damaged, start)
    else:
        good, bad = metric.run(start), metric.run(damaged)
    assert (good > bad) if metric.better == "higher" else (good < bad)


@pytest.mark.parametrize("key", METRICS)
def test_pictures_of_a_batch_are_measured_alone(key: str, clean: Tensor):
    metric = METRICS[key]
    batch = torch.cat([noisy(clean, 10), gaussian_blur(clean, 1.0)])
    extra = (clean.expand_as(batch),) if metric.needs_reference else ()
    together = metric.run(batch, *extra)
    alone = [metric.run(picture[None], *(e[:1] for e in extra)) for picture in batch]
    assert together.shape == (2,)
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("key", WITH_REFERENCE)
def test_reference_metrics_are_symmetric(key: str, clean: Tensor):
    run = METRICS[key].run
    torch.testing.assert_close(run(noisy(clean, 20), clean), run(clean, noisy(clean, 20)))


@pytest.mark.parametrize("key", WITH_REFERENCE)
def test_crop_border_hides_the_border(key: str):
    clean = leaves(200, 204)
    framed = torch.ones_like(clean)
    framed[..., 4:-4, 4:-4] = clean[..., 4:-4, 4:-4]
    run = METRICS[key].run
    same = run(clean, clean)
    torch.testing.assert_close(run(framed, clean, crop_border=4), same)
    assert (run(framed, clean, crop_border=3) - same).abs().item() > 1e-4


@pytest.mark.parametrize("key", METRICS)
def test_grey_tensors_are_refused(key: str):
    grey = torch.zeros(1, 1, 256, 256)
    with pytest.raises(SettingsError, match="RGB"):
        METRICS[key].run(*[grey] * (1 + METRICS[key].needs_reference))


def test_pairs_must_match(clean: Tensor):
    with pytest.raises(SettingsError, match="no pairs of pixels"):
        psnr(clean, clean[..., 1:, :])
    with pytest.raises(SettingsError, match="cannot be cropped"):
        psnr(clean, clean, crop_border=96)


# PSNR


def test_psnr_is_its_formula(clean: Tensor):
    other = noisy(clean, 30)
    a, b = (z.numpy().astype(np.float64) for z in (clean, other))
    assert psnr(other, clean).item() == pytest.approx(10 * math.log10(1 / np.mean((a - b) ** 2)), abs=1e-9)


@pytest.mark.parametrize(
    "difference, expected", [(0.1, 20.0), (0.01, 40.0), (1.0, 0.0), (1e-6, 100.0), (0.0, 100.0)]
)
def test_psnr_of_a_constant_difference(difference: float, expected: float):
    zero = torch.zeros(1, 3, 16, 16)
    assert psnr(zero + difference, zero).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("channel, levels", [(0, 65.481), (1, 128.553), (2, 24.966)])
def test_psnr_y_weighs_each_channel(channel: int, levels: float):
    zero = torch.zeros(1, 3, 16, 16)
    other = zero.clone()
    other[:, channel] = 0.5
    assert psnr_y(other, zero).item() == pytest.approx(20 * math.log10(255 / (levels / 2)), abs=1e-5)


# SSIM


def window_11() -> np.ndarray:
    offset = np.arange(-5, 6)
    w = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    return w / w.sum()


def test_ssim_of_one_window_by_hand():
    a, b = leaves(11, 11, seed=3), leaves(11, 11, seed=4)
    w, values = window_11(), []
    for x, y in zip(a[0].double().numpy(), b[0].double().numpy(), strict=True):
        mx, my = (w * x).sum(), (w * y).sum()
        sx, sy, sxy = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum(), (w * (x - mx) * (y - my)).sum()
        values.append(
            (2 * mx * my + 1e-4) * (2 * sxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (sx + sy + 9e-4)),
        )
    assert ssim(a, b).item() == pytest.approx(np.mean(values), abs=1e-9)


def test_ssim_averages_all_positions_that_fit():
    a, b = leaves(12, 13, seed=3), leaves(12, 13, seed=4)
    parts = [
        ssim(a[..., i : i + 11, j : j + 11], b[..., i : i + 11, j : j + 11])
        for i in (0, 1)
        for j in (0, 1, 2)
    ]
    torch.testing.assert_close(ssim(a, b), torch.stack(parts).mean(dim=0))


def test_similarity_of_flat_pictures_is_the_luminance_term():
    a, b = torch.full((1, 3, 176, 176), 0.2), torch.full((1, 3, 176, 176), 0.8)
    luminance = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    assert ssim(a, b).item() == pytest.approx(luminance, abs=1e-6)
    assert ms_ssim(a, b).item() == pytest.approx(luminance**0.1333, abs=1e-6)


def test_similarity_is_one_only_for_the_same_and_negative_for_the_inverted(clean: Tensor):
    for measure in (ssim, ms_ssim):
        assert measure(clean, clean).item() == pytest.approx(1.0, abs=1e-9)
        assert measure(noisy(clean, 5), clean).item() < 0.999
    texture = 0.5 + grain(clean, 20)
    assert ssim(texture, 1 - texture).item() < -0.5
    assert ms_ssim(texture, 1 - texture).item() == 0.0


@pytest.mark.parametrize("measure, odd", [(ssim, 45), (ms_ssim, 181)])
def test_similarity_falls_with_blur(measure, odd: int):
    picture = leaves(odd, odd)
    values = [measure(gaussian_blur(picture, std), picture).item() for std in (0.5, 1.0, 2.0, 4.0)]
    assert values == sorted(values, reverse=True)


def test_ms_ssim_punishes_blur_less_than_ssim(clean: Tensor):
    soft = gaussian_blur(clean, 1.5)
    assert ms_ssim(soft, clean) > ssim(soft, clean)


def test_similarity_needs_room():
    with pytest.raises(SettingsError, match="11 px"):
        ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))
    with pytest.raises(SettingsError, match="176 px"):
        ms_ssim(torch.zeros(1, 3, 175, 400), torch.zeros(1, 3, 175, 400))


# LPIPS


def numpy_lpips(a: Tensor, b: Tensor) -> float:
    """LPIPS of one 64 px pair by its published recipe, in numpy float64."""
    state = {key: value.double().numpy() for key, value in load_file(LPIPS_FILE).items()}

    def windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]

    def stages(image: Tensor) -> list[np.ndarray]:
        x = image[0].double().numpy() * 2 - 1
        x = (x - np.reshape([-0.030, -0.088, -0.188], (3, 1, 1))) / np.reshape(
            [0.458, 0.448, 0.450], (3, 1, 1)
        )
        found = []
        for layer, stride, pad in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
            if layer in (3, 6):
                x = windows(x, 3, 2).max(axis=(3, 4))
            weight, bias = state[f"features.{layer}.weight"], state[f"features.{layer}.bias"]
            x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
            x = np.einsum("chwij,ocij->ohw", windows(x, weight.shape[2], stride), weight, optimize=True)
            x = np.maximum(x + bias[:, None, None], 0)
            found.append(x / (np.sqrt((x**2).sum(axis=0)) + 1e-10))
        return found

    pairs = enumerate(zip(stages(a), stages(b), strict=True))
    return sum((state[f"lin{i}.model.1.weight"][0] * (x - y) ** 2).sum(axis=0).mean() for i, (x, y) in pairs)


def test_lpips_agrees_with_numpy():
    a, b = leaves(64, 64, seed=5), leaves(64, 64, seed=6)
    assert lpips(a, b).item() == pytest.approx(numpy_lpips(a, b), rel=1e-4)
    assert lpips(noisy(a, 10), a).item() == pytest.approx(numpy_lpips(noisy(a, 10), a), rel=1e-4)


def test_lpips_is_zero_for_the_same_and_grows_with_damage(clean: Tensor):
    assert lpips(clean, clean).item() == 0.0
    for damaged in (
        [noisy(clean, s) for s in (3, 10, 30)],
        [gaussian_blur(clean, s) for s in (0.6, 1.2, 2.4)],
    ):
        values = [lpips(picture, clean).item() for picture in damaged]
        assert 0 < values[0] < values[1] < values[2]


def test_lpips_sees_blur_that_psnr_forgives(clean: Tensor):
    soft, grainy = gaussian_blur(clean, 2.0), clean + grain(clean, 3)
    shift = (soft - clean).square().mean().sqrt()
    brighter = clean + shift
    assert psnr(brighter, clean).item() == pytest.approx(psnr(soft, clean).item(), abs=0.01)
    assert lpips(brighter, clean) < lpips(soft, clean) / 2
    assert lpips(grainy, clean) < lpips(soft, clean)


def test_lpips_is_a_loss():
    target, x = leaves(64, 64), noisy(leaves(64, 64), 25).requires_grad_()
    before = lpips(x, target).sum()
    (slope,) = torch.autograd.grad(before, x)
    assert slope.abs().max() > 0
    with torch.no_grad():
        after = lpips(x - 0.02 * slope / slope.abs().max(), target)
    assert after < before


def test_lpips_gradient_matches_a_finite_difference():
    target, x = leaves(64, 64), gaussian_blur(leaves(64, 64), 1.0).requires_grad_()
    direction = torch.sign(grain(x, 255))
    (slope,) = torch.autograd.grad(lpips(x, target).sum(), x)
    with torch.no_grad():
        rise = lpips(x + 1e-3 * direction, target) - lpips(x - 1e-3 * direction, target)
    assert (slope * direction).sum().item() == pytest.approx(rise.item() / 2e-3, rel=0.05)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_lpips_gradient_is_finite_on_flat_pictures(value: float):
    x = torch.full((1, 3, 64, 64), value, requires_grad=True)
    (slope,) = torch.autograd.grad(lpips(x, leaves(64, 64)).sum(), x)
    assert slope.isfinite().all()


def test_lpips_loaded_while_measuring_still_serves_as_a_loss(tmp_path: Path):
    copy = tmp_path / "copy.safetensors"
    copy.symlink_to(LPIPS_FILE)
    target = leaves(64, 64)
    with torch.inference_mode():
        lpips(noisy(target, 10), target, weights=copy)
    x = noisy(target, 10).requires_grad_()
    assert torch.autograd.grad(lpips(x, target, weights=copy).sum(), x)[0].abs().max() > 0


def test_lpips_says_what_it_needs(tmp_path: Path):
    with pytest.raises(SettingsError, match="64 px"):
        lpips(torch.zeros(1, 3, 63, 99), torch.zeros(1, 3, 63, 99))
    picture = leaves(64, 64)
    with pytest.raises(CheckpointError, match="There is no file"):
        lpips(picture, picture, weights=tmp_path / "absent.safetensors")
    broken, foreign, misshapen = (
        tmp_path / f"{name}.safetensors" for name in ("broken", "foreign", "misshapen")
    )
    broken.write_bytes(b"not a tensor in sight")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        lpips(picture, picture, weights=broken)
    save_file({"weight": torch.zeros(1)}, foreign)
    with pytest.raises(CheckpointError, match="missing or unexpected"):
        lpips(picture, picture, weights=foreign)
    save_file({key: torch.zeros(1) for key in load_file(LPIPS_FILE)}, misshapen)
    with pytest.raises(CheckpointError, match="shapes"):
        lpips(picture, picture, weights=misshapen)


# NIQE


def numpy_features(x: np.ndarray) -> list[float]:
    """18 NIQE features of one normalised block, with the search over shapes written out."""
    shapes = np.arange(200, 10001) / 1000
    ratios = np.array([math.gamma(2 / a) ** 2 / (math.gamma(1 / a) * math.gamma(3 / a)) for a in shapes])

    def fit(z: np.ndarray) -> tuple[float, float, float]:
        left, right = np.sqrt(np.mean(z[z < 0] ** 2)), np.sqrt(np.mean(z[z > 0] ** 2))
        g = left / right
        ratio = np.mean(np.abs(z)) ** 2 / np.mean(z**2) * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
        a = shapes[np.argmin((ratios - ratio) ** 2)]
        scale = math.sqrt(math.gamma(1 / a) / math.gamma(3 / a))
        return a, left * scale, right * scale

    a, left, right = fit(x)
    features = [a, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a, left, right = fit(x * np.roll(x, shift, axis=(0, 1)))
        features += [a, (right - left) * math.gamma(2 / a) / math.gamma(1 / a), left, right]
    return features


def test_niqe_features_agree_with_numpy():
    y = (
        leaves(96, 96).mean(dim=1, keepdim=True).double() * 255
        + grain(torch.zeros(1, 1, 96, 96), 255 * 2).double()
    )
    window = torch.from_numpy(window_11()[2:9, 2:9] / window_11()[2:9, 2:9].sum())
    padded = np.pad(y[0, 0].numpy(), 3, mode="edge")
    parts = np.lib.stride_tricks.sliding_window_view(padded, (7, 7))
    mu = (parts * window.numpy()).sum(axis=(2, 3))
    deviation = np.sqrt(np.abs((parts**2 * window.numpy()).sum(axis=(2, 3)) - mu**2))
    expected = numpy_features((y[0, 0].numpy() - mu) / (deviation + 1))
    features = block_features(y, window)
    assert features.shape == (1, 36)
    np.testing.assert_allclose(features[0, :18].numpy(), expected, rtol=1e-8)


@pytest.mark.parametrize("left, right", [(1.0, 1.0), (1.0, 3.0), (2.0, 0.5)])
def test_asymmetric_gaussian_is_found_again(left: float, right: float):
    """Two half Gaussians joined without a step: sides chosen in proportion to their deviations; scale = sqrt 2 std."""
    z = torch.randn(1, 200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64).abs()
    side = torch.rand(z.shape, generator=torch.Generator().manual_seed(1)) < left / (left + right)
    shape, found_left, found_right = asymmetric_gaussian(torch.where(side, -left * z, right * z))
    assert shape.item() == pytest.approx(2.0, abs=0.04)
    assert found_left.item() == pytest.approx(math.sqrt(2) * left, rel=0.02)
    assert found_right.item() == pytest.approx(math.sqrt(2) * right, rel=0.02)


def test_laplacian_has_shape_one():
    u = torch.rand(1, 200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5
    shape, left, right = asymmetric_gaussian(-u.sign() * torch.log1p(-2 * u.abs()))
    assert shape.item() == pytest.approx(1.0, abs=0.02)
    assert left.item() == pytest.approx(1.0, rel=0.02) and right.item() == pytest.approx(1.0, rel=0.02)


def test_niqe_is_low_for_the_statistics_of_photographs_and_grows_with_damage():
    picture = clouds()
    for damaged in (
        [noisy(picture, s) for s in (5, 15, 40)],
        [gaussian_blur(picture, s) for s in (0.8, 1.6, 3.2)],
    ):
        values = [niqe(p).item() for p in (picture, *damaged)]
        assert values[0] < 6 and values == sorted(values)


def test_niqe_measures_whole_blocks_only():
    picture = clouds(200, 220)
    torch.testing.assert_close(niqe(picture), niqe(picture[..., :192, :192]))


def test_niqe_leaves_flat_blocks_out():
    picture = clouds(192, 288)
    beside = torch.cat([picture, torch.full((1, 3, 192, 192), 0.25)], dim=3)
    # the window of the normalisation reaches 3 px across, so that the neighbours change a little
    assert niqe(beside).item() == pytest.approx(niqe(picture).item(), rel=0.2)


@pytest.mark.parametrize("level", [16.0, 77.0, 201.0])
def test_what_rounding_leaves_of_a_flat_block_is_no_texture(level: float):
    y = torch.full((1, 1, 192, 192), level, dtype=torch.float64)
    assert block_features(y, load_file(NIQE_FILE)["gaussian_window"]).isnan().all()


def test_niqe_says_what_it_needs(tmp_path: Path):
    with pytest.raises(SettingsError, match="4 of them"):
        niqe(torch.zeros(1, 3, 191, 300))
    with pytest.raises(SettingsError, match="flat nearly everywhere"):
        niqe(torch.zeros(1, 3, 192, 192))
    with pytest.raises(CheckpointError, match="There is no file"):
        niqe(leaves(), weights=tmp_path / "absent.safetensors")


# noise, sharpness, blocks


@pytest.mark.parametrize("sigma", [5, 15, 25, 50])
def test_noise_is_found_again(sigma: float, clean: Tensor):
    assert noise(noisy(clean, sigma)).item() == pytest.approx(sigma, rel=0.1)


def test_noise_of_clean_and_flat_pictures_is_near_zero(clean: Tensor):
    assert noise(to_8bit(clean)).item() < 1.0
    assert noise(torch.full((1, 3, 64, 64), 0.4)).item() < 1e-3
    assert noise(torch.zeros(1, 3, 64, 64)).item() == 0.0
    assert noise(torch.ones(1, 3, 32, 32)).item() == 0.0


def test_noise_does_not_see_ramps_or_texture_beside_smooth_parts():
    ramp = torch.linspace(0.1, 0.9, 192).expand(1, 3, 192, 192).clone()
    assert noise(ramp).item() < 0.1
    ramp[..., 64:, :] += 0.3 * (torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(0)) - 0.5)
    assert noise(ramp).item() < 0.5


def test_noise_is_not_hidden_by_black_bars(clean: Tensor):
    barred = noisy(clean, 20)
    barred[..., :64, :] = 0
    assert noise(barred).item() == pytest.approx(20, rel=0.1)


def test_noise_of_one_channel_counts_a_third_of_its_variance(clean: Tensor):
    red = grain(clean, 15)
    red[:, 1:] = 0
    assert noise(clean + red).item() == pytest.approx(15 / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("std", [1.0, 2.0, 3.0])
def test_edge_blur_is_found_again(std: float, clean: Tensor):
    soft = gaussian_blur(clean, std)
    assert edge_blur(soft).item() == pytest.approx(std, rel=0.15)
    assert sharpness(soft).item() == pytest.approx(1 / math.sqrt(1 + std**2), rel=0.12)


def test_noise_is_not_taken_for_sharpness(clean: Tensor):
    soft = gaussian_blur(clean, 2.0)
    assert sharpness(noisy(soft, 25)).item() == pytest.approx(sharpness(soft).item(), abs=0.12)
    assert sharpness(noisy(clean, 25)).item() == pytest.approx(sharpness(clean).item(), abs=0.12)
    assert sharpness(noisy(soft, 25)) < sharpness(noisy(clean, 25)) - 0.2


def test_sharpness_is_that_of_the_stronger_half_of_the_edges():
    row = (torch.arange(16 * 17) // 8 % 2) * 0.6
    row[16 * 8 :] *= 1 / 6  # nine of the stripes' pairs are weak, and soft
    stripes = 0.2 + row.expand(1, 3, 64, -1)
    stripes[..., 16 * 8 :] = gaussian_blur(stripes, 3.0)[..., 16 * 8 :]
    assert sharpness(stripes[..., 16 * 8 :]).item() < 0.5
    assert sharpness(stripes).item() == pytest.approx(sharpness(stripes[..., : 16 * 8]).item(), rel=0.01)


def test_a_picture_without_edges_is_not_sharp():
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert sharpness(flat).item() == 0.0
    assert edge_blur(flat).item() == math.inf


def test_blockiness_grows_as_quality_falls(clean: Tensor):
    picture = noisy(clean, 3)
    values = [blockiness(jpeg(picture, quality)).item() for quality in (90, 60, 30, 10)]
    assert blockiness(picture).item() < 0.2 < values[1]
    assert values == sorted(values)


def test_blockiness_finds_a_shifted_grid_and_not_other_damage(clean: Tensor):
    blocky = jpeg(noisy(clean, 3), 20)
    assert blockiness(blocky[..., 3:, 5:]).item() == pytest.approx(blockiness(blocky).item(), rel=0.1)
    for other in (noisy(clean, 15), gaussian_blur(clean, 2.0)):
        assert blockiness(other).item() < blockiness(blocky).item() / 4


def test_one_high_edge_on_the_grid_is_no_blocks():
    picture = torch.full((1, 3, 64, 128), 0.1)
    picture[..., 64:] = 0.9
    assert blockiness(picture).item() < 0.3


@pytest.mark.parametrize("estimate", [noise, sharpness, blockiness])
def test_estimates_need_room(estimate):
    with pytest.raises(SettingsError, match="32 px"):
        estimate(torch.zeros(1, 3, 31, 64))


# consistency


def halve(image: Tensor) -> Tensor:
    return resize(image, (image.shape[-2] // 2, image.shape[-1] // 2))


def test_consistency_of_the_truth_is_the_ceiling(clean: Tensor):
    assert consistency(clean, halve(clean), halve).item() == 100.0


def test_consistency_of_the_truth_under_noise_is_the_noise(clean: Tensor):
    y = halve(clean) + grain(halve(clean), 10)
    assert consistency(clean, y, halve).item() == pytest.approx(-20 * math.log10(10 / 255), abs=0.1)


def test_consistency_forgives_what_the_damage_hides(clean: Tensor):
    checks = 0.1 * (torch.arange(192)[:, None] + torch.arange(192)).remainder(2).mul(2).sub(1)
    assert psnr(clean + checks, clean).item() == pytest.approx(20, abs=1e-3)
    assert consistency(clean + checks, halve(clean), halve) > 40
    assert consistency(clean + 0.1, halve(clean), halve).item() == pytest.approx(20, abs=1e-3)


def test_consistency_as_a_record(clean: Tensor):
    metric = consistency_with(halve(clean), halve)
    damaged = noisy(clean, 20)
    assert not metric.needs_reference and metric.better == "higher"
    assert metric.run(damaged) == consistency(damaged, halve(clean), halve)
    assert metric.run(clean) > metric.run(damaged)


def test_consistency_refuses_another_scale(clean: Tensor):
    with pytest.raises(SettingsError, match="Damaged again"):
        consistency(clean, clean, halve)
