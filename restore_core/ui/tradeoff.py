"""The Trade-off tab: many settings on one photo, each a point between "true" and "looks like a photo"."""

from __future__ import annotations

import html
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from restore_core import export, images
from restore_core.counting import counted
from restore_core.degradations import TASKS
from restore_core.diagnosis import diagnose
from restore_core.errors import RestoreError
from restore_core.library import card
from restore_core.methods import METHODS
from restore_core.settings import Settings
from restore_core.tradeoff import AXES, as_csv, as_json, as_page
from restore_core.tradeoff.sweep import PAPER_NOISE, PAPER_STEPS, default_values
from restore_core.ui import widgets
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.links import Send
from restore_core.ui.map import map_value, picked_id, plane_map
from restore_core.ui.newest import Newest
from restore_core.ui.picked import HINT, opened
from restore_core.ui.planning import BOTH, CLEAN, DAMAGED, Ask, Board, Foresight, board, foreseen, forget
from restore_core.ui.sweeping import Message, sweeping
from restore_core.ui.turns import AT_ONCE

EXAMPLES = Path(__file__).parent / "examples" / "clean"
HAVE = (("A clean photo", CLEAN), ("A damaged one", DAMAGED), ("Both", BOTH))
HAVE_WORDS = {
    CLEAN: "It is damaged here, so the truth is known.",
    DAMAGED: "The truth is not known: less can be measured.",
    BOTH: "Distances are to your clean picture, as it lies.",
}
OVER = {
    "steps": "Steps",
    "eta": "Randomness",
    "noise": "Noise level",
    "samples": "Samples",
    "method": "Method",
}
QUICK = {"steps": "4, 10, 20, 50", "eta": "0, 0.5, 1", "noise": "0.05, 0.1, 0.2", "samples": "1, 2, 4, 8, 16"}
PAPER = {"steps": ", ".join(map(str, PAPER_STEPS)), "noise": ", ".join(map(str, PAPER_NOISE))}
INFO = {
    "steps": "Noise levels visited.",
    "eta": "Fresh noise per step.",
    "noise": "DvSR's is the paper's 1 - alpha_T; each method has a scale of its own.",
    "samples": "Means of so many runs.",
    "method": "Any of " + ", ".join(METHODS) + ".",
}
SIDES = (("Middle, 128 px", 128), ("Middle, 256 px", 256), ("Middle, 512 px", 512), ("All of it", 0))
EMPTY: dict[str, Any] = {
    "points": [], "series": [], "frontier": [], "walk": [], "columns": [], "positions": [], "run": "",
    "x": {"label": "PSNR", "unit": "dB", "word": "closer to the truth", "better": "higher", "room": 0.05},
    "y": {"label": "LPIPS", "unit": "", "word": "looks more like a photo", "better": "lower", "room": 0.004},
}  # fmt: skip
AWAY = ["away"]
LATER = 3.0  # seconds between two looks at whether the device is free
SHOW_OPEN = """() => {
  const panel = document.querySelector("#tradeoff-right"), top = panel.getBoundingClientRect().top;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (top > innerHeight - 120) panel.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
}"""

Updates = dict[Any, Any]


