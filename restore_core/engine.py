"""The streaming loop: a Problem and Settings in, Frames out. The engine knows no method and a method knows no engine.

    for frame in restore(problem, settings):
        show(frame.estimate)          # decoded only because somebody looks
    result = frame.result
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from restore_core.bands import Pointwise, by_bands
from restore_core.devices import autocast
from restore_core.errors import Cancelled, SettingsError
from restore_core.images import shrink_to
from restore_core.problem import Problem
from restore_core.processes import Prediction
from restore_core.samplers import SAMPLERS, Draw, Sampler, Step, time_grid
from restore_core.settings import Settings
from restore_core.tiling import Heed, Pieces, alone, fitting, tile_size, together


class Noise:
    """Seeded standard normals, drawn on the CPU so that every device gets the same numbers.

    A batch of n takes the seeds seed, seed + 1, ...: each picture's noise is its own, whatever the batch's size.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self._generators: list[torch.Generator] = []

    def __call__(self, like: Tensor) -> Tensor:
        while len(self._generators) < len(like):
            seed = self.seed + len(self._generators)
            self._generators.append(torch.Generator().manual_seed(seed))
        z = torch.empty(like.shape, pin_memory=like.device.type == "cuda")
        for picture, generator in zip(z, self._generators, strict=False):
            picture.normal_(generator=generator)
        return z.to(device=like.device, dtype=like.dtype, non_blocking=True)


