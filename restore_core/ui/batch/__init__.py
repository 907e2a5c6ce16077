"""The Batch tab: many photos, one settings card, a table of how each stands, one zip of all that is done.

The list in the browser (listing.py and its scripts) uploads what is dropped, asks how things stand while it is looked
at, and remembers the batch's id in the browser's tab, so that a page that is loaded anew finds it again.
"""

from __future__ import annotations

import html
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gradio as gr

from restore_core.batch import Request
from restore_core.errors import RestoreError, SettingsError
from restore_core.library import card
from restore_core.methods import METHODS
from restore_core.methods.base import PRESET_WORDS
from restore_core.ui import viewer, widgets
from restore_core.ui.asking import Ask
from restore_core.ui.batch.batch import FORMATS, Batch
from restore_core.ui.batch.batches import Batches
from restore_core.ui.batch.listing import Listing, dropping, field, heading, rows
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.restore import TASK_CHOICES
from restore_core.ui.weighing import offer_of

FORMAT_CHOICES = [("PNG", "png"), ("JPEG", "jpg"), ("WebP", "webp")]
FORMAT_INFO = "PNG keeps every shade; JPEG and WebP are smaller."
METHOD_INFO = "Automatic picks the method that suits what is wrong with each photo."
SMALLER = "Smaller copies of photos above 12 million pixels"
WITH_ID = """(_, ...asked) => {
  try { return [sessionStorage.getItem("stepback-batch") || "", ...asked]; } catch { return ["", ...asked]; }
}"""  # what the list remembers
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Tab:
    """The tab's components, and the handlers behind them."""

    desk: Desk
    listing: Listing
    task: gr.Radio
    preset: gr.Slider
    word: gr.HTML
    format: gr.Radio
    method: gr.Dropdown
    seed: gr.Number
    smaller: gr.Checkbox
    message: gr.HTML
    opened: gr.Row
    title: gr.HTML
    viewer: gr.HTML
    known: gr.Textbox
    listed: gr.HTML

    @property
    def asked(self) -> list[Any]:
        """The components that request() reads, in its order."""
        return [self.task, self.preset, self.method, self.seed, self.smaller]

    def start(self, event: gr.EventData, suffix: str, *asked: Any) -> str:
        """Restore what waits."""
        try:
            batch = self._batch_of(event)
            batch.start(self.request(*asked), f".{suffix if suffix in FORMATS else FORMATS[0]}")
        except Exception as error:
            return widgets.text(sentence(error), "error")
        return ""

    def request(self, task: str, preset: int, method: str, seed: float | None, smaller: bool) -> Request:
        """What is asked for every photo; SettingsError where no photo could be restored so."""
        asked = Ask(task or "auto", method or "auto", preset=int(preset), seed=int(seed or 0))
        if asked.task != "auto" or asked.method != "auto":
            asked.settings(self.desk.library.precision)
            lacking = offer_of(asked, self.desk.library)
            if lacking:
                raise SettingsError(f"{lacking} Get it on the Models tab, or choose Automatic.")
        changes = {"seed": asked.seed}
        return Request(asked.task, asked.method, asked.preset, changes, self.desk.max_pixels, bool(smaller))

    def expect(self, known: str, *asked: Any) -> None:
        """A setting was changed: how long it would take is told anew. What cannot be done is told at the start."""
        batch = self.listing.batches.of(known)
        if batch is not None:
            with suppress(RestoreError):
                batch.expect(self.request(*asked))

    def open(self, event: gr.EventData) -> Updates:
        """Before and after of one photo; of none, to put them away."""
        number = field(event._data, "n")
        away = {self.opened: gr.update(elem_classes=widgets.AWAY), self.viewer: {"id": "", "pictures": []}}
        if type(number) is not int:
            return away
        try:
            pictures, name = self._batch_of(event).shown(number)
        except Exception as error:
            return away | {self.message: widgets.text(sentence(error), "error")}
        return {
            self.opened: gr.update(elem_classes=[]), self.title: f"<h2>{html.escape(name)}</h2>",
            self.viewer: pictures, self.message: "",
        }  # fmt: skip

    def _batch_of(self, event: gr.EventData) -> Batch:
        batch = self.listing.batches.of(field(event._data, "id"))
        if batch is None:
            raise SettingsError("There are no photos yet, so there is nothing to restore. Drop some into the frame.")
        return batch

    def wire(self) -> None:
        """Which event calls which handler."""
        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        self.listed.submit(self.start, [self.format, *self.asked], self.message, **quick)
        self.listed.select(self.open, None, [self.opened, self.title, self.viewer, self.message], **quick)
        for control in self.asked:
            control.input(
                self.expect, [self.known, *self.asked], None, js=WITH_ID, trigger_mode="always_last", **quick
            )
        self.preset.input(
            lambda preset: widgets.preset_text(*PRESET_WORDS[int(preset)]), self.preset, self.word,
            trigger_mode="always_last", **quick,
        )  # fmt: skip


def fill(desk: Desk) -> Tab:
    """Lay the tab out and wire it."""
    with gr.Row(elem_id="batch", equal_height=False):
        with gr.Column(scale=5, min_width=330, elem_id="batch-asking"):
            dropping()
            task = gr.Radio(TASK_CHOICES, value="auto", label="What is wrong with them?", elem_id="batch-task")
            preset = gr.Slider(0, 4, 2, step=1, label="Faithful to vivid", elem_id="batch-preset")
            word = gr.HTML(
                widgets.preset_text(*PRESET_WORDS[2]), elem_id="batch-preset-word", apply_default_css=False
            )
            suffix = gr.Radio(
                FORMAT_CHOICES, value="png", label="Save as", info=FORMAT_INFO, elem_id="batch-format"
            )
            with gr.Accordion("More settings", open=False, elem_id="batch-more"):
                methods = [("Automatic", "auto"), *((card(key).title, key) for key in METHODS)]
                method = gr.Dropdown(methods, value="auto", label="Method", info=METHOD_INFO, elem_id="batch-method")
                seed = gr.Number(
                    1, precision=0, minimum=0, maximum=widgets.MAX_SEED, label="Variation number (seed)",
                    info="Same number, same result.", elem_id="batch-seed",
                )  # fmt: skip
                smaller = gr.Checkbox(False, label=SMALLER, elem_id="batch-smaller")
        with gr.Column(scale=9, min_width=330, elem_id="batch-seeing"):
            heading()
            message = widgets.announcement("batch-message")
            with gr.Row(elem_id="batch-opened", elem_classes=widgets.AWAY) as opened:
                title = gr.HTML(elem_id="batch-title", apply_default_css=False)
                gr.Button("Close", size="sm", elem_id="batch-close", min_width=90)
            pictures = viewer.viewer(elem_id="batch-viewer")
            known = gr.Textbox(elem_classes=widgets.AWAY, container=False)
            listing = Listing(Batches(desk))
            listed = rows(listing)
    tab = Tab(
        desk, listing, task, preset, word, suffix, method, seed, smaller, message, opened, title, pictures,
        known, listed,
    )  # fmt: skip
    tab.wire()
    return tab


__all__ = ["Listing", "Tab", "fill"]
