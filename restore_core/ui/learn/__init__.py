"""The Learn tab: five parts, each with controls that change the picture at once. One part, one file.

    choice      the picture and its damage, which all parts share
    forward     one formula for five methods
    back        a real run, step by step, with the numbers in the sampler's formula
    chance      randomness, and few steps against many
    both        you cannot have both: averages, regression, one step
    network     the U-Net's real shapes, and what a noise level tells it

A part is worked out when its chapter is opened, and again when the picture or one of its controls changes; what was
worked out once for a picture and a setting is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from restore_core.ui import widgets
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.learn import back, both, chance, choice, forward, network
from restore_core.ui.learn.stage import Stage
from restore_core.ui.links import Send

QUICK = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
    "trigger_mode": "always_last",
}
WORKING = QUICK | {
    "queue": True,
    "show_progress": "minimal",
    "concurrency_id": "learn",
    "concurrency_limit": 4,
}
CHAPTERS: tuple[tuple[str, str, Any], ...] = (
    ("forward", "1 Forward", forward),
    ("back", "2 Going back", back),
    ("chance", "3 Chance and steps", chance),
    ("both", "4 Not both", both),
    ("network", "5 The network", network),
)


@dataclass(frozen=True)
class Tab:
    """The tab's components. `photo`: what another tab sends; `sends`: the damaged picture goes on to Restore."""

    stage: Stage
    scene: gr.State
    chapter: gr.State
    message: gr.HTML
    photo: gr.State
    sends: tuple[Send, ...]
    parts: dict[str, tuple[Any, ...]] = field(default_factory=dict)


def answer(part: Any, own: str) -> Callable[..., list[Any]]:
    """The handler of one part of the chapter `own`: what it shows and no message, or the sentence why not."""

    def show(chapter: str, scene: str, *controls: Any) -> list[Any]:
        skipped = [gr.skip()] * len(outputs_of(part))
        if chapter != own:
            return [*skipped, gr.skip()]
        try:
            given = part.show(scene, *controls)
        except Exception as error:  # whatever happens, the page gets a sentence and stays usable
            return [*skipped, widgets.text(sentence(error), "error")]
        return [*(given if isinstance(given, list) else [given]), gr.skip()]

    return show


def outputs_of(part: Any) -> list[Any]:
    """What a part's show() fills: its figure, and its formulas where it has some."""
    return [part.figure, *getattr(part, "more", ())]


def fill(desk: Desk) -> Tab:
    """Lay the tab out and wire it."""
    stage = Stage(desk)
    picked = choice.fill(stage)
    message = widgets.announcement("learn-message")
    sends = (Send(picked.on, "restore", photo=picked.damaged),)
    tab = Tab(stage, picked.scene, gr.State("forward"), message, picked.sent, sends)
    chapters = {}
    with gr.Tabs(elem_id="learn-chapters", elem_classes=["learn-chapters"]):
        for key, title, module in CHAPTERS:
            with gr.Tab(title, id=f"learn-{key}", elem_id=f"learn-chapter-{key}") as chapters[key]:
                tab.parts[key] = module.fill(stage)
    moved = picked.wire(message)
    for key, chapter in chapters.items():
        opened = chapter.select(lambda key=key: key, None, tab.chapter, **QUICK)
        for part in tab.parts[key]:
            _wire(tab, key, part, [opened, *moved])
    return tab


def _wire(tab: Tab, key: str, part: Any, after: Sequence[Any]) -> None:
    """A part answers after its chapter was opened or the scene changed, and when one of its controls is moved."""
    controls = list(getattr(part, "controls", ()))
    how = {
        "fn": answer(part, key), "inputs": [tab.chapter, tab.scene, *controls],
        "outputs": [*outputs_of(part), tab.message],
    }  # fmt: skip
    for event in after:
        event.then(**how, **WORKING)
    if key == CHAPTERS[0][0]:
        part.figure.load(**how, **WORKING)
    for control in controls:
        control.input(**how, **WORKING)  # not release: a slider that is moved by keyboard has none


__all__ = ["CHAPTERS", "Tab", "fill"]
