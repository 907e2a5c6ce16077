"""The Models tab: which weights are here, which can be fetched or brought, and under which licence.

The list asks the server how things stand while it is looked at, so that files that come or go are seen at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from restore_core.checkpoints import files
from restore_core.checkpoints.catalogue import CATALOGUE, Checkpoint
from restore_core.checkpoints.folders import offline
from restore_core.checkpoints.recognition import recognise
from restore_core.errors import CheckpointError, RestoreError
from restore_core.library import card
from restore_core.ui import shelf, widgets
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.fetching import Fetching

AWAY = ["away"]
ABOUT = (
    "Every method works with the small weights that come with the project. Those that the methods' authors published "
    "are larger, and have licences of their own; they can be added here."
)
DROP = "A weights file of yours (.safetensors, .pth, .pt, .ckpt): dropped here, it is looked at, named and added."
OPEN_TO_OTHERS = (
    "This page is open to others, so weights are added and removed on the server: python -m restore_core weights get "
    "KEY, or a file put into its weights folder."
)
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Tab:
    """The tab's components, and the handlers between them. `incoming`: the list, whose value another tab sets."""

    desk: Desk
    drop: gr.File
    said: gr.HTML
    which: gr.Radio
    use: gr.Button
    dropped: gr.State
    fetching: Fetching = field(default_factory=Fetching)
    incoming: gr.HTML | None = None

    # the list, which asks and presses by itself

    def look(self, asked: object = None) -> dict[str, Any]:
        """How everything stands."""
        found = shelf.groups()
        strays = files.strays()
        rows = [{"id": f"stray-{s.path.name}", "html": shelf.stray_row(s)} for s in strays] if self.desk.keeper else []
        put = {"title": "Files that you put here", "count": str(len(rows)), "open": True, "said": "", "rows": rows}
        return {
            "busy": self.fetching.busy,
            "machine": shelf.machine(self.desk.library, keeper=self.desk.keeper),
            "groups": ([put] if rows else []) + [self._group(title, records) for title, records in found.items()],
        }

    def act(self, asked: object) -> dict[str, Any]:
        """A button of the list was pressed: [what to do, key of the record, more]. All of it comes from a browser."""
        said = ""
        try:
            if self.desk.keeper and isinstance(asked, list) and len(asked) == 3:
                self._act(str(asked[0]), str(asked[1]), str(asked[2]))
        except Exception as error:
            said = sentence(error)
        return self.look() | {"said": said}

    def _act(self, deed: str, keys: str, more: str) -> None:
        if deed == "adopt":
            stray = next((s for s in files.strays() if s.path.name == keys), None)
            record = next((r for r in stray.records if r.key == more), None) if stray else None
            if stray is None or record is None:
                raise CheckpointError(f"{keys} is not in the weights folder any more. Put it there again.")
            files.add(record, stray.path)
            return
        for key in keys.split():
            record = CATALOGUE.get(key)
            if record is not None:
                self._deed(deed, record)

    def _deed(self, deed: str, record: Checkpoint) -> None:
        if deed in ("remove", "again"):
            files.remove(record)
            self.fetching.dismiss(record.key)
        if deed in ("get", "again"):
            self.fetching.get(record)
        elif deed == "check":
            self.fetching.check(record)
        elif deed == "stop":
            self.fetching.stop(record.key)
        elif deed == "dismiss":
            self.fetching.dismiss(record.key)

    def _group(self, title: str, records: list[Checkpoint]) -> dict[str, Any]:
        here = sum(files.standing(record).path is not None for record in records)
        keeper = self.desk.keeper
        return {
            "title": title,
            "count": f"{here} of {len(records)} here",
            "open": title != shelf.OWN and here > 0,
            "said": shelf.absent_for(records),
            "rows": [{"id": r.key, "html": shelf.row(r, self.fetching, keeper=keeper)} for r in records],
        }

    # a file that was dropped

    def brought(self, path: str | None) -> Iterator[Updates]:
        """Tell what it is; take it where that is certain, else ask."""
        hidden = {self.which: gr.update(elem_classes=AWAY), self.use: gr.update(elem_classes=AWAY)}
        if not path:
            yield hidden
            return
        yield hidden | {self.said: widgets.text(f"Reading {Path(path).name} ..."), self.dropped: path}
        try:
            found = recognise(Path(path))
            if not found:
                raise CheckpointError(
                    f"{Path(path).name} holds a network of a known kind, but of another size than any published one, "
                    f"so no method here is made for it. Choose one of the files in the list."
                )
            if len(found) == 1:
                yield self._take(found[0], path)
                return
        except Exception as error:
            yield {self.said: widgets.text(sentence(error), "error"), self.drop: None}
            return
        choices = [(f"{shelf.title_of(r)} ({r.key})", r.key) for r in found]
        yield {
            self.said: widgets.text(
                f"{Path(path).name} fits {len(found)} published files with the same names and shapes, and nothing in "
                f"it tells which. Say what you downloaded."
            ),
            self.which: gr.update(choices=choices, value=None, elem_classes=[]),
            self.use: gr.update(elem_classes=[]),
        }

    def chosen(self, path: str | None, key: str | None) -> Updates:
        """Somebody said which record the dropped file is."""
        if not path or key not in CATALOGUE:
            return {self.said: widgets.text("Choose one of them first.", "error")}
        try:
            return self._take(CATALOGUE[key], path)
        except RestoreError as error:
            return {self.said: widgets.text(str(error), "error")}

    def _take(self, record: Checkpoint, path: str) -> Updates:
        if not self.desk.keeper:
            raise CheckpointError(OPEN_TO_OTHERS)
        files.add(record, Path(path))
        Path(path).unlink(missing_ok=True)  # the upload's copy; half a gigabyte need not lie there twice
        said = f"Added as {shelf.title_of(record)} ({record.key}). {record.licence}: {record.terms}"
        return {
            self.said: widgets.text(said),
            self.drop: None,
            self.which: gr.update(elem_classes=AWAY),
            self.use: gr.update(elem_classes=AWAY),
        }

    # from another tab

    def wanted(self, incoming: object) -> dict[str, Any]:
        """What the list is to mark and offer, of {"method": key, "variant": key} as JSON text; {} if nothing lacks."""
        asked = _read(incoming)
        method, variant = asked.get("method"), asked.get("variant")
        try:
            needed = self.desk.library.missing(str(method), str(variant))
            label = card(str(method)).variant(str(variant)).label
        except RestoreError:
            return {}
        if not needed:
            return {}
        records = [CATALOGUE[key] for key in needed]
        fetchable = [r.key for r in records if r.source.kind in ("hub", "url") and not offline()]
        size = shelf.megabytes(sum(r.size for r in records if r.key in fetchable))
        return {
            "needed": list(needed),
            "get": " ".join(fetchable) if self.desk.keeper else "",
            "words": f"Get {size}" if len(fetchable) < 2 else f"Get all of it ({size})",
            "said": f"{card(str(method)).title} with the weights '{label}' needs what is marked below. "
            f"{shelf.absent_for(records)}".rstrip(),
        }

    def wire(self) -> None:
        """Which event calls which handler."""
        quick = {"show_progress": "hidden", "api_visibility": "private"}
        self.drop.change(
            self.brought, self.drop, [self.said, self.which, self.use, self.dropped, self.drop], **quick,
        )  # fmt: skip
        self.use.click(
            self.chosen, [self.dropped, self.which], [self.said, self.drop, self.which, self.use], **quick
        )