@dataclass(frozen=True)
class Tab:
    """The tab's components, and the handlers between them."""

    desk: Desk
    photo: gr.Image
    clean_photo: gr.Image
    clean: gr.State
    incoming: gr.State
    have: gr.Radio
    have_word: gr.HTML
    task: gr.Dropdown
    method: gr.Dropdown
    over: gr.CheckboxGroup
    values: dict[str, gr.Textbox]
    positions: gr.Checkbox
    side: gr.Dropdown
    seed: gr.Number
    estimate: gr.HTML
    agreed: gr.Checkbox
    later: gr.Timer
    run: gr.Button
    stop: gr.Button
    message: gr.HTML
    progress: gr.HTML
    note: gr.HTML
    map: gr.HTML
    csv: gr.DownloadButton
    json: gr.DownloadButton
    page: gr.DownloadButton
    anew: gr.Button
    panel: gr.HTML
    actions: gr.Row
    compare: gr.Button
    keep: gr.DownloadButton
    sent: tuple[gr.State, gr.State, gr.State]
    newest: Newest = field(default_factory=Newest)

    @property
    def sends(self) -> tuple[Send, ...]:
        """Where an opened point may go."""
        photo, clean, settings = self.sent
        return (Send(self.compare, "compare", photo=photo, clean=clean, settings=settings),)

    @property
    def asked(self) -> list[Any]:
        """The components that ask() reads, in its order."""
        first = [self.photo, self.clean_photo, self.have, self.task, self.method, self.over]
        return [*first, self.positions, self.side, self.seed, *self.values.values()]

    @property
    def shown(self) -> list[Any]:
        """What belongs to the photo's board."""
        return [self.map, self.note, self.message, self.progress, *self.files, self.anew]

    @property
    def files(self) -> tuple[gr.DownloadButton, ...]:
        """Files of everything on the map."""
        return self.csv, self.json, self.page

    @property
    def open(self) -> list[Any]:
        """What belongs to the opened point."""
        return [self.panel, self.actions, self.keep, *self.sent]

    def ask(self, *read: Any) -> Ask:
        """What the page asks for."""
        photo, clean, have, task, method, over, positions, side, seed, *values = read
        return Ask(
            photo=photo,
            clean=clean,
            have=have or CLEAN,
            task=task,
            method=method,
            over=tuple(over or ()),
            values=dict(zip(OVER, (text or "" for text in values), strict=True)),
            positions=bool(positions),
            side=int(side or 0),
            seed=int(seed or 0),
        )

    # handlers

    def look(self, request: gr.Request, *read: Any) -> Updates:
        """Another photo, or another view of it: what is known of it already."""
        ask = self.ask(*read)
        closed: Updates = {self.panel: HINT, self.actions: gr.update(elem_classes=AWAY)}
        nothing = {
            self.map: EMPTY,
            self.note: "",
            self.message: "",
            self.progress: "",
            **self._files(None, "", None),
        }
        if not ask.photo or (ask.have == BOTH and not ask.clean):
            return nothing | closed
        try:
            found = board(self.desk, ask)
        except Exception as error:
            return nothing | closed | {self.message: widgets.text(sentence(error), "error")}
        known = len(found.points)
        text = f"From before: {counted(known, 'point')} of this photo." if known else ""
        return {
            **closed,
            self.map: self._map(found),
            self.note: self._note(found),
            self.message: widgets.text(text),
            self.progress: "",
            **self._files(found, request.session_hash or "", ask),
        }

    def foresee(self, request: gr.Request, *read: Any) -> Updates:
        """How many points and how long, before the button is pressed."""
        updates = self.foresee_later(request, *read)
        shown = updates[self.agreed].get("visible")
        return updates if shown is None else updates | {self.agreed: gr.update(visible=shown, value=False)}

    def foresee_later(self, request: gr.Request, *read: Any) -> Updates:
        """The same when nothing was changed meanwhile: the box that agrees to it stays as it is."""
        stands = self.newest.ask(request.session_hash or "")
        ask, told, kind = self.ask(*read), Foresight("", large=False), "note"
        try:
            if ask.photo and (ask.have != BOTH or ask.clean):
                told = foreseen(self.desk, ask)
        except RestoreError as error:
            told, kind = Foresight(str(error), large=False), "error"
        if not stands():
            return dict.fromkeys((self.estimate, self.agreed, self.later), gr.skip())
        return {
            self.estimate: widgets.text(told.sentence, kind),
            self.agreed: gr.update(visible=told.large),
            self.later: gr.Timer(active=told.pending),
        }

    def choose(self, over: list[str], method: str, task: str) -> list[Any]:
        """Show the values of what is swept. Noise levels follow the method's own scale."""
        noise = default_values("noise", task, method)
        usual = (
            QUICK["noise"] if method == "dvsr" else ", ".join(f"{value:g}" for value in noise[1:-1] or noise)
        )
        return [
            gr.update(visible=key in over, **({"value": usual} if key == "noise" else {}))
            for key in self.values
        ]

    def take(self, path: str | None, photo: str | None) -> list[Any]:
        """A clean picture came along with the photo: both are used, and their sizes tell what was done."""
        if not path:
            return [gr.skip()] * 3
        offered = [key for _, key in self.task.choices]
        task = task_between(photo or path, path, offered, self.desk.max_pixels)
        return [BOTH, gr.update(value=path, visible=True), task or gr.skip()]

    def follow(self, text: str | None, clean: str | None) -> list[Any]:
        """Settings came from another tab: the same method and variation are swept, on a photo that is damaged."""
        try:
            settings = Settings.from_json(json.loads(text or ""))
            task = card(settings.method).variant(settings.variant).task
        except (RestoreError, ValueError):
            return [gr.skip()] * 4
        return [
            task if task in TASKS else gr.skip(),
            settings.method,
            settings.seed,
            gr.skip() if clean else DAMAGED,
        ]

    def sweep(self, request: gr.Request, agreed: bool, *read: Any) -> Iterator[Updates]:
        """The sweep, streamed point by point."""
        session, ask = request.session_hash or "", self.ask(*read)
        yield {
            self.run: gr.update(interactive=False),
            self.stop: gr.update(interactive=True),
            self.message: "",
        }
        last: Board | None = None
        began = secrets.token_hex(4)
        for message in sweeping(self.desk, session, ask, agreed=agreed):
            last = message.board or last
            yield self.tell(message, began)
        if last is not None:
            yield self._files(last, session, ask)

    def tell(self, message: Message, began: str = "") -> Updates:
        """One message as updates; `began` is new with each press of Run sweep, so that the map comes into view."""
        updates: Updates = {self.progress: _progress(message)}
        if message.board is not None:
            updates |= {
                self.map: self._map(message.board) | {"began": began},
                self.note: self._note(message.board),
            }
        if message.text:
            updates[self.message] = widgets.text(message.text, "error" if message.failed else "note")
        return updates

    def ready(self) -> Updates:
        """After a sweep, however it ended."""
        return {self.run: gr.update(interactive=True), self.stop: gr.update(interactive=False)}

    def halt(self, request: gr.Request) -> None:
        """Stop was pressed."""
        self.desk.store.stop(request.session_hash or "")

    def forget(self, request: gr.Request, *read: Any) -> Updates:
        """Delete what was measured on this photo."""
        self.desk.store.stop(request.session_hash or "")
        forget(self.desk, self.ask(*read))
        return self.look(request, *read)

    def pick(self, request: gr.Request, event: gr.EventData, *read: Any) -> Updates:
        """A point was opened, on the map or in the table."""
        try:
            found = board(self.desk, self.ask(*read))
        except Exception as error:
            return {self.panel: widgets.text(sentence(error), "error")}
        key = picked_id(event._data)
        point = next((p for p in found.points if p.key == key), None)
        if point is None:
            return {self.panel: widgets.text("This point is no longer here: run the sweep again.", "error")}
        session = request.session_hash or ""
        kept = self.desk.store.open(session)
        copy = lambda source: lambda path: path.write_bytes(source.read_bytes())  # noqa: E731
        keep = lambda name, source: str(self.desk.store.keep_file(session, kept, name, copy(source)))  # noqa: E731
        folder, name = found.journal.folder, Path(found.subject.name).name or "photo"
        photo = keep(f"{name}.png", folder / "input.png")
        clean = keep(f"{name}-clean.png", folder / "clean.png") if found.subject.clean is not None else None
        picture = keep(f"{name}-{point.key[:6]}.png", folder / point.picture)
        return {
            self.panel: opened(found, point),
            self.actions: gr.update(elem_classes=[]),
            self.keep: picture,
            **dict(zip(self.sent, (photo, clean, json.dumps(dict(point.settings))), strict=True)),
        }

    def _map(self, found: Board) -> dict[str, Any]:
        return map_value(found.points, found.plane, found.presets, found.subject.digest)

    @staticmethod
    def _note(found: Board) -> str:
        warnings = "".join(widgets.text(note, "error") for note in found.subject.notes)
        return warnings + widgets.text(found.plane.note)

    def _files(self, found: Board | None, session: str, ask: Ask | None) -> Updates:
        """CSV and JSON of everything on the map."""
        points = found.points if found is not None else ()
        if found is None or not points:
            off = gr.update(interactive=False, value=None)
            return {button: off for button in self.files} | {self.anew: gr.update(interactive=False)}
        kept = self.desk.store.open(session)
        asked = points, found.plane
        texts = {
            "tradeoff.csv": as_csv(*asked, found.presets),
            "tradeoff.json": json.dumps(as_json(*asked, found.presets), indent=1),
            "tradeoff.html": as_page(*asked, found.journal, found.presets),
        }
        updates: Updates = {self.anew: gr.update(interactive=True)}
        for button, (name, text) in zip(self.files, texts.items(), strict=True):
            write = lambda path, t=text: export.write_whole(path, t.encode())  # noqa: E731
            path = self.desk.store.keep_file(session, kept, name, write)
            updates[button] = gr.update(interactive=True, value=str(path))
        return updates

    # wiring

    def wire(self, paper: gr.Button) -> None:
        """Which event calls which handler."""
        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        last = quick | {"trigger_mode": "always_last"}

        def foresee_after(event: Any) -> None:
            event.then(self.foresee, self.asked, [self.estimate, self.agreed, self.later], **quick)

        for listen in (
            self.photo.change,
            self.clean_photo.change,
            self.task.input,
            self.side.input,
            self.method.input,
        ):
            foresee_after(listen(self.look, self.asked, [*self.shown, *self.open], **last))
        have = self.have.change(
            lambda have: [widgets.text(HAVE_WORDS[have]), gr.update(visible=have == BOTH)],
            self.have, [self.have_word, self.clean_photo], **last,
        )  # fmt: skip
        foresee_after(have.then(self.look, self.asked, [*self.shown, *self.open], **quick))
        boxes = list(self.values.values())
        for listen in (self.over.input, self.method.input, self.task.input):
            foresee_after(listen(self.choose, [self.over, self.method, self.task], boxes, **last))
        for control in (*boxes, self.positions, self.seed):
            foresee_after(control.change(lambda: None, **last))
        paper.click(
            lambda: [PAPER["steps"], PAPER["noise"]],
            None,
            [self.values["steps"], self.values["noise"]],
            **quick,
        )
        self.clean.change(
            self.take, [self.clean, self.photo], [self.have, self.clean_photo, self.task], **quick
        )
        came = [self.task, self.method, self.seed, self.have]
        self.incoming.change(self.follow, [self.incoming, self.clean], came, **quick)
        self.map.select(self.pick, self.asked, self.open, **quick).then(None, js=SHOW_OPEN)
        self.anew.click(self.forget, self.asked, [*self.shown, *self.open], **quick)
        running = self.run.click(
            self.sweep, [self.agreed, *self.asked], [self.run, self.stop, *self.shown], show_progress="hidden",
            trigger_mode="once", concurrency_id="engine", concurrency_limit=AT_ONCE, api_visibility="private",
        )  # fmt: skip
        foresee_after(running.then(self.ready, None, [self.run, self.stop], **quick))
        self.stop.click(self.halt, None, None, **quick)
        self.later.tick(self.foresee_later, self.asked, [self.estimate, self.agreed, self.later], **quick)


