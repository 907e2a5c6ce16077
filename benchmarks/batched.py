"""What a batch brings: seconds a picture when samples walk one by one over together: python -m benchmarks.batched

    samples   the mean of eight runs, one after the other, over the same as the engine groups them
    windows   a picture in small windows, one by one, over as many in a call as the engine takes

Ratios above 1 are gains: medians over interleaved rounds in this one process.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

from benchmarks.overhead import posed, ratio
from restore_core import devices
from restore_core.engine import finish, restore
from restore_core.library import Library
from restore_core.problem import Problem
from restore_core.settings import Settings
from restore_core.tiling import together

SIDES = (96, 128, 192, 256, 384, 512)
WINDOWS = (64, 128, 256)


def runs(problem: Problem, settings: Settings) -> tuple[Callable[[], object], Callable[[], object]]:
    """(one by one, together)."""
    alone = replace(problem, bytes_per_pixel=0.0)
    return lambda: finish(restore(alone, settings)), lambda: finish(restore(problem, settings))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device")
    parser.add_argument("--precision", help="default: what the device does best")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    library = Library(asked.device)
    precision = asked.precision or library.precision
    print(f"{devices.describe(library.device)}, {precision}")
    print("| what | in one call | gain |\n|---|---|---|")
    for side in SIDES:
        problem, settings = posed(library, side, 5, precision)
        settings = replace(settings, samples=8)
        most = min(8, together(problem.bytes_per_pixel, library.device, side**2))
        print(f"| 8 samples, {side} px | {most} | {ratio(*runs(problem, settings), asked.rounds):.2f} |", flush=True)
    for tile in WINDOWS:
        problem, settings = posed(library, 640, 2, precision)
        settings = replace(settings, tile=tile, overlap=16)
        most = together(problem.bytes_per_pixel, library.device, tile**2)
        gain = ratio(*runs(problem, settings), asked.rounds)
        print(f"| windows of {tile} px, 640 px | up to {most} | {gain:.2f} |", flush=True)


if __name__ == "__main__":
    main()
