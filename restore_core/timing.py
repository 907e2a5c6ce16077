"""How long runs take on this machine, foreseen from short ones.

A network call on p pixels takes fixed + each * p seconds: what is spent on launching layers, and what on pixels. The
first weighs for small pictures, where it is shared by the samples that walk together (tiling.together). Two sizes give
the line; where already the smaller one is slow, launching is nothing beside it and one size must do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from restore_core.engine import restore
from restore_core.problem import Problem
from restore_core.settings import Settings
from restore_core.tiling import together

SLOW = 1.0  # seconds of a first run beside which plans and tables are nothing

Rehearsal = Callable[[int, int], tuple[Problem, Settings]]  # (side of the result, steps) -> what a short run is made of


@dataclass(frozen=True)
class Line:
    """Seconds over pixels: fixed + each * pixels."""

    fixed: float
    each: float

    def __call__(self, pixels: float, pictures: int = 1) -> float:
        """Of so many pictures of so many pixels, worked on at once."""
        return self.fixed + self.each * pixels * pictures


@dataclass(frozen=True)
class Timing:
    """Of one method with its weights.

    before   seconds of what a run does once: the prediction, encoding, decoding
    call     seconds of a network call
    batch    pixels of the result -> how many samples take one call
    """

    before: Line
    call: Line
    batch: Callable[[float], int] = lambda pixels: 1

    def seconds(self, pixels: float, calls: int, samples: int = 1) -> float:
        """Of a run of so many calls a sample."""
        return self.before(pixels) + self.sampling(pixels, calls, samples)

    def sampling(self, pixels: float, calls: int, samples: int = 1) -> float:
        """The same without what is done once."""
        whole, rest = divmod(samples, self.batch(pixels))
        together = whole * self.call(pixels, self.batch(pixels)) + (self.call(pixels, rest) if rest else 0.0)
        return calls * together


def measured(rehearse: Rehearsal, sides: tuple[int, int]) -> Timing:
    """From runs of one or two steps on results of one or two sides, in pixels, smaller first."""
    found = [_timed(rehearse, sides[0])]
    if sum(found[0][:2]) < SLOW:
        found.append(_timed(rehearse, sides[1]))
    sizes = [side**2 for side in sides]
    before, call = (_line(sizes, [run[k] for run in found]) for k in (0, 1))
    return Timing(before, call, _batching(found[0][2], sizes[0]))


def _timed(rehearse: Rehearsal, side: int) -> tuple[float, float, Problem]:
    """(seconds done once, seconds a call, problem) of a second run: the first makes plans, and counts if it is slow."""
    for steps in (1, 2):
        began = time.perf_counter()
        problem, settings = rehearse(side, steps)
        frames = list(restore(problem, settings))
        ended = time.perf_counter()
        sampled = frames[-2].seconds
        found = ended - began - sampled, sampled / max(1, frames[-2].calls), problem
        if ended - began > SLOW:
            break
    return found


def _line(sizes: list[int], times: list[float]) -> Line:
    """Through two points; through the last and the origin where there is one, or the line would begin below it.

    A larger picture that was the faster one tells of a busy machine: then too, for pixels always count.
    """
    (small, large), (quick, slow) = (sizes[0], sizes[-1]), (times[0], times[-1])
    each = (slow - quick) / (large - small) if len(times) > 1 else 0.0
    fixed = quick - each * small if each > 0 else 0.0
    fixed = max(0.0, fixed)
    return Line(fixed, (slow - fixed) / (large if len(times) > 1 else small))


def _batching(problem: Problem, pixels: int) -> Callable[[float], int]:
    """How many samples walk together, by the result's pixels; a state may be smaller than the result."""
    share, device = problem.anchor[0, 0].numel() / pixels, problem.anchor.device
    taken = problem.bytes_per_pixel
    return lambda result: together(taken, device, max(1, round(share * result)))


__all__ = ["SLOW", "Line", "Rehearsal", "Timing", "measured"]