def fill(desk: Desk) -> Tab:
    """Lay the tab out and wire it."""
    with gr.Column(elem_id="models"):
        gr.HTML(widgets.text(ABOUT), apply_default_css=False)
        with gr.Column(elem_id="models-bring", elem_classes=[] if desk.keeper else AWAY):
            gr.HTML(widgets.text(DROP), apply_default_css=False)
            drop = gr.File(
                label="Your weights file", show_label=False, file_count="single", height=140, elem_id="models-drop"
            )
            said = widgets.announcement("models-said")
            which = gr.Radio([], label="Which one is it?", elem_id="models-which", elem_classes=AWAY)
            use = gr.Button("Add it", variant="primary", elem_id="models-use", elem_classes=AWAY)
        if not desk.keeper:
            gr.HTML(widgets.text(OPEN_TO_OTHERS), apply_default_css=False)
        tab = Tab(desk, drop, said, which, use, gr.State(None))
        incoming = _list(tab)
    tab.wire()
    return replace(tab, incoming=incoming)


def _list(tab: Tab) -> gr.HTML:
    """The list: models.js fills it with what look() tells. Its value is what another tab asks for."""

    def look(asked: object) -> Mapping[str, Any]:
        return tab.look(asked)

    def act(asked: object) -> Mapping[str, Any]:
        return tab.act(asked)

    def want(asked: object) -> Mapping[str, Any]:
        return tab.wanted(asked)

    return gr.HTML(
        "",
        html_template='<div class="models"><div class="machine"></div><div class="needed" hidden></div>'
        '<p class="error" role="status" aria-live="polite"></p><div class="groups"></div></div>',
        js_on_load=(Path(__file__).parent / "models.js").read_text(encoding="utf-8"),
        server_functions=[look, act, want],
        apply_default_css=False,
        elem_id="models-list",
    )


def _read(text: object) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
