"""Points on disk: one folder for one photo, so that a sweep can be stopped, and gone on with after a restart.

    sweep.json       whose folder this is: the photo's digest, name, task
    input.png        the damaged photo; clean.png beside it where there is one
    points.jsonl     one line a point, appended when it is measured
    pictures/        KEY.png, each with its settings inside

A line is written only when its picture is there. A line cut short by a crash is left out, and measured again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from restore_core import __version__, export
from restore_core.checkpoints import catalogue, checksums, files
from restore_core.errors import CheckpointError, SettingsError
from restore_core.methods import METHODS
from restore_core.settings import Settings
from restore_core.tradeoff.subject import Subject

HEADER, POINTS, PICTURES = "sweep.json", "points.jsonl", "pictures"
INPUT, CLEAN = "input.png", "clean.png"


@dataclass(frozen=True)
class Point:
    """One measured run. `measures` by metric key; `picture` is the file's name in the journal's folder."""

    key: str
    settings: Mapping[str, Any]
    measures: Mapping[str, float]
    seconds: float
    calls: int
    picture: str


def weights_of(settings: Settings) -> str:
    """SHA-256 of the weights' files, in the order of their roles."""
    weights = METHODS[settings.method].card.variant(settings.variant).weights
    records = (catalogue.record(weights[role]) for role in sorted(weights))
    return " ".join(checksums.sha256(files.locate(record), files.memory()) for record in records)


class Journal:
    """The points of one subject, in a folder that is made for it or was made for it before."""

    def __init__(self, folder: Path, subject: Subject):
        self.folder = folder
        export.make_folder(folder / PICTURES)
        self._open(subject)
        self._points = {point.key: point for point in self._read()}
        self._weights: dict[tuple[str, str], str] = {}

    def _open(self, subject: Subject) -> None:
        path = self.folder / HEADER
        if path.is_file():
            if _json(path).get("digest") != subject.digest:
                raise SettingsError(
                    f"The folder {self.folder.name} holds the sweep of another photo, another task or another size, "
                    "and points of two photos do not belong on one map. Choose another folder."
                )
            return
        export.save(subject.degraded, self.folder / INPUT)
        if subject.clean is not None:
            export.save(subject.clean, self.folder / CLEAN)
        header = {
            "stepback": __version__, "digest": subject.digest, "name": subject.name, "task": subject.task,
            "damage": None if subject.damage is None else dict(subject.damage),
        }  # fmt: skip
        export.write_whole(path, json.dumps(header, indent=1).encode())

    def _read(self) -> Iterator[Point]:
        path = self.folder / POINTS
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for line in lines:
            try:
                point = Point(**json.loads(line))
            except (ValueError, TypeError):
                continue  # cut short by a crash, or not ours
            if (self.folder / PICTURES / f"{point.key}.png").is_file():
                yield point

    def key(self, settings: Settings) -> str:
        """What tells one point from another: every setting, and the bytes of the weights."""
        which = settings.method, settings.variant
        if which not in self._weights:
            self._weights[which] = weights_of(settings)
        text = json.dumps([settings.to_json(), self._weights[which]], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def get(self, settings: Settings) -> Point | None:
        """The point of these settings, if it has been measured with these very weights."""
        return self._points.get(self.key(settings))

    def points(self) -> tuple[Point, ...]:
        """All that was measured with weights as they are now, in the order of measuring."""
        return tuple(point for point in self._points.values() if self._holds(point))

    def _holds(self, point: Point) -> bool:
        try:
            return self.key(Settings.from_json(point.settings)) == point.key
        except (SettingsError, CheckpointError, KeyError):
            return False

    def add(
        self, settings: Settings, result: Tensor, measures: Mapping[str, float], seconds: float, calls: int
    ) -> Point:
        """Keep a measured result: its picture first, then its line."""
        key = self.key(settings)
        name = f"{PICTURES}/{key}.png"
        record = {"stepback": __version__, "settings": settings.to_json(), "measures": dict(measures)}
        export.save(result, self.folder / name, settings=record)
        point = Point(key, settings.to_json(), dict(measures), round(seconds, 3), calls, name)
        export.append_line(self.folder / POINTS, json.dumps(asdict(point)))
        self._points[key] = point
        return point


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SettingsError(
            f"{path.name} in the folder {path.parent.name} does not say which photo its points are of. Choose another "
            "folder, or delete this one."
        )
    return found


class Shelf:
    """Journals under one root, found again by their photo; the longest unused make room. For the page."""

    def __init__(self, root: Path, *, keep: int = 40):
        self.root, self.keep = root, keep

    def journal(self, subject: Subject) -> Journal:
        """The subject's journal, with whatever was measured before."""
        folder = self.root / subject.digest[:24]
        found = Journal(folder, subject)
        os.utime(folder)
        self._make_room(folder)
        return found

    def forget(self, subject: Subject) -> None:
        """Delete all points of this photo."""
        shutil.rmtree(self.root / subject.digest[:24], ignore_errors=True)

    def _make_room(self, newest: Path) -> None:
        folders = sorted(
            (p for p in self.root.iterdir() if (p / HEADER).is_file()), key=lambda p: p.stat().st_mtime
        )
        for folder in folders[: max(0, len(folders) - self.keep)]:
            if folder != newest:
                shutil.rmtree(folder, ignore_errors=True)


def default_root() -> Path:
    """$STEPBACK_SWEEPS, or the user's cache folder."""
    named = os.environ.get("STEPBACK_SWEEPS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else cache / "stepback" / "sweeps"
