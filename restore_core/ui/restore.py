"""The Restore tab: one photo, one button, one result; everything technical behind More settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from restore_core import images
from restore_core.checkpoints.catalogue import COMPACT
from restore_core.degradations import TASKS
from restore_core.diagnosis import diagnose
from restore_core.errors import RestoreError
from restore_core.library import card
from restore_core.methods import METHODS
from restore_core.methods.base import PRESET_WORDS
from restore_core.samplers import SAMPLERS
from restore_core.ui import widgets
from restore_core.ui.asking import EXPERT, LONG, Ask, duration, is_large, look_of, seconds, word
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.film import film
from restore_core.ui.running import Message, restoration

EXAMPLES = Path(__file__).parent / "examples"
TASK_CHOICES = [("I am not sure", "auto"), *((TASKS[key].label, key) for key in COMPACT)]
LIVE_CHOICES = [("Smooth", "smooth"), ("Light", "light"), ("Off", "off")]
AUTOMATIC_TEXT = "Picks the method that suits what is wrong with your photo. Right for most."
AWAY = ["away"]  # a class of page.css: not shown, but there, so that nothing has to be made anew
SHOW_BEFORE = """() => {
  const result = document.querySelector("#result"), button = document.querySelector("#show-before");
  const on = result.classList.toggle("before-only");
  button.setAttribute("aria-pressed", on);
}"""

Updates = dict[Any, Any]


@dataclass(frozen=True)
class Tab:
    """The tab's components, and the handlers between them."""

    desk: Desk
    photo: gr.Image
    facts: gr.HTML
    smaller: gr.Checkbox
    task: gr.Radio
    preset: gr.Slider
    word: gr.HTML
    estimate: gr.HTML
    run: gr.Button
    stop: gr.Button
    message: gr.HTML
    method: gr.State
    seed: gr.Number
    live: gr.Radio
    expert: dict[str, Any]
    about: gr.State
    shown: gr.State
    had: gr.State
    film: gr.HTML
    finished: gr.Column
    result: gr.ImageSlider
    result_facts: gr.HTML
    png: gr.DownloadButton
    jpeg: gr.DownloadButton

    @property
    def asked(self) -> list[Any]:
        """The components that ask() reads, in its order."""
        first = [self.task, self.method, self.preset, self.seed, self.smaller, self.about, self.shown]
        return [*first, *self.expert.values()]

    def ask(self, *read: Any) -> Ask:
        """What the page asks for."""
        task, method, preset, seed, smaller, about, shown, *values = read
        return Ask(
            task=task or "auto",
            method=method,
            preset=2 if preset is None else int(preset),
            seed=int(seed or 0),
            values=dict(zip(EXPERT, values, strict=True)),
            shown=shown,
            seen=about.get("task"),
            smaller=bool(smaller),
        )

    # handlers

    def look(self, path: str | None) -> Updates:
        """A photo came or went: what it is, and what seems to be wrong with it."""
        about, line, trouble, large = {}, "", "", False
        try:
            if path:
                header = images.inspect(path)
                large = is_large(header)
                seen = diagnose(images.load(path, max_pixels=self.desk.max_pixels).rgb)
                about = {"size": list(header.size), "task": seen.task, "sentence": seen.sentence}
                line = " ".join([look_of(header) + ".", *header.notes])
                if header.format == "TIFF":
                    line += " Browsers do not show TIFF, so the frame above may stay empty; the photo was read."
        except Exception as error:
            trouble = sentence(error)
        return {
            self.about: about,
            self.facts: widgets.text(line),
            self.smaller: gr.update(visible=large, value=False),
            self.message: widgets.text(trouble, "error"),
        }

    def prepare(self, *read: Any, reset: bool = False, method: str | None = None) -> Updates:
        """Another photo, task, method or preset: the expert controls follow, except where they were changed by hand."""
        ask = self.ask(*read)
        if method is not None:
            ask = replace(ask, method=method)
        changed = {} if reset else dict(ask.changes)
        if method is not None:
            changed.pop("noise", None)  # each method has a scale of its own
        defaults = ask.defaults()
        values = defaults | {key: ask.values[key] for key in changed}
        ask = replace(ask, values=values, shown=defaults)
        controls = dict(zip(self.expert.values(), widgets.adjusted(ask, values), strict=True))
        return controls | {
            self.shown: defaults, self.word: widgets.preset_text(*word(ask)), self.method: ask.method,
        }  # fmt: skip

    def adjust(self, *read: Any, sampler_moved: bool = False) -> Updates:
        """An expert control was moved by hand."""
        ask = self.ask(*read)
        values = dict(ask.values)
        if sampler_moved:
            own = card(ask.method_key).defaults
            suits = own if values["sampler"] == own["sampler"] else {"spacing": SAMPLERS[values["sampler"]].spacing}
            same = values["sampler"] == ask.shown.get("sampler")
            values["spacing"] = ask.shown["spacing"] if same else suits["spacing"]
            if not same and not ask.shown.get("eta"):
                values["eta"] = 1.0
        ask = replace(ask, values=values)
        updates: Updates = {self.word: widgets.preset_text(*word(ask))}
        if sampler_moved:
            updates |= zip(self.expert.values(), widgets.adjusted(ask, values), strict=True)
        return updates

    def foresee(self, *read: Any) -> str:
        """How long it will take, next to the button before it is pressed."""
        ask = self.ask(*read)
        about: dict[str, Any] = read[5]
        why = f"{about['sentence']} " if about and ask.task == "auto" else ""
        try:
            if not about:
                return ""
            if self.desk.turns.busy:
                return widgets.text(f"{why}The time it takes is told when the present run has ended.")
            size = about["size"]
            if ask.smaller:
                factor = images.reduction(tuple(size))
                size = [int(side / factor) for side in size]
            time, pieces = seconds(ask, tuple(size), self.desk.library)
        except RestoreError as error:
            return widgets.text(str(error), "error")
        told = duration(time)
        told = f"{why}Takes {told}{f', in {pieces} pieces' if pieces > 1 else ''}."
        if time > LONG:
            told += " That is long: fewer steps or a smaller copy are faster."
        return widgets.text(told)

    def restore(
        self, request: gr.Request, path: str | None, live: str, had: bool, *read: Any
    ) -> Iterator[Updates]:
        """The run, streamed. `had`: whether an earlier result is there, which then comes back if this run has none."""
        session = request.session_hash or ""
        yield {
            self.run: gr.update(interactive=False),
            self.stop: gr.update(interactive=True),
            self.message: "",
            self.finished: gr.update(elem_classes=AWAY),
        }
        for message in restoration(self.desk, session, path, self.ask(*read), live=live):
            yield self.tell(message, had)

    def tell(self, message: Message, had: bool = False) -> Updates:
        """One message as updates; during the run only the film changes."""
        updates: Updates = {self.film: message.film}
        if message.text:
            updates[self.message] = widgets.text(message.text, "error" if message.failed else "note")
        if message.outcome is None and had and message.film.get("done"):
            updates[self.finished] = gr.update(elem_classes=[])
        if message.outcome is not None:
            found = message.outcome
            updates |= {
                self.finished: gr.update(elem_classes=[]),
                self.result: (str(found.before), str(found.after)),
                self.result_facts: widgets.facts(found.facts),
                self.png: str(found.png),
                self.jpeg: str(found.jpeg),
                self.had: True,
            }
        return updates

    def ready(self) -> Updates:
        """After a run, however it ended."""
        return {self.run: gr.update(interactive=True), self.stop: gr.update(interactive=False)}

    def halt(self, request: gr.Request) -> None:
        """Stop was pressed: the run ends at its next network call, and tells so itself."""
        self.desk.store.stop(request.session_hash or "")

    # wiring

    def wire(self, method_tabs: dict[str, gr.Tab], dice: gr.Button, show_before: gr.Button) -> None:
        """Which event calls which handler."""
        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        last = quick | {"trigger_mode": "always_last"}
        prepared = [*self.expert.values(), self.shown, self.word, self.method]

        def foresee_after(event: Any) -> None:
            event.then(self.foresee, self.asked, self.estimate, **quick)

        def prepare_on(listen: Callable[..., Any], **options: Any) -> None:
            foresee_after(listen(partial(self.prepare, **options), self.asked, prepared, **last))

        looked = self.photo.change(
            self.look, self.photo, [self.about, self.facts, self.smaller, self.message], **last
        )
        foresee_after(looked.then(self.prepare, self.asked, prepared, **quick))
        prepare_on(self.task.input)
        prepare_on(self.preset.input, reset=True)
        for key, tab in method_tabs.items():
            prepare_on(tab.select, method=key)
        for key, control in self.expert.items():
            outputs = [self.word, *self.expert.values()] if key == "sampler" else [self.word]
            moved = partial(self.adjust, sampler_moved=key == "sampler")
            foresee_after(control.input(moved, self.asked, outputs, **last))
        foresee_after(self.smaller.input(lambda: None, **quick))
        dice.click(lambda: secrets.randbelow(widgets.MAX_SEED), None, self.seed, **quick)
        show_before.click(None, js=SHOW_BEFORE)

        outputs = [
            self.film, self.run, self.stop, self.message, self.finished, self.result, self.result_facts, self.png,
            self.jpeg, self.had,
        ]  # fmt: skip

        running = self.run.click(
            self.restore, [self.photo, self.live, self.had, *self.asked], outputs, show_progress="hidden",
            trigger_mode="once", concurrency_id="engine", concurrency_limit=16, api_visibility="private",
        )  # fmt: skip
        running.then(self.ready, None, [self.run, self.stop], **quick)
        self.stop.click(self.halt, None, None, **quick)


