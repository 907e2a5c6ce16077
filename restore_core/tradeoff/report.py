"""Measured points in order: the frontier, tables, CSV and JSON, and means over the pictures of a set."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from restore_core import export, images
from restore_core.metrics import METRICS, Metric
from restore_core.tradeoff.journal import CLEAN, INPUT, Journal, Point
from restore_core.tradeoff.measures import Plane
from restore_core.tradeoff.sweep import flattened, telling

ORDER = ("psnr", "mse", "ssim", "lpips", "consistency", "niqe", "sharpness", "path", "detour", "swd", "kid")
PAGE_SIDE = 384  # px of a picture on the page
DIGITS = {"psnr": 2, "consistency": 2, "niqe": 2, "mse": 6, "detour": 2, "swd": 1, "kid": 2}


def frontier(points: Sequence[Point], plane: Plane) -> tuple[str, ...]:
    """Keys of the points that no other beats in both measures, from the best-looking to the truest."""
    signs = [1 if metric.better == "higher" else -1 for metric in (plane.x, plane.y)]
    places = sorted(
        (
            (signs[0] * point.measures[plane.x.key], signs[1] * point.measures[plane.y.key], point.key)
            for point in points
            if plane.x.key in point.measures and plane.y.key in point.measures
        ),
        reverse=True,
    )
    found, best = [], float("-inf")
    for _, y, key in places:
        if y > best:
            found.append(key)
            best = y
    return tuple(reversed(found))


def columns(points: Sequence[Point]) -> tuple[str, ...]:
    """The measures that the points have, in a fixed order."""
    there = {key for point in points for key in point.measures}
    return tuple([key for key in ORDER if key in there] + sorted(there - set(ORDER)))


def rows(
    points: Sequence[Point], plane: Plane, presets: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """One flat dict a point: settings, measures, cost, whether it is on the frontier, position on the slider."""
    best = set(frontier(points, plane))
    found = []
    for point in points:
        row = {"key": point.key, **flattened(point.settings)}
        row |= {key: point.measures.get(key) for key in columns(points)}
        row |= {"seconds": point.seconds, "calls": point.calls, "frontier": point.key in best}
        row |= {"preset": (presets or {}).get(point.key), "picture": point.picture}
        found.append(row)
    return found


def as_csv(points: Sequence[Point], plane: Plane, presets: Mapping[str, int] | None = None) -> str:
    """The rows as CSV with a line of names; empty where a point has no such setting."""
    table = rows(points, plane, presets)
    names = list(dict.fromkeys(name for row in table for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in table)
    return out.getvalue()


def as_json(
    points: Sequence[Point], plane: Plane, presets: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The two axes and the rows, ready for JSON."""
    axes = {
        name: {"key": metric.key, "label": metric.label, "unit": metric.unit, "better": metric.better}
        for name, metric in (("x", plane.x), ("y", plane.y))
    }
    return {"axes": axes, "note": plane.note, "points": rows(points, plane, presets)}


def as_table(points: Sequence[Point]) -> str:
    """A Markdown table of what differs between the points, and their measures."""
    keys = [key for key in telling([point.settings for point in points]) if key != "variant"] or ["steps"]
    keys.sort(key=lambda key: key != "method")
    measured = columns(points)
    heads = [*keys, *(_head(key) for key in measured), "calls", "s"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for point in points:
        flat = flattened(point.settings)
        cells = [_cell(flat.get(key)) for key in keys]
        cells += [told(key, point.measures.get(key)) for key in measured]
        lines.append("| " + " | ".join([*cells, str(point.calls), f"{point.seconds:.1f}"]) + " |")
    return "\n".join(lines)


OTHER_HEADS = {
    "mse": "MSE (lower is better)",
    "consistency": "Consistency dB (higher is better)",
    "path": "Path length, LPIPS",
    "detour": "Detour",
    "swd": "SWD x1000 (lower is better)",
    "kid": "KID on LPIPS features x1000 (lower is better)",
}


def _head(key: str) -> str:
    metric: Metric | None = METRICS.get(key)
    if metric is None:
        return OTHER_HEADS.get(key, key)
    return f"{metric.label}{f' {metric.unit}' if metric.unit else ''} ({metric.better} is better)"


def told(key: str, value: float | None) -> str:
    """A measure with as many digits as mean something."""
    return "" if value is None else f"{value:.{DIGITS.get(key, 4)}f}"


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def as_page(
    points: Sequence[Point], plane: Plane, journal: Journal, presets: Mapping[str, int] | None = None
) -> str:
    """One page of HTML that opens offline: the map, every run with its picture and settings, the rows as JSON."""
    keys = [key for key in telling([point.settings for point in points]) if key != "variant"] or ["steps"]
    heads = [_head(key).split(" (")[0] for key in columns(points)]
    runs = []
    for point in points:
        flat = flattened(point.settings)
        shown = images.to_uint8(images.shrink_to(images.load(journal.folder / point.picture).rgb, PAGE_SIDE))
        numbers = dict(zip(heads, (point.measures.get(key) for key in columns(points)), strict=True))
        name = ", ".join(f"{key} {_cell(flat[key])}" for key in keys if flat.get(key) is not None)
        runs.append(
            export.Measured(name, numbers, export.encode_jpeg(shown, 88), str(flat["method"]), point.settings)
        )
    others = [(journal.folder / INPUT, "The photo"), (journal.folder / CLEAN, "The clean picture")]
    return export.runs_report(
        "The tradeoff between truth and looks",
        runs,
        axes=(_head(plane.x.key).split(" (")[0], _head(plane.y.key).split(" (")[0]),
        record=as_json(points, plane, presets),
        notes=(plane.note,),
        others=[(path.read_bytes(), word) for path, word in others if path.is_file()],
    )


def means(sets: Sequence[Sequence[Point]]) -> list[Point]:
    """Points that every picture's sweep has, with the mean of their measures, seconds and calls."""
    by_key = [{point.key: point for point in points} for points in sets]
    found = []
    for key, first in by_key[0].items() if by_key else ():
        same = [points[key] for points in by_key if key in points]
        if len(same) < len(by_key):
            continue
        measures = {
            name: sum(point.measures[name] for point in same) / len(same)
            for name in first.measures
            if all(name in point.measures for point in same)
        }
        seconds = sum(point.seconds for point in same) / len(same)
        found.append(Point(key, first.settings, measures, seconds, first.calls, ""))
    return found
