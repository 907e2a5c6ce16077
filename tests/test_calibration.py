"""Calibration recovers known K and sigma within the interval it states; stabilised noise is even; refusals in words."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from restore_core.cli import main
from restore_core.degradations import Chain
from restore_core.degradations.calibrate import Frames, calibrate, together
from restore_core.degradations.frame_files import bayer_planes, read_frames
from restore_core.degradations.noise import poisson_gaussian
from restore_core.degradations.stabilise import anscombe, inverse_anscombe, inverse_k_sigma, k_sigma
from restore_core.degradations.transfer_plot import plot, ticks
from restore_core.errors import ImageError, SettingsError

PHOTO = Path(__file__).parent / "data" / "cat.jpg"


@pytest.fixture(scope="module")
def scene() -> Tensor:
    """Smooth hills from 0.1 to 0.75 with some texture, (1, 3, 288, 320)."""
    y, x = torch.meshgrid(torch.linspace(0, 5, 288), torch.linspace(0, 7, 320), indexing="ij")
    hills = torch.stack([torch.sin(x + y), torch.cos(x - y), torch.sin(1.3 * x) * torch.cos(y)])
    return (0.425 + 0.3 * hills + 0.025 * torch.sin(9 * x))[None]


def burst(scene: Tensor, k: float, sigma: float, count: int, seed: int, steps: int = 255) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    frames = [poisson_gaussian(scene, k, sigma, generator) for _ in range(count)]
    return [frame.mul(steps).round().div(steps).clamp(0, 1) for frame in frames]


def test_intervals_hold_the_truth_as_often_as_they_say(scene: Tensor):
    held_k, held_sigma, count = 0, 0, 0
    scene = scene[..., :192, :]
    for seed in range(12):
        k, sigma = (5e-4, 2e-3, 5e-3)[seed % 3], (0.004, 0.012)[seed % 2]
        found = calibrate(together(burst(scene, k, sigma, 2 + seed % 4, seed)))
        assert found.kind == "burst" and found.notes == ()
        for line in found.lines.values():
            count += 1
            held_k += line.k_interval[0] <= k <= line.k_interval[1]
            held_sigma += line.sigma_interval[0] <= sigma <= line.sigma_interval[1]
            assert line.k == pytest.approx(k, rel=0.12)
    assert held_k / count > 0.84 and held_sigma / count > 0.84  # 95 % of 36, less three deviations


def test_something_that_moves_is_given_up(scene: Tensor):
    frames = burst(scene, 2e-3, 0.01, 4, 1)
    for index, frame in enumerate(frames):
        frame[..., 100:160, 40 * index : 40 * index + 60] = 0.7
    line = calibrate(together(frames)).lines["G"]
    assert line.given_up > 0.05 and line.k_interval[0] * 0.97 <= 2e-3 <= line.k_interval[1] * 1.03


def test_a_flickering_lamp_is_no_noise(scene: Tensor):
    frames = [f * g for f, g in zip(burst(scene, 2e-3, 0.01, 5, 2), (1, 1.04, 0.96, 1.02, 0.98), strict=True)]
    assert calibrate(together(frames)).lines["R"].k == pytest.approx(2e-3, rel=0.1)


def test_flat_fields_of_several_exposures():
    generator = torch.Generator().manual_seed(3)
    vignette = 1 - 0.1 * torch.linspace(0, 1, 160)
    levels = (0.1, 0.1, 0.3, 0.3, 0.5, 0.5, 0.7, 0.7)
    flats = [poisson_gaussian((m * vignette).expand(1, 3, 160, 160), 3e-3, 0.008, generator) for m in levels]
    found = calibrate(together([f.clamp(0, 1) for f in flats], step=1 / 65535))
    assert found.kind == "flat fields"
    for line in found.lines.values():
        assert line.k == pytest.approx(3e-3, rel=0.05) and line.sigma == pytest.approx(0.008, rel=0.2)


def test_one_picture_gives_a_rough_answer(scene: Tensor):
    found = calibrate(together(burst(scene, 4e-3, 0.01, 1, 5)))
    assert found.kind == "one picture" and "rough" in found.notes[0]
    for line in found.lines.values():
        assert line.k == pytest.approx(4e-3, rel=0.3) and line.k_interval[0] <= 4e-3 <= line.k_interval[1]


def test_what_was_measured_can_be_simulated_and_measured_again(scene: Tensor):
    found = calibrate(together(burst(scene, 3e-3, 0.01, 4, 6)))
    chain = found.simulated()
    assert Chain.from_json(json.loads(json.dumps(chain.to_json()))) == chain
    again = calibrate(together([found.simulated(seed)(scene) for seed in range(4)]))
    for name, line in found.lines.items():
        assert again.lines[name].k == pytest.approx(line.k, rel=0.05)
    assert json.dumps(found.to_json())


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda scene: burst(scene * 0.004, 5e-3, 0.001, 4, 1), "under-exposed"),
        (lambda scene: burst(scene * 4 + 0.5, 1e-3, 0.001, 4, 1), "over-exposed"),
        (lambda scene: burst(scene[..., :40, :40], 1e-3, 0.01, 3, 1), "too few"),
        (lambda scene: burst(scene * 0 + 0.5, 1e-3, 0.01, 3, 1), "one brightness"),
        (lambda scene: [scene * 0.2, scene * 0.5, scene * 0.9], "no two are exposed alike"),
        (lambda scene: [scene, scene[..., :100]], "differ in size"),
        (lambda scene: [], "No pictures"),
    ],
)
def test_pictures_that_tell_nothing_get_a_sentence(scene: Tensor, make, words: str):
    with pytest.raises(SettingsError, match=words):
        calibrate(together(make(scene)))


# raw files


def test_bayer_planes_from_black_to_white():
    values = np.full((6, 8), 100.0, np.float32)
    values[::2, ::2] = 1000.0  # red
    values[1::2, 1::2] = 550.0  # blue
    frames = bayer_planes(values, np.array([[0, 1], [3, 2]]), [100, 100, 100, 100], 1000.0)
    assert frames.names == ("R", "G1", "G2", "B") and frames.planes.shape == (1, 4, 3, 4)
    assert frames.planes.mean(dim=(0, 2, 3)).tolist() == pytest.approx([1, 0, 0, 0.5])
    assert frames.step == pytest.approx(1 / 900) and frames.floor == pytest.approx(-100 / 900)
    with pytest.raises(ImageError, match="Bayer"):
        bayer_planes(values, None, [0], 1000.0)


def test_raw_files_are_read_through_rawpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A stand-in for the package with what is used of it: a burst of one scene behind a Bayer pattern."""
    generator, scene = torch.Generator().manual_seed(0), torch.linspace(0.1, 0.8, 256).expand(256, 256)

    class Raw(SimpleNamespace):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    def imread(path: str) -> Raw:
        if "broken" in path:
            raise OSError("no raw file")
        values = poisson_gaussian(scene, 2e-3, 0.01, generator).mul(1000).add(64).round().clamp(0, 1064)
        pattern = np.array([[0, 1], [3, 2]], np.uint8)
        return Raw(
            raw_image_visible=values.numpy().astype(np.uint16), raw_pattern=pattern, color_desc=b"RGBG",
            black_level_per_channel=[64, 64, 64, 64], white_level=1064,
        )  # fmt: skip

    fake = SimpleNamespace(imread=imread, LibRawError=type("LibRawError", (Exception,), {}))
    monkeypatch.setitem(sys.modules, "rawpy", fake)
    frames = read_frames([tmp_path / "a.dng", tmp_path / "b.DNG", tmp_path / "c.dng"])
    assert frames.names == ("R", "G1", "G2", "B") and frames.planes.shape == (3, 4, 128, 128)
    for line in calibrate(frames).lines.values():
        assert line.k == pytest.approx(2e-3, rel=0.15) and line.sigma == pytest.approx(0.01, rel=0.35)
    with pytest.raises(ImageError, match=r"broken\.nef cannot be read"):
        read_frames([tmp_path / "broken.nef"])


