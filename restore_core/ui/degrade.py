"""The Degrade tab: a damaged picture is built from a clean one, step by step, and goes on to the other tabs."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from restore_core import images
from restore_core.degradations import Chain
from restore_core.degradations.chain import MAX_SEED
from restore_core.errors import RestoreError
from restore_core.ui import degrading, widgets
from restore_core.ui.asking import look_of
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.links import Send

EXAMPLES = Path(__file__).parent / "examples" / "clean"
AWAY = ["away"]  # a class of page.css: not shown, but there
SENDS = (("restore", "Send to Restore"), ("compare", "Send to Compare"), ("tradeoff", "Send to Trade-off"))
PART = "The middle is shown, at its own scale; the file is made of the whole photo."
CALIBRATE = (
    "A burst of one unmoving scene, flat fields (two or more of each exposure), or one picture for a rough answer. Raw "
    "files (DNG) need the package rawpy. Developed files are measured as they are."
)

Updates = dict[Any, Any]


@dataclass(frozen=True)
class Tab:
    """The tab's components, and the handlers between them.

    chain      the chain as a dict, the truth that every handler reads
    damaged    path of the picture that was made last;   clean: of the clean one it is measured against
    """

    desk: Desk
    photo: gr.Image
    facts: gr.HTML
    start: gr.Dropdown
    again: gr.Button
    editor: gr.HTML
    chain: gr.State
    number: gr.State
    text: gr.Textbox
    apply: gr.Button
    view: gr.HTML
    measures: gr.HTML
    press: gr.Button
    message: gr.HTML
    kept: gr.Row
    png: gr.DownloadButton
    json: gr.DownloadButton
    buttons: dict[str, gr.Button]
    damaged: gr.State
    clean_path: gr.State
    files: gr.File
    measure: gr.Button
    use: gr.Button
    plot: gr.HTML
    noise: gr.State

    @property
    def sends(self) -> tuple[Send, ...]:
        """The damaged picture goes on, and the clean one with it."""
        return tuple(
            Send(button, to, photo=self.damaged, clean=self.clean_path) for to, button in self.buttons.items()
        )

    @property
    def shown(self) -> list[Any]:
        """What follows from a chain and a photo."""
        return [self.chain, self.number, self.text, self.view, self.measures, self.message, self.kept]

    # handlers

    def look(self, path: str | None, chain: Any, number: int) -> Updates:
        """A photo came or went."""
        line = ""
        try:
            line = f"{look_of(images.inspect(path))}." if path else ""
        except RestoreError:
            pass  # told by the preview below
        return {self.facts: widgets.text(line)} | self._follow(path, chain, number)

    def edit(self, path: str | None, number: int, event: gr.EventData) -> Updates:
        """Something was moved in the editor; what comes from there is checked."""
        data = getattr(event, "_data", None)
        return self._follow(path, data.get("chain") if isinstance(data, dict) else None, number)

    def begin(self, name: str, path: str | None, chain: Any, number: int, *, fresh: bool) -> Updates:
        """A prepared or a random chain; `fresh`: with a new number."""
        seed = secrets.randbelow(MAX_SEED) if fresh else int(chain["seed"])
        found = degrading.started(name, seed).to_json()
        return {self.editor: found} | self._follow(path, found, number)

    def read(self, text: str, path: str | None, chain: Any, number: int) -> Updates:
        """Apply was pressed under the JSON."""
        try:
            found = Chain.from_text(text or "").to_json()
        except RestoreError as error:
            return {self.message: widgets.text(str(error), "error")}
        return {self.editor: found} | self._follow(path, found, number)

    def _follow(self, path: str | None, data: Any, number: int) -> Updates:
        """The preview and the chain's text; what was made before no longer fits and goes away."""
        updates: Updates = {self.message: "", self.kept: gr.update(elem_classes=AWAY)}
        try:
            chain = Chain.from_json(data)
            updates |= {self.chain: chain.to_json(), self.text: json.dumps(chain.to_json(), indent=1)}
            if not path:
                return updates | {self.view: {}, self.measures: ""}
            seen = degrading.preview(path, chain, self.desk.max_pixels, number + 1)
            note = "" if seen.whole else widgets.text(PART)
            updates |= {self.view: seen.value, self.measures: widgets.facts(seen.facts) + note, self.number: number + 1}
        except Exception as error:
            updates[self.message] = widgets.text(sentence(error), "error")
        return updates

    def make(self, request: gr.Request, path: str | None, chain: Any) -> Updates:
        """The whole picture as a file, ready to be taken or sent."""
        try:
            if not path:
                raise images.ImageError("There is no photo yet. Drop a clean one into the frame, or take an example.")
            made = degrading.make(self.desk, request.session_hash or "", path, Chain.from_json(chain))
        except Exception as error:
            return {self.message: widgets.text(sentence(error), "error")}
        return {
            self.message: widgets.text(made.told), self.kept: gr.update(elem_classes=[]), self.png: str(made.damaged),
            self.json: str(made.chain), self.damaged: str(made.damaged), self.clean_path: str(made.clean),
        }  # fmt: skip

    def calibrate(self, files: list[str] | None) -> Updates:
        """Measure was pressed."""
        try:
            told, chain = degrading.measured(files or [], self.desk.max_pixels)
        except Exception as error:
            failed = widgets.text(sentence(error), "error")
            return {self.plot: failed, self.noise: None, self.use: gr.update(visible=False)}
        return {self.plot: told, self.noise: chain.to_json()["steps"], self.use: gr.update(visible=True)}

    def add_noise(self, noise: Any, path: str | None, chain: Any, number: int) -> Updates:
        """The measured noise becomes the chain's last step."""
        found = {"seed": chain["seed"], "steps": [*chain["steps"], *(noise or [])]}
        return {self.editor: found} | self._follow(path, found, number)

    # wiring

    def wire(self) -> None:
        """Which event calls which handler."""
        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        last = quick | {"trigger_mode": "always_last"}
        now = [self.photo, self.chain, self.number]
        self.photo.change(self.look, now, [self.facts, *self.shown], **last)
        self.editor.edit(self.edit, [self.photo, self.number], self.shown, **last)
        begun = [self.start, *now]
        for event, fresh in ((self.start.input, False), (self.again.click, True)):
            event(partial(self.begin, fresh=fresh), begun, [self.editor, *self.shown], **quick)
        self.apply.click(self.read, [self.text, *now], [self.editor, *self.shown], **quick)
        self.press.click(
            self.make, [self.photo, self.chain],
            [self.message, self.kept, self.png, self.json, self.damaged, self.clean_path],
            show_progress="hidden", trigger_mode="once", api_visibility="private",
        )  # fmt: skip
        self.measure.click(
            self.calibrate, self.files, [self.plot, self.noise, self.use], show_progress="minimal",
            show_progress_on=self.plot, trigger_mode="once", api_visibility="private",
        )  # fmt: skip
        self.use.click(self.add_noise, [self.noise, *now], [self.editor, *self.shown], **quick)