def task_between(photo: str, clean: str, offered: Sequence[str], max_pixels: int) -> str | None:
    """The task whose scale leads from the photo's size to the clean one's; at equal size what the photo shows."""
    try:
        small, large = (images.inspect(path).size for path in (photo, clean))
        fits = [key for key in offered if tuple(TASKS[key].scale * side for side in small) == large]
        seen = diagnose(images.load(photo, max_pixels=max_pixels).rgb).task
    except RestoreError:
        return None
    return seen if seen in fits else fits[0] if fits else None


def _progress(message: Message) -> str:
    share = round(100 * message.share, 1)
    return (
        f'<div class="bar" role="progressbar" aria-label="Progress of the sweep" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{share:.0f}"><i style="width:{share}%"></i></div><p>{html.escape(message.caption)}</p>'
    )


def _photo(words: str, elem_id: str, **options: Any) -> gr.Image:
    component = gr.Image(
        type="filepath", image_mode=None, sources=["upload", "clipboard"], label=words, show_label=False, height=150,
        buttons=["fullscreen"], elem_id=elem_id, placeholder=words, **options,
    )  # fmt: skip
    component.preprocess = lambda payload: None if payload is None else payload.path
    return component


def _tasks(desk: Desk) -> list[tuple[str, str]]:
    """Tasks that shipped weights undo."""
    variants = [v for v in card("dvsr").variants if v.task in TASKS and desk.library.has("dvsr", v.key)]
    return [(TASKS[v.task].label, v.task) for v in variants] or [(t.label, key) for key, t in TASKS.items()]


