"""Few steps and many along one path: the flow from the same noise, against the flow followed very finely.

With eta = 0 nothing is drawn on the way, so all step counts approximate one and the same path from x_T to a picture,
and their distance from its end is the sampler's own error: (1/steps)^order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from restore_core.engine import Noise, start_of, times_of
from restore_core.problem import Problem
from restore_core.samplers import SAMPLERS
from restore_core.settings import Settings
from restore_core.teaching.scenes import denoiser

REFERENCE = (
    "multistep",
    64,
)  # as close as Euler's 1,000 steps: 0.1 grey levels (benchmarks.learn --reference)


@dataclass(frozen=True)
class End:
    """Where a run ended: its picture (1, 3, H, W) in [0, 1] and the network calls it took."""

    sampler: str
    steps: int
    calls: int
    picture: Tensor


def flow(problem: Problem, settings: Settings, sampler: str, steps: int) -> End:
    """The flow in `steps` steps of `sampler`, even in log(a/s), from the noise of settings.seed."""
    along = replace(
        settings, sampler=sampler, steps=steps, spacing="log-snr", options={**settings.options, "eta": 0.0}
    )
    times = times_of(problem, along)
    draw = Noise(along.seed)
    x = start_of(problem, along, times[0], draw)
    chosen = SAMPLERS[sampler]
    options = {"eta": 0.0} if any(o.key == "eta" for o in chosen.options) else {}
    denoise = denoiser(problem, along.precision)
    for step in chosen.run(problem.process, denoise, x, problem.anchor, times, draw, **options):
        x = step.x
    return End(sampler, steps, chosen.total_calls(steps), problem.decode(x))


def distance(picture: Tensor, reference: Tensor) -> float:
    """Root mean square difference in grey levels of 255."""
    return 255 * (picture - reference).square().mean().sqrt().item()
