"""How a part of the Learn tab reaches the page: a component from NAME.html and NAME.js, and its box for teachers."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

FOLDER = Path(__file__).parent
LATEX = [{"left": "$$", "right": "$$", "display": True}, {"left": "$", "right": "$", "display": False}]


@dataclass(frozen=True)
class Teaching:
    """The box "For teachers". `papers`: (what it is, address)."""

    ask: str
    see: str
    exercise: str
    papers: Sequence[tuple[str, str]]


def figure(name: str, *, server: Sequence[Callable[..., Any]] = ()) -> gr.HTML:
    """The component of NAME.html; its script is plot.js and NAME.js. It answers to `value`, a dict."""
    script = "\n".join((FOLDER / f"{part}.js").read_text(encoding="utf-8") for part in ("plot", name))
    return gr.HTML(
        html_template=(FOLDER / f"{name}.html").read_text(encoding="utf-8"),
        js_on_load=script,
        server_functions=list(server),
        apply_default_css=False,
        elem_id=f"learn-{name}",
    )


def formula(text: str, elem_id: str) -> gr.Markdown:
    """Markdown with formulas, drawn by the KaTeX that comes with the page."""
    return gr.Markdown(text, latex_delimiters=LATEX, elem_id=elem_id, elem_classes=["learn-formula"])


def heading(number: int, title: str, plainly: str) -> gr.HTML:
    """A part's title and what it says in plain words."""
    return gr.HTML(
        f'<header class="learn-heading"><h2><span>{number}</span>{html.escape(title)}</h2><p>{plainly}</p></header>',
        apply_default_css=False,
    )


def teachers(box: Teaching) -> gr.HTML:
    """The box, folded."""
    links = ", ".join(
        f'<a href="{html.escape(url)}" target="_blank" rel="noopener noreferrer">{html.escape(name)}</a>'
        for name, url in box.papers
    )
    return gr.HTML(
        '<details class="learn-teachers"><summary>For teachers</summary><dl>'
        f"<div><dt>Ask</dt><dd>{html.escape(box.ask)}</dd></div>"
        f"<div><dt>What there is to see</dt><dd>{html.escape(box.see)}</dd></div>"
        f"<div><dt>Three minutes</dt><dd>{html.escape(box.exercise)}</dd></div>"
        f"<div><dt>Read</dt><dd>{links}</dd></div></dl></details>",
        apply_default_css=False,
    )
