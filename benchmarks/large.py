"""How much memory a large photo takes from file to file: python -m benchmarks.large

    peak resident memory of the whole process in each stage of `restore_core restore`, for 1.5, 6 and 24 megapixels
    goal: 24 megapixels in 3 GB on a CPU with the compact weights

Every photo is restored in a process of its own by the command line's own code, with its film; a few steps suffice,
for the peak does not depend on their number. The last column is what a pixel adds: bytes a pixel between the smallest
and the largest photo, 12 for each whole picture in float32. Linux only: the kernel is asked for the peaks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STEPS = 4
WIDE = 3 / 2  # of the photos: width over height
STAGES = ("start", "read", "diagnosis", "predictor", "sampling", "film", "decode", "write")


def made(path: Path, megapixels: float, *, quality: int = 95) -> tuple[int, int]:
    """A photo of smooth colours, texture and a little noise, written by rows: (height, width)."""
    import numpy as np
    from PIL import Image

    height = round((megapixels * 1e6 / WIDE) ** 0.5)
    width = round(height * WIDE)
    draw = np.random.default_rng(0)
    picture = Image.new("RGB", (width, height))
    wave = np.sin(np.arange(width) / 37)[None, :, None] * np.array([50.0, 35.0, 20.0])
    for top in range(0, height, 256):
        rows = np.arange(top, min(top + 256, height))[:, None, None]
        pixels = 128 + wave * np.cos(rows / 53) + draw.normal(0, 12, (len(rows), width, 3))
        picture.paste(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), (0, top))
    picture.save(path, quality=quality)
    return height, width


class Peaks:
    """The most resident memory in each stage, in bytes; what happens between stages counts for the last one."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self._stage = STAGES[0]

    def now(self, stage: str) -> str:
        """From here on it is `stage`; returns what it was."""
        before = self._stage
        self.of[before] = max(self.of.get(before, 0), _peak())
        Path("/proc/self/clear_refs").write_text("5")  # the kernel's peak begins anew
        self._stage = stage
        return before

    def watch(self, owner: Any, name: str, stage: str, *, stays: bool = False) -> None:
        """Calls of owner.name count as `stage`; with `stays` so does what follows them."""
        run = getattr(owner, name)

        @wraps(run)
        def watched(*args: Any, **options: Any) -> Any:
            before = self.now(stage)
            try:
                return run(*args, **options)
            finally:
                if not stays:
                    self.now(before)

        setattr(owner, name, watched)


def _peak() -> int:
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(told.partition("VmHWM:")[2].split()[0])


def child(arguments: Sequence[str]) -> None:
    """Restore as the command line does, and print one JSON object of peaks."""
    peaks = Peaks()
    from restore_core import cli, export, images, job
    from restore_core.bands import Pointwise
    from restore_core.methods import compact
    from restore_core.moments import Recorder

    class Shown(Pointwise):
        """A decode of its own class, so that it can be watched."""

        def __call__(self, image: Any) -> Any:
            return super().__call__(image)

    peaks.watch(images, "load", "read")
    peaks.watch(job, "plan", "diagnosis")
    peaks.watch(compact, "predict", "predictor")
    peaks.watch(job, "restore", "sampling", stays=True)
    peaks.watch(Shown, "__call__", "decode")
    compact.to_image = Shown(compact.to_image.run)
    peaks.watch(Recorder, "take", "film")
    peaks.watch(export, "save", "write")
    began = time.perf_counter()
    failed = cli.main(["restore", *arguments])
    peaks.now("end")
    print(json.dumps({"peaks": peaks.of, "seconds": time.perf_counter() - began}))
    sys.exit(failed)


def measured(megapixels: float, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Peaks by stage, and seconds, of one photo."""
    scale = 4 if asked.task == "sr4" else 1
    photo = folder / f"photo.{asked.kind}"
    height, width = made(photo, megapixels / scale**2)
    command = [
        sys.executable, "-m", "benchmarks.large", "--child", str(photo), "-o", str(folder / f"result.{asked.kind}"),
        "--task", asked.task, "--steps", str(asked.steps), "--film", str(folder / "film.gif"),
    ]  # fmt: skip
    command += ["--method", asked.method] if asked.method else []
    command += ["--samples", str(asked.samples)] if asked.samples else []
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    return told | {"pixels": height * width * scale**2, "size": f"{width * scale} x {height * scale}"}


def lines(asked: argparse.Namespace) -> Iterator[str]:
    """The table, a row as soon as it is measured."""
    yield f"| {asked.task}, {asked.kind} | " + " | ".join(STAGES) + " | most | s |"
    yield "|---" * (len(STAGES) + 3) + "|"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in asked.sizes:
            row = measured(megapixels, Path(folder), asked)
            rows.append(row)
            told = [f"{row['peaks'].get(stage, 0) / 1e9:.2f}" for stage in STAGES]
            yield f"| {row['size']} | {' | '.join(told)} | {most(row) / 1e9:.2f} GB | {row['seconds']:.0f} |"
    if len(rows) > 1:
        pixels = rows[-1]["pixels"] - rows[0]["pixels"]
        each = [(rows[-1]["peaks"].get(s, 0) - rows[0]["peaks"].get(s, 0)) / pixels for s in STAGES]
        grown = (most(rows[-1]) - most(rows[0])) / pixels
        yield "| bytes a pixel | " + " | ".join(f"{n:.0f}" for n in each) + f" | {grown:.0f} | |"


def most(row: dict[str, Any]) -> int:
    """Bytes at the highest of all stages."""
    return max(row["peaks"].values())


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1.5, 6.0, 24.0], help="megapixels of the result")
    parser.add_argument("--task", default="denoise")
    parser.add_argument("--method", help="default: the task's")
    parser.add_argument("--kind", default="png", choices=("png", "jpg"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--samples", type=int)
    for line in lines(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