def fill(desk: Desk) -> Tab:
    """Lay the tab out and wire it."""
    tasks = _tasks(desk)
    first = "deblur" if "deblur" in dict((key, word) for word, key in tasks) else tasks[0][1]
    clean, incoming = gr.State(), gr.State()
    sent = gr.State(), gr.State(), gr.State()
    with gr.Row(elem_id="tradeoff", equal_height=False):
        with gr.Column(scale=4, min_width=320, elem_id="tradeoff-asking"):
            photo = _photo("Drop a photo here", "tradeoff-photo")
            _examples(photo)
            have = gr.Radio(list(HAVE), value=CLEAN, label="What do you have?", elem_id="tradeoff-have")
            have_word = gr.HTML(widgets.text(HAVE_WORDS[CLEAN]), apply_default_css=False)
            clean_photo = _photo("Drop the clean picture here", "tradeoff-clean", visible=False)
            with gr.Row(elem_id="tradeoff-what"):
                task = gr.Dropdown(tasks, value=first, label="Damage", elem_id="tradeoff-task", min_width=130)
                method = gr.Dropdown(
                    [(card(key).title, key) for key in METHODS if any(v.task in TASKS for v in card(key).variants)],
                    value="dvsr", label="Method", elem_id="tradeoff-method", min_width=130,
                )  # fmt: skip
            over = gr.CheckboxGroup(
                [(word, key) for key, word in OVER.items()], value=["steps", "eta"], label="Sweep over",
                elem_id="tradeoff-over",
            )  # fmt: skip
            there = ", ".join(map(str, default_values("method", first, "dvsr")))
            with gr.Row(elem_id="tradeoff-values"):
                values = {
                    key: gr.Textbox(
                        QUICK.get(key, there), label=AXES[key].label, info=INFO[key],
                        visible=key in ("steps", "eta"), elem_id=f"tradeoff-{key}", max_lines=1, min_width=140,
                    )
                    for key in OVER
                }  # fmt: skip
            positions = gr.Checkbox(
                True, label="Also the five positions of the slider", elem_id="tradeoff-positions"
            )
            estimate = gr.HTML(elem_id="tradeoff-estimate", apply_default_css=False)
            agreed = gr.Checkbox(False, label="Begin all the same", visible=False, elem_id="tradeoff-agreed")
            later = gr.Timer(LATER, active=False)
            with gr.Row(elem_id="tradeoff-press"):
                run = gr.Button(
                    "Run sweep", variant="primary", elem_id="tradeoff-run", scale=3, min_width=140
                )
                stop = gr.Button("Stop", elem_id="tradeoff-stop", scale=1, min_width=90, interactive=False)
            message = widgets.announcement("tradeoff-message")
            with gr.Accordion("More settings", open=False, elem_id="tradeoff-more"):
                side = gr.Dropdown(
                    list(SIDES), value=256, label="How much of the photo", elem_id="tradeoff-side",
                    info="A piece is enough to see the tradeoff, and much faster.",
                )  # fmt: skip
                seed = gr.Number(
                    1, precision=0, minimum=0, maximum=widgets.MAX_SEED, label="Variation number (seed)",
                    info="The same for all points.", elem_id="tradeoff-seed",
                )  # fmt: skip
                paper = gr.Button(
                    "Take the paper's steps and noise levels", size="sm", elem_id="tradeoff-paper"
                )
        with gr.Column(scale=11, min_width=330, elem_id="tradeoff-seeing"), gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=330, elem_id="tradeoff-left"):
                progress = gr.HTML(elem_id="tradeoff-progress", apply_default_css=False)
                plane = plane_map(elem_id="tradeoff-map")
                note = gr.HTML(elem_id="tradeoff-note", apply_default_css=False)
                with gr.Row(elem_id="tradeoff-files"):
                    csv = gr.DownloadButton(
                        "Table (CSV)", elem_id="tradeoff-csv", size="sm", interactive=False, min_width=80
                    )
                    as_json_file = gr.DownloadButton(
                        "Points (JSON)", elem_id="tradeoff-json", size="sm", interactive=False, min_width=80
                    )
                    report = gr.DownloadButton(
                        "Report (HTML)", elem_id="tradeoff-report", size="sm", interactive=False, min_width=80
                    )
                    anew = gr.Button(
                        "Forget these points",
                        elem_id="tradeoff-anew",
                        size="sm",
                        interactive=False,
                        min_width=150,
                    )
            with gr.Column(scale=4, min_width=300, elem_id="tradeoff-right"):
                panel = gr.HTML(HINT, elem_id="tradeoff-open", apply_default_css=False)
                with gr.Row(elem_classes=AWAY, elem_id="tradeoff-actions") as actions:
                    compare = gr.Button(
                        "Open in Compare", variant="primary", elem_id="tradeoff-compare", min_width=140
                    )
                    keep = gr.DownloadButton("Download PNG", elem_id="tradeoff-keep", min_width=120)
    plane.value = EMPTY
    tab = Tab(
        desk, photo, clean_photo, clean, incoming, have, have_word, task, method, over, values, positions, side, seed,
        estimate, agreed, later, run, stop, message, progress, note, plane, csv, as_json_file, report, anew, panel,
        actions, compare, keep, sent,
    )  # fmt: skip
    tab.wire(paper)
    return tab


def _examples(photo: gr.Image) -> None:
    found = sorted(EXAMPLES.glob("*.jpg"))
    gr.Examples(
        [[str(path)] for path in found], [photo], label="Or try one of these", elem_id="tradeoff-examples"
    )
