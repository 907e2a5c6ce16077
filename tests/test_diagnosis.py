"""The chooser: each damage is told from the others on a photograph, in a sentence, and only where weights exist."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from restore_core.checkpoints.catalogue import COMPACT
from restore_core.degradations import TASKS
from restore_core.diagnosis import diagnose
from restore_core.images import load, resize
from restore_core.metrics.scene import colour_left, streaks, veil

CAT = Path(__file__).parent / "data" / "cat.jpg"


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """A photograph without noise or blocks, (1, 3, 300, 450): made half as large."""
    image = load(CAT).rgb
    height, width = image.shape[-2:]
    return resize(image, (height // 2, width // 2)).clamp(0, 1) if min(height, width) >= 500 else image


def damaged(photo: Tensor, task: str, **parameters: float) -> Tensor:
    return TASKS[task](photo, parameters, torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    "task, parameters, words",
    [
        ("denoise", {"sigma": 20.0}, "noisy"),
        ("deblur", {"sigma": 2.5, "noise": 0.5}, "pixels wide"),
        ("jpeg", {"quality": 15.0}, "blocky from JPEG"),
        ("rain", {"strength": 0.9}, "streaks"),
        ("haze", {"beta": 1.2}, "darkest places"),
        ("old", {"yellow": 0.8, "colourless": 1.0, "scratches": 0.0, "dust": 0.0}, "yellowish"),
    ],
)
def test_each_damage_is_recognised(photo: Tensor, task: str, parameters: dict[str, float], words: str):
    seen = diagnose(damaged(photo, task, **parameters), TASKS)
    assert (seen.task, words in seen.sentence) == (task, True), seen


def test_several_faults_at_once(photo: Tensor):
    soft = damaged(photo, "deblur", sigma=2.5, noise=0.0)
    seen = diagnose(damaged(soft, "denoise", sigma=15.0), TASKS)
    assert seen.task == "blind" and "noisy" in seen.sentence and "blurred" in seen.sentence


@pytest.mark.parametrize("quality", [50.0, 75.0, 95.0])
def test_noise_that_a_file_kept_is_noise(photo: Tensor, quality: float):
    """The weights for noise know files; those for blocks leave noise, and several faults' are worth less here."""
    assert diagnose(damaged(photo, "denoise", sigma=18.0, quality=quality), TASKS).task == "denoise"
    both = diagnose(damaged(photo, "denoise", sigma=18.0, quality=50.0), TASKS).sentence
    assert "noisy" in both and "blocky from JPEG" in both


def test_size_decides_where_nothing_else_is_wrong(photo: Tensor):
    tiny, small = photo[..., :20, :40], resize(photo, (120, 180)).clamp(0, 1)
    assert diagnose(tiny, TASKS).task == diagnose(small, TASKS).task == "sr4"
    assert "20 pixels" in diagnose(tiny).sentence


@pytest.mark.parametrize("task", TASKS)
def test_only_tasks_with_weights_are_proposed(photo: Tensor, task: str):
    image = damaged(photo, task)
    assert diagnose(image).task in COMPACT
    assert diagnose(image, ("deblur",)).task == "deblur"


def test_haze_in_its_unit(photo: Tensor):
    clear, hazy = veil(photo).item(), veil(damaged(photo, "haze", relief=0.0, horizon=0.0, beta=1.0)).item()
    # J t + A (1 - t) with t = 1/e
    assert hazy == pytest.approx(clear / 2.718 + 0.9 * 0.632, abs=0.02)


def test_streaks_know_their_tilt():
    grey = torch.full((1, 3, 256, 256), 0.3)
    for angle in (60.0, 90.0, 110.0):
        seen = streaks(damaged(grey, "rain", angle=angle, layers=1.0, density=4.0))
        assert abs(abs(seen.tilt) - abs(90 - angle)) < 12 and seen.alike > 0.4
    assert streaks(damaged(grey, "denoise")).alike < 0.1


def test_one_hue_is_none_left(photo: Tensor):
    grey = photo.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    tint = torch.tensor([1.0, 0.9, 0.7])[:, None, None]
    left, warmth = colour_left(grey * tint)
    assert left.item() < 1e-3 and warmth.item() == pytest.approx(0.3 * grey.mean().item(), abs=0.01)
    assert colour_left(photo)[0] > 0.02