def fill(desk: Desk) -> Tab:
    """Lay the tab out and wire it."""
    start = Ask()
    defaults = start.defaults()
    with gr.Row(elem_id="restore", equal_height=False):
        with gr.Column(scale=5, min_width=330, elem_id="asking"):
            photo = widgets.photo()
            facts = gr.HTML(elem_id="photo-facts", apply_default_css=False)
            smaller = gr.Checkbox(
                False, label="Use a smaller copy (12 million pixels)", visible=False, elem_id="smaller"
            )
            _examples(photo)
            task = gr.Radio(TASK_CHOICES, value="auto", label="What is wrong with it?", elem_id="task")
            preset = gr.Slider(0, 4, 2, step=1, label="Faithful to vivid", elem_id="preset")
            says = gr.HTML(widgets.preset_text(*PRESET_WORDS[2]), elem_id="preset-word", apply_default_css=False)
            estimate = gr.HTML(elem_id="estimate", apply_default_css=False)
            with gr.Row(elem_id="press"):
                run = gr.Button("Restore", variant="primary", elem_id="run", scale=3, min_width=140)
                stop = gr.Button("Stop", elem_id="stop", scale=1, min_width=90, interactive=False)
            message = widgets.announcement("message")
            method = gr.State("auto")
            method_tabs = _method_tabs()
            with gr.Accordion("More settings", open=False, elem_id="more"):
                with gr.Row(elem_id="variation"):
                    seed = gr.Number(
                        1, precision=0, minimum=0, maximum=widgets.MAX_SEED, label="Variation number (seed)",
                        info="Same number, same result.", elem_id="seed", scale=3, min_width=160,
                    )  # fmt: skip
                    dice = gr.Button("New number", size="sm", elem_id="dice", scale=1, min_width=110)
                expert = widgets.expert(defaults)
                live = gr.Radio(
                    LIVE_CHOICES, value="smooth", label="Live pictures", elem_id="live",
                    info="Light sends two a second, for slow lines.",
                )  # fmt: skip
        with gr.Column(scale=9, min_width=330, elem_id="seeing"):
            with gr.Column(elem_classes=AWAY, elem_id="finished") as finished:
                result = gr.ImageSlider(
                    label="Before and after", type="filepath", interactive=False, show_label=False, max_height=560,
                    buttons=["fullscreen"], elem_id="result",
                )  # fmt: skip
                with gr.Row(elem_id="keep"):
                    show_before = gr.Button("Show before", elem_id="show-before", min_width=120)
                    png = gr.DownloadButton("Download PNG", variant="primary", elem_id="download-png", min_width=140)
                    jpeg = gr.DownloadButton("Download JPEG", elem_id="download-jpeg", min_width=140)
                result_facts = gr.HTML(elem_id="facts", apply_default_css=False)
            reel = film(desk.store.moment)
    tab = Tab(
        desk, photo, facts, smaller, task, preset, says, estimate, run, stop, message, method, seed, live, expert,
        gr.State({}), gr.State(defaults), gr.State(False), reel, finished, result, result_facts, png, jpeg,
    )  # fmt: skip
    tab.wire(method_tabs, dice, show_before)
    return tab


def _examples(photo: gr.Image) -> None:
    found = sorted(EXAMPLES.glob("*.png")) + sorted(EXAMPLES.glob("*.jpg"))
    gr.Examples([[str(path)] for path in found], [photo], label="Or try one of these", elem_id="examples")


def _method_tabs() -> dict[str, gr.Tab]:
    tabs = {}
    with gr.Tabs(elem_id="method-tabs", overflow_behavior="wrap"):
        with gr.Tab("Automatic", id="auto") as tabs["auto"]:
            gr.HTML(widgets.text(AUTOMATIC_TEXT), apply_default_css=False)
        for key in METHODS:
            chosen = card(key)
            with gr.Tab(chosen.title, id=key) as tabs[key]:
                gr.HTML(
                    widgets.text(chosen.summary) + widgets.text(chosen.paper, "paper"), apply_default_css=False
                )
    return tabs
