"""Methods that are told the damage: what they promise of their results, exactly where it can be exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from restore_core import comparison, images, job
from restore_core.engine import finish, restore
from restore_core.errors import SettingsError
from restore_core.images import Photo, resize
from restore_core.job import plan
from restore_core.library import Library, card
from restore_core.methods import KNOWN, METHODS
from restore_core.methods.ddrm import guide_of
from restore_core.methods.dps import posterior
from restore_core.methods.known import Setting
from restore_core.operators import Mask, shrinking
from restore_core.processes import VariancePreserving, beta_schedule

PROCESS = VariancePreserving(beta_schedule("linear", 1000, 1e-4, 2e-2))
SD = 0.5


@pytest.fixture(scope="module")
def library() -> Library:
    library = Library("cpu")
    if not all(library.has("ddnm", v.key) for v in card("ddnm").variants):
        pytest.skip("The compact weights are not here.")
    return library


def scene(height: int = 32, width: int = 48) -> torch.Tensor:
    small = torch.rand(1, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(0))
    return resize(small, (height, width)).clamp(0, 1)


def with_holes() -> torch.Tensor:
    image = torch.cat([scene(), torch.ones(1, 1, 32, 48)], dim=1)
    image[:, 3, 10:20, 10:20] = 0
    return image


def gaussian(x: torch.Tensor, t: torch.Tensor, cond: object = None) -> torch.Tensor:
    """E[x0 | x_t] of independent pixels with deviation SD."""
    a, _, s = (c.to(x) for c in PROCESS.marginal(t))
    return a * SD**2 * x / (a**2 * SD**2 + s**2)


def test_none_of_them_is_offered_as_blind():
    assert not set(KNOWN) & set(METHODS) and list(KNOWN) == ["ddnm", "ddrm", "dps"]


@pytest.mark.parametrize(
    ("variant", "image"), [("known-sr4", scene(12, 16)), ("known-blur", scene()), ("known-holes", with_holes())]
)
def test_ddnm_explains_the_photo_to_rounding(library: Library, variant: str, image: torch.Tensor):
    settings = card("ddnm").settings(variant, steps=3, seed=1)
    problem = library.method("ddnm", variant).pose(image, settings)
    last = finish(restore(problem, settings))
    x = last.step.x
    assert torch.allclose(problem.guide(x, 0.0), x, atol=1e-4)  # it is its own projection: A x = y
    kept = image[:, :3] if variant == "known-holes" else None
    if kept is not None:
        assert torch.allclose(last.result[..., :10, :], kept[..., :10, :], atol=1e-4)
        assert (last.result - kept)[..., 10:20, 10:20].abs().max() > 1e-3
    else:
        scale = card("ddnm").variant(variant).scale
        assert last.result.shape[-2:] == tuple(scale * side for side in image.shape[-2:])


@pytest.mark.parametrize("method", list(KNOWN))
def test_each_repeats_itself_and_varies_with_the_seed(library: Library, method: str):
    image = scene(8, 12)

    def run(seed: int) -> torch.Tensor:
        settings = card(method).settings("known-sr4", steps=2, seed=seed)
        return finish(restore(library.method(method, "known-sr4").pose(image, settings), settings)).result

    assert torch.equal(run(1), run(1)) and not torch.allclose(run(1), run(2), atol=1e-3)
    assert run(1).isfinite().all() and not run(1).requires_grad


def test_without_noise_ddrm_is_ddnm():
    operator = shrinking((16, 16), 4)
    y = 2 * scene(8, 8)[..., :4, :4].double() - 1
    told = Setting(PROCESS, operator, y, 0.0)
    x0 = 2 * scene(16, 16).double() - 1
    assert torch.allclose(guide_of(told)(x0, 0.5), operator.project(x0, y), atol=1e-9)


def test_ddrm_trusts_a_noisy_photo_less_as_the_run_grows_clean():
    operator = Mask(torch.ones(1, 1, 4, 4))
    y, x0 = torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    guide = guide_of(Setting(PROCESS, operator, y, 0.2))
    pulls = [guide(x0, share).mean().item() for share in (1.0, 0.5, 0.1, 0.02, 0.005)]
    assert pulls[0] == 1 and pulls == sorted(pulls, reverse=True) and pulls[-1] < 0.2


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_dps_is_exact_for_gaussian_pictures(share: float):
    """E[x0 | x_t, y] of independent Gaussians is known; where nothing was measured, it is E[x0 | x_t]."""
    g = torch.Generator().manual_seed(0)
    mask = (torch.rand(1, 1, 8, 8, generator=g) > 0.5).double()
    x, y = torch.randn(2, 1, 3, 8, 8, generator=g, dtype=torch.float64)
    y, sigma, t = y * mask, 0.3, torch.tensor(1000 * share, dtype=torch.float64)
    told = Setting(PROCESS, Mask(mask), y, sigma)
    found = posterior(gaussian, told, SD**2)(x, t, {})
    a, _, s = PROCESS.marginal(t)
    precision = 1 / SD**2 + (a / s) ** 2 + mask / sigma**2
    wanted = (a / s**2 * x + mask * y / sigma**2) / precision
    assert torch.allclose(found, wanted, atol=1e-9)


def test_dps_is_exact_for_gaussian_pictures_behind_any_damage():
    """In the damage's coordinates each one is a Gaussian measured with strength s."""
    operator, sigma = shrinking((16, 16), 4), 0.1
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(1, 3, n, n, generator=g, dtype=torch.float64) for n in (16, 4))
    t = torch.tensor(400.0, dtype=torch.float64)
    found = posterior(gaussian, Setting(PROCESS, operator, y, sigma), SD**2)(x, t, {})
    a, _, s = PROCESS.marginal(t)
    strengths = operator.strengths
    precision = 1 / SD**2 + (a / s) ** 2 + (strengths / sigma) ** 2
    told = a / s**2 * operator.coordinates(x) + strengths**2 / sigma**2 * operator.measured(y)
    assert torch.allclose(found, operator.picture(told / precision), atol=1e-9)


