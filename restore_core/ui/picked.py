"""The point that is open: its picture beside the input and the clean one, its settings, what was measured."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from restore_core import export, images
from restore_core.comparison import COLUMNS
from restore_core.images import to_uint8
from restore_core.methods.base import PRESET_WORDS
from restore_core.metrics import METRICS
from restore_core.samplers import GRID_LABELS
from restore_core.tradeoff import Point, frontier
from restore_core.tradeoff.report import columns, told
from restore_core.tradeoff.sweep import flattened
from restore_core.ui.map import said
from restore_core.ui.planning import Board

LARGEST = 768  # px of the long side; the file is downloaded whole
QUALITY = 92
FAITHFUL = COLUMNS["consistency"].label
TOLD = ("method", "sampler", "steps", "spacing", "eta", "noise", "samples", "strength", "seed")
LABELS = {
    "method": "Method",
    "sampler": "Way of stepping",
    "steps": "Steps",
    "spacing": "Time grid",
    "eta": "Randomness (eta)",
    "noise": "Noise",
    "samples": "Samples averaged",
    "strength": "Starting noise",
    "seed": "Variation",
}
HINT = (
    '<div class="open-hint"><strong>Open a point</strong><span>Click a mark, or move to it with Tab and press Enter: '
    "its picture and its settings appear here.</span></div>"
)


def opened(board: Board, point: Point) -> str:
    """HTML of the panel."""
    best = point.key in frontier(board.points, board.plane)
    preset = board.presets.get(point.key)
    chips = [
        "On the frontier" if best else "",
        "" if preset is None else f"Slider: {PRESET_WORDS[preset][0]}",
    ]
    shown = "".join(f'<span class="chip">{html.escape(chip)}</span>' for chip in chips if chip)
    return f"{_pictures(board, point)}<p class='chips'>{shown}</p>{_measures(board, point)}{_settings(point)}"


def _pictures(board: Board, point: Point) -> str:
    """Three views in one frame, of which a radio shows one; without the clean picture two."""
    result = images.load(board.journal.folder / point.picture).rgb
    views: list[tuple[str, str, torch.Tensor]] = [("result", "Result", result)]
    views.append(
        ("input", "Your photo", images.resize(board.subject.degraded, result.shape[-2:]).clamp(0, 1))
    )
    if board.subject.clean is not None:
        views.append(("truth", "Clean", board.subject.clean))
    inputs = "".join(
        f'<input type="radio" name="opened-view" id="opened-{key}"{" checked" if key == "result" else ""}>'
        f'<label for="opened-{key}">{word}</label>'
        for key, word, _ in views
    )
    figures = "".join(f'<img class="{key}" alt="{word}" src="{_uri(image)}">' for key, word, image in views)
    return f'<div class="views">{inputs}<div class="frame">{figures}</div></div>'


def _uri(image: torch.Tensor) -> str:
    k = -(-max(image.shape[-2:]) // LARGEST)
    small = F.avg_pool2d(image, k) if k > 1 else image
    return "data:image/jpeg;base64," + base64.b64encode(export.encode_jpeg(to_uint8(small), QUALITY)).decode()


def _measures(board: Board, point: Point) -> str:
    rows = []
    for key in columns([point]):
        metric = METRICS.get(key)
        label = metric.label if metric else {"consistency": FAITHFUL, "mse": "MSE"}.get(key, key)
        unit = (metric.unit if metric else {"consistency": "dB"}.get(key, "")) or ""
        better = metric.better if metric else {"consistency": "higher"}.get(key, "lower")
        rows.append((label, f"{told(key, point.measures[key])} {unit}".strip(), f"{better} is better"))
    body = "".join(
        f"<tr><th scope='row'>{html.escape(a)}</th><td>{html.escape(b)}</td><td class='way'>{c}</td></tr>"
        for a, b, c in rows
    )
    return f"<table class='measured'>{body}</table>"


def _settings(point: Point) -> str:
    flat = flattened(point.settings)
    pairs: list[tuple[str, str]] = [
        (LABELS[key], _value(key, flat[key])) for key in TOLD if flat.get(key) is not None
    ]
    pairs += [("Network calls", str(point.calls)), ("Time", f"{point.seconds:.1f} s")]
    return _list(pairs)


def _value(key: str, value: object) -> str:
    if key in ("method", "sampler"):
        return said(key, value)
    if key == "spacing":
        return GRID_LABELS.get(str(value), str(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _list(pairs: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in pairs)
    return f'<dl class="facts">{rows}</dl>'


__all__ = ["HINT", "opened"]