def fill(desk: Desk) -> Tab:
    """Lay the tab out and wire it."""
    begin = degrading.started(degrading.START, 1).to_json()
    with gr.Row(elem_id="degrade", equal_height=False):
        with gr.Column(scale=5, min_width=330, elem_id="degrade-asking"):
            photo = _photo()
            facts = gr.HTML(elem_id="degrade-facts", apply_default_css=False)
            _examples(photo)
            with gr.Row(elem_id="degrade-start"):
                start = gr.Dropdown(
                    degrading.starts(), value=degrading.START, label="Begin with", elem_id="degrade-begin", scale=3,
                    min_width=200,
                )  # fmt: skip
                again = gr.Button("Draw again", size="sm", elem_id="degrade-again", scale=1, min_width=100)
            editor = _part("chain", begin, "degrade-chain", operators=degrading.operators())
            with gr.Accordion("The chain as text (JSON)", open=False, elem_id="degrade-text"):
                text = gr.Textbox(
                    json.dumps(begin, indent=1), lines=8, max_lines=16, show_label=False, container=False,
                    elem_id="degrade-json", label="The chain as JSON",
                )  # fmt: skip
                apply = gr.Button("Apply", size="sm", elem_id="degrade-apply")
            with gr.Accordion("Measure a camera's noise", open=False, elem_id="degrade-calibrate"):
                gr.HTML(widgets.text(CALIBRATE), apply_default_css=False)
                files = gr.File(
                    file_count="multiple", type="filepath", label="Pictures", show_label=False, height=130,
                    elem_id="degrade-files",
                )  # fmt: skip
                measure = gr.Button("Measure", size="sm", elem_id="degrade-measure")
                plot = gr.HTML(elem_id="degrade-plot", apply_default_css=False)
                use = gr.Button("Add this noise to the chain", size="sm", visible=False, elem_id="degrade-use")
        with gr.Column(scale=9, min_width=330, elem_id="degrade-seeing"):
            view = _part("view", {}, "degrade-view")
            measures = gr.HTML(elem_id="degrade-measures", apply_default_css=False)
            press = gr.Button("Make the picture", variant="primary", elem_id="degrade-make")
            message = widgets.announcement("degrade-message")
            with gr.Row(elem_classes=AWAY, elem_id="degrade-kept") as kept:
                png = gr.DownloadButton("Download PNG", elem_id="degrade-png", size="sm", min_width=130)
                chain_file = gr.DownloadButton("Download the chain", elem_id="degrade-file", size="sm", min_width=130)
                buttons = {
                    to: gr.Button(label, elem_id=f"degrade-to-{to}", size="sm", min_width=130) for to, label in SENDS
                }
    tab = Tab(
        desk, photo, facts, start, again, editor, gr.State(begin), gr.State(0), text, apply, view, measures, press,
        message, kept, png, chain_file, buttons, gr.State(None), gr.State(None), files, measure, use, plot,
        gr.State(None),
    )  # fmt: skip
    tab.wire()
    return tab


def _photo() -> gr.Image:
    component = gr.Image(
        type="filepath", image_mode=None, sources=["upload", "clipboard"], label="A clean photo", show_label=False,
        height=200, buttons=["fullscreen"], elem_id="degrade-photo",
        placeholder="Drop a clean photo here\n\nor click to choose one",
    )  # fmt: skip
    component.preprocess = lambda payload: None if payload is None else payload.path  # untouched: we decode it
    return component


def _examples(photo: gr.Image) -> None:
    found = sorted(EXAMPLES.glob("*.jpg"))
    gr.Examples([[str(path)] for path in found], [photo], label="Or try one of these", elem_id="degrade-examples")


def _part(name: str, value: Any, elem_id: str, **props: Any) -> gr.HTML:
    parts = [Path(__file__).parent / f"degrade-{name}.{kind}" for kind in ("html", "css", "js")]
    template, style, script = (part.read_text(encoding="utf-8") for part in parts)
    return gr.HTML(
        value, html_template=template, css_template=style, js_on_load=script, apply_default_css=False, elem_id=elem_id,
        **props,
    )  # fmt: skip


__all__ = ["Tab", "fill"]