def test_dps_cannot_work_in_pieces(library: Library):
    settings = replace(card("dps").settings("known-sr4", steps=2), tile=128)
    problem = library.method("dps", "known-sr4").pose(scene(48, 64), settings)
    with pytest.raises(SettingsError, match="cannot work in pieces"):
        finish(restore(problem, settings))


def test_a_photo_without_holes_and_one_that_is_all_hole_are_told(library: Library):
    method, settings = library.method("ddnm", "known-holes"), card("ddnm").settings("known-holes", steps=2)
    with pytest.raises(SettingsError, match="nothing in it is transparent"):
        method.pose(scene(), settings)
    with pytest.raises(SettingsError, match="Everything is to be filled"):
        method.pose(with_holes() * torch.tensor([1.0, 1, 1, 0])[:, None, None], settings)


def test_they_stand_in_compare_beside_the_blind(library: Library):
    photo = Photo(scene(24, 24), None, False, 8, None, None, (), "small")
    wishes = [{"method": key, "variant": "known-sr4", "steps": 2, "seed": 1} for key in KNOWN]
    asked = comparison.prepare(photo, [*wishes, {"method": "dvsr", "variant": "compact-sr4", "steps": 2}], library)
    assert asked.contenders[0].job.size == (96, 96) == asked.contenders[3].job.size


def test_what_was_filled_is_written_opaque_and_not_held_against_the_photo(library: Library, tmp_path: Path):
    image = torch.nn.functional.pad(with_holes(), (16, 16, 24, 24), value=1.0)
    photo = Photo(image[:, :3], image[:, 3:], False, 8, None, None, (), "holed")
    wishes = [{"method": key, "variant": "known-holes", "steps": 2, "seed": 1} for key in ("ddnm", "ddrm")]
    asked = comparison.prepare(photo, wishes, library)
    ended = [asked.ended(c, finish(job.run(c.job, library))) for c in asked.contenders]
    assert all("consistency" not in e.numbers for e in ended)
    comparison.keep(asked, ended, tmp_path)
    assert images.load(tmp_path / "A.png").alpha is None
    plain = plan(Photo(scene(), image[:, 3:, :32, :48], False, 8, None, None, (), "p"), library, task="denoise")
    assert plain.like.alpha is not None  # transparency that was not filled is kept
