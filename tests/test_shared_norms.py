"""Norms shared by the windows of a picture: exact behind one norm, nearer to the whole behind many."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from restore_core.networks.shared_norms import SharedNorms


def windows(x: Tensor, side: int) -> list[Tensor]:
    return [part for rows in x.split(side, dim=-2) for part in rows.split(side, dim=-1)]


def uneven(size: int = 48) -> Tensor:
    """A picture (2, 8, size, size) that is dark and flat in one corner, bright and rough in the other."""
    torch.manual_seed(0)
    slope = torch.linspace(0, 1, size)
    return 3 * slope * slope[:, None] * (1 + torch.randn(2, 8, size, size))


@torch.no_grad()
def in_windows(network: nn.Module, x: Tensor, side: int) -> list[Tensor]:
    norms = SharedNorms()
    for part in windows(x, side):
        with norms.measure():
            network(part)
    found = []
    for part in windows(x, side):
        with norms.apply():
            found.append(network(part))
    return found


@pytest.mark.parametrize("side", [48, 24, 20, 7])
@torch.no_grad()
def test_behind_one_norm_windows_of_any_size_are_the_whole(side: int):
    x, network = uneven(), nn.Sequential(nn.GroupNorm(4, 8), nn.SiLU(), nn.Conv2d(8, 8, 1))
    nn.init.normal_(network[0].weight)
    nn.init.normal_(network[0].bias)
    for ours, whole in zip(in_windows(network, x, side), windows(network(x), side), strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_behind_several_norms_windows_are_nearer_to_the_whole_than_by_themselves():
    x = uneven()
    layers = [layer for _ in range(5) for layer in (nn.GroupNorm(4, 8), nn.SiLU(), nn.Conv2d(8, 8, 1))]
    network = nn.Sequential(*layers)
    whole = windows(network(x), 12)
    shared = sum((a - b).abs().mean() for a, b in zip(in_windows(network, x, 12), whole, strict=True))
    alone = sum((network(p) - b).abs().mean() for p, b in zip(windows(x, 12), whole, strict=True))
    assert shared < alone / 2


@torch.no_grad()
def test_measuring_changes_nothing_and_outside_of_it_norms_are_torchs():
    x, network, norms = uneven(), nn.GroupNorm(4, 8), SharedNorms()
    with norms.measure():
        seen = network(x)
    assert torch.equal(seen, network(x))
    with norms.apply():
        network(x[..., :5, :5])
    assert torch.equal(seen, network(x))


@torch.no_grad()
def test_a_constant_picture_stays_finite():
    network = nn.Sequential(nn.GroupNorm(4, 8), nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(4, 8))
    for part in in_windows(network, torch.full((1, 8, 16, 16), 1e4), 8):
        assert part.isfinite().all()
