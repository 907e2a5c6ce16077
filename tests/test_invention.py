"""The map of what was invented: its numbers, its colours, its sentences, and that the engine's samples feed it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from restore_core import invention
from restore_core.engine import RunningMean
from restore_core.errors import SettingsError


def spread(value: float = 0.0, height: int = 30, width: int = 60) -> torch.Tensor:
    return torch.full((1, 3, height, width), value / 255)


def test_the_spread_is_the_deviation_of_the_samples_in_grey_levels():
    g = torch.Generator().manual_seed(0)
    samples = 0.5 + 6 / 255 * torch.randn(64, 1, 3, 40, 40, generator=g)
    running = RunningMean()
    for sample in samples:
        running.add(sample)
    found = invention.levels(running.spread)
    assert torch.allclose(running.spread, samples.std(dim=0), atol=1e-6)
    assert found.mean().item() == pytest.approx(6, rel=0.02)
    one = torch.zeros(1, 3, 2, 2)
    one[:, 0] = 3 / 255
    assert invention.levels(one).mean().item() == pytest.approx(3 / 3**0.5)


def test_the_sentence_tells_how_much_and_where():
    picture = spread(1.0)
    picture[..., :10, :20] = 20 / 255
    found = invention.find(picture, 8)
    assert found.share == pytest.approx(200 / 1800) and found.place == "at the top left"
    assert all(words in found.sentence for words in ("11 % of the picture", "8 samples", "do not trust it"))
    calm = invention.find(spread(1.0), 4)
    assert "little is invented" in calm.sentence and calm.most == pytest.approx(1)


def test_what_is_seen_is_above_four_grey_levels_and_the_most_leaves_out_one_pixel_in_a_hundred():
    ramp = torch.linspace(0, 20, 2001) / 255  # each hundredth of a grey level once
    found = invention.find(ramp.expand(1, 3, 3, 2001), 4)
    assert found.share == pytest.approx(0.8, abs=1e-3) and found.mean == pytest.approx(10, abs=1e-3)
    assert found.most == pytest.approx(19.8, abs=0.01)


@pytest.mark.parametrize(("cells", "words"), [(30, "Less than 1 %"), (50, "1 %"), (1000, "25 %")])
def test_the_share_is_told_in_whole_percent(cells: int, words: str):
    picture = spread(0.5, 40, 100)
    picture.flatten(2)[..., :cells] = 20 / 255
    assert invention.find(picture, 4).sentence.startswith(f"{words} of the picture")


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ((10, 20), (20, 40), "in the middle"),
        ((10, 20), (40, 60), "at the right"),
        ((20, 30), (20, 40), "at the bottom middle"),
    ],
)
def test_places_have_names(rows: tuple[int, int], columns: tuple[int, int], words: str):
    picture = spread(0.5)
    picture[..., slice(*rows), slice(*columns)] = 30 / 255
    assert invention.find(picture, 4).place == words


def test_one_sample_tells_nothing():
    with pytest.raises(SettingsError, match="at least two"):
        invention.find(None, 1)


def test_a_quarter_of_the_scale_is_half_as_bright():
    assert invention.strength(spread(invention.FULL / 4)).mean().item() == pytest.approx(0.5)
    assert invention.strength(spread(2 * invention.FULL)).max().item() == 1


def test_the_map_brightens_with_the_spread_and_the_overlay_clears_where_there_is_none():
    ramp = torch.linspace(0, 1.5 * invention.FULL / 255, 300).expand(1, 3, 2, 300)
    light = (invention.paint(ramp)[0] * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0)[0]
    assert (light.diff() >= -1e-6).all() and light[0] < 0.01 and light[-1] > 0.9
    rgba = invention.overlay(ramp, invention.paint(ramp))
    assert rgba.shape == (2, 300, 4) and rgba[0, :12, 3].max() == 0 < rgba[0, 14, 3]  # clear up to 2 grey levels of 48
    assert (np.diff(rgba[0, :, 3].astype(int)) >= 0).all() and (rgba[0, 76:, 3] == round(255 * 0.9)).all()
