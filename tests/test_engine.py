"""The streaming loop: frames, laziness, stop, tiles, samples, gradients; with small made-up networks."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F
from conftest import all_processes
from torch import Tensor

from restore_core.engine import Noise, RunningMean, finish, restore, times_of
from restore_core.errors import Cancelled, SettingsError
from restore_core.memory import WARM
from restore_core.problem import Problem
from restore_core.samplers import SAMPLERS
from restore_core.settings import MAX_SEED, Option, Settings
from restore_core.tiling import SLACK, Pieces, ramp, starts, tile_size, tiled, windows


class Counted:
    """A decode that counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.times += 1
        return x.clamp(-1, 1) / 2 + 0.5


def pointwise(x: Tensor, t: Tensor, cond) -> Tensor:
    return 0.5 * torch.tanh(x) + 0.4 * cond["y"]


def smooth(x: Tensor, t: Tensor, cond) -> Tensor:
    """Sees 2 pixels around: like a network with a small receptive field."""
    return 0.5 * F.avg_pool2d(x, 5, stride=1, padding=2, count_include_pad=False) + 0.4 * cond["y"]


def problem(network=pointwise, *, size=(24, 40), batch=1, name="vp", **changes) -> Problem:
    y = torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(5)) * 2 - 1
    return Problem(
        process=all_processes()[name],
        network=network,
        predicts="x0",
        anchor=changes.pop("anchor", torch.zeros_like(y)),
        cond=changes.pop("cond", {"y": y}),
        encode=lambda image: image * 2 - 1,
        decode=changes.pop("decode", lambda x: x.clamp(-1, 1) / 2 + 0.5),
        **changes,
    )


def settings(**changes) -> Settings:
    return Settings(**({"method": "made-up", "variant": "none", "sampler": "ddim", "steps": 6, "seed": 3} | changes))


def test_frames_come_in_order_and_decode_only_when_looked_at():
    decode = Counted()
    frames = list(restore(problem(decode=decode), settings()))
    assert [f.index for f in frames] == list(range(7)) and frames[0].total == 7
    assert [f.done for f in frames] == [False] * 6 + [True]
    assert decode.times == 1  # the result alone
    assert (frames[2].estimate == frames[2].estimate).all() and decode.times == 2
    assert frames[2].image.shape == (1, 3, 24, 40) and decode.times == 3
    assert [f.calls for f in frames] == [1, 2, 3, 4, 5, 6, 6]


def test_preview_serves_frames_on_the_way_and_decode_the_last():
    preview, decode = Counted(), Counted()
    frames = list(restore(problem(preview=preview, decode=decode), settings()))
    _ = [f.estimate for f in frames]
    assert preview.times == 6 and decode.times == 1  # what the mean took, the last frame shows
    assert frames[-1].image is frames[-1].estimate and torch.equal(frames[-1].result, frames[-1].estimate)
    assert decode.times == 1


def test_a_stopped_run_decodes_its_guess_once():
    preview, decode = Counted(), Counted()
    frames = restore(problem(preview=preview, decode=decode), settings())
    frame = [next(frames) for _ in range(3)][-1]
    assert decode.times == 0
    assert frame.result is frame.result and decode.times == 1


@pytest.mark.parametrize("name", list(all_processes()))
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_same_seed_same_result_other_seed_other_result(name: str, sampler: str):
    run = lambda seed: finish(restore(problem(name=name), settings(sampler=sampler, seed=seed))).result  # noqa: E731
    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))


def test_a_batch_gets_the_noise_of_its_seeds():
    like = torch.empty(3, 2, 4, 4)
    together, apart = Noise(7), [Noise(7 + i) for i in range(3)]
    for _ in range(2):
        assert torch.equal(together(like), torch.cat([n(like[:1]) for n in apart]))


def test_stop_is_honoured_before_the_next_network_call():
    calls: list[int] = []

    def network(x, t, cond):
        calls.append(1)
        return pointwise(x, t, cond)

    frames = restore(problem(network), settings(), stop=lambda: len(calls) >= 3)
    seen = []
    with pytest.raises(Cancelled):
        seen.extend(frames)
        for frame in frames:
            seen.append(frame)
    assert len(calls) == 3


