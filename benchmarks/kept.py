"""What looking closer costs beside the runs themselves: python -m benchmarks.kept

    eight samples with the map of what was invented over eight without it    goal: 1.05 or less
    two settings compared, both films live, over the two runs alone          the rest is measuring; told apart
    the last restoration as GIF, MP4, zip and report                         seconds each, when somebody asks

A 256 px photo and the compact weights; ratios are medians over interleaved rounds in this one process.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.overhead import ratio, seconds
from restore_core import comparison, export, images, job
from restore_core.engine import finish
from restore_core.library import Library
from restore_core.ui import downloads
from restore_core.ui.asking import Ask
from restore_core.ui.comparing import compared
from restore_core.ui.desk import Desk
from restore_core.ui.invented import sampled
from restore_core.ui.running import restoration
from restore_core.ui.sessions import SessionStore

SIDE = 256
SAMPLES = 8
WISHES = [{"method": "dvsr", "steps": 20, "seed": 1}, {"method": "irsde", "steps": 20, "seed": 1}]


def main() -> int:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Library(asked.device), SessionStore(Path(folder) / "store"))
        for line in lines(desk, Path(folder), asked.rounds):
            print(line, flush=True)
    return 0


def lines(desk: Desk, folder: Path, rounds: int) -> Iterator[str]:
    """Each measurement as soon as it is there."""
    path, photo = _photo(folder)
    *_, last = restoration(desk, "s", path, Ask(task="deblur", method="dvsr", seed=1))
    assert not last.failed, last.text
    work = job.again(photo, desk.store.finished("s").result.record)
    many = replace(work, settings=replace(work.settings, samples=SAMPLES))
    plain = lambda: finish(job.run(many, desk.library))  # noqa: E731
    mapped = lambda: list(sampled(desk, "s", SAMPLES))  # noqa: E731
    yield f"{SAMPLES} samples with the map / without: {ratio(mapped, plain, rounds):.3f}"
    ready = comparison.prepare(photo, WISHES, desk.library, task="deblur")
    runs = lambda: [finish(job.run(c.job, desk.library)) for c in ready.contenders]  # noqa: E731
    films = lambda: list(compared(desk, "c", path, WISHES, task="deblur"))  # noqa: E731
    ends = runs()
    measuring = lambda: [ready.ended(c, end) for c, end in zip(ready.contenders, ends, strict=True)]  # noqa: E731
    yield f"two settings compared, measured and kept / run: {ratio(films, runs, rounds):.3f}"
    yield f"of that, measuring both: {seconds(measuring):.2f} s, running both: {seconds(runs):.2f} s"
    for key, kind in downloads.KINDS.items():
        yield f"{kind.label}: {seconds(lambda key=key: downloads.make(desk, 's', key, 'both')):.2f} s"


def _photo(folder: Path) -> tuple[str, images.Photo]:
    grain = torch.rand(1, 3, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(0))
    path = folder / "photo.png"
    export.save(images.resize(grain, (SIDE, SIDE)).clamp(0, 1), path)
    return str(path), images.load(path)


if __name__ == "__main__":
    sys.exit(main())
