"""Windows: what each is told, how they shrink when memory runs short, and bands that are worked on one by one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.tiling import Pieces, strips, tiled

Cond = Mapping[str, Tensor]


def picture(pictures: int = 1, height: int = 70, width: int = 94) -> Tensor:
    return torch.rand(pictures, 3, height, width, generator=torch.Generator().manual_seed(0))


def beside(x: Tensor, cond: Cond) -> Tensor:
    """Looks at one pixel of the state and of the condition alone, so windows change nothing."""
    return 2 * x - cond["y"] + x * cond["y"]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("pictures", [1, 2])
def test_each_picture_of_a_batch_is_told_its_own_condition(pictures: int, batch: int):
    x, cond = picture(pictures), {"y": picture(pictures).flip(-1)}
    found = tiled(beside, x, cond, tile=32, overlap=8, batch=batch)
    assert torch.allclose(found, beside(x, cond), atol=1e-5)


def test_what_is_no_picture_of_this_size_goes_to_every_window_whole():
    told = {"y": picture(), "token": torch.ones(1, 8, 1, 1), "prompts": torch.ones(2, 5, 8), "odd": picture(1, 71, 94)}
    seen: set[tuple[int, ...]] = set()

    def network(x: Tensor, cond: Cond) -> Tensor:
        seen.update((*cond[key].shape[1:],) for key in ("token", "odd"))
        seen.add((*cond["prompts"].shape,))
        return x

    tiled(network, picture(), told, tile=32, overlap=8, batch=4)
    assert seen == {(8, 1, 1), (3, 71, 94), (2, 5, 8)}


def test_an_overlap_is_three_quarters_of_a_window_at_most():
    assert Pieces(64, 100).overlap == 48 and Pieces(64, 16).overlap == 16 and Pieces(None, 100).overlap == 100


def test_windows_shrink_on_the_networks_grid_and_share_no_more_than_half():
    sides: list[tuple[int, ...]] = []

    def network(x: Tensor, cond: Cond) -> Tensor:
        if max(x.shape[-2:]) > 20:
            raise MemoryError
        sides.append(tuple(x.shape[-2:]))
        return 3 * x

    x, pieces = picture(height=64, width=96), Pieces(48, 36, multiple=8)
    assert torch.allclose(pieces(network, x, {}), 3 * x, atol=1e-5)
    assert pieces.tile == 16 and pieces.overlap == 8
    assert {length % 8 for side in sides for length in side} == {0}


@pytest.mark.parametrize(("reach", "multiple"), [(3, 1), (5, 4), (0, 1)])
def test_bands_with_what_they_depend_on_are_the_whole(reach: int, multiple: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("restore_core.tiling.BAND", 94 * 10)  # ten rows
    x, kernel = picture()[:, :1], torch.ones(1, 1, 2 * reach + 1, 1)

    def summed(part: Tensor) -> Tensor:
        return F.conv2d(part, kernel, padding=(reach, 0))

    bands = list(strips(70, 94, reach, multiple))
    found = [summed(x[..., rows, :])[..., within, :] for _, rows, within in bands]
    assert len(bands) > 4 and all(band.start % multiple == 0 for band, _, _ in bands)
    assert torch.allclose(torch.cat(found, dim=-2), summed(x), atol=1e-5)
