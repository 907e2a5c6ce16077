"""Restoration guidance: the weight map, the step, its range; and that it serves every sampler and process alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from conftest import all_processes
from test_engine import problem, settings
from torch import Tensor

from restore_core.engine import finish, restore
from restore_core.errors import SettingsError
from restore_core.guidance import Coder, Guidance, flatness, gradient
from restore_core.samplers import SAMPLERS


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def through(decode: Callable[[Tensor], Tensor]) -> Coder:
    """Of a decoder that fits into memory whole, gradients included."""
    return Coder(decode, partial(gradient, decode))


def test_flat_areas_weigh_one_and_steep_edges_nothing():
    picture = torch.full((1, 3, 17, 24), 0.4)
    assert torch.allclose(flatness(picture), torch.ones(1, 1, 17, 24), atol=1e-5)
    picture[..., 12:] = 1.0
    weight = flatness(picture)[0, 0]
    assert weight.shape == (17, 24) and (weight[:, 12:14] < 0.01).all() and (weight[:, :8] > 0.9999).all()


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0])
def test_the_error_shrinks_by_one_minus_s_w_in_every_pixel(scale: float):
    target, x0, weight = noise(1, 3, 8, 8), noise(1, 3, 8, 8, seed=1), torch.rand(1, 1, 8, 8)
    pulled = Guidance(target, weight, scale)(x0, 0.5)
    assert torch.allclose(pulled - target, (1 - scale * weight) * (x0 - target), atol=1e-6)
    again = Guidance(target, weight, scale, repeat=3)(x0, 0.5)
    assert torch.allclose(again - target, (1 - scale * weight) ** 3 * (x0 - target), atol=1e-6)


def test_it_acts_within_its_range_only():
    with pytest.raises(SettingsError, match="would never act"):
        Guidance(torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4), 1.0, start=0.2, stop=0.8)
    guidance = Guidance(torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4), 1.0, start=0.8, stop=0.2)
    x0 = noise(1, 3, 4, 4)
    for share, acts in ((0.9, False), (0.8, True), (0.5, True), (0.2, True), (0.1, False)):
        assert torch.equal(guidance(x0, share), torch.zeros_like(x0) if acts else x0)


def test_through_a_linear_decoder_the_full_step_ends_lowest_along_the_gradient():
    mix = noise(3, 4, 1, 1)
    decode = lambda z: F.interpolate(F.conv2d(z, mix), scale_factor=2, mode="nearest")  # noqa: E731
    target, weight, x0 = noise(1, 3, 16, 16), torch.rand(1, 1, 16, 16), noise(1, 4, 8, 8, seed=2)
    loss = lambda z: (weight * (decode(z) - target).square()).sum().item()  # noqa: E731
    losses = [
        loss(Guidance(target, weight, scale, coder=through(decode))(x0, 0.5)) for scale in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert losses == sorted(losses, reverse=True)
    g = gradient(decode, x0, target, weight)
    pulled = x0 - Guidance(target, weight, 1.0, coder=through(decode))(x0, 0.5)
    length = (pulled * g).sum() / g.square().sum()
    assert loss(x0 - 0.98 * length * g) > loss(x0 - length * g) < loss(x0 - 1.02 * length * g)


def test_the_step_does_not_depend_on_the_pictures_size():
    """Four copies of a picture are pulled as one is, in either space; the published step would be a quarter."""
    decode = lambda z: torch.tanh(z[:, :3])  # noqa: E731
    target, weight, x0 = noise(1, 3, 8, 8), torch.rand(1, 1, 8, 8), noise(1, 4, 8, 8, seed=2)
    for coder in (None, through(decode)):
        start = x0[:, :3] if coder is None else x0
        one = Guidance(target, weight, 0.7, coder=coder)(start, 0.5)
        copies = [t.repeat(1, 1, 2, 2) for t in (target, weight, start)]
        four = Guidance(copies[0], copies[1], 0.7, coder=coder)(copies[2], 0.5)
        assert torch.allclose(four, one.repeat(1, 1, 2, 2), atol=1e-4)


def test_a_perfect_picture_stays():
    target, weight = noise(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    same = lambda z: z  # noqa: E731
    for coder in (None, through(same), Coder(same, lambda x0, t, w: w * (x0 - t))):
        assert torch.equal(Guidance(target, weight, 1.0, coder=coder)(target, 0.5), target)


@pytest.mark.parametrize("name", ["vp", "resshift", "mean-reverting"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_and_process_is_drawn_to_the_target(name: str, sampler: str):
    """More guidance, nearer to the target, step by step; whole guidance of a flat target ends in it."""
    target = torch.full((1, 3, 24, 40), 0.25)
    distances = []
    for scale in (0.0, 0.3, 0.6, 1.0):
        guided = dataclasses.replace(
            problem(name=name), guide=Guidance(target, torch.ones(1, 1, 24, 40), scale) if scale else None
        )
        last = finish(restore(guided, settings(sampler=sampler, steps=5)))
        distances.append((last.step.x - target).square().mean().item())
    assert distances == sorted(distances, reverse=True) and distances[1] < 0.7 * distances[0]
    assert distances[-1] < 1e-6


def test_tiles_are_guided_as_the_whole_picture_is():
    guide = Guidance(torch.full((1, 3, 96, 96), 0.25), torch.ones(1, 1, 96, 96), 0.5)
    guided = dataclasses.replace(problem(size=(96, 96)), guide=guide)
    whole, parts = (finish(restore(guided, settings(tile=tile, overlap=8))).result for tile in (0, 48))
    assert torch.allclose(whole, parts, atol=1e-6)


def test_eps_is_derived_again_so_that_the_two_views_agree():
    process = all_processes()["vp"]
    guided = dataclasses.replace(problem(), guide=Guidance(torch.zeros(1, 3, 24, 40), torch.ones(1, 1, 24, 40), 0.5))
    x, t = noise(1, 3, 24, 40), torch.tensor(400.0)
    plain, p = problem().denoise(x, t), guided.denoise(x, t)
    a, _, s = process.marginal(t)
    assert torch.allclose(p.x0, plain.x0 / 2, atol=1e-6) and torch.allclose(a * p.x0 + s * p.eps, x, atol=1e-5)
