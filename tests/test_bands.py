"""Large pictures in bands: the numbers of the whole, bit for bit, with few whole pictures in memory."""

from __future__ import annotations

import pytest
import torch
from conftest import all_processes
from test_engine import problem, settings, smooth
from torch import Tensor

from benchmarks.peak import Live
from restore_core import bands, images
from restore_core.bands import Pointwise, by_bands
from restore_core.engine import Frame, Noise, finish, restore
from restore_core.images import as_bytes, shrink_to, to_uint8
from restore_core.processes import Prediction, Process
from restore_core.samplers import SAMPLERS


@pytest.fixture
def narrow(monkeypatch):
    """Everything is large and bands have a few rows."""
    monkeypatch.setattr(bands, "LARGE", 1)
    monkeypatch.setattr(images, "LARGE", 1)
    monkeypatch.setattr(bands, "BAND", 700)


def pictures(count: int, size: tuple[int, int] = (67, 41)) -> list[Tensor]:
    draw = torch.Generator().manual_seed(2)
    return [torch.randn(2, 3, *size, generator=draw) for _ in range(count)]


def flat(found: Tensor | Prediction) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else [found.x0, found.eps]


FORMULAS = {
    "mean": lambda p, t, u, x, y, z: p.mean(x, y, t),
    "diffuse": lambda p, t, u, x, y, z: p.diffuse(x, y, t, z),
    "prior": lambda p, t, u, x, y, z: p.prior(y, z),
    "from_x0": lambda p, t, u, x, y, z: p.from_x0(x, y, t, z),
    "from_eps": lambda p, t, u, x, y, z: p.from_eps(x, y, t, z),
    "from_v": lambda p, t, u, x, y, z: p.from_v(x, y, t, z),
    "posterior_mean": lambda p, t, u, x, y, z: p.posterior_mean(x, y, u, t, z),
    "euler_mean": lambda p, t, u, x, y, z: p.euler_mean(x, y, u, t, Prediction(z, x)),
}


@torch.no_grad()
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("name", list(all_processes()))
def test_a_process_gives_the_same_bits_in_bands(formula: str, name: str, request: pytest.FixtureRequest):
    process: Process = all_processes()[name]
    t, u = (torch.tensor(process.steps * share, dtype=torch.float64) for share in (0.75, 0.5))
    run = lambda: flat(FORMULAS[formula](process, t, u, *pictures(3)))  # noqa: E731
    whole = run()
    request.getfixturevalue("narrow")
    assert all(torch.equal(one, other) for one, other in zip(whole, run(), strict=True))


@pytest.mark.parametrize("tile", [0, 64])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_gives_the_same_bits_in_bands(sampler: str, tile: int, request: pytest.FixtureRequest):
    ask = settings(sampler=sampler, tile=tile, overlap=16, samples=3, steps=3)
    run = lambda: finish(restore(problem(smooth, size=(80, 72), clip=1.0), ask))  # noqa: E731
    whole = run()
    request.getfixturevalue("narrow")
    parts = run()
    assert torch.equal(whole.result, parts.result) and torch.equal(whole.spread, parts.spread)


def most_whole_pictures(sampler: str) -> float:
    """The most memory that a run takes beside its Problem, in pictures."""
    size = (256, 192)
    given = problem(smooth, size=size, clip=1.0, decode=Pointwise(lambda x: x.clamp(-1, 1) / 2 + 0.5))
    ask = settings(sampler=sampler, tile=64, overlap=8, steps=3)
    with torch.no_grad(), Live() as live:
        for frame in restore(given, ask):
            frame.small("image", 32), frame.small("estimate", 32)
            del frame
    return live.peak / (3 * size[0] * size[1] * 4)


@pytest.mark.parametrize(("sampler", "most"), [("ddim", 5), ("multistep-sde", 6)])
def test_a_run_keeps_few_whole_pictures(sampler: str, most: int, narrow: None):
    """ddim: x, its guess, its noise, the next x, fresh noise. One guess more for those that remember."""
    assert most - 0.5 < most_whole_pictures(sampler) < most + 0.5


def test_without_bands_there_are_more():
    assert most_whole_pictures("ddim") > 6


def test_what_is_written_over_is_only_what_may_be(narrow: None):
    x, y = pictures(2)
    kept = x.clone()
    assert torch.equal(by_bands(torch.add, x, y), kept + y) and torch.equal(x, kept)
    assert by_bands(torch.add, x, y, onto=x) is x and torch.equal(x, kept + y)


def test_a_networks_own_tensor_is_not_written_over(narrow: None):
    """A network may answer with what it was given; only what tiles were put together in is ours."""
    answers: list[Tensor] = []

    def network(x: Tensor, t: Tensor, cond) -> Tensor:
        answers.append(3 * x)
        return answers[-1]

    for _ in restore(problem(network, clip=1.0), settings(steps=2, tile=0)):
        assert answers[-1].abs().max() > 1


def test_gradients_pass_in_spite_of_bands(narrow: None):
    x = torch.ones(1, 3, 40, 40, requires_grad=True)
    by_bands(torch.mul, x, 2 * torch.ones(1, 3, 40, 40)).sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 2.0))


@pytest.mark.parametrize("size", [(97, 64), (64, 97), (480, 31), (30, 20)])
def test_a_preview_of_a_large_picture_is_that_of_the_whole(size: tuple[int, int], narrow: None):
    decode = Pointwise(lambda x: x.clamp(-1, 1) / 2 + 0.5)
    frame = next(restore(problem(size=size, decode=decode), settings()))
    assert isinstance(frame, Frame)
    for shown in ("image", "estimate"):
        assert torch.equal(frame.small(shown, 31), shrink_to(getattr(frame, shown), 31))


def test_a_preview_of_what_is_not_pointwise_is_decoded_whole(narrow: None):
    decode = lambda x: x - x.mean()  # noqa: E731
    frame = next(restore(problem(size=(97, 64), decode=decode), settings()))
    assert torch.equal(frame.small("image", 20), shrink_to(decode(frame.step.x), 20))


def test_bytes_are_the_same_in_bands(request: pytest.FixtureRequest):
    image = pictures(1)[0][:1]
    image[0, 0, 0, 0] = torch.nan
    whole = to_uint8(image)
    request.getfixturevalue("narrow")
    assert (to_uint8(image) == whole).all() and (to_uint8(image[0]) == whole).all()
    assert as_bytes(image).shape == (67, 41, 3) and whole[0, 0, 0] == 0


def test_noise_is_the_generators_own():
    like = torch.empty(2, 3, 5, 7)
    expected = [torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(seed)) for seed in (4, 5)]
    assert torch.equal(Noise(4)(like), torch.stack(expected))
