"""Laws of the linear operators: adjoint, pseudo-inverse, projection; and that they are the damages they claim to be."""

from __future__ import annotations

import pytest
import torch

from restore_core.degradations.blur import blur, gaussian_kernel
from restore_core.errors import SettingsError
from restore_core.images import resize
from restore_core.operators import Mask, Operator, blurring, shrinking

SIZE = (32, 48)


def picture(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, *(size or SIZE), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth() -> torch.Tensor:
    return resize(picture(8, 12), SIZE)


def mask() -> Mask:
    return Mask((picture()[:, :1] > 0.3).double())


OPERATORS = {"mask": mask, "shrink": lambda: shrinking(SIZE, 4), "blur": lambda: blurring(SIZE, 1.5)}


@pytest.fixture(params=list(OPERATORS))
def operator(request) -> Operator:
    return OPERATORS[request.param]()


def test_the_pseudo_inverse_is_one(operator: Operator):
    """Moore and Penrose's four conditions."""
    x = picture()
    y = operator.forward(x)
    z = picture(*y.shape[-2:], seed=1)
    a, plus = operator.forward, operator.inverse
    assert torch.allclose(a(plus(y)), y, atol=1e-9)
    assert torch.allclose(plus(a(plus(z))), plus(z), atol=1e-9)
    assert torch.allclose((a(plus(z)) * y).sum(), (z * a(plus(y))).sum(), atol=1e-8)
    assert torch.allclose((plus(a(x)) * picture(seed=2)).sum(), (x * plus(a(picture(seed=2)))).sum(), atol=1e-8)


def test_the_transpose_is_the_adjoint(operator: Operator):
    x = picture()
    y = picture(*operator.forward(x).shape[-2:], seed=1)
    assert torch.allclose((operator.forward(x) * y).sum(), (x * operator.transpose(y)).sum(), atol=1e-9)


def test_coordinates_turn_and_lose_nothing(operator: Operator):
    x = picture()
    assert torch.allclose(operator.picture(operator.coordinates(x)), x, atol=1e-10)
    assert torch.allclose(operator.coordinates(x).norm(), x.norm(), atol=1e-9)


def test_a_projected_picture_explains_the_photo_and_moves_no_further(operator: Operator):
    x, y = picture(), operator.forward(picture(seed=3))
    nearest = operator.project(x, y)
    assert torch.allclose(operator.forward(nearest), y, atol=1e-9)
    assert torch.allclose(operator.project(nearest, y), nearest, atol=1e-9)
    other = picture(seed=3)  # it explains y too
    assert (nearest - x).norm() <= (other - x).norm()
    assert operator.project(x.float(), y.float()).dtype == torch.float32


def test_they_are_the_damages_they_claim_to_be():
    x = smooth()
    assert torch.allclose(shrinking(SIZE, 4).forward(x), resize(x, (8, 12)), atol=1e-3)
    inner = (..., slice(8, -8), slice(8, -8))
    blurred = blur(x, gaussian_kernel(1.5).double())
    assert (blurring(SIZE, 1.5).forward(x) - blurred)[inner].abs().max() < 5e-3
    assert torch.equal(mask().forward(x), x * mask().strengths)


def test_what_cannot_be_taken_apart_is_told():
    with pytest.raises(SettingsError, match="Everything is to be filled"):
        Mask(torch.zeros(1, 1, 4, 4))
    with pytest.raises(SettingsError, match="up to 2048"):
        shrinking((4096, 64), 4)
