"""Inside the loop the host never waits for the device: no number is asked of it, and no copy to it is waited for.

The meta device has shapes and no numbers, so asking it for one fails, and what is sent there is watched. Where there
is a graphics card, CUDA's own check is run as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import test_networks_resshift as resshift
import test_networks_sr3_irsde as sr3_irsde
import torch
from conftest import all_processes
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from restore_core.engine import finish, restore
from restore_core.methods import compact
from restore_core.moments import Recorder
from restore_core.networks import compact_unet
from restore_core.networks.compact_unet import CompactModel
from restore_core.problem import Problem
from restore_core.samplers import SAMPLERS
from restore_core.settings import Settings

SIZE = (64, 72)


class Waits(TorchDispatchMode):
    """Which copies from one device to another were waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result, options = func(*args, **(kwargs or {})), kwargs or {}
        if func.name() in ("aten::_to_copy", "aten::copy_"):
            source = args[1] if func.name() == "aten::copy_" else args[0]
            free = options.get("non_blocking", False) or (func.name() == "aten::copy_" and True in args[2:])
            if source.device != result.device and not free:
                self.found.append(f"{func.name()} {source.device} -> {result.device} {tuple(source.shape)}")
        return result


def settings(**changes: Any) -> Settings:
    return Settings(**({"method": "dvsr", "variant": "compact-deblur", "sampler": "ddim", "steps": 4} | changes))


def posed(device: str, name: str = "vp") -> Problem:
    """A compact problem whose pictures and network are on `device`, as if it had been posed there."""
    torch.manual_seed(0)
    sizes = {"unshuffle": 2, "widths": (8, 16), "depths": (1, 1), "spectra": True}
    model = CompactModel(
        compact_unet.CompactUNet(3, **sizes), compact_unet.CompactUNet(9, **sizes, levels=True)
    )
    given = compact.pose(
        model.eval().requires_grad_(False), torch.rand(1, 3, *SIZE), settings(), 1, all_processes()[name],
        anchor="predicted",
    )  # fmt: skip
    model.to(device)
    there = {key: value.to(device) for key, value in given.cond.items()}
    return replace(given, anchor=there["anchor"], cond=there, guess=there["g"])



@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sampler_waits(sampler: str):
    with Waits() as waits:
        given, ask = posed("meta"), settings(sampler=sampler, samples=2)
        waits.found.clear()  # posing is done once
        finish(restore(given, ask))
    assert waits.found == []


@pytest.mark.parametrize("name", list(all_processes()))
@pytest.mark.parametrize("tile", [0, 48])
def test_no_process_no_tile_and_no_film_waits(name: str, tile: int):
    given, ask = posed("meta", name), settings(tile=tile, overlap=8)
    recorder = Recorder(ask, side=16)
    with Waits() as waits:
        for frame in restore(given, ask):
            recorder.take(frame)
    assert waits.found == []


NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module], Callable[..., tuple[Tensor, ...]]]] = {
    **{key: (make, resshift._inputs) for key, make in resshift.UNETS.items()},
    **{key: (make, sr3_irsde._inputs) for key, make in sr3_irsde.NETWORKS.items() if "latent" not in key},
}


@pytest.mark.parametrize("key", NETWORKS)
def test_no_published_network_waits(key: str, monkeypatch: pytest.MonkeyPatch):
    """The time comes from the host, a number for all pictures, as samplers have it."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which the meta device does not know
    make, inputs = NETWORKS[key]
    x, _, *more = (value.to("meta") for value in inputs(key, 1, *SIZE))
    network = make().eval().to("meta")
    with torch.no_grad(), Waits() as waits:
        network(x, torch.tensor(0.5, dtype=torch.float64), *more)
    assert waits.found == []


def test_the_watch_sees_a_copy_that_is_waited_for():
    with Waits() as waits:
        torch.ones(3).to("meta")
        torch.ones(3).to("meta", non_blocking=True)
        torch.empty(3, device="meta").copy_(torch.ones(3))
    assert len(waits.found) == 2


@pytest.mark.parametrize("look", [lambda x: x.mean().item(), lambda x: bool((x > 0).any()), lambda x: x.cpu()])
def test_a_network_that_looks_at_numbers_is_found(look: Callable[[Tensor], object]):
    given = posed("meta")

    def network(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        look(x)
        return given.network(x, t, cond)

    with pytest.raises((RuntimeError, NotImplementedError)):
        finish(restore(replace(given, network=network), settings()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_cuda_finds_no_wait_either(sampler: str):
    given, ask = posed("cuda"), settings(sampler=sampler)
    torch.cuda.set_sync_debug_mode("error")
    try:
        finish(restore(given, ask))
    finally:
        torch.cuda.set_sync_debug_mode("default")