def test_stop_is_honoured_between_tiles():
    calls: list[int] = []

    def network(x, t, cond):
        calls.append(1)
        return pointwise(x, t, cond)

    with pytest.raises(Cancelled):
        finish(restore(problem(network, size=(128, 128)), settings(tile=64, overlap=8), stop=lambda: len(calls) >= 2))
    assert len(calls) == 2


def test_closing_the_generator_leaves_gradients_as_they_were():
    frames = restore(problem(), settings())
    next(frames)
    assert torch.is_grad_enabled()
    frames.close()
    assert torch.is_grad_enabled()
    weight = torch.ones(1, requires_grad=True)
    frame = finish(restore(problem(lambda x, t, c: weight * pointwise(x, t, c)), settings()))
    assert not frame.result.requires_grad


@pytest.mark.parametrize("name", ["vp", "resshift", "mean-reverting"])
def test_tiles_of_a_pointwise_network_change_nothing(name: str):
    run = lambda **c: finish(restore(problem(size=(100, 140), name=name), settings(**c))).result  # noqa: E731
    assert torch.allclose(run(tile=64, overlap=16), run(tile=0), atol=1e-6)


def test_tiles_that_overlap_by_the_receptive_field_change_little_and_leave_no_seam():
    run = lambda **c: finish(restore(problem(smooth, size=(160, 160)), settings(options={"eta": 0.0}, **c))).result  # noqa: E731
    whole, parts = run(tile=0), run(tile=64, overlap=24)
    difference = (whole - parts).abs().amax(dim=1)[0]
    assert difference.max() < 2e-2
    assert 0 < (whole - parts).abs().mean() < 1e-3


def test_condition_is_cropped_with_the_tile_also_at_a_larger_scale():
    x, fine = torch.zeros(1, 1, 48, 80), torch.arange(96 * 160.0).reshape(1, 1, 96, 160)
    vector = torch.ones(1, 5)
    run = lambda part, cond: part + cond["fine"][..., ::2, ::2] + cond["vector"].mean()  # noqa: E731
    out = tiled(run, x, {"fine": fine, "vector": vector}, tile=32, overlap=8, multiple=4)
    assert torch.allclose(out, fine[..., ::2, ::2] + 1)


@pytest.mark.parametrize(
    "length, tile, overlap, multiple", [(100, 64, 16, 1), (4000, 768, 32, 32), (65, 64, 8, 32), (64, 64, 8, 8)]
)
def test_windows_cover_everything_and_overlap(length, tile, overlap, multiple):
    begins = starts(length, tile, overlap, multiple)
    assert begins[0] == 0 and begins[-1] + tile >= length and all(b % multiple == 0 for b in begins)
    assert all(b - a <= tile - overlap for a, b in itertools.pairwise(begins))
    weight = torch.zeros(length, 50)
    for window in windows(length, 50, tile, overlap, multiple):
        weight[window.rows, window.columns] += window.weight
    assert weight.min() > 0


def test_ramps_of_neighbours_add_to_one():
    total = ramp(64, 16, True, False)[-16:] + ramp(64, 16, False, True)[:16]
    assert torch.allclose(total, torch.ones(16))


def test_tiles_are_chosen_for_large_pictures_only():
    assert tile_size(None, 512, 512) == 0 and tile_size(None, 3000, 4000) == 768
    assert tile_size(0, 3000, 4000) == 0 and tile_size(256, 3000, 4000) == 256 and tile_size(256, 200, 100) == 0


def test_samples_are_averaged_and_their_spread_is_kept():
    ask = settings(samples=4)
    singles = [finish(restore(problem(), settings(seed=3 + i))).result for i in range(4)]
    frames = list(restore(problem(), ask))
    assert len(frames) == 28 and frames[-1].done and [f.sample for f in frames[::7]] == [0, 1, 2, 3]
    assert torch.allclose(frames[-1].result, torch.stack(singles).mean(0), atol=1e-6)
    assert torch.allclose(frames[-1].spread, torch.stack(singles).std(0), atol=1e-5)
    assert finish(restore(problem(), settings())).spread is None


