"""One page of HTML with everything inside: text, tables, pictures, a film, a map of points. It opens offline.

    Page(title, blocks) -> render(page) -> str

All text is escaped here; pictures are JPEG or PNG bytes. page.css and page.js, the film's slider, are put inside.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MARKS = ("circle", "square", "diamond", "triangle")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito 2008
WIDTH, HEIGHT, LEFT, BELOW = 640, 420, 64, 52


@dataclass(frozen=True)
class Text:
    """Paragraphs under a heading; either may be empty."""

    heading: str = ""
    paragraphs: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Picture:
    """Encoded bytes and what stands under them; `anchor` names it for links."""

    data: bytes
    caption: str
    anchor: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures beside each other."""

    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Film:
    """Moments of a run: a slider shows one after the other."""

    moments: Sequence[Picture]


@dataclass(frozen=True)
class Point:
    """One measured run on a map; `series` gives it its colour and mark, `anchor` the picture it leads to."""

    x: float
    y: float
    label: str
    series: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Map:
    """Points over two axes, each axis with its name and direction in words."""

    points: Sequence[Point]
    x_label: str
    y_label: str


@dataclass(frozen=True)
class Folded:
    """Text kept behind a heading, letter by letter: settings."""

    heading: str
    text: str


Block = Text | Table | Facts | Gallery | Film | Map | Folded


@dataclass(frozen=True)
class Page:
    """A title and blocks in reading order."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def render(page: Page) -> str:
    """The page as one HTML document."""
    style, script = (Path(__file__).with_name(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    body = "\n".join(_RENDER[type(block)](block) for block in page.blocks)
    title = html.escape(page.title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>\n'
        f"<body><main><h1>{title}</h1>\n{body}\n</main><script>{script}</script></body></html>\n"
    )


def _text(block: Text) -> str:
    heading = f"<h2>{html.escape(block.heading)}</h2>" if block.heading else ""
    return heading + "".join(f"<p>{html.escape(p)}</p>" for p in block.paragraphs)


def _table(block: Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in block.head)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in block.rows
    )
    note = f"<p class=note>{html.escape(block.note)}</p>" if block.note else ""
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{note}"


def _facts(block: Facts) -> str:
    pair = "<div><dt>{}</dt><dd>{}</dd></div>"
    pairs = "".join(pair.format(html.escape(name), html.escape(value)) for name, value in block.pairs)
    return f"<dl>{pairs}</dl>"


def _figure(picture: Picture) -> str:
    anchor = f' id="{html.escape(picture.anchor)}"' if picture.anchor else ""
    caption = html.escape(picture.caption)
    return f'<figure{anchor}><img src="{uri(picture.data)}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def uri(data: bytes) -> str:
    """PNG or JPEG bytes as an address that needs no file."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")


def _gallery(block: Gallery) -> str:
    return f"<div class=gallery>{''.join(map(_figure, block.pictures))}</div>"


def _film(block: Film) -> str:
    if not block.moments:
        return ""
    last = len(block.moments) - 1
    figures = "".join(map(_figure, block.moments))
    return (
        f"<div class=film><div class=moments>{figures}</div>"
        f'<label>Moment <input type="range" min="0" max="{last}" value="{last}"></label></div>'
    )


def _folded(block: Folded) -> str:
    return f"<details><summary>{html.escape(block.heading)}</summary><pre>{html.escape(block.text)}</pre></details>"


def _map(block: Map) -> str:
    """SVG: grid lines at round numbers, a mark and a title for each point, a legend of the series."""
    points = [p for p in block.points if math.isfinite(p.x) and math.isfinite(p.y)]
    if not points:
        return ""
    x_ticks, y_ticks = (ticks([getattr(p, axis) for p in points]) for axis in ("x", "y"))
    across, up = _scale(x_ticks, LEFT, WIDTH - 16), _scale(y_ticks, HEIGHT - BELOW, 16)
    series = list(dict.fromkeys(p.series for p in points))
    lines = [_line(across(v), 16, across(v), HEIGHT - BELOW) for v in x_ticks]
    lines += [_line(LEFT, up(v), WIDTH - 16, up(v)) for v in y_ticks]
    words = [_word(across(v), HEIGHT - BELOW + 18, f"{v:g}") for v in x_ticks]
    words += [_word(LEFT - 8, up(v) + 4, f"{v:g}", "end") for v in y_ticks]
    words.append(_word((LEFT + WIDTH) / 2, HEIGHT - 8, block.x_label))
    words.append(f'<g transform="translate(14 {HEIGHT / 2 - 20}) rotate(-90)">{_word(0, 0, block.y_label)}</g>')
    marks = [_mark(p, across(p.x), up(p.y), series.index(p.series)) for p in points]
    legend = "".join(f"<li>{_legend(k)}{html.escape(name)}</li>" for k, name in enumerate(series) if name)
    label = html.escape(f"{block.y_label} against {block.x_label}")
    return (
        f'<svg class=map viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(lines)}{''.join(words)}{''.join(marks)}</svg><ul class=legend>{legend}</ul>"
    )


def ticks(values: Sequence[float], about: int = 5) -> list[float]:
    """Round numbers that enclose the values: steps of 1, 2 or 5 times a power of ten."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    size = 10.0 ** math.floor(math.log10(span / about))
    step = size * next(m for m in (1, 2, 5, 10) if m * size >= span / about)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(k * step, 12) for k in range(first, max(last, first + 1) + 1)]


def _scale(marks: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    return lambda value: round(start + (value - marks[0]) / (marks[-1] - marks[0]) * (end - start), 2)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _word(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _shape(kind: str, x: float, y: float, r: float = 6) -> str:
    if kind == "circle":
        return f'<circle cx="{x}" cy="{y}" r="{r}"/>'
    corners: Mapping[str, Sequence[tuple[float, float]]] = {
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        "triangle": ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
    }
    path = " ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in corners[kind])
    return f'<polygon points="{path}"/>'


def _mark(point: Point, x: float, y: float, k: int) -> str:
    shape = _shape(MARKS[k % len(MARKS)], x, y)
    drawn = f'<g fill="{COLOURS[k % len(COLOURS)]}"><title>{html.escape(point.label)}</title>{shape}</g>'
    return f'<a href="#{html.escape(point.anchor)}">{drawn}</a>' if point.anchor else drawn


def _legend(k: int) -> str:
    shape = _shape(MARKS[k % len(MARKS)], 8, 8)
    return f'<svg width="16" height="16" fill="{COLOURS[k % len(COLOURS)]}" aria-hidden="true">{shape}</svg> '


_RENDER: Mapping[type, Callable[..., str]] = {
    Text: _text, Table: _table, Facts: _facts, Gallery: _gallery, Film: _film, Map: _map, Folded: _folded,
}  # fmt: skip