def test_greens_count_as_one_in_a_simulation(scene: Tensor):
    frames = together(burst(scene, 2e-3, 0.01, 3, 9))
    four = Frames(frames.planes[:, [0, 1, 1, 2]], ("R", "G1", "G2", "B"), step=frames.step)
    three = calibrate(frames).simulated().steps[0].values
    assert calibrate(four).simulated().steps[0].values == pytest.approx(three)


def test_raw_files_without_rawpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(SettingsError, match="pip install rawpy"):
        read_frames([tmp_path / "a.dng"])
    with pytest.raises(SettingsError, match="Raw files and developed"):
        read_frames([tmp_path / "a.dng", PHOTO])


# stabilisation


@pytest.mark.parametrize("k, sigma", [(0.01, 0.01), (0.002, 0.02), (0.05, 0.0)])
@pytest.mark.parametrize("x", [0.15, 0.5, 0.9])
def test_anscombe_makes_noise_even_and_its_inverse_is_unbiased(k: float, sigma: float, x: float):
    y = poisson_gaussian(torch.full((400_000,), x), k, sigma, torch.Generator().manual_seed(0))
    d = anscombe(y, k, sigma)
    assert d.std().item() == pytest.approx(1, abs=0.13 if k > 0.02 else 0.03)
    assert inverse_anscombe(d.mean()[None], k, sigma).item() == pytest.approx(x, abs=4e-4 + 0.01 * k)
    plain = k * ((d.mean() / 2) ** 2 - 0.375 - (sigma / k) ** 2)
    assert abs(plain - x) > 0.1 * k  # the algebraic inverse is biased by a quarter of an electron


