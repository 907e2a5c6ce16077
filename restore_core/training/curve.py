"""The curves of a training run as one small SVG: every loss, and the held-out PSNR above its input's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Point = tuple[float, float]

WIDTH, HEIGHT, GAP, LEFT, TOP = 640, 150, 40, 60, 24
NOT_LOSSES = frozenset({"update", "seconds", "rate", "psnr", "psnr_input", "sd"})
SMOOTH = 10  # reports that a drawn loss is the mean of


def draw(log: Sequence[Mapping[str, float | None]]) -> str:
    """An SVG of a log's rows, each with `update`, losses by name and now and then `psnr` and `psnr_input` in dB."""
    names = [name for name in dict.fromkeys(key for row in log for key in row) if name not in NOT_LOSSES]
    panels = [(name, [_smoothed(_points(log, name))]) for name in names]
    panels.append(("held-out PSNR, dB (below: the input's)", [_points(log, "psnr"), _points(log, "psnr_input")]))
    panels = [(name, lines) for name, lines in panels if any(lines)]
    height = len(panels) * (HEIGHT + GAP) + TOP
    drawn = "".join(_panel(name, lines, TOP + k * (HEIGHT + GAP)) for k, (name, lines) in enumerate(panels))
    style = "text{font:11px sans-serif;fill:#555}path{fill:none;stroke:#2563a8;stroke-width:1.5}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"><style>{style}</style>'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>{drawn}</svg>\n'
    )


def _points(log: Sequence[Mapping[str, float | None]], name: str) -> list[Point]:
    return [(row["update"], row[name]) for row in log if row.get(name) is not None]


def _smoothed(points: list[Point]) -> list[Point]:
    """Each value as the mean of the last SMOOTH ones."""
    values = [value for _, value in points]
    window = lambda k: values[max(0, k + 1 - SMOOTH) : k + 1]  # noqa: E731
    return [(x, sum(window(k)) / len(window(k))) for k, (x, _) in enumerate(points)]


def _panel(name: str, lines: list[list[Point]], top: int) -> str:
    xs, ys = zip(*(point for line in lines for point in line if math.isfinite(point[1])), strict=True)
    low, high, last = min(ys), max(ys), max(xs)
    spread = (high - low) or 1.0

    def place(point: Point) -> str:
        x = LEFT + (WIDTH - LEFT - 20) * point[0] / (last or 1)
        return f"{x:.1f},{top + HEIGHT * (1 - (point[1] - low) / spread):.1f}"

    traces = [" L".join(place(p) for p in line if math.isfinite(p[1])) for line in lines if line]
    paths = "".join(f'<path d="M{trace}"/>' for trace in traces)
    texts = ((LEFT, top - 8, name), (4, top + 10, f"{high:.4g}"), (4, top + HEIGHT, f"{low:.4g}"))
    marks = "".join(f'<text x="{x}" y="{y}">{text}</text>' for x, y, text in texts)
    axis = f'<path d="M{LEFT},{top} V{top + HEIGHT} H{WIDTH - 20}" style="stroke:#ccc"/>'
    end = f'<text x="{WIDTH - 20}" y="{top + HEIGHT + 14}" text-anchor="end">{last:,.0f} updates</text>'
    return axis + paths + marks + end


__all__ = ["draw"]
