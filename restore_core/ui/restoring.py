"""What the Restore tab does: its components, the handlers between them, and which event calls which."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import gradio as gr

from restore_core import images
from restore_core.diagnosis import diagnose
from restore_core.library import card
from restore_core.samplers import SAMPLERS
from restore_core.ui import widgets
from restore_core.ui.asking import Ask, is_large, look_of, word
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.downloads import Downloads
from restore_core.ui.foreseeing import foreseen
from restore_core.ui.links import Send
from restore_core.ui.newest import Newest
from restore_core.ui.running import Message, restoration
from restore_core.ui.turns import AT_ONCE
from restore_core.ui.weighing import Picker

SHOW_BEFORE = """() => {
  const result = document.querySelector("#result"), button = document.querySelector("#show-before");
  const on = result.classList.toggle("before-only");
  button.setAttribute("aria-pressed", on);
}"""

SHOW_RESULT = """async () => {
  const result = document.querySelector("#result"), keep = document.querySelector("#keep");
  await Promise.all([...result.querySelectorAll("img")].map((img) => img.decode().catch(() => {})));
  const { top, bottom } = result.getBoundingClientRect(), end = keep.getBoundingClientRect().bottom;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (top > innerHeight || end <= innerHeight || bottom <= 0) return;
  (end - top < innerHeight ? keep : result).scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "nearest" });
}"""  # whoever watched the film sees the whole result, and what it can be kept by

SHOW_PHOTO = "() => document.querySelector('#photo-in').scrollIntoView({ block: 'nearest' })"

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
    later: gr.Timer
    run: gr.Button
    stop: gr.Button
    message: gr.HTML
    method: gr.State
    weights: Picker
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
    more: Downloads
    newest: Newest = field(default_factory=Newest)

    @property
    def asked(self) -> list[Any]:
        """The components that ask() reads, in its order."""
        first = [self.task, self.method, self.preset, self.seed, self.smaller, self.about, self.shown]
        return [*first, self.weights.variant, self.weights.pace, *self.expert.values()]

    @property
    def sends(self) -> tuple[Send, ...]:
        """Missing weights are got on their own tab; a photo goes to Compare with its settings, and to the lessons."""
        return (Send(self.weights.get, "models", settings=self.weights.offer), *self.more.sends(self.photo))

    @property
    def entered(self) -> tuple[Callable[..., Updates], list[Any], list[Any]]:
        """Weights may have come or gone meanwhile."""
        return self.enter, self.asked, [*self.weights.outputs, self.estimate, self.later]

    def ask(self, *read: Any) -> Ask:
        """What the page asks for."""
        task, method, preset, seed, smaller, about, shown, variant, pace, *values = read
        return Ask(
            task=task or "auto",
            method=method,
            variant=variant or "",
            paper=pace == "paper",
            preset=2 if preset is None else int(preset),
            seed=int(seed or 0),
            values=dict(zip(self.expert, values, strict=True)),
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
                seen = diagnose(images.load(path, max_pixels=self.desk.max_pixels).rgb)
                large = is_large(header)  # a smaller copy of what could be read
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

    def prepare(
        self, *read: Any, reset: bool = False, method: str | None = None, fresh: bool = False
    ) -> Updates:
        """Another photo, task, method, weights or preset: the controls follow, except where they were changed by hand.

        reset   whether those follow too;   fresh: whether the weights are chosen anew
        """
        ask = self.ask(*read)
        if method is not None:
            ask = replace(ask, method=method)
        if fresh:
            ask = replace(ask, variant="", paper=False)
        changed = {} if reset else dict(ask.changes)
        if method is not None:
            changed.pop("noise", None)  # each method has a scale of its own
        defaults = ask.defaults()
        values = defaults | {key: ask.values[key] for key in changed}
        ask = replace(ask, values=values, shown=defaults)
        controls = dict(zip(self.expert.values(), widgets.adjusted(ask, values), strict=True))
        chosen = {} if method is None else {self.method: method}
        if method is None and ask.method == "auto":  # where a method was chosen meanwhile, its menu stays
            weights = self.weights.missing(ask, self.desk.library)
        else:
            weights = self.weights.shown(ask, self.desk.library)
        return controls | weights | chosen | {
            self.shown: defaults, self.word: widgets.preset_text(*word(ask)),
            self.preset: gr.update(interactive=not ask.as_published),
        }  # fmt: skip

    def enter(self, request: gr.Request, *read: Any) -> Updates:
        """The tab is looked at again."""
        return self.weights.refreshed(self.ask(*read), self.desk.library) | self.foresee(request, *read)

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

    def foresee(self, request: gr.Request, *read: Any) -> Updates:
        """How long it will take, next to the button before it is pressed; or what is missing."""
        stands = self.newest.ask(request.session_hash or "")
        found = foreseen(self.ask(*read), read[5], self.desk)
        if not stands():
            return {self.estimate: gr.skip(), self.later: gr.skip()}
        return {self.estimate: found.html, self.later: gr.Timer(active=found.pending)}

    def restore(
        self, request: gr.Request, path: str | None, live: str, had: bool, *read: Any
    ) -> Iterator[Updates]:
        """The run, streamed. `had`: whether an earlier result is there, which then comes back if this run has none."""
        session = request.session_hash or ""
        yield {
            self.run: gr.update(interactive=False),
            self.stop: gr.update(interactive=True),
            self.message: "",
            self.finished: gr.update(elem_classes=widgets.AWAY),
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

    def take(self, request: gr.Request) -> Updates:
        """The last result is the next run's photo: what one run left another may undo."""
        run = self.desk.store.finished(request.session_hash or "")
        if run is None or run.result is None:
            return {self.message: widgets.text("The result is no longer here. Restore the photo again.", "error")}
        return {self.photo: str(run.result.after)}

    def halt(self, request: gr.Request) -> None:
        """Stop was pressed: the run ends at its next network call, and tells so itself."""
        self.desk.store.stop(request.session_hash or "")

    # wiring

    def wire(self, method_tabs: dict[str, gr.Tab], dice: gr.Button, show_before: gr.Button) -> None:
        """Which event calls which handler."""
        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        last = quick | {"trigger_mode": "always_last"}
        prepared = [
            *self.expert.values(), *self.weights.outputs, self.shown, self.word, self.method, self.preset,
        ]  # fmt: skip

        def foresee_after(event: Any) -> None:
            event.then(self.foresee, self.asked, [self.estimate, self.later], **quick)

        def prepare_on(listen: Callable[..., Any], **options: Any) -> None:
            foresee_after(listen(partial(self.prepare, **options), self.asked, prepared, **last))

        looked = self.photo.change(
            self.look, self.photo, [self.about, self.facts, self.smaller, self.message], **last
        )
        foresee_after(looked.then(self.prepare, self.asked, prepared, **quick))
        prepare_on(self.task.input, fresh=True)
        prepare_on(self.preset.input, reset=True)
        prepare_on(self.weights.variant.input, reset=True)
        prepare_on(self.weights.pace.input, reset=True)
        for key, tab in method_tabs.items():
            prepare_on(tab.select, method=key, fresh=True)
        for key, control in self.expert.items():
            outputs = [self.word, *self.expert.values()] if key == "sampler" else [self.word]
            moved = partial(self.adjust, sampler_moved=key == "sampler")
            foresee_after(control.input(moved, self.asked, outputs, **last))
        foresee_after(self.smaller.input(lambda: None, **quick))
        self.later.tick(self.foresee, self.asked, [self.estimate, self.later], **quick)
        dice.click(lambda: secrets.randbelow(widgets.MAX_SEED), None, self.seed, **quick)
        show_before.click(None, js=SHOW_BEFORE)

        outputs = [
            self.film, self.run, self.stop, self.message, self.finished, self.result, self.result_facts, self.png,
            self.jpeg, self.had,
        ]  # fmt: skip

        running = self.run.click(
            self.restore, [self.photo, self.live, self.had, *self.asked], outputs, show_progress="hidden",
            trigger_mode="once", concurrency_id="engine", concurrency_limit=AT_ONCE, api_visibility="private",
        )  # fmt: skip
        running.then(self.ready, None, [self.run, self.stop], **quick).then(None, js=SHOW_RESULT)
        self.stop.click(self.halt, None, None, **quick)
        taken = self.more.again.click(self.take, None, [self.photo, self.message], **quick)
        taken.then(None, js=SHOW_PHOTO)


__all__ = ["Tab"]
