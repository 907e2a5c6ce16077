"""Time grids: at which of a process's times to look.

Each is (process, steps, start) -> `steps` times from start down to 1 or above, float64; time_grid appends the 0.
From a start at 1 or below, which the least strengths have, they go on to start/steps: every step has some length.

Which one matters more than the sampler when steps are few: multistep samplers want a grid even in log(a/s), first-order
ones a quadratic one. Networks that are told an index get whole times (`whole`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.processes import Process


def _lowest(start: float, steps: int) -> float:
    """The last time above 0."""
    return 1.0 if start > 1 else start / steps


def _uniform(process: Process, steps: int, start: float) -> Tensor:
    return torch.linspace(start, _lowest(start, steps), steps, dtype=torch.float64)


def _trailing(process: Process, steps: int, start: float) -> Tensor:
    return start * torch.arange(steps, 0, -1, dtype=torch.float64) / steps


def _quadratic(process: Process, steps: int, start: float) -> Tensor:
    return torch.linspace(math.sqrt(start), math.sqrt(_lowest(start, steps)), steps, dtype=torch.float64) ** 2


def _by_level(forward: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]):
    """Even in forward(s/a), from the start (or, if no signal is left there, one index below) down to index 1."""

    def grid(process: Process, steps: int, start: float) -> Tensor:
        top = start if torch.isfinite(process.level(torch.tensor(start))) else max(start - 1, start / 2)
        low = _lowest(top, steps)
        ends = process.level(torch.tensor([top, low], dtype=torch.float64))
        even = torch.linspace(*forward(ends).tolist(), steps, dtype=torch.float64)
        times = process.time_of(back(even))
        if steps > 1:
            times[-1] = low
        return times

    return grid


GRIDS: Mapping[str, Callable[[Process, int, float], Tensor]] = {
    "uniform": _uniform,
    "trailing": _trailing,
    "quadratic": _quadratic,
    "log-snr": _by_level(torch.log, torch.exp),
    "karras": _by_level(lambda level: level ** (1 / 7), lambda root: root**7),
}
GRID_LABELS: Mapping[str, str] = {
    "paper": "The paper's own",
    "uniform": "Even in time",
    "trailing": "Trailing",
    "quadratic": "Quadratic",
    "log-snr": "Even in log signal-to-noise",
    "karras": "Karras (rho 7)",
}


def time_grid(
    process: Process, steps: int, spacing: str, *, start: float | None = None, whole: bool = False
) -> Tensor:
    """`steps` times from `start` (default: process.steps) downwards and then 0: float64, strictly descending.

    spacing   a key of GRIDS
    whole     only whole times (networks told an index): rounded, doubles dropped, so there may be fewer steps
    """
    if spacing not in GRIDS:
        raise SettingsError(f"There is no time grid called '{spacing}'. Choose one of {', '.join(GRIDS)}.")
    if steps < 1:
        raise SettingsError(f"{steps} steps were asked for, and a run takes at least one. Choose 1 or more.")
    if whole and steps > process.steps:
        raise SettingsError(
            f"{steps} steps were asked of a process with {process.steps}: this network was trained on {process.steps} "
            f"noise levels and knows none between them. Choose {process.steps} or fewer."
        )
    start = float(process.steps) if start is None else start
    times = GRIDS[spacing](process, steps, start)
    times[0] = start  # exactly, whatever roots and logarithms left of it
    if whole:
        times = torch.unique(times.round().clamp(min=1)).flip(0)
    return torch.cat([times, torch.zeros(1, dtype=torch.float64)])


# The subsets of 1..T that published codes visit, for running their weights as they did: float64, descending, then 0.


def leading(total: int, steps: int, offset: int = 0) -> Tensor:
    """1 + offset and every (T // steps)-th index above: DDIM's rule. Never starts at T, and so is biased."""
    return _descending([1 + offset + i * (total // steps) for i in range(steps)])


def truncated(total: int, steps: int) -> Tensor:
    """1 + floor(i T/steps), i < steps: ResShift's respacing, which leaves out T as well."""
    return _descending([1 + int(total / steps * i) for i in range(steps)])


def sections(total: int, counts: str) -> Tensor:
    """guided-diffusion's respacing: "3,4,5" divides 1..T evenly and takes so many, ends included, from each part.

    "10" is one part, "" is everything; "ddim10" is the smallest stride that visits 10 indices, from 1 upwards.
    """
    if counts.startswith("ddim"):
        steps = int(counts.removeprefix("ddim"))
        for stride in range(1, total):
            if len(range(0, total, stride)) == steps:
                return _descending([1 + i for i in range(0, total, stride)])
        raise SettingsError(
            f"No whole stride visits {steps} of {total} noise levels. Choose another number of steps."
        )
    taken: list[int] = []
    wanted = [int(n) for n in counts.split(",")] if counts else [total]
    for part, count in enumerate(wanted):
        size = total // len(wanted) + (part < total % len(wanted))
        if size < count:
            raise SettingsError(
                f"A part of {size} noise levels cannot give {count} steps. Choose {size} or fewer."
            )
        first = part * (total // len(wanted)) + min(part, total % len(wanted))
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        taken += [1 + first + round(i * stride) for i in range(count)]
    return _descending(taken)


def _descending(indices: list[int]) -> Tensor:
    return torch.tensor([*sorted(indices, reverse=True), 0], dtype=torch.float64)