def test_the_inverse_is_monotone_and_continuous():
    d = torch.linspace(0, 60, 4000, dtype=torch.float64)
    x = inverse_anscombe(d, 0.01, 0.005)
    assert (x.diff() >= 0).all() and x[0] == 0 and x.diff().max() < 0.01


@pytest.mark.parametrize("x", [0.1, 0.8])
def test_k_sigma_makes_the_variance_the_mean(x: float):
    for k, sigma in ((0.002, 0.01), (0.02, 0.05)):
        y = poisson_gaussian(torch.full((400_000,), x), k, sigma, torch.Generator().manual_seed(1))
        f = k_sigma(y, k, sigma)
        assert f.var().item() == pytest.approx(f.mean().item(), rel=0.02)
        assert torch.allclose(inverse_k_sigma(f, k, sigma), y, atol=1e-5)


def test_no_sensor_without_electrons():
    for transform in (anscombe, inverse_anscombe, k_sigma, inverse_k_sigma):
        with pytest.raises(SettingsError, match="K above 0"):
            transform(torch.ones(3), 0.0, 0.1)


# plot and commands


def test_the_plot_has_a_line_and_a_legend_for_each_channel(scene: Tensor):
    svg = plot(calibrate(together(burst(scene, 2e-3, 0.01, 3, 4))))
    assert svg.count("stroke-width") == 3 and all(f">{name}</text>" for name in "RGB")
    places = [float(v) for v in re.findall(r"translate\(([\d.]+) [\d.]+\)\" d=", svg)]
    assert len(places) > 100 and 74 <= min(places) and max(places) <= 545
    assert ticks(0.93) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8]) and ticks(0) == [0]


def write(folder: Path, frames: list[Tensor]) -> list[str]:
    paths = [folder / f"{index}.png" for index in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        cv2.imwrite(str(path), np.uint8(frame[0].flip(0).permute(1, 2, 0).mul(255).round()))
    return [str(path) for path in paths]


def test_the_command_calibrate_and_back_through_degrade(scene: Tensor, tmp_path: Path, capsys):
    files = write(tmp_path, burst(scene, 3e-3, 0.01, 3, 8))
    chain, svg = tmp_path / "chain.json", tmp_path / "plot.svg"
    assert main(["calibrate", *files, "--json", "--chain", str(chain), "--plot", str(svg)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "burst" and told["channels"]["G"]["k"] == pytest.approx(3e-3, rel=0.1)
    assert svg.read_text().startswith("<svg")
    assert main(["degrade", files[0], "-o", str(tmp_path / "out.png"), "--chain", str(chain), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"][0]["operator"] == "sensor"
    assert main(["calibrate", *files]) == 0
    assert "white is 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "Nothing was given"),
        (["--op", "blur", "--random", "two-stage"], "--op and --random"),
        (["--op", "bluur"], "Choose one of blur"),
        (["--random", "other"], "two-stage"),
        (["--task", "sr3"], "no task"),
        (["--chain", "nowhere.json"], "cannot be read"),
        (["--op", "blur", "--seed", "x"], "whole numbers"),
    ],
)
def test_degrade_refuses_in_one_sentence(arguments: list[str], words: str, tmp_path: Path, capsys):
    assert main(["degrade", str(PHOTO), "-o", str(tmp_path / "o.png"), *arguments]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "o.png").exists()


def test_degrade_repeats_by_its_own_json(tmp_path: Path, capsys):
    outputs = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    first = ["--op", "blur:sigma=1.5", "--op", "noise:iso=6400", "--op", "small:factor=2,back=no", "--seed", "5"]
    assert main(["degrade", str(PHOTO), "-o", str(outputs[0]), *first, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (tmp_path / "chain.json").write_text(json.dumps(told))  # as it was printed
    again = ["--chain", str(tmp_path / "chain.json")]
    assert main(["degrade", str(PHOTO), "-o", str(outputs[1]), *again]) == 0
    assert main(["degrade", str(PHOTO), "-o", str(outputs[2]), *again, "--seed", "6"]) == 0
    a, b, c = (cv2.imread(str(path)) for path in outputs)
    assert (a == b).all() and (a != c).any() and list(a.shape[:2]) == told["size"]
    assert "ISO 6400" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--random", "two-stage"], ["--task", "old", "--seed", "2"]])
def test_degrade_at_random_and_as_measured(arguments: list[str], tmp_path: Path, capsys):
    assert main(["degrade", str(PHOTO), "-o", str(tmp_path / "a.png"), *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == list(cv2.imread(str(PHOTO)).shape[:2])
