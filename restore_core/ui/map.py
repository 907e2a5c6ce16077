"""The map of distortion against perception: what the page draws, and which point somebody opened.

The browser's side is map.html, map.css and map.js. Its value is one JSON object that says everything there is to draw:

    points      {id, x, y, series, order, preset, label, told, cells}: places in units of the two measures; order along
                the series' line, None where a point is not of it
    series      names of the marks' kinds, in the order of their colours and shapes
    x, y        {label, unit, word, better, room}: word says what the better end means, room is the least margin
    frontier    ids from the best-looking to the truest
    walk        ids of the slider's positions, faithful to vivid;   positions: their words
    columns     heads of the table, whose rows are the points' cells
    run         whose map it is: another one closes what was open
    began       which press of the button drew it: with another one the map comes into view

A click, Enter or a row of the table triggers `select` with {id}, which comes from a browser and is checked against the
points that there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from restore_core.library import card
from restore_core.methods import METHODS
from restore_core.methods.base import PRESET_WORDS
from restore_core.metrics import METRICS, Metric
from restore_core.samplers import SAMPLERS
from restore_core.tradeoff import Plane, Point, frontier
from restore_core.tradeoff.report import columns, told
from restore_core.tradeoff.sweep import AXES, flattened, telling

MOST_SERIES = 8  # kinds of marks that can be told apart
ROOM = {"psnr": 0.05, "consistency": 0.1, "lpips": 0.004, "niqe": 0.1, "sharpness": 0.01}
USUAL = ("sampler", "spacing", "samples", "strength")  # not worth a word where they are what most points have
IN_WORDS = ("method", "steps", "eta", "noise", "samples")  # told first, in this order
NEVER_A_SERIES = ("seed", "precision", "tile", "overlap", "variant", "variance")
SHORT = {"steps": "steps", "samples": "samples", "eta": "eta", "noise": "noise", "strength": "start"}

Value = dict[str, Any]


def plane_map(*, elem_id: str) -> gr.HTML:
    """The component; empty at first."""
    return gr.HTML(
        None, html_template=_part("map.html"), css_template=_part("map.css"), js_on_load=_part("map.js"),
        apply_default_css=False, elem_id=elem_id,
    )  # fmt: skip


def map_value(points: Sequence[Point], plane: Plane, presets: Mapping[str, int], run: str = "") -> Value:
    """What the component shows for these points; `presets`: point key -> position on the slider."""
    there = [p for p in points if plane.x.key in p.measures and plane.y.key in p.measures]
    keys = [key for key in telling([p.settings for p in there]) if key not in NEVER_A_SERIES]
    usual = _usual(there)
    along, kinds = _split(there, keys, usual)
    measured = [key for key in columns(there) if key != "mse"]
    return {
        "points": [_point(p, plane, presets, along, kinds, keys, measured, usual) for p in there],
        "series": sorted(
            {_kind(p, kinds, usual) for p in there}, key=lambda kind: _rank(there, kinds, usual, kind)
        ),
        "x": _axis(plane.x, plane.x_word),
        "y": _axis(plane.y, plane.y_word),
        "frontier": list(frontier(there, plane)),
        "walk": _walk(there, presets),
        "positions": [f"Slider: {word}" for word, _ in PRESET_WORDS],
        "columns": ["Run", *(_head(key) for key in measured), "calls", "s"],
        "run": run,
    }


def _axis(metric: Metric, word: str) -> Value:
    return {
        "label": metric.label, "unit": metric.unit, "word": word, "better": metric.better,
        "room": ROOM.get(metric.key, 0.01),
    }  # fmt: skip


def _usual(points: Sequence[Point]) -> dict[str, Any]:
    """The value that most points have, for settings that are told only where they differ from it."""
    flat = [flattened(point.settings) for point in points]
    return {key: Counter(one.get(key) for one in flat).most_common(1)[0][0] for key in USUAL if flat}


def _split(
    points: Sequence[Point], keys: Sequence[str], usual: Mapping[str, Any]
) -> tuple[str | None, tuple[str, ...]]:
    """(what changes along a series, what tells series apart): the most varied number, and the method or the rest."""
    numeric = [key for key in keys if key in SHORT]
    along = numeric[0] if numeric else None
    kinds: tuple[str, ...] = ()
    for key in sorted((key for key in keys if key != along), key=lambda key: key != "method"):
        if len({_kind(point, (*kinds, key), usual) for point in points}) <= MOST_SERIES:
            kinds = (*kinds, key)
    return along, kinds


def _kind(point: Point, kinds: Sequence[str], usual: Mapping[str, Any]) -> str:
    return _in_words(flattened(point.settings), kinds, usual)


def _in_words(flat: Mapping[str, Any], keys: Sequence[str], usual: Mapping[str, Any]) -> str:
    worth = [key for key in keys if key not in usual or flat.get(key) != usual[key]]
    return ", ".join(part for key in sorted(worth, key=_rank_of_key) if (part := said(key, flat.get(key))))


def _rank_of_key(key: str) -> int:
    return IN_WORDS.index(key) if key in IN_WORDS else len(IN_WORDS)


def _rank(
    points: Sequence[Point], kinds: Sequence[str], usual: Mapping[str, Any], kind: str
) -> tuple[Any, ...]:
    """Series in the order of their values, the usual ones first."""
    flat = next(flattened(p.settings) for p in points if _kind(p, kinds, usual) == kind)
    odd = [key for key in kinds if key in usual and flat.get(key) != usual[key]]
    return len(odd), tuple(_place(key, flat.get(key)) for key in kinds if key not in usual)


def _place(key: str, value: Any) -> tuple[int, float, str]:
    """Methods in their own order, numbers by size, words by the alphabet."""
    if key == "method":
        return 0, list(METHODS).index(str(value)), ""
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))


def said(key: str, value: Any) -> str:
    """One setting in a few words."""
    if value is None:
        return ""
    if key == "method":
        return card(str(value)).title
    if key == "sampler":
        return SAMPLERS[str(value)].label if value in SAMPLERS else str(value)
    if key == "steps":
        return f"{value} step{'s' if value != 1 else ''}"
    if key == "samples":
        return f"mean of {value}" if value != 1 else "one sample"
    number = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{SHORT.get(key, AXES[key].label.lower() if key in AXES else key)} {number}"


def label_of(point: Point, keys: Sequence[str], usual: Mapping[str, Any]) -> str:
    """A run by what sets it apart."""
    flat = flattened(point.settings)
    return _in_words(flat, keys, usual) or said("steps", flat.get("steps"))


def _point(
    point: Point,
    plane: Plane,
    presets: Mapping[str, int],
    along: str | None,
    kinds: Sequence[str],
    keys: Sequence[str],
    measured: Sequence[str],
    usual: Mapping[str, Any],
) -> Value:
    flat, label = flattened(point.settings), label_of(point, keys, usual)
    odd = any(flat.get(key) != value for key, value in usual.items() if key != along)
    pair = [point.measures[metric.key] for metric in (plane.x, plane.y)]
    numbers = [told(key, point.measures.get(key)) for key in measured]
    units = [f" {metric.unit}" if metric.unit else "" for metric in (plane.x, plane.y)]
    shown = [told(metric.key, value) for metric, value in zip((plane.x, plane.y), pair, strict=True)]
    names = [_axis(metric, "")["label"] for metric in (plane.x, plane.y)]
    return {
        "id": point.key,
        "x": pair[0],
        "y": pair[1],
        "series": _kind(point, kinds, usual),
        "order": None if odd else flat.get(along) or 0,
        "preset": presets.get(point.key),
        "label": label,
        "told": ", ".join(f"{n} {s}{u}" for n, s, u in zip(names, shown, units, strict=True)),
        "cells": [label, *numbers, str(point.calls), f"{point.seconds:.1f}"],
    }


def _walk(points: Sequence[Point], presets: Mapping[str, int]) -> list[str]:
    """The five positions of one method in order; none where several methods have theirs."""
    own = [p for p in points if p.key in presets]
    if len({p.settings["method"] for p in own}) != 1:
        return []
    return [p.key for p in sorted(own, key=lambda p: presets[p.key])]


def _head(key: str) -> str:
    metric = METRICS.get(key)
    names = {"consistency": "Match dB", "path": "Path", "detour": "Detour"}
    return names.get(key, key) if metric is None else f"{metric.label.split(' (')[0]} {metric.unit}".strip()


def picked_id(data: Any) -> str | None:
    """The id that the browser sent, if it is a plausible one."""
    found = data.get("id") if isinstance(data, dict) else None
    return found if isinstance(found, str) and len(found) <= 32 else None


def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


__all__ = ["label_of", "map_value", "picked_id", "plane_map", "said"]