class RunningMean:
    """Mean and spread of pictures that come one by one (Welford 1962), without keeping them."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: Tensor | None = None
        self._squares: Tensor | None = None

    def add(self, image: Tensor) -> None:
        """Take one picture in."""
        self.count += 1
        if self._mean is None:
            self._mean = image  # kept, not copied: most runs have one sample
            return
        before, n = self._mean, self.count
        self._mean = by_bands(lambda new, mean: mean + (new - mean) / n, image, before)
        added = (image, before, self._mean)
        if self._squares is None:
            self._squares = by_bands(lambda new, before, mean: (new - before) * (new - mean), *added)
            return
        self._squares = by_bands(
            lambda sum, new, before, mean: sum + (new - before) * (new - mean),
            self._squares, *added, onto=self._squares,
        )  # fmt: skip

    @property
    def mean(self) -> Tensor:
        """The mean so far."""
        if self._mean is None:
            raise SettingsError("There is no picture yet to take a mean of. Add one first.")
        return self._mean

    @property
    def spread(self) -> Tensor | None:
        """Deviation per pixel and channel (n - 1 in the denominator); None before the second picture."""
        if self._squares is None:
            return None
        return by_bands(lambda squares: (squares / (self.count - 1)).sqrt(), self._squares)


@dataclass(frozen=True)
class Frame:
    """One moment of a run. Pictures are RGB in [0, 1] and are decoded when first looked at.

    index, total     place among the frames of all samples one after the other: the last has index total - 1
    seconds, calls   since the start of the run, for the samples up to this one; calls of the network (a picture in
                     tiles counts once)
    sample, samples  which run of how many. Of samples that walk together as a batch the first one's steps are shown,
                     and every one's end
    share            how much of the whole run is done, above 0 to 1
    decoded          the picture at the end of a sample, where x_t and its guess are one and the mean needs it anyway
    """

    step: Step
    index: int
    total: int
    seconds: float
    calls: int
    problem: Problem
    sample: int = 0
    samples: int = 1
    share: float = 1.0
    average: RunningMean | None = None
    decoded: Tensor | None = None

    @cached_property
    def image(self) -> Tensor:
        """x_t."""
        return self._show(self.step.x)

    @cached_property
    def estimate(self) -> Tensor:
        """The guess of x0 at this moment."""
        return self._show(self.step.prediction.x0)

    @property
    def done(self) -> bool:
        """Whether this is the last frame of the whole run."""
        return self.index == self.total - 1

    @cached_property
    def result(self) -> Tensor:
        """The picture to keep: the mean of the samples that have ended, or the present guess before the first has."""
        if self.average is not None and self.average.count:
            return self.average.mean
        return self.problem.decode(self.step.prediction.x0)

    @property
    def spread(self) -> Tensor | None:
        """Deviation of the samples per pixel; None where there were fewer than two."""
        return self.average.spread if self.average is not None else None

    def small(self, shown: Literal["image", "estimate"], longest_side: int) -> Tensor:
        """`image` or `estimate` shrunk on its device, without making the large one where it need not be made."""
        x = self.step.x if shown == "image" else self.step.prediction.x0
        if self.decoded is None and self.problem.preview is None and isinstance(self.problem.decode, Pointwise):
            return shrink_to(x, longest_side, self.problem.decode)
        return shrink_to(getattr(self, shown), longest_side)

    def _show(self, x: Tensor) -> Tensor:
        if self.decoded is not None:
            return self.decoded
        return (self.problem.preview or self.problem.decode)(x)


def never() -> bool:
    """The stop that does not come."""
    return False


def heeding(stop: Callable[[], bool], tell: Heed = alone) -> Heed:
    """Before every call of a network, and of every tile: Cancelled where `stop` says so; else told to `tell`."""

    def heed(done: int, of: int) -> None:
        if stop():
            raise Cancelled("The run was stopped. The last guess is kept.")
        tell(done, of)

    return heed


class _Caller:
    """problem.denoise with tiles, precision, a count of calls and an ear for `stop`.

    A call that finds no memory is made again in smaller tiles: the state is one, so nothing else changes.
    """

    def __init__(self, problem: Problem, settings: Settings, stop: Callable[[], bool]):
        self.problem, self.settings, self.stop, self.calls = problem, settings, stop, 0
        tile = _tile(problem, settings)
        overlap = min(settings.overlap, tile // 2) if tile else settings.overlap
        given, pixels = len(problem.anchor), tile**2 or math.prod(problem.anchor.shape[-2:])
        batch = together(problem.bytes_per_pixel, problem.anchor.device, pixels) if given == 1 else 1
        self.pieces = Pieces(tile, overlap, problem.multiple, batch=max(batch, given))
        self.samples_at_once = 1 if tile else batch

    def __call__(self, x: Tensor, t: Tensor) -> Prediction:
        problem = self.problem.copies(len(x))
        raw = self.pieces(lambda part, cond: self._one(part, t, cond), x, problem.cond, heeding(self.stop))
        self.calls += 1
        return problem.read(x, t, raw, spare=self.pieces.splits(x))

    def _one(self, x: Tensor, t: Tensor, cond) -> Tensor:
        with autocast(x.device, self.settings.precision):
            raw = self.problem.network(x, t, cond)
        # a compiled network's answer lies where the next one will: it is copied before it is kept
        return raw.float() if raw.dtype != torch.float32 or not x.is_cuda else raw.clone()


def _tile(problem: Problem, settings: Settings) -> int:
    """The side of the network's tiles, 0 for none."""
    asked = problem.tile if settings.tile is None else settings.tile
    if asked is None and problem.bytes_per_pixel:
        return fitting(problem.bytes_per_pixel, problem.anchor, problem.multiple)
    return tile_size(asked, *problem.anchor.shape[-2:])


def times_of(problem: Problem, settings: Settings) -> Tensor:
    """The run's time grid: float64, descending, 0 last."""
    start = settings.strength * problem.process.steps
    if settings.spacing != "paper":
        return time_grid(problem.process, settings.steps, settings.spacing, start=start, whole=problem.whole)
    if problem.times is not None:
        return _from(start, problem.times(settings.steps))
    return time_grid(problem.process, settings.steps, "uniform", start=start, whole=problem.whole)


def _from(start: float, times: Tensor) -> Tensor:
    """What of a given grid lies at or below `start`; at least one step."""
    left = times[times <= start]
    return left if len(left) > 1 else torch.cat([left.new_tensor([max(1.0, round(start))]), left])


