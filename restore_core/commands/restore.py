"""The command `restore`: one photo in, one photo out, its film on request."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restore_core import export, images, invention, job
from restore_core.checkpoints.catalogue import COMPACT
from restore_core.commands import options
from restore_core.counting import counted
from restore_core.engine import Frame
from restore_core.errors import NotFinite, SettingsError
from restore_core.export import FrameFolder
from restore_core.library import Library
from restore_core.methods import METHODS
from restore_core.moments import Recorder
from restore_core.tiling import Heed

SHOWN = {"both": ("noisy", "guess"), "noisy": ("noisy",), "guess": ("guess",)}  # --film-shows
REPORTED = 1024  # pixels of a picture's long side in a report


def add_parser(commands: Any) -> None:
    p = commands.add_parser("restore", help="restore one photo")
    p.add_argument("input", type=Path, help="the photo")
    options.add_output(p, "PNG, JPEG or WebP; default: INPUT-METHOD.png beside it")
    p.add_argument("--task", default="auto", help=f"auto, {', '.join(COMPACT)}")
    p.add_argument("--method", default="auto", help=f"auto, {', '.join(METHODS)}")
    p.add_argument("--variant", help="one of the method's weights; default: the first for the task")
    p.add_argument("--preset", default="2", help="0 (most faithful) to 4 (most vivid), or paper: as the authors ran it")
    options.add_expert(p)
    p.add_argument("--frames", type=Path, metavar="DIR", help="write the film there: x_t/ and guess/, one JPEG a step")
    p.add_argument("--film", type=Path, metavar="FILE", help=".gif or .mp4: the run in about four seconds")
    p.add_argument("--film-shows", default="both", choices=tuple(SHOWN), help="noisy x_t, the guess, or both beside")
    p.add_argument("--report", type=Path, metavar="FILE", help=".html: pictures, film and settings on one page")
    p.add_argument("--spread", type=Path, metavar="FILE", help="with --samples: a map of what was invented")
    p.add_argument("--like", type=Path, metavar="FILE", help="repeat the run that made this result")
    p.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the best there is")
    p.add_argument("--compile", action="store_true", help="compile the network first, for long runs on a graphics card")
    options.add_models(p)
    options.add_reading(p)
    p.add_argument("--json", action="store_true", help="print one JSON object about the run")
    p.set_defaults(run=_restore)


def _restore(asked: argparse.Namespace) -> int:
    options.use_models(asked)
    library = Library(asked.device, compile=asked.compile)
    photo = images.load(asked.input, max_pixels=options.whole("--max-pixels", asked.max_pixels))
    if asked.smaller:
        photo = images.comfortable(photo)
    work = _job(asked, photo, library)
    output = asked.output or asked.input.with_name(f"{asked.input.stem}-{work.settings.method}.png")
    _check(asked, output, work)
    if asked.compile:
        print(
            "Warming up: the network is compiled at its first call, which takes minutes, and again for other sizes.",
            file=sys.stderr,
        )
    notes = options.idle(options.given(asked), work.settings)
    try:
        last, recorder = _run(asked, work, library)
    except NotFinite as error:
        if work.settings.precision == "float32":
            raise
        notes.append(f"{error} This was done.")
        work = replace(work, settings=replace(work.settings, precision="float32"))
        last, recorder = _run(asked, work, library)
    record = work.record(library, last)
    notes += export.save(last.result, output, like=work.like, settings=record)
    found = _spread(asked.spread, last, record)
    notes += [found.sentence] if found else []
    if recorder is not None:
        _film_and_report(asked, recorder, work, last, record, notes)
    if asked.json:
        invented = {"invented": asdict(found)} if found else {}
        print(json.dumps(record | {"output": str(output), "size": list(last.result.shape[-2:])} | invented))
    else:
        for sentence in filter(None, (*photo.notes, work.reason, *notes)):
            print(sentence, file=sys.stderr)
        print(f"{output}: {counted(last.calls, 'network call')} in {last.seconds:.1f} s", file=sys.stderr)
    return 0


def _run(asked: argparse.Namespace, work: job.Job, library: Library) -> tuple[Frame, Recorder | None]:
    """The last frame, and what was recorded on the way to it."""
    folders = [FrameFolder(asked.frames / kind) for kind in ("x_t", "guess")] if asked.frames else []
    recorder = Recorder(work.settings) if asked.film or asked.report else None
    last: Frame | None = None
    for frame in _with_bar(lambda tell: job.run(work, library, tell=tell)):
        for folder, picture in zip(folders, ("image", "estimate"), strict=False):
            folder.add(frame.index, getattr(frame, picture))
        if recorder is not None:
            recorder.take(frame)
        last = frame if frame.done else None
        del frame  # whole pictures, before the next are made
    assert last is not None
    return last, recorder


def _check(asked: argparse.Namespace, output: Path, work: job.Job) -> None:
    """Whatever would fail after the run fails before it."""
    export.check_writable(output, work.size)
    if asked.film:
        export.check_film(asked.film)
    if asked.report:
        export.check_folder_of(asked.report)
    if asked.spread:
        export.check_writable(asked.spread, work.size)
        if work.settings.samples < 2:
            invention.find(None, work.settings.samples)


def _spread(path: Path | None, last: Frame, record: dict[str, Any]) -> invention.Finding | None:
    if path is None or last.spread is None:
        return None
    export.save(invention.paint(last.spread.cpu()), path, settings=record)
    return invention.find(last.spread, last.samples)


def _film_and_report(
    asked: argparse.Namespace, recorder: Recorder, work: job.Job, last: Frame, record: dict[str, Any], notes: list[str]
) -> None:
    if asked.film:
        export.save_film(recorder.film(SHOWN[asked.film_shows]), asked.film)
    if asked.report:
        result = last.result.cpu()
        before = images.resize(work.photo.rgb, result.shape[-2:]).clamp(0, 1)
        pictures = [export.encode_jpeg(images.to_uint8(images.shrink_to(p, REPORTED)), 90) for p in (before, result)]
        page = export.run_report(
            record, before=pictures[0], after=pictures[1], moments=recorder.moments(), notes=notes,
            facts=(("Time", f"{last.seconds:.1f} s"), ("Network calls", str(last.calls))),
        )  # fmt: skip
        export.save_report(page, asked.report)


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


def _with_bar(frames: Callable[[Heed], Iterator[Frame]]) -> Iterator[Frame]:
    """The run's frames, and a bar of its steps; before the first of them, how far the first look is."""
    with tqdm(unit="step", disable=None, leave=False, file=sys.stderr) as bar:
        for frame in frames(lambda done, of: bar.set_description(f"first look, {100 * done / of:.0f} %")):
            bar.set_description(refresh=False)
            bar.total = frame.total
            bar.update(round(frame.share * frame.total) - bar.n)
            yield frame
            del frame


__all__ = ["add_parser"]
