"""The endpoint /restore, for programs: the same queue and limits as the page, one photo a call.

    from gradio_client import Client, handle_file

    result, record = Client("http://127.0.0.1:7860").predict(
        handle_file("photo.jpg"), task="auto", preset=2, changes={"steps": 10, "seed": 3}, api_name="/restore"
    )

`result` is the path of a PNG that carries its settings; `record` says what was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from restore_core import batch, export
from restore_core.batch import Item, Request
from restore_core.checkpoints.catalogue import COMPACT
from restore_core.engine import Frame
from restore_core.errors import RestoreError, SettingsError
from restore_core.job import METHODS, Job
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.turns import AT_ONCE, Turn

DESCRIPTION = f"""Restore one photo.
task: auto, {", ".join(COMPACT)}. method: auto, {", ".join(METHODS)}. preset: 0 (most faithful) to 4 (most vivid).
changes: settings that differ from the preset's, such as steps, eta, noise, sampler, spacing, samples, seed.
Returns the result, a PNG that carries its settings, and the record of the run."""


def fill(desk: Desk) -> None:
    """Add the endpoint to the page that is being built; nothing of it is seen."""
    with gr.Group(visible=False):
        asked = [
            gr.File(type="filepath", label="photo"),
            gr.Textbox("auto", label="task"),
            gr.Textbox("auto", label="method"),
            gr.Number(2, precision=0, label="preset"),
            gr.JSON({}, label="changes"),
        ]
        told = [gr.File(label="result"), gr.JSON(label="record")]
        go = gr.Button()
    go.click(
        Endpoint(desk).restore, asked, told, api_name="restore", api_description=DESCRIPTION, concurrency_id="engine",
        concurrency_limit=AT_ONCE,
    )  # fmt: skip


@dataclass(frozen=True)
class Endpoint:
    """What answers the calls."""

    desk: Desk

    def restore(
        self, photo: str, task: str, method: str, preset: int, changes: Any, request: gr.Request
    ) -> tuple[str, Mapping[str, Any]]:
        """(the result's path, its record); what went wrong comes as a sentence."""
        try:
            asked = Request(task, method, int(preset), _checked(changes), self.desk.max_pixels)
            return self._restored(photo, asked, request.session_hash or "")
        except Exception as error:
            raise gr.Error(sentence(error), print_exception=False) from error

    def _restored(self, photo: str | None, asked: Request, session: str) -> tuple[str, Mapping[str, Any]]:
        if not photo:
            raise SettingsError("There is no photo in this call, so there is nothing to restore. Send one.")
        store, turns = self.desk.store, self.desk.turns
        store.bring(session, photo)
        run = store.open(session)
        item = Item(Path(photo), run.folder / f"{Path(photo).stem[:80] or 'photo'}.png")
        gone = lambda: not run.folder.is_dir()  # noqa: E731  the caller has left
        with turns.turn(gone, session=session, about={"method": asked.method}) as mine:
            outcome = batch.restore(item, asked, self.desk.library, stop=gone, tell=partial(_tell, mine))
            if outcome.state == "failed":
                raise RestoreError(outcome.sentence)
        store.keep_file(session, run, item.target.name, lambda path: None)
        return str(item.target), dict(export.read_settings(item.target)) | {"reason": outcome.sentence}


def _tell(turn: Turn, item: Item, work: Job, frame: Frame | None) -> None:
    """The turn learns what the run is, then how far it is, and lets others in."""
    if frame is None:
        settings = work.settings
        turn.about.update(
            method=settings.method, variant=settings.variant, size=work.size, steps=settings.steps,
            samples=settings.samples,
        )  # fmt: skip
    elif not frame.done:
        turn.give_way(frame.share)


def _checked(changes: Any) -> Mapping[str, Any]:
    """The changes as job.plan takes them."""
    if changes in (None, ""):
        return {}
    taken = {"task", "method", "preset", "paper", "photo", "library"}
    if not isinstance(changes, Mapping) or not all(isinstance(key, str) for key in changes) or taken & set(changes):
        raise SettingsError(
            'The changes are no object of settings, such as {"steps": 10, "seed": 3}, so they cannot be applied. '
            "Task, method and preset have places of their own."
        )
    return changes


__all__ = ["Endpoint", "fill"]
