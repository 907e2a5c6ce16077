"""From one tab to another: a picture, the clean picture it was made of, and settings go along.

A tab's object may have

    photo        gr.Image (filepath) where a picture comes in, or a gr.State of its path
    clean        gr.State: path of the clean picture that goes with it, for measuring; None without one
    incoming     gr.State: settings that another tab sent, as JSON text
    sends        Sends: its buttons that lead elsewhere
    entered      what happens each time the tab is opened: (handler, inputs, outputs)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block


@dataclass(frozen=True)
class Send:
    """A button that opens the tab `to`. What goes along is the value of a component; None: left as it is there."""

    button: gr.Button
    to: str
    photo: Block | None = None
    clean: Block | None = None
    settings: Block | None = None


def wire(tabs: gr.Tabs, filled: Mapping[str, Any]) -> None:
    """Connect every tab's `sends`. A button whose tab is not on this page stays hidden."""
    for tab in filled.values():
        for send in getattr(tab, "sends", ()):
            if send.to in filled:
                _wire(tabs, send, filled[send.to])
            else:
                send.button.visible = False


def wire_entry(shown: gr.Tab, filled: Any) -> None:
    """Call the tab's `entered`, where it has one, each time it is opened."""
    if hasattr(filled, "entered"):
        handler, inputs, outputs = filled.entered
        shown.select(handler, inputs, outputs, queue=False, show_progress="hidden", api_visibility="private")


def _wire(tabs: gr.Tabs, send: Send, target: Any) -> None:
    pairs = [(send.photo, "photo"), (send.clean, "clean"), (send.settings, "incoming")]
    there = [(source, getattr(target, name, None)) for source, name in pairs if source is not None]
    there = [(source, goal) for source, goal in there if goal is not None]

    def go(*values: Any) -> list[Any]:
        return [gr.Tabs(selected=send.to), *values]

    send.button.click(  # queued: of an event beside the queue the page does not hear which states it changed
        go, [source for source, _ in there], [tabs, *(goal for _, goal in there)], show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip


__all__ = ["Send", "wire", "wire_entry"]
