"""What a report says: of one run, of a comparison, of a sweep. `page` makes it HTML."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restore_core.export.page import (
    Facts,
    Film,
    Folded,
    Gallery,
    Map,
    Page,
    Picture,
    Point,
    Table,
    Text,
    render,
)
from restore_core.export.writing import write_whole

INVENTED = "Detail that the photo did not hold is drawn by the network: it looks right and may be wrong."


@dataclass(frozen=True)
class Measured:
    """One run of a sweep or comparison: its name, its numbers by name (with units), its picture, its settings."""

    name: str
    numbers: Mapping[str, float | str | None]
    picture: bytes = b""
    series: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def run_report(
    record: Mapping[str, Any],
    *,
    before: bytes,
    after: bytes,
    facts: Sequence[tuple[str, str]] = (),
    moments: Sequence[tuple[bytes, str]] = (),
    notes: Sequence[str] = (),
) -> str:
    """One restoration. record as job.Job.record makes it; pictures as JPEG or PNG, moments with their captions."""
    settings, name = record.get("settings", {}), record.get("input", {}).get("name") or "a photo"
    film = [Text("How it came about"), Film([Picture(*m) for m in moments])] if moments else []
    return render(
        Page(
            f"Restoration of {name}",
            [
                Text("", (*notes, INVENTED)),
                Gallery([Picture(before, "Before"), Picture(after, "After")]),
                Facts(list((dict(_spoken(settings)) | dict(facts)).items())),
                *film,
                Folded("Settings, as they can be read back", _json(record)),
            ],
        )
    )


def runs_report(
    title: str,
    runs: Sequence[Measured],
    *,
    axes: tuple[str, str] | None = None,
    record: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    others: Sequence[tuple[bytes, str]] = (),
) -> str:
    """Several runs: a comparison, or a sweep with its map over the two numbers named in `axes`.

    others   pictures beside the runs': the photo, the clean picture, each with its caption
    """
    heads = list(dict.fromkeys(key for run in runs for key in run.numbers))
    rows = [(run.name, *(_number(run.numbers.get(key)) for key in heads)) for run in runs]
    shown = [Picture(run.picture, run.name, f"run-{k}") for k, run in enumerate(runs) if run.picture]
    plot = [Map(_points(runs, axes), *axes)] if axes else []
    return render(
        Page(
            title,
            [
                Text("", (*notes, INVENTED)),
                *plot,
                Table(("", *heads), rows),
                Gallery([*(Picture(*other) for other in others), *shown]),
                Folded("Settings, as they can be read back", _json(record or {r.name: dict(r.settings) for r in runs})),
            ],
        )
    )


def save_report(text: str, path: str | os.PathLike[str]) -> None:
    """Write the page."""
    write_whole(Path(path), text.encode("utf-8"))


def _points(runs: Sequence[Measured], axes: tuple[str, str]) -> list[Point]:
    found = []
    for k, run in enumerate(runs):
        x, y = (run.numbers.get(axis) for axis in axes)
        if isinstance(x, int | float) and isinstance(y, int | float):
            found.append(Point(x, y, run.name, run.series, f"run-{k}" if run.picture else ""))
    return found


def _spoken(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings as rows; what is left at nothing is left out."""
    flat = {key: value for key, value in settings.items() if key != "options"} | dict(settings.get("options", {}))
    return [(key.capitalize(), _number(value)) for key, value in flat.items() if value is not None]


def _number(value: float | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=1)


__all__ = ["Measured", "run_report", "runs_report", "save_report"]
