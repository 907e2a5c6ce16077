"""What memory allows: windows that fit; a shortage is met with smaller ones and does not change the picture."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from test_engine import problem, settings, smooth
from torch import Tensor

from benchmarks.networks import CASES, ROOT, Case
from benchmarks.peak import peak_bytes
from restore_core import memory
from restore_core.checkpoints import match
from restore_core.engine import finish, restore
from restore_core.memory import Need
from restore_core.networks import compact_unet
from restore_core.tiling import SLACK, Pieces, fitting, starts, tile_size

CPU = torch.device("cpu")


def test_the_side_fits_what_is_free_and_is_never_below_two_multiples(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda device: 10**9)
    assert Need(1000.0).side(CPU, 64) == 768  # 768^2 kB < 0.6 GB < 832^2 kB
    assert Need(1000.0).side(CPU, 64, batch=4) == 384
    assert Need(1000.0).side(CPU, 64, most=256) == 256
    assert Need(1e9).side(CPU, 64) == 128


def test_a_limit_is_heeded_and_nonsense_is_not(monkeypatch):
    free = memory.free(CPU)
    assert free > 2**26
    monkeypatch.setenv("STEPBACK_MEMORY", "0.0625")
    assert memory.free(CPU) == 2**26
    monkeypatch.setenv("STEPBACK_MEMORY", "plenty")
    assert memory.free(CPU) > 2**26


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True), (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False), (ValueError("not enough memory"), False),
    ],
)  # fmt: skip
def test_what_is_called_a_shortage(error: BaseException, short: bool):
    assert memory.is_shortage(error) == short


def scarce(limit: int, log: list[tuple[int, int]]):
    """A network that finds no memory for more than limit x limit pixels."""

    def network(x: Tensor, t: Tensor, cond) -> Tensor:
        log.append((x.shape[-2], x.shape[-1]))
        if x.shape[-2] * x.shape[-1] > limit**2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return smooth(x, t, cond)

    return network


def test_a_call_that_finds_no_memory_is_made_again_in_smaller_pieces():
    log: list[tuple[int, int]] = []
    ask = settings(options={"eta": 0.0}, overlap=16, tile=0)
    whole = finish(restore(problem(smooth, size=(128, 160)), ask)).result
    parts = finish(restore(problem(scarce(64, log), size=(128, 160)), ask)).result
    assert (whole - parts).abs().mean() < 1e-3  # the same noise, the same state
    assert log[:2] == [(128, 160), (80, 80)] and (40, 40) in log
    assert log.count((128, 160)) == 1  # what was learnt of the memory is kept


def test_where_nothing_helps_the_shortage_itself_is_told():
    with pytest.raises(RuntimeError, match="can't allocate"):
        finish(restore(problem(scarce(1, []), size=(64, 64)), settings(tile=0)))


def test_other_errors_are_not_tried_again():
    calls: list[int] = []

    def network(x: Tensor, cond) -> Tensor:
        calls.append(1)
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        Pieces(0, 8)(network, torch.zeros(1, 1, 64, 64), {})
    assert calls == [1]


def test_pieces_may_be_larger_than_what_they_were_made_from():
    x = torch.arange(40.0 * 60).reshape(1, 1, 40, 60)
    twice = lambda part, cond: part.repeat_interleave(2, -1).repeat_interleave(2, -2)  # noqa: E731
    assert torch.allclose(Pieces(16, 4, scale=2)(twice, x, {}), twice(x, {}))


GREEDY = 10**6 / SLACK  # bytes a pixel: a megabyte, slack included


@pytest.mark.parametrize(
    ("free", "size", "side"),
    [(10**12, (700, 800), 0), (10**13, (4000, 6000), 768), (10**11, (4000, 6000), 224), (10**11, (200, 250), 0)],
)
def test_tiles_are_as_large_as_memory_allows(monkeypatch, free: int, size: tuple[int, int], side: int):
    monkeypatch.setattr(memory, "free", lambda device: free)
    assert fitting(GREEDY, torch.empty(1, 1, *size), 32) == side


def test_what_was_asked_for_is_not_questioned():
    assert tile_size(512, 4000, 6000, 64) == 512 and tile_size(0, 4000, 6000, 64) == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_networks_take_what_they_say(case: Case, monkeypatch):
    """Live activations of a full-size network, counted on the meta device: what it says, and not much less."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # unknown to the meta device
    tensors = json.loads((ROOT / "tests" / "golden" / f"{case.fixture}.json").read_text())["tensors"]
    shapes = {name: torch.empty(shape, device="meta") for name, shape, *_ in tensors}
    with torch.device("meta"):
        network = match.architecture_of(shapes).build(shapes, case.config).eval()
    inputs = [torch.empty(i, device="meta") if isinstance(i, tuple) else torch.tensor([i]) for i in case.inputs]
    took = peak_bytes(lambda: network(*inputs)) / inputs[0][0, 0].numel()
    says = getattr(network, "denoise_fn", network).bytes_per_pixel
    assert 0.8 * says < took <= says


def test_compact_networks_take_what_they_say():
    model, y = compact_unet.new(2, spectra=True).eval(), torch.zeros(1, 3, 128, 128)
    power, levels = model.describe(y), (torch.tensor(1.0), torch.tensor(0.1))
    runs = (lambda: model.predict(y, power), lambda: model.denoise(y, *levels, y, y, power))
    took = [peak_bytes(run) / 128**2 for run in runs]
    assert 0.8 * model.bytes_per_pixel < max(took) <= model.bytes_per_pixel


def test_at_the_seams_tiles_differ_from_the_whole_no_more_than_elsewhere():
    """Where windows overlap they are blended, so a seam shows no step; the difference is about the same everywhere."""
    ask = settings(options={"eta": 0.0}, overlap=24)
    run = lambda tile: finish(restore(problem(smooth, size=(192, 192)), replace(ask, tile=tile))).result  # noqa: E731
    apart = (run(64) - run(0)).abs().mean(dim=1)[0]
    seams = torch.zeros(192, 192, dtype=torch.bool)
    for start in starts(192, 64, 24)[1:]:
        seams[start : start + 24], seams[:, start : start + 24] = True, True
    step = lambda image: (image[1:] - image[:-1]).abs().mean()  # noqa: E731
    assert apart[seams].mean() < 3 * apart[~seams].mean() + 1e-4
    assert step(run(64)[0, 0]) < 1.02 * step(run(0)[0, 0])
