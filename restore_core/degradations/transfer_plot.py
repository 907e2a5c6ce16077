"""The photon transfer plot as SVG: variance over mean, a line and points for each channel."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from restore_core.degradations.calibrate import Calibration, Line

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 74, 16, 18, 46
COLOURS = {"R": "#d55e00", "G": "#009e73", "B": "#0072b2"}  # Okabe and Ito's, told apart by shape too
SHAPES = {"R": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0", "G": "M0-4L3.6 2.6H-3.6Z", "B": "M-2.9-2.9h5.8v5.8h-5.8Z"}


def plot(calibration: Calibration) -> str:
    """An <svg> that takes its text colour from the page, and reads without it too."""
    lines = calibration.lines
    right = max(m for line in lines.values() for m, _ in line.points)
    top = 1.1 * max(max(v for _, v in line.points) for line in lines.values())
    x = _scale(0, right * 1.03, LEFT, WIDTH - RIGHT)
    y = _scale(0, top, HEIGHT - BOTTOM, TOP)
    parts = [*_axes(ticks(right), ticks(top), x, y), *(_channel(n, line, right, x, y) for n, line in lines.items())]
    parts += [_legend(k, name) for k, name in enumerate(lines)]
    told = "; ".join(f"{name}: K {line.k:.3g}, sigma {line.sigma:.3g}" for name, line in lines.items())
    return (
        f'<svg class="transfer" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Variance over mean. {told}" '
        f'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
        f"{''.join(parts)}</svg>"
    )


def ticks(high: float, about: int = 5) -> list[float]:
    """Round numbers from 0 to `high`, about so many."""
    raw = high / about
    power = 10 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999) if raw > 0 else 1.0
    return [step * i for i in range(int(high / step * 1.0001) + 1)]


def _scale(low: float, high: float, start: float, end: float):
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _axes(across: Sequence[float], up: Sequence[float], x, y) -> list[str]:
    middle, foot = (LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM
    found = [f'<path d="M{LEFT} {TOP}V{foot}H{WIDTH - RIGHT}" fill="none" stroke="currentColor" opacity=".5"/>']
    for value in across:
        found.append(f'<text x="{x(value):.1f}" y="{foot + 17}" text-anchor="middle">{value:.3g}</text>')
    for value in up:
        found.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="currentColor" opacity=".13"/>')
        found.append(f'<text x="{LEFT - 7}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    found.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">mean (white is 1)</text>')
    side = f'transform="translate(13 {(TOP + foot) / 2}) rotate(-90)"'
    return [*found, f'<text {side} text-anchor="middle">variance of the noise</text>']


def _channel(name: str, line: Line, right: float, x, y) -> str:
    colour, shape = COLOURS.get(name[:1], "currentColor"), SHAPES.get(name[:1], SHAPES["R"])
    marks = "".join(f'<path transform="translate({x(m):.1f} {y(v):.1f})" d="{shape}"/>' for m, v in line.points)
    ends = f"M{x(0):.1f} {y(line.sigma**2):.1f}L{x(right):.1f} {y(line.sigma**2 + line.k * right):.1f}"
    return f'<g fill="{colour}" fill-opacity=".55">{marks}</g><path d="{ends}" stroke="{colour}" stroke-width="2"/>'


def _legend(k: int, name: str) -> str:
    colour, shape = COLOURS.get(name[:1], "currentColor"), SHAPES.get(name[:1], SHAPES["R"])
    place = f'transform="translate({LEFT + 16 + 48 * k} {TOP + 8})"'
    return f'<g {place}><path d="{shape}" fill="{colour}"/><text x="9" y="4">{html.escape(name)}</text></g>'
