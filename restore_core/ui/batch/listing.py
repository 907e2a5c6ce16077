"""The list of photos in the browser: where they are dropped, the head, the rows; and what it asks of the server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from restore_core.errors import SettingsError
from restore_core.ui.batch.batch import Batch
from restore_core.ui.batch.batches import Batches
from restore_core.ui.desk import sentence
from restore_core.ui.viewer import address

LOST = "This list was removed from the server, since nobody looked at it for a while. Drop the photos again."
SCRIPTS = ("drop.js", "rows.js", "list.js")  # one after the other, as one script
Told = dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """What the list asks and presses by itself; all it says comes from a browser."""

    batches: Batches

    def look(self, asked: object) -> Told:
        """How things stand: asked is {id, since}."""
        batch, since = self.batches.of(field(asked, "id")), field(asked, "since")
        return {"lost": LOST} if batch is None else batch.look(since if type(since) is int else 0)

    def take(self, asked: object) -> Told:
        """A photo was uploaded: {id or null, path, name}. The batch's id, or why the photo was not taken."""
        try:
            batch = self.batches.open(field(asked, "id"))
            self.batches.take(batch, field(asked, "path"), field(asked, "name"))
        except Exception as error:
            full = isinstance(error, SettingsError)
            return {"said": sentence(error), "full": full}
        return {"id": batch.id}

    def act(self, asked: object) -> Told:
        """A button was pressed: {id, do, n}."""
        batch, number = self.batches.of(field(asked, "id")), field(asked, "n")
        if batch is None:
            return {"lost": LOST}
        try:
            return self._act(batch, str(field(asked, "do")), number if type(number) is int else None)
        except Exception as error:
            return {"said": sentence(error)}

    @staticmethod
    def _act(batch: Batch, deed: str, number: int | None) -> Told:
        if deed == "stop":
            batch.runner.stop()
        elif deed == "retry":
            batch.again(("failed",), number)
        elif deed == "anew":
            batch.again(("done", "failed"))
        elif deed == "remove" and number is not None:
            batch.remove(number)
        elif deed == "clear":
            batch.remove()
        elif deed == "zip":
            return {"address": address(batch.packed())}
        return {}


def dropping() -> gr.HTML:
    """The frame that photos are dropped into; drop.js takes them."""
    return gr.HTML(html_template=_part("drop.html"), apply_default_css=False, elem_id="batch-drop")


def heading() -> gr.HTML:
    """The buttons for all of them, and how the whole stands, which rows.js fills in."""
    return gr.HTML(html_template=_part("head.html"), apply_default_css=False, elem_id="batch-head")


def rows(listing: Listing) -> gr.HTML:
    """The list itself, and the script of all three: it draws what look() tells."""

    def look(asked: object) -> Told:
        return listing.look(asked)

    def take(asked: object) -> Told:
        return listing.take(asked)

    def act(asked: object) -> Told:
        return listing.act(asked)

    return gr.HTML(
        html_template=_part("list.html"), js_on_load="\n".join(map(_part, SCRIPTS)),
        server_functions=[look, take, act], apply_default_css=False, elem_id="batch-list",
    )  # fmt: skip


def field(told: object, key: str) -> object:
    """One field of what a browser said, None where there is none."""
    return told.get(key) if isinstance(told, dict) else None


def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


__all__ = ["Listing", "dropping", "field", "heading", "rows"]
