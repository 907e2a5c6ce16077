"""What eta does: several runs from one start, with fresh noise of their own, and how far they part at each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from restore_core.engine import Noise, start_of, times_of
from restore_core.problem import Problem
from restore_core.samplers import SAMPLERS, Draw
from restore_core.settings import Settings
from restore_core.teaching.scenes import denoiser, several


@dataclass(frozen=True)
class Spread:
    """Runs of one setting: results (n, 3, H, W) in [0, 1]; deviation (1, 1, H, W), mean over the channels."""

    eta: float
    results: Tensor
    deviation: Tensor

    @property
    def grey_levels(self) -> float:
        """Root mean square deviation over the picture, in grey levels of 255."""
        return 255 * self.deviation.square().mean().sqrt().item()


def sampled(problem: Problem, settings: Settings, count: int, *, same_start: bool = False) -> Tensor:
    """`count` results in one batch, (count, 3, H, W) in [0, 1]; run k draws its noise with seed + k.

    same_start   all of them begin with the noise of the first; what is drawn on the way stays their own
    """
    batch = several(problem, count)
    draw: Draw = Noise(settings.seed)
    times = times_of(batch, settings)
    chosen = SAMPLERS[settings.sampler]
    options = {o.key: o.check(settings.options.get(o.key, o.default)) for o in chosen.options}
    x = start_of(batch, settings, times[0], _first_for_all(draw) if same_start else draw)
    denoise = denoiser(batch, settings.precision)
    for step in chosen.run(batch.process, denoise, x, batch.anchor, times, draw, **options):
        x = step.x
    return batch.decode(x)


def _first_for_all(draw: Draw) -> Draw:
    def same(like: Tensor) -> Tensor:
        return draw(like)[:1].expand_as(like)

    return same


def deviation(results: Tensor) -> Tensor:
    """Per pixel over (n, 3, H, W), n - 1 in the denominator, root mean square over the channels: (1, 1, H, W)."""
    return results.var(dim=0, keepdim=True).mean(dim=1, keepdim=True).sqrt()


def spreads(
    problem: Problem, settings: Settings, etas: tuple[float, ...], runs: int, *, same_start: bool
) -> Iterator[Spread]:
    """One Spread for each eta, all from the same noise."""
    for eta in etas:
        moved = Settings(**(settings.to_json() | {"options": {**settings.options, "eta": eta}}))
        results = sampled(problem, moved, runs, same_start=same_start)
        yield Spread(eta, results, deviation(results))
