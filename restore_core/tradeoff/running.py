"""From requests to points: runs are made once and shared where they can be.

Requests that differ in the number of samples alone are one run, measured on its way: its first n samples are exactly
the run of n samples. A predictor is asked once for all points with the same weights. What the journal holds is not
made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from restore_core.counting import counted
from restore_core.engine import Frame, heeding, never, restore
from restore_core.methods import METHODS, Method
from restore_core.metrics import PathLength
from restore_core.problem import Problem
from restore_core.settings import Settings
from restore_core.tiling import Heed
from restore_core.timing import Timing
from restore_core.tradeoff.journal import Journal, Point
from restore_core.tradeoff.measures import Measures
from restore_core.tradeoff.subject import Subject
from restore_core.tradeoff.sweep import Request, calls_of

MEASURING = 1.5e-6  # seconds per pixel of a result on a processor core: LPIPS and the rest, and its PNG
STEPPING = 6e-7  # the same of one step of a way: LPIPS alone
MANY_POINTS = 200
LONG = 1800.0  # seconds; above either of the two a person is asked first

Methods = Callable[[str, str, Heed], Method]  # (method, variant, whom it heeds) -> loaded, as Library.method
Timings = Callable[[Settings], Timing]  # as Library.timing
Watch = Callable[[Settings, Frame], None]


class SharedPredictor:
    """A network whose `predict` answers the same picture from memory: all points of a sweep start from one g(y)."""

    def __init__(self, network: nn.Module):
        self._network = network
        self._known: dict[tuple[Any, ...], Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def predict(self, y: Tensor, *told: Any) -> Tensor:
        """network.predict(y, ...), asked once for each picture (or tile of one) and precision."""
        key = (tuple(y.shape), torch.is_autocast_enabled(y.device.type), *map(_digest, (y, *told)))
        if key not in self._known:
            self._known[key] = self._network.predict(y, *told)
        return self._known[key]


def _digest(x: Any) -> Any:
    return hashlib.sha256(x.float().cpu().numpy().tobytes()).digest() if isinstance(x, Tensor) else x


class _Poser:
    """Poses the subject for any settings, with methods loaded as they are asked for and predictors shared."""

    def __init__(self, subject: Subject, methods: Methods, heed: Heed):
        self._subject, self._methods, self._heed = subject, methods, heed
        self._shared: dict[int, Any] = {}

    def __call__(self, settings: Settings) -> Problem:
        method = self._methods(settings.method, settings.variant, self._heed)
        modules = {role: self._share(module) for role, module in method.modules.items()}
        device = next(next(iter(method.modules.values())).parameters()).device
        return type(method)(method.variant, modules, self._heed).pose(self._subject.degraded.to(device), settings)

    def _share(self, module: nn.Module) -> Any:
        if not hasattr(module, "predict"):
            return module
        if id(module) not in self._shared:
            self._shared[id(module)] = SharedPredictor(
                module
            )  # which keeps the module, so the id stays its own
        return self._shared[id(module)]


def run(
    requests: Sequence[Request],
    subject: Subject,
    journal: Journal,
    methods: Methods,
    *,
    stop: Callable[[], bool] = never,
    watch: Watch | None = None,
    path: bool = False,
) -> Iterator[Point]:
    """Measure what is missing, one Point as soon as it is known; Cancelled when `stop` says so, with all before kept.

    watch   is shown every frame with the settings of its run; it must not take its time over it
    path    also measure the perceptual length of the first sample's way, at one LPIPS a step
    """
    measures, pose = Measures(subject), _Poser(subject, methods, heeding(stop))
    for group in missing(requests, journal, path=path):
        wanted = {settings.samples: settings for settings in group}
        longest = wanted[max(wanted)]
        problem, way = pose(longest), PathLength()
        for frame in restore(problem, longest, stop=stop):
            if watch is not None:
                watch(longest, frame)
            if path and frame.sample == 0:
                way.add(frame.estimate)
            settings = wanted.get(frame.sample + 1)
            if settings is None or frame.step.t.item() != 0:
                continue
            result = frame.result
            found = measures.of(
                result, f"{settings.method} {settings.variant}", lambda p=problem: _first_guess(p)
            )
            if path:
                found |= {"path": way.length, "detour": way.detour}
            yield journal.add(settings, result, found, frame.seconds, frame.calls)


def _first_guess(problem: Problem) -> Tensor | None:
    return None if problem.guess is None else problem.decode(problem.guess)


def missing(requests: Sequence[Request], journal: Journal, *, path: bool = False) -> list[list[Settings]]:
    """What has not been measured, grouped into runs that differ in the number of samples alone; in order.

    path   what was measured without the length of its way counts as missing
    """
    groups: dict[str, list[Settings]] = {}
    for request in requests:
        known = journal.get(request.settings)
        if known is None or (path and "path" not in known.measures):
            groups.setdefault(journal.key(replace(request.settings, samples=1)), []).append(request.settings)
    return list(groups.values())


@dataclass(frozen=True)
class Estimate:
    """What a sweep will cost: points to be measured, of how many; seconds."""

    points: int
    of: int
    seconds: float

    def __add__(self, other: Estimate) -> Estimate:
        """Of two photos together."""
        return Estimate(self.points + other.points, self.of + other.of, self.seconds + other.seconds)

    @property
    def large(self) -> bool:
        """Whether a person should be asked first."""
        return self.points > MANY_POINTS or self.seconds > LONG

    @property
    def sentence(self) -> str:
        """The estimate in words."""
        there, points = self.of - self.points, counted(self.of, "point")
        known = f", {there:,} of them measured already" if there else ""
        if not self.points:
            return f"{'This point is' if self.of == 1 else f'All {points} are'} measured already."
        return f"{points}{known}: {_duration(self.seconds)}."


def estimate(
    requests: Sequence[Request], subject: Subject, journal: Journal | None, timings: Timings, *, path: bool = False
) -> Estimate:
    """How many points are missing and how long they will take, by each method's measured timing."""
    groups = missing(requests, journal, path=path) if journal is not None else _all_groups(requests)
    total, before = 0.0, {}
    for group in groups:
        longest = max(group, key=calls_of)
        timing, variant = timings(longest), METHODS[longest.method].card.variant(longest.variant)
        height, width = (side * variant.scale for side in subject.degraded.shape[-2:])
        pixels = variant.worked_pixels(height, width)
        once = timing.before(pixels)
        if variant.published:
            total += once
        else:  # a predictor is asked once for all
            before[variant.weights["network"]] = once
        total += timing.sampling(pixels, calls_of(longest) // longest.samples, longest.samples)
        total += height * width * (MEASURING * len(group) + (STEPPING * longest.steps if path else 0.0))
    points = sum(map(len, groups))
    return Estimate(points, len(requests), total + sum(before.values()))


def _all_groups(requests: Sequence[Request]) -> list[list[Settings]]:
    groups: dict[str, list[Settings]] = {}
    for request in requests:
        groups.setdefault(repr(replace(request.settings, samples=1)), []).append(request.settings)
    return list(groups.values())


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes"
    if seconds < 172_800:
        return f"about {seconds / 3600:.0f} hours"
    return f"about {seconds / 86_400:.0f} days"
