"""What a network is made of, read off while it runs: each part's real output, its shape and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Part:
    """One part of the network in the order of its running.

    name        as in the weights file, e.g. "down.0"
    shape       (C, H, W) of what leaves it
    parameters  its numbers that were learned
    repeats     how many modules of one kind follow each other here
    maps        a few of its channels on this picture, (k, H, W) scaled to [0, 1]
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    parameters: int
    repeats: int
    maps: Tensor


@dataclass(frozen=True)
class Anatomy:
    """The parts, and the joins (i, j): what left part i is added to what enters part j.

    enters, leaves   (C, H, W) of the network's first input and of its output
    """

    enters: tuple[int, ...]
    leaves: tuple[int, ...]
    parts: tuple[Part, ...]
    skips: tuple[tuple[int, int], ...]
    parameters: int
    flops: int


CHANNELS_SHOWN = 4
COARSE = 8


@torch.no_grad()
def anatomy(network: nn.Module, run: Callable[[], object]) -> Anatomy:
    """Hooks on the parts of `network`, one call of `run`, and what they saw.

    A part is a direct child of the network that returns a picture; of a list (of lists) of modules, each entry.
    """
    seen: list[tuple[str, nn.Module, Tensor]] = []

    def listen(name: str) -> Callable[[nn.Module, object, object], None]:
        def hear(module: nn.Module, given: object, out: object) -> None:
            if isinstance(out, Tensor) and out.ndim == 4:
                seen.append((name, module, out))

        return hear

    ends: list[tuple[int, ...]] = []

    def outside(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        ends[:] = [tuple(given[0].shape[1:]), tuple(out.shape[1:])]

    hooks = [module.register_forward_hook(listen(name)) for name, module in _entries(network)]
    hooks.append(network.register_forward_hook(outside))
    try:
        with FlopCounterMode(display=False) as counter:
            run()
    finally:
        for hook in hooks:
            hook.remove()
    parts = _joined(seen)
    total = sum(p.numel() for p in network.parameters())
    return Anatomy(*ends, parts, _skips(parts), total, counter.get_total_flops())


def _entries(network: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Children, and children of lists of modules, with their names in the weights file."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in network.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, nn.ModuleList):
            found += _entries(child, f"{path}.")
        else:
            found.append((path, child))
    return found


def _joined(seen: list[tuple[str, nn.Module, Tensor]]) -> tuple[Part, ...]:
    """Neighbours of one kind, one list and one shape become one Part."""
    parts: list[Part] = []
    for name, module, out in seen:
        kind, place = type(module).__name__, name.rpartition(".")[0] if name.count(".") > 1 else name
        shape = tuple(out.shape[1:])
        count = sum(p.numel() for p in module.parameters())
        last = parts[-1] if parts else None
        if last is not None and (last.name, last.kind, last.shape) == (place, kind, shape):
            parts[-1] = Part(place, kind, shape, last.parameters + count, last.repeats + 1, _maps(out))
        else:
            parts.append(Part(place, kind, shape, count, 1, _maps(out)))
    return tuple(parts)


def _maps(out: Tensor) -> Tensor:
    """The channels of the first picture with the most to see: what noise does to single pixels does not count.

    Ranked by how much of their deviation is left in COARSE x COARSE means; stretched to [0, 1] between the 1st and
    the 99th percentile.
    """
    channels = out[0].float()
    coarse, fine = (
        F.adaptive_avg_pool2d(channels, COARSE).flatten(1).std(dim=1),
        channels.flatten(1).std(dim=1),
    )
    most = (coarse / fine.clamp(min=1e-6)).topk(min(CHANNELS_SHOWN, len(channels))).indices
    chosen = channels[most]
    flat = chosen.flatten(1)
    low, high = flat.quantile(0.01, dim=1), flat.quantile(0.99, dim=1)
    scaled = (chosen - low[:, None, None]) / (high - low).clamp(min=1e-6)[:, None, None]
    return scaled.clamp(0, 1).cpu()


def _skips(parts: tuple[Part, ...]) -> tuple[tuple[int, int], ...]:
    """From the last part of a size on the way down to the first block of that size on the way up."""
    deepest = min(range(len(parts)), key=lambda i: parts[i].shape[1])
    last_down = {part.shape: i for i, part in enumerate(parts[: deepest + 1]) if i < deepest}
    joins: list[tuple[int, int]] = []
    for j in range(deepest + 1, len(parts)):
        if parts[j].shape in last_down:
            joins.append((last_down.pop(parts[j].shape), j))
    return tuple(joins)
