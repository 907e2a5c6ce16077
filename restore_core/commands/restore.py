"""The command `restore`: one photo in, one photo out, its film on request."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restore_core import export, images, job
from restore_core.checkpoints.catalogue import COMPACT
from restore_core.commands import options
from restore_core.engine import Frame
from restore_core.errors import SettingsError
from restore_core.export import FrameFolder
from restore_core.library import Library
from restore_core.methods import METHODS


def add_parser(commands: Any) -> None:
    p = commands.add_parser("restore", help="restore one photo")
    p.add_argument("input", type=Path, help="the photo")
    p.add_argument("-o", "--output", type=Path, help="PNG, JPEG or WebP; default: INPUT-METHOD.png beside it")
    p.add_argument("--task", default="auto", help=f"auto, {', '.join(COMPACT)}")
    p.add_argument("--method", default="auto", help=f"auto, {', '.join(METHODS)}")
    p.add_argument("--variant", help="one of the method's weights; default: the first for the task")
    p.add_argument("--preset", default="2", help="0 (most faithful) to 4 (most vivid), or paper: as the authors ran it")
    options.add_expert(p)
    p.add_argument("--frames", type=Path, metavar="DIR", help="write the film there: x_t/ and guess/, one JPEG a step")
    p.add_argument("--like", type=Path, metavar="FILE", help="repeat the run that made this result")
    p.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the best there is")
    options.add_models(p)
    p.add_argument("--max-pixels", default=images.MAX_PIXELS, help="largest photo that is opened")
    p.add_argument("--json", action="store_true", help="print one JSON object about the run")
    p.set_defaults(run=_restore)


def _restore(asked: argparse.Namespace) -> int:
    options.use_models(asked)
    library = Library(asked.device)
    photo = images.load(asked.input, max_pixels=options.whole("--max-pixels", asked.max_pixels))
    work = _job(asked, photo, library)
    output = asked.output or asked.input.with_name(f"{asked.input.stem}-{work.settings.method}.png")
    export.check_writable(output)
    films = [FrameFolder(asked.frames / kind) for kind in ("x_t", "guess")] if asked.frames else []
    last: Frame | None = None
    for last in _with_bar(job.run(work, library)):
        for film, picture in zip(films, ("image", "estimate"), strict=False):
            film.add(last.index, getattr(last, picture))
    assert last is not None
    record = work.record(library, last)
    notes = export.save(last.result, output, like=photo, settings=record)
    if asked.json:
        print(json.dumps(record | {"output": str(output), "size": list(last.result.shape[-2:])}))
    else:
        for sentence in filter(None, (*photo.notes, work.reason, *notes)):
            print(sentence, file=sys.stderr)
        print(f"{output}: {last.calls} network calls in {last.seconds:.1f} s", file=sys.stderr)
    return 0


def _job(asked: argparse.Namespace, photo: images.Photo, library: Library) -> job.Job:
    changes = options.given(asked)
    if asked.like is None:
        preset, paper = options.preset(asked.preset)
        return job.plan(
            photo, library, task=asked.task, method=asked.method, variant=asked.variant, preset=preset, paper=paper,
            **changes,
        )  # fmt: skip
    if changes or asked.task != "auto" or asked.method != "auto" or asked.preset != "2" or asked.variant:
        raise SettingsError(
            "--like repeats a run with all its settings, so others cannot be given beside it. Leave out either."
        )
    return job.again(photo, export.read_settings(asked.like))


def _with_bar(frames: Iterator[Frame]) -> Iterator[Frame]:
    with tqdm(unit="step", disable=None, leave=False, file=sys.stderr) as bar:
        for frame in frames:
            bar.total = frame.total
            bar.update(frame.index + 1 - bar.n)
            yield frame


__all__ = ["add_parser"]
