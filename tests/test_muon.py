"""Muon."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from restore_core.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(3, 24, 60), (2, 16, 144), (1, 144, 16)])
def test_singular_values_become_about_one(shape: tuple[int, ...]):
    u = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(u).float())
    assert 0.6 < values.min() and values.max() < 1.3
    left, _, right = torch.linalg.svd(u, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(orthogonal(u).float().flatten(), (left @ right).flatten(), 0) > 0.97


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.SiLU(), nn.Conv2d(16, 16, 3), nn.SiLU(), nn.Conv2d(16, 3, 3))


def muon(model: nn.Module) -> Muon:
    kernels = [model[2].weight]
    return Muon(kernels, [p for p in model.parameters() if p is not kernels[0]])


def steps(model: nn.Module, optimiser: Muon, number: int, first: int = 0) -> float:
    for k in range(first, first + number):
        x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(k))
        loss = (model(x) - x[..., 3:-3, 3:-3].roll(1, 1)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.rate = 3e-3
        optimiser.step()
    return loss.item()


def test_it_goes_down():
    model = network()
    optimiser = muon(model)
    first = steps(model, optimiser, 1)
    assert steps(model, optimiser, 60, 1) < 0.5 * first


def test_a_run_cut_in_two_ends_where_a_whole_one_does():
    whole = network()
    steps(whole, muon(whole), 6)
    model = network()
    optimiser = muon(model)
    steps(model, optimiser, 3)
    fresh = muon(model)
    fresh.load_state_dict(optimiser.state_dict())
    steps(model, fresh, 3, 3)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))


def test_without_kernels_it_is_adamw():
    ours, theirs = network(), network()
    steps(ours, Muon([], ours.parameters()), 4)
    other = torch.optim.AdamW(theirs.parameters(), lr=3e-3, betas=(0.9, 0.99), weight_decay=0.0)
    for k in range(4):
        x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(k))
        other.zero_grad()
        (theirs(x) - x[..., 3:-3, 3:-3].roll(1, 1)).square().mean().backward()
        other.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_steps_are_as_long_as_they_are_said_to_be():
    model = network()
    before = model[2].weight.detach().clone()
    steps(model, muon(model), 1)
    moved = (model[2].weight.detach() - before).square().mean().sqrt()
    assert 0.7 < moved / (3 * 3e-3 * 0.2) < 1.3


def test_decay_bounds_kernels_whatever_the_gradients():
    """Steps of rate L against a decay of rate W: at most L/decay is left of any walk, here 0.2 sqrt(columns)/decay."""
    p = torch.nn.Parameter(torch.zeros(8, 8))
    optimiser = Muon([p], [torch.nn.Parameter(torch.zeros(1))], speed=1.0, decay=0.5)
    optimiser.rate = 0.1
    for _ in range(300):
        p.grad = torch.eye(8) * 1e-6
        optimiser.step()
    bound = 0.2 * 8**0.5 / 0.5
    assert 0.7 * bound < torch.linalg.matrix_norm(p.detach(), 2).item() < 1.25 * bound  # orthogonal: 0.7 to 1.2