def test_samples_that_walk_together_are_those_that_walk_alone():
    layer = torch.nn.Conv2d(6, 3, 3, padding=1)
    torch.nn.init.normal_(layer.weight, std=0.1)
    seen = []

    def network(x, t, c):
        seen.append(len(x))
        return layer(torch.cat([x, c["y"]], dim=1)) + c["context"][:1].mean()

    cond = {"y": torch.rand(1, 3, 24, 40), "context": torch.ones(2, 5, 7)}
    alone = list(restore(problem(network, cond=cond), settings(samples=5)))
    assert set(seen) == {1}
    seen.clear()
    given = problem(network, cond=cond, bytes_per_pixel=WARM / SLACK / (24 * 40 * 3))
    together = list(restore(given, settings(samples=5)))
    assert set(seen) == {3, 2} and len(seen) == 2 * 6
    assert [f.sample for f in together] == [0] * 7 + [1, 2] + [3] * 7 + [4]
    by_index = {f.index: f for f in alone}
    for frame in together:
        same = by_index[frame.index]
        assert torch.allclose(frame.image, same.image, atol=1e-5) and frame.calls == same.calls
        assert len(frame.image) == 1 and len(frame.step.prediction.eps) == 1
    assert together[-1].done and torch.allclose(together[-1].spread, alone[-1].spread, atol=1e-5)
    shares = [f.share for f in together]
    assert shares == sorted(shares) and 0 < shares[0] and shares[-1] == 1 and shares[5] == pytest.approx(18 / 35)
    spent = [f.seconds for f in together]
    assert spent == sorted(spent)


def test_noise_of_ones_own_walks_alone():
    lengths = []
    own = Noise(3)

    def noise(like):
        lengths.append(len(like))
        return own(like)

    finish(restore(problem(bytes_per_pixel=1.0), settings(samples=2), noise=noise))
    assert set(lengths) == {1}


def test_windows_of_one_size_go_in_one_call_and_change_nothing():
    x, seen = torch.rand(1, 2, 100, 150), []
    cond = {"y": torch.rand(1, 2, 100, 150), "told": torch.rand(1, 4), "prompts": torch.rand(2, 3)}
    layer = torch.nn.Conv2d(4, 2, 5, padding=2)

    @torch.no_grad()
    def network(part, told):
        seen.append(tuple(part.shape[:1]) + tuple(told["told"].shape[:1]) + tuple(told["prompts"].shape[:1]))
        return layer(torch.cat([part, told["y"]], dim=1)) + told["told"].mean(dim=1)[:, None, None, None]

    how = dict(tile=48, overlap=16, multiple=4)
    one_by_one = tiled(network, x, cond, **how)
    assert set(seen) == {(1, 1, 2)}
    windows_in_all = len(seen)
    seen.clear()
    together = tiled(network, x, cond, batch=4, **how)
    assert torch.allclose(one_by_one, together, atol=1e-5)
    assert max(seen)[0] == 4 and sum(n for n, *_ in seen) == windows_in_all and all(n == m for n, m, _ in seen)


def test_short_memory_takes_the_batch_apart_before_the_windows():
    x, seen = torch.rand(3, 1, 32, 32), []

    def network(part, told):
        seen.append((len(part), part.shape[-1], len(told["y"])))
        if len(part) > 1:
            raise MemoryError
        return part + told["y"]

    y = torch.arange(3.0).reshape(3, 1, 1, 1).expand_as(x)
    pieces = Pieces(0, 8, batch=3)
    assert torch.equal(pieces(network, x, {"y": y}), x + y)
    assert seen == [(3, 32, 3), (1, 32, 1), (1, 32, 1), (1, 32, 1)] and pieces.tile == 0


def test_running_mean_refuses_to_be_empty():
    with pytest.raises(SettingsError):
        _ = RunningMean().mean


