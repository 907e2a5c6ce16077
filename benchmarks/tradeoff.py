"""How long a sweep takes and what the map adds to it: python -m benchmarks.tradeoff

    a sweep of 12 points, 256 px, compact weights        goal: under 120 s on two cores
    the page's sweep over a bare one, processor time     goal: 1.05 or less
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from restore_core.library import Library
from restore_core.tradeoff import Journal, run
from restore_core.ui.desk import Desk
from restore_core.ui.map import map_value
from restore_core.ui.sessions import SessionStore
from restore_core.ui.sweeping import Ask, sweeping

PHOTO = Path(__file__).parents[1] / "restore_core" / "ui" / "examples" / "clean" / "astronaut.jpg"
TWELVE = {"steps": "4, 10, 20, 50", "eta": "0, 0.5, 1"}
FOUR = {"steps": "4, 8", "eta": "0, 1"}


def asking(values: dict[str, str], side: int) -> Ask:
    """A sweep of the example photo."""
    return Ask(str(PHOTO), over=("steps", "eta"), values=values, positions=False, side=side)


def bare(desk: Desk, ask: Ask, folder: Path) -> Callable[[], object]:
    """The points and nothing else."""
    plan, subject = ask.plan(desk.library.precision), ask.subject(desk.max_pixels)
    return lambda: list(run(plan, subject, Journal(folder, subject), desk.library.method))


def shown(desk: Desk, ask: Ask, folder: Path) -> Callable[[], object]:
    """The same as the page does it, the map drawn up after every point."""

    def work() -> None:
        os.environ["STEPBACK_SWEEPS"] = str(folder)
        for message in sweeping(desk, "benchmark", ask):
            if message.board is not None:
                found = message.board
                json.dumps(map_value(found.points, found.plane, found.presets))

    return work


def spent(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of `clock` that the work takes."""
    began = clock()
    work()
    return clock() - began


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device")
    asked = parser.parse_args()
    library = Library(asked.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk = Desk(library, store=SessionStore(folder / "store"))
        small, ratios = asking(FOUR, 192), []
        bare(desk, small, folder / "first")()  # makes plans and tables, and does not count
        for k in range(asked.rounds):
            alone = spent(bare(desk, small, folder / f"bare-{k}"), time.process_time)
            ratios.append(spent(shown(desk, small, folder / f"shown-{k}"), time.process_time) / alone)
        twelve = spent(bare(desk, asking(TWELVE, 256), folder / "twelve"), time.perf_counter)
    print(f"12 points, 256 px, {library.device.type}: {twelve:.1f} s")
    print(f"with the map over without, processor time, median of {asked.rounds}: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
