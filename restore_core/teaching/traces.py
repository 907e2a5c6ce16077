"""A run of the real sampler on a scene, with everything kept that went into each of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from restore_core.engine import Noise, start_of, times_of
from restore_core.problem import Problem
from restore_core.processes import Prediction
from restore_core.samplers import SAMPLERS, Denoise, Draw, Step
from restore_core.settings import Settings
from restore_core.teaching.formulas import Made, StepFormula, formula
from restore_core.teaching.scenes import denoiser


@dataclass(frozen=True)
class Moment:
    """One step: the state and guess before it, the formula that led on, and the state after it."""

    step: Step
    t_next: Tensor
    formula: StepFormula
    after: Tensor


@dataclass
class _Tape:
    """What the sampler asked for since the last look."""

    calls: list[Prediction] = field(default_factory=list)
    draws: list[Tensor] = field(default_factory=list)

    def recording(self, denoise: Denoise, draw: Draw) -> tuple[Denoise, Draw]:
        """Both, overheard."""

        def asked(x: Tensor, t: Tensor) -> Prediction:
            self.calls.append(denoise(x, t))
            return self.calls[-1]

        def drawn(like: Tensor) -> Tensor:
            self.draws.append(draw(like))
            return self.draws[-1]

        return asked, drawn

    def clear(self) -> None:
        self.calls, self.draws = [], []


def trace(problem: Problem, settings: Settings, noise: Draw | None = None) -> list[Moment]:
    """Every step of a run. `noise` replaces the seeded one; the last moment's `after` is the result."""
    draw = noise or Noise(settings.seed)
    times = times_of(problem, settings)
    x = start_of(problem, settings, times[0], draw)
    return list(walk(problem, settings, denoiser(problem, settings.precision), x, times, draw))


def walk(
    problem: Problem, settings: Settings, denoise: Denoise, x: Tensor, times: Tensor, draw: Draw
) -> Iterator[Moment]:
    """The sampler's own steps from x, one Moment each."""
    tape, chosen = _Tape(), SAMPLERS[settings.sampler]
    asked, drawn = tape.recording(denoise, draw)
    options = {o.key: o.check(settings.options.get(o.key, o.default)) for o in chosen.options}
    before: Step | None = None
    past: tuple[float, Tensor] | None = None
    for step in chosen.run(problem.process, asked, x, problem.anchor, times, drawn, **options):
        if before is not None:
            arrived = step.index == len(times) - 1
            inside = (
                tape.calls if arrived else tape.calls[:-1]
            )  # the last call belongs to the step that begins
            fresh = tape.draws[-1] if tape.draws else None
            made = Made(
                problem.process,
                problem.anchor,
                before.t,
                step.t,
                before.x,
                [before.prediction, *inside],
                past,
                fresh,
            )
            yield Moment(before, step.t, formula(settings.sampler, made, options.get("eta", 0.0)), step.x)
            past = (problem.process.log_snr(before.t).item(), before.prediction.x0)
        before = step
        tape.clear()


def noise_share(problem: Problem, t: Tensor) -> float:
    """Deviation of the noise over that at the start: 1 at the beginning, 0 at the end."""
    process = problem.process
    start = process.marginal(torch.tensor(float(process.steps))).s
    return (process.marginal(t).s / start).item()


__all__ = ["Moment", "noise_share", "trace", "walk"]