def start_of(problem: Problem, settings: Settings, t: Tensor, noise: Draw) -> Tensor:
    """x at the first time: the prior, or a x0 + b y + s z about the guess (the anchor where there is none)."""
    z = noise(problem.anchor)
    if settings.strength == 1 and not problem.from_guess:
        return problem.process.prior(problem.anchor, z)
    guess = problem.anchor if problem.guess is None else problem.guess
    return problem.process.diffuse(guess, problem.anchor, t, z)


def _sampler(settings: Settings) -> tuple[Sampler, dict]:
    if settings.sampler not in SAMPLERS:
        raise SettingsError(
            f"There is no sampler called '{settings.sampler}', so nothing can run. Choose one of {', '.join(SAMPLERS)}."
        )
    chosen = SAMPLERS[settings.sampler]
    options = {o.key: o.check(settings.options.get(o.key, o.default)) for o in chosen.options}
    return chosen, options


def restore(
    problem: Problem, settings: Settings, *, stop: Callable[[], bool] = never, noise: Draw | None = None
) -> Iterator[Frame]:
    """Restore, one Frame before each step and one at the end of each sample.

    Samples of small pictures walk together, as a batch (tiling.together): the first one's steps are shown.

    stop    asked before every network call (and every tile); when true, Cancelled is raised at once
    noise   replaces the seeded noise of a single sample (golden tests, the same noise for several runs)
    Sampling takes place in the caller's thread, between one frame and the next. A frame that the caller lets go of is
    gone before the next is made: whole pictures (torch.no_grad on a generator would keep the last one).
    """
    with closing(_frames(problem, settings, stop, noise)) as frames:
        while True:
            with torch.no_grad():
                frame = next(frames, None)
            if frame is None:
                return
            yield frame
            del frame


def _frames(
    problem: Problem, settings: Settings, stop: Callable[[], bool], noise: Draw | None
) -> Generator[Frame]:
    sampler, options = _sampler(settings)
    times, samples = times_of(problem, settings), settings.samples
    length, total = len(times), len(times) * samples
    denoise, average, began = _Caller(problem, settings, stop), RunningMean(), time.perf_counter()
    seconds, calls = 0.0, 0  # for the samples before the present ones
    for first, n in _groups(samples, 1 if noise is not None else denoise.samples_at_once):
        draw, several = noise or Noise(settings.seed + first), problem.copies(n * len(problem.anchor))
        steps = sampler.run(
            problem.process, denoise, start_of(several, settings, times[0], draw), several.anchor, times, draw,
            **options,
        )  # fmt: skip
        for step in steps:
            ends = step.t.item() == 0
            for k in range(n if ends else 1):
                one = step if n == 1 else step.of(k)
                decoded = problem.decode(one.x) if ends else None
                if decoded is not None:
                    average.add(decoded)
                spent = time.perf_counter() - began - seconds  # by all n
                yield Frame(
                    one,
                    index=(first + k) * length + step.index,
                    total=total,
                    seconds=seconds + spent * (k + 1) / n,
                    calls=calls + denoise.calls * (k + 1),
                    problem=problem,
                    sample=first + k,
                    samples=samples,
                    share=(first * length + step.index * n + (k + 1 if ends else n)) / total,
                    average=average,
                    decoded=decoded,
                )
                del one, decoded  # whole pictures, of which the next step needs none
            del step
        seconds, calls, denoise.calls = time.perf_counter() - began, calls + n * denoise.calls, 0


def _groups(samples: int, at_once: int) -> Iterator[tuple[int, int]]:
    """(first, how many) of the samples that walk together."""
    for first in range(0, samples, at_once):
        yield first, min(at_once, samples - first)


def finish(frames: Iterator[Frame]) -> Frame:
    """Run to the end and return the last frame."""
    for frame in frames:
        if frame.done:
            return frame
        del frame  # before the next is made
    raise SettingsError("The run had no step, so there is no result. Choose at least one step.")
