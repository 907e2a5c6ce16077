"""What the engine and the film cost beside the network: python -m benchmarks.overhead

    engine loop over bare network calls, 256 px             goal: 1.02 or less
    the same with the film's previews over without          goal: 1.05 or less
    predictor and denoiser: MFLOP per pixel, seconds per megapixel
    a 512 x 512 photo at the default settings: seconds and peak memory

Ratios are medians over interleaved rounds in this one process.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch.utils.flop_counter import FlopCounterMode

from restore_core import devices, job
from restore_core.engine import finish, restore, times_of
from restore_core.images import Photo
from restore_core.library import Library, card
from restore_core.methods import METHODS
from restore_core.problem import Problem
from restore_core.settings import Settings
from restore_core.ui import film
from restore_core.ui.streaming import RATE, Stream, Turns


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def ratio(one: Callable[[], object], other: Callable[[], object], rounds: int) -> float:
    """Median of one/other over rounds in which each goes first in turn."""
    one(), other()
    found = []
    for k in range(rounds):
        first, second = (one, other) if k % 2 else (other, one)
        took = {first: seconds(first), second: seconds(second)}
        found.append(took[one] / took[other])
    return statistics.median(found)


def bare(problem: Problem, settings: Settings) -> Callable[[], object]:
    """The network calls of a run and nothing else."""
    x, times = torch.randn_like(problem.anchor), times_of(problem, settings)

    @torch.no_grad()
    def run() -> None:
        with devices.autocast(x.device, settings.precision):
            for t, _ in pairwise(times):
                problem.network(x, t, problem.cond)

    return run


def photo(side: int, seed: int = 0) -> Photo:
    """Smooth random colours, as a photo in memory."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, max(2, side // 16), max(2, side // 16), generator=generator)
    rgb = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)
    return Photo(rgb, None, False, 8, None, None, (), "benchmark")


def posed(library: Library, side: int, steps: int, precision: str) -> tuple[Problem, Settings]:
    """A deblurring problem of DvSR with its settings."""
    settings = card("dvsr").settings("compact-deblur", steps=steps, precision=precision)
    method = library.method("dvsr", "compact-deblur")
    return method.pose(photo(side).rgb.to(library.device), settings), settings


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device")
    parser.add_argument("--precision", help="default: what the device does best")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ratios", action="store_true", help="the two ratios only")
    asked = parser.parse_args()
    library = Library(asked.device)
    precision = asked.precision or library.precision
    print(f"{devices.describe(library.device)}, {precision}, torch {torch.__version__}")

    problem, settings = posed(library, 256, 20, precision)
    loop = lambda: finish(restore(problem, settings))  # noqa: E731
    overhead = ratio(loop, bare(problem, settings), asked.rounds)
    print(f"engine loop / bare network calls, 256 px, 20 steps: {overhead:.3f}")
    print(f"with the film / without, 256 px, 20 steps: {film_ratio(library, precision, asked.rounds):.3f}")
    if asked.ratios:
        return

    for task in ("deblur", "sr4"):
        model = library.network(f"compact/{task}")
        x = torch.rand(1, 3, 512, 512, device=library.device) * 2 - 1
        level = (torch.tensor(1.0), torch.tensor(0.1))
        for name, run in (
            ("predictor", partial(model.predict, x)),
            ("denoiser", partial(model.denoise, x, *level, x, x)),
        ):
            with torch.no_grad(), devices.autocast(library.device, precision):
                with FlopCounterMode(display=False) as flops:
                    run()
                took = statistics.median(seconds(run) for _ in range(asked.rounds))
            mega = x.shape[-1] * x.shape[-2] / 1e6
            print(f"{task} {name}: {flops.get_total_flops() / mega / 1e12:.3f} MFLOP/px, {took / mega:.2f} s/megapixel")

    for key in METHODS:
        work = job.plan(photo(512), library, task="deblur", method=key, precision=precision)
        took = seconds(lambda w=work: finish(job.run(w, library)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform != "darwin" else 30)
        print(f"512 x 512 photo, {key} at its defaults ({work.settings.steps} steps): {took:.1f} s, peak {peak:.2f} GB")


def film_ratio(library: Library, precision: str, rounds: int) -> float:
    """A run whose film is drawn by the interface's own streaming, over the same run with the film off."""
    work = job.plan(photo(256), library, task="deblur", method="dvsr", steps=40, precision=precision)
    return ratio(lambda: watched(work, library, RATE), lambda: watched(work, library, 0.0), rounds)


def watched(work: job.Job, library: Library, rate: float) -> None:
    """The job as the page runs it: sampling in the worker, pictures encoded by the reader."""
    frames = lambda stop, tile: job.run(work, library, stop=stop)  # noqa: E731
    for news in Stream(frames, work.settings, Turns(), rate=rate).start().news():
        if news.latest is not None:
            film.picture(news.latest)
        for k, shot in enumerate(news.thumbnails):
            film.thumbnail(shot, k)


if __name__ == "__main__":
    main()
