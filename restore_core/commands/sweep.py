"""The command `sweep`: many settings on one photo or on a folder of clean ones, each a point of the tradeoff."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restore_core import export, images
from restore_core.commands import options
from restore_core.counting import counted
from restore_core.degradations import TASKS
from restore_core.diagnosis import diagnose
from restore_core.engine import Frame
from restore_core.errors import SettingsError
from restore_core.evaluation import SUFFIXES
from restore_core.images import Photo
from restore_core.library import Library, card
from restore_core.methods import METHODS
from restore_core.metrics import perceptual_kernel_distance, sliced_wasserstein
from restore_core.settings import Settings
from restore_core.tradeoff import (
    AXES,
    Journal,
    Point,
    Request,
    Subject,
    Sweep,
    as_csv,
    as_json,
    as_page,
    as_table,
    damaged,
    default_values,
    estimate,
    given,
    means,
    plane_of,
    requests,
    run,
)
from restore_core.tradeoff.running import missing

EXAMPLE = "--over steps,eta --values steps=10,20,50"


def add_parser(commands: Any) -> None:
    p = commands.add_parser(
        "sweep",
        help="measure distortion against perception over many settings",
        description="Every combination of the settings named by --over becomes a point. Stop it when you like: the "
        "same command goes on where it was.",
    )
    p.add_argument(
        "input", type=Path, metavar="PHOTO", help="a damaged photo, or with --damage a clean one or a folder"
    )
    p.add_argument(
        "--clean", type=Path, metavar="FILE", help="the clean picture of a damaged photo, to measure against"
    )
    p.add_argument("--damage", metavar="TASK", help=f"damage clean photos here first: {', '.join(TASKS)}")
    p.add_argument("--task", default="auto", help=f"auto, {', '.join(TASKS)}")
    p.add_argument("--over", action="append", default=[], metavar="A,B", help=f"{', '.join(AXES)}, or an option of the "
                   "method; A,B takes all combinations, a second --over adds a sweep of its own")  # fmt: skip
    p.add_argument("--values", action="append", default=[], metavar="A=1,2,3", help="values of one of them")
    p.add_argument("--method", help=f"{', '.join(METHODS)}; default: dvsr")
    p.add_argument("--variant", help="one of the method's weights; default: the first for the task")
    p.add_argument(
        "--preset", default="2", help="0 (most faithful) to 4 (most vivid), where all settings start from"
    )
    p.add_argument(
        "--positions", action="store_true", help="measure the five positions of the slider as well"
    )
    p.add_argument("--path", action="store_true", help="also the perceptual length of the way (slower)")
    options.add_expert(p)
    p.add_argument("--side", metavar="PIXELS", help="only the middle, so many pixels of the result")
    options.add_output(p, "points, pictures and what goes on later", metavar="DIR", required=True)
    p.add_argument("--csv", action="store_true", help="write DIR/points.csv")
    p.add_argument("--report", action="store_true", help="write DIR/report.html, one page that opens offline")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.add_argument("--yes", action="store_true", help="do not ask before a long sweep")
    options.add_models(p)
    p.add_argument("--device")
    p.set_defaults(run=_sweep)


def _sweep(asked: argparse.Namespace) -> int:
    options.use_models(asked)
    library = Library(asked.device)
    subjects = list(_subjects(asked))
    if asked.report and len(subjects) > 1:
        raise SettingsError(
            "--report shows the runs of one photo; a folder gives means over several. Leave it out."
        )
    sweeps = list(_sweeps(asked, subjects[0].task, library))
    plan = requests(*sweeps)
    folders = _folders(asked.output, [subject.name for subject in subjects])
    journals = [Journal(folder, subject) for folder, subject in zip(folders, subjects, strict=True)]
    for subject in subjects:
        for note in subject.notes:
            print(f"{subject.name}: {note}", file=sys.stderr)
    _agree(asked, plan, subjects, journals, library)
    try:
        for subject, journal in zip(subjects, journals, strict=True):
            _measure(asked, plan, subject, journal, library)
    except KeyboardInterrupt:
        done = sum(len(journal.points()) for journal in journals)
        print(
            f"Stopped: {counted(done, 'point')} kept in {asked.output}; the same command goes on from there.",
            file=sys.stderr,
        )
        return 2
    _tell(asked, sweeps, subjects, journals)
    return 0


# --- what is asked ---------------------------------------------------------------------------------------------


def _sweeps(asked: argparse.Namespace, task: str, library: Library) -> Iterator[Sweep]:
    method = asked.method or "dvsr"
    named = dict(_values(text) for text in asked.values)
    changes = {"precision": library.precision, **options.given(asked)}
    preset = options.whole("--preset", asked.preset)
    over = [[key.strip() for key in text.split(",") if key.strip()] for text in asked.over]
    unused = sorted(set(named) - {key for keys in over for key in keys})
    if unused:
        raise SettingsError(
            f"--values names {', '.join(unused)}, which --over does not. Write {EXAMPLE}, for example."
        )
    if not over and not asked.positions:
        raise SettingsError(f"Nothing is named to sweep. Add {EXAMPLE}, or --positions.")
    for number, keys in enumerate(over or [["preset"]]):
        axes = {key: named.get(key) or default_values(key, task, method) for key in keys}
        yield Sweep(task, axes, method, asked.variant, preset, asked.positions and number == 0, changes)


def _values(text: str) -> tuple[str, tuple[float | str, ...]]:
    key, found, values = text.partition("=")
    if not found or not values:
        raise SettingsError(f"--values '{text}' is not NAME=VALUE,VALUE. Write {EXAMPLE}, for example.")
    return key.strip(), tuple(_number(value.strip()) for value in values.split(",") if value.strip())


def _number(text: str) -> float | str:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _subjects(asked: argparse.Namespace) -> Iterator[Subject]:
    side = None if asked.side is None else options.whole("--side", asked.side)
    if asked.damage:
        if asked.clean:
            raise SettingsError(
                "--damage makes the damaged picture itself, so --clean has no place. Leave out either."
            )
        if asked.task not in ("auto", asked.damage):
            raise SettingsError(
                f"--damage {asked.damage} says what is to be undone, so --task {asked.task} has no place. Leave it out."
            )
        for photo in _photos(asked.input):
            yield damaged(photo, asked.damage, side=side)
        return
    if asked.input.is_dir():
        raise SettingsError(
            f"{asked.input} is a folder: of many photos only clean ones are swept, damaged here. Add --damage TASK, or "
            "name one photo."
        )
    photo = images.load(asked.input)
    task = diagnose(photo.rgb).task if asked.task == "auto" else asked.task
    method = str(default_values("method", task, "dvsr")[0]) if asked.method is None else asked.method
    scale = card(method).variant(asked.variant or card(method).variant_for(task).key).scale
    yield given(photo, task, images.load(asked.clean) if asked.clean else None, scale=scale, side=side)


def _photos(path: Path) -> Iterator[Photo]:
    if not path.is_dir():
        yield images.load(path)
        return
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
    if not files:
        raise SettingsError(
            f"{path} holds no pictures, so nothing can be swept. Choose a folder of clean photos."
        )
    yield from (images.load(file) for file in files)


def _folders(output: Path, names: Sequence[str]) -> list[Path]:
    """Where the points of each photo go: of several into a folder each, named after it and never shared."""
    found: list[Path] = []
    for name in names:
        same = sum(other.casefold() == name.casefold() for other in names[: len(found)])
        found.append(output / (f"{name} ({same + 1})" if same else name))
    return [output] if len(names) == 1 else found


def _agree(
    asked: argparse.Namespace,
    plan: Sequence[Request],
    subjects: Sequence[Subject],
    journals: Sequence[Journal],
    library: Library,
) -> None:
    """Tell the estimate; ask before a long sweep, where somebody is there to answer."""
    costs = [
        estimate(plan, subject, journal, library.timing, path=asked.path)
        for subject, journal in zip(subjects, journals, strict=True)
    ]
    whole = sum(costs[1:], costs[0])
    print(whole.sentence, file=sys.stderr)
    if not whole.large or asked.yes:
        return
    if not sys.stdin.isatty():
        raise SettingsError(
            f"{whole.sentence} That is long, so it is not begun without your word. Add --yes."
        )
    print("That is long. Begin? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise SettingsError("Nothing was begun. Name fewer values, or answer y.")


# --- the run ---------------------------------------------------------------------------------------------------


def _measure(
    asked: argparse.Namespace, plan: Sequence[Request], subject: Subject, journal: Journal, library: Library
) -> None:
    left = sum(map(len, missing(plan, journal, path=asked.path)))
    with tqdm(total=left, desc=subject.name, unit="point", disable=None, leave=False, file=sys.stderr) as bar:

        def watch(settings: Settings, frame: Frame) -> None:
            bar.set_postfix_str(f"{settings.method}, {frame.share:.0%}", refresh=False)

        for _ in run(plan, subject, journal, library.method, watch=watch, path=asked.path):
            bar.update()


def _tell(
    asked: argparse.Namespace,
    sweeps: Sequence[Sweep],
    subjects: Sequence[Subject],
    journals: Sequence[Journal],
) -> None:
    plan = requests(*sweeps)
    points = {point.key: point for point in _points(plan, subjects, journals)}
    presets = {journals[0].key(r.settings): r.preset for r in plan if r.preset is not None}
    scale = card(plan[0].settings.method).variant(plan[0].settings.variant).scale
    plane, found = plane_of(subjects[0], scale), tuple(points.values())
    record = as_json(found, plane, presets) | {"pictures": [subject.name for subject in subjects]}
    if asked.csv:
        export.write_whole(asked.output / "points.csv", as_csv(found, plane, presets).encode())
    export.write_whole(asked.output / "points.json", json.dumps(record, indent=1).encode())
    if asked.report:
        export.write_whole(asked.output / "report.html", as_page(found, plane, journals[0], presets).encode())
    if asked.json:
        print(json.dumps(record))
        return
    for sweep in sweeps:
        keys = (journals[0].key(request.settings) for request in requests(sweep))
        print(f"{as_table([points[key] for key in keys if key in points])}\n")
    print(plane.note, file=sys.stderr)


def _points(plan: Sequence[Request], subjects: Sequence[Subject], journals: Sequence[Journal]) -> list[Point]:
    """The points of one photo; of several their means, and how far their pictures are, as sets, from the clean ones."""
    sets = [[point for r in plan if (point := journal.get(r.settings))] for journal in journals]
    if len(sets) == 1:
        return sets[0]
    clean = [subject.clean for subject in subjects if subject.clean is not None]
    found = []
    for point in means(sets):
        results = [images.load(journal.folder / "pictures" / f"{point.key}.png").rgb for journal in journals]
        far = {
            "swd": sliced_wasserstein(results, clean),
            "kid": perceptual_kernel_distance(results, clean, paired=True),
        }
        found.append(replace(point, measures={**point.measures, **far}))
    return found


__all__ = ["add_parser"]
