"""Which moments of a run are worth showing, and what they are called: for films, thumbnails and reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from restore_core.engine import Frame, times_of
from restore_core.export import beside, encode_jpeg
from restore_core.images import as_bytes, shrink_to
from restore_core.processes import Process
from restore_core.settings import Settings

FRAMES = 96  # of a film: four seconds at 24 a second
MOMENTS = 24  # of a report
SIDE = 480  # pixels of their long side


def caption(frame: Frame) -> str:
    """Where the run is, in words."""
    steps = frame.total // frame.samples - 1
    step = "finished" if frame.step.t.item() == 0 else f"step {frame.step.index + 1} of {steps}"
    if frame.samples == 1 or frame.done:
        return step[:1].upper() + step[1:]
    return f"Sample {frame.sample + 1} of {frame.samples}, {step}"


def noise_share(process: Process, t: Tensor) -> float:
    """How noisy a state at t looks: the angle arctan(s_t / (s_T a_t)) over the start's own, 1 at the start, 0 clean.

    Bounded where s/a is not, and even steps of it look even: for variance preserving processes it is arccos(a_t).
    """
    end = process.marginal(torch.tensor(float(process.steps), dtype=torch.float64))
    now = process.marginal(t)
    angle = math.atan2(now.s.item() / end.s.item(), now.a.item())
    return min(1.0, angle / math.atan2(1.0, end.a.item()))


def spread_evenly(values: Sequence[float], count: int) -> list[int]:
    """At most `count` indices of a monotone sequence, evenly spread in its values, both ends always among them."""
    if len(values) <= count:
        return list(range(len(values)))
    line = np.asarray(values)
    nearest = [int(np.abs(line - v).argmin()) for v in np.linspace(line[0], line[-1], count)]
    return sorted({0, len(values) - 1, *nearest})


def chosen_frames(first: Frame, settings: Settings, count: int) -> frozenset[int]:
    """At most `count` frames of the run: the first sample's walk, evenly in noise, then the later samples' ends."""
    times = times_of(first.problem, settings)
    walk = [noise_share(first.problem.process, t) for t in times]
    ends = spread_evenly(range(1, first.samples), min(first.samples - 1, count // 2))
    chosen = spread_evenly(walk, count - len(ends))
    return frozenset([*chosen, *((sample + 2) * len(times) - 1 for sample in ends)])


class Recorder:
    """Keeps the chosen moments of a run as small pictures: enough for a film and a report.

    They stay on the run's device until the film is asked for, so that watching makes nobody wait.
    """

    def __init__(self, settings: Settings, *, frames: int = FRAMES, side: int = SIDE):
        self.settings, self.frames, self.side = settings, frames, side
        self._chosen: frozenset[int] | None = None
        self._kept: list[dict[str, Any]] = []

    def take(self, frame: Frame) -> None:
        """Look at a frame; only the chosen ones are decoded."""
        if self._chosen is None:
            self._chosen = chosen_frames(frame, self.settings, self.frames)
        if frame.index in self._chosen or frame.done:
            shown = {"noisy": frame.small("image", self.side), "guess": frame.small("estimate", self.side)}
            pictures = {name: as_bytes(picture) for name, picture in shown.items()}
            self._kept.append(pictures | {"caption": caption(frame)})
        if frame.done and frame.samples > 1:
            self._kept[-1]["guess"] = as_bytes(shrink_to(frame.result, self.side))  # the mean was asked for

    def film(self, shown: Sequence[str] = ("noisy", "guess")) -> list[np.ndarray]:
        """Frames (H, W, 3) uint8, the pictures named in `shown` side by side."""
        return [beside([kept[name].cpu().numpy() for name in shown]) for kept in self._kept]

    def moments(self, count: int = MOMENTS) -> list[tuple[bytes, str]]:
        """At most `count` of them, noisy beside guess, as JPEG with their captions."""
        chosen = spread_evenly(range(len(self._kept)), count)
        film = self.film()
        return [(encode_jpeg(film[k], 82), self._kept[k]["caption"]) for k in chosen]


__all__ = ["Recorder", "caption", "chosen_frames", "noise_share", "spread_evenly"]
