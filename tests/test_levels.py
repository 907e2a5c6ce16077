"""Levels of a faded print."""

from __future__ import annotations

import pytest
import torch

from restore_core.degradations.ageing import fade
from restore_core.levels import LEAST_SPAN, drawn_apart


@pytest.fixture
def picture() -> torch.Tensor:
    """Smooth, from black to white in every channel."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 120), torch.linspace(0, 1, 160), indexing="ij")
    waves = [torch.sin(9 * x + k) * torch.cos(7 * y - k) / 2 + 0.5 for k in range(3)]
    picture = torch.stack(waves)[None]
    low, high = picture.amin((2, 3), keepdim=True), picture.amax((2, 3), keepdim=True)
    return (picture - low) / (high - low)


def test_fading_and_yellowing_are_undone_without_being_told(picture: torch.Tensor):
    old = fade(picture, 0.7, yellow=0.8)
    before, after = ((p - picture).abs().mean() for p in (old, drawn_apart(old)))
    assert after < 0.02 < 0.08 < before


def test_the_way_there_is_straight(picture: torch.Tensor):
    old = fade(picture, 0.5, yellow=0.3)
    half = (old + drawn_apart(old)) / 2
    assert torch.equal(drawn_apart(old, 0.0), old) and torch.allclose(drawn_apart(old, 0.5), half, atol=2e-2)


def test_specks_are_no_levels(picture: torch.Tensor):
    """A few black and white pixels on a pale print leave its levels where they are."""
    old = fade(torch.nn.functional.interpolate(picture, scale_factor=4, mode="bilinear"), 0.8)
    marked = old.clone()
    marked[..., ::97, ::89], marked[..., 40::97, 40::89] = 0.0, 1.0
    assert (drawn_apart(marked) - drawn_apart(old)).abs().median() < 0.01


def test_a_flat_picture_stays_flat():
    flat = 0.4 + 0.01 * torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    out = drawn_apart(flat)
    assert (out.std(dim=(2, 3)) <= flat.std(dim=(2, 3)) / LEAST_SPAN * 1.001).all()
    assert out.isfinite().all() and out.min() >= 0 and out.max() <= 1


def test_pictures_of_a_batch_and_sizes_down_to_a_pixel_are_apart(picture: torch.Tensor):
    both = torch.cat([picture, fade(picture, 0.8)])
    assert torch.allclose(drawn_apart(both)[1:], drawn_apart(both[1:]))
    assert drawn_apart(torch.rand(1, 3, 1, 1)).shape == (1, 3, 1, 1)