def test_strength_starts_from_the_noised_guess():
    guess = torch.full((1, 3, 24, 40), 0.25)
    weak = next(restore(problem(guess=guess), settings(strength=0.02)))
    t, x = weak.step.t, weak.step.x
    assert t == pytest.approx(0.02 * 1000)
    a, _, s = problem().process.marginal(t)
    assert torch.allclose(x, a * guess + s * Noise(3)(guess), atol=1e-6)


def test_clipping_derives_eps_again():
    given = problem(lambda x, t, c: 3 * x, clip=1.0)
    x, t = torch.linspace(-2, 2, 3 * 24 * 40).reshape(1, 3, 24, 40), torch.tensor(300.0)
    p = given.denoise(x, t)
    assert p.x0.abs().max() == 1
    a, b, s = given.process.marginal(t)
    assert torch.allclose(a * p.x0 + b * given.anchor + s * p.eps, x, atol=1e-5)


def test_the_papers_grid_is_the_methods():
    own = torch.tensor([900.0, 100.0, 0.0], dtype=torch.float64)
    ask = settings(spacing="paper")
    given = dataclasses.replace(problem(), times=lambda n: own)
    assert torch.equal(times_of(given, ask), own)
    assert len(times_of(problem(), ask)) == 7


@pytest.mark.parametrize(("strength", "left"), [(1.0, [900, 100, 0]), (0.5, [100, 0]), (0.02, [20, 0])])
def test_a_run_below_full_strength_walks_the_end_of_the_papers_grid(strength: float, left: list[float]):
    own = torch.tensor([900.0, 100.0, 0.0], dtype=torch.float64)
    given = dataclasses.replace(problem(guess=torch.zeros(1, 3, 24, 40)), times=lambda n: own)
    ask = settings(spacing="paper", strength=strength)
    assert times_of(given, ask).tolist() == left
    assert next(restore(given, ask)).step.t == left[0]


def test_half_precision_stays_close():
    layer = torch.nn.Conv2d(3, 3, 3, padding=1)
    network = lambda x, t, c: layer(x)  # noqa: E731
    run = lambda p: finish(restore(problem(network), settings(precision=p))).result  # noqa: E731
    whole, half = run("float32"), run("bfloat16")
    assert half.dtype == torch.float32 and not torch.equal(whole, half)
    assert (whole - half).abs().max() < 0.05


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": float("nan")}, {"steps": 2.5}, {"steps": "many"}, {"steps": 10**9}, {"seed": -1},
        {"strength": 0.0}, {"samples": 0}, {"tile": 40, "overlap": 32}, {"precision": "int3"}, {"sampler": "nope"},
        {"spacing": "nope"},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused_in_a_sentence(wrong: dict):
    with pytest.raises(SettingsError, match="Choose"):
        finish(restore(problem(), settings(**wrong)))


def test_no_two_variation_numbers_are_one():
    """The generator looks at 32 bits."""
    z = torch.zeros(1, 3, 8, 8)
    assert not torch.equal(Noise(MAX_SEED)(z), Noise(0)(z)) and settings(seed=MAX_SEED).seed == MAX_SEED
    with pytest.raises(SettingsError, match="variation number"):
        settings(seed=MAX_SEED + 1)


@pytest.mark.parametrize(
    ("given", "read"), [(True, True), ("yes", True), ("1", True), (0, False), ("False", False), ("no", False)]
)
def test_a_switch_is_read_in_words(given: object, read: bool):
    assert Option("grows", "Grows", not read).check(given) is read


def test_a_switch_is_refused_in_other_words():
    with pytest.raises(SettingsError, match="neither yes nor no"):
        Option("grows", "Grows", False).check("perhaps")


def test_settings_survive_json():
    ask = settings(options={"eta": 0.5}, tile=256, strength=0.5)
    assert Settings.from_json(ask.to_json()) == ask
    for broken in ({}, [], {"method": "x"}, ask.to_json() | {"colour": 1}, ask.to_json() | {"options": 3}):
        with pytest.raises(SettingsError):
            Settings.from_json(broken)
