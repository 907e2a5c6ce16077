"""Which picture, and what happened to it: shared by all parts of the Learn tab."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cache
from typing import Any

import gradio as gr
from torch import Tensor

from restore_core import export, images
from restore_core.ui import widgets
from restore_core.ui.desk import sentence
from restore_core.ui.learn import pictures
from restore_core.ui.learn.component import figure
from restore_core.ui.learn.stage import EXAMPLE_LABELS, EXAMPLES, TASK, Stage, Value

OWN = "own"  # the key of a photo of one's own among the pictures
DAMAGES = [("Four times smaller", "sr4"), ("Blurred", "deblur"), ("Noisy", "denoise")]
INTRO = (
    '<div class="learn-intro"><p>How a picture goes to noise and comes back: five short parts, each with something to '
    "move. All is worked out here and now, on a picture of 128 × 128 pixels, by the networks of this program.</p></div>"
)
LEAVE = "(made) => { if (made) document.querySelector('#learn-to-restore').click(); }"
QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Choice:
    """The picture bar. `source`: an example's name or a file's path; `scene`: the key of what was made of it;
    `sent`: the path of a photo that another tab sends; `own`: that of the visitor's photo, beside the examples;
    `go`: the button that takes the damaged picture to Restore, as the file `damaged`, by the unseen button `on` where
    `made` says that there is one: a state's value is not told to the browser."""

    stage: Stage
    pictures: gr.HTML
    upload: gr.UploadButton
    damage: gr.Radio
    source: gr.State
    scene: gr.State
    sent: gr.State
    own: gr.State
    go: gr.Button
    on: gr.Button
    damaged: gr.State
    made: gr.Textbox

    def choose(self, source: str | None, damage: str) -> list[Any]:
        """Another picture or damage: [source, scene, message]. A bad file changes nothing but the message."""
        try:
            made = self.stage.set_up(source or next(iter(EXAMPLE_LABELS)), damage)
        except Exception as error:
            return [gr.skip(), gr.skip(), widgets.text(sentence(error), "error")]
        told = (
            "" if source in EXAMPLE_LABELS or not source else "Your photo: the middle of it, as 128 × 128 pixels."
        )
        return [source, made.key, widgets.text(told)]

    def pick(self, damage: str, own: str | None, event: gr.EventData) -> list[Any]:
        """One of the pictures of the bar."""
        name = str(event._data.get("key"))
        source = own if name == OWN else name if name in EXAMPLE_LABELS else None
        return [*self.choose(source, damage), None]

    def bring(self, path: str | None, damage: str) -> list[Any]:
        """A photo was uploaded: what was sent before may be sent again."""
        return [*self._take(path, damage), None]

    def receive(self, path: str | None, damage: str) -> list[Any]:
        """Another tab's photo."""
        return self._take(path, damage) if path else [gr.skip()] * 5

    def _take(self, path: str | None, damage: str) -> list[Any]:
        """choose(), and the bar with this photo marked in it."""
        source, scene, told = self.choose(path, damage)
        if source != path:
            return [source, scene, told, gr.skip(), gr.skip()]
        return [source, scene, told, bar(OWN, self.stage.scene(scene).clean), path]

    def keep(self, request: gr.Request, key: str | None) -> list[Any]:
        """The damaged picture as a file of this page, and a message where there is none: [path, its name, message]."""
        try:
            scene, store = self.stage.scene(key), self.stage.desk.store
            session = request.session_hash or ""
            name = f"{scene.task}-{scene.key[:8]}.png"
            path = store.keep_file(session, store.open(session), name, lambda to: export.save(scene.damaged.cpu(), to))
        except Exception as error:
            return [None, "", widgets.text(sentence(error), "error")]
        return [str(path), path.name, gr.skip()]

    def wire(self, message: gr.HTML) -> list[Any]:
        """Which event calls which handler; the events after which the scene is another."""
        kept = self.go.click(self.keep, self.scene, [self.damaged, self.made, message], **QUICK)
        kept.then(None, self.made, None, js=LEAVE)
        outputs = [self.source, self.scene, message]
        taken = [*outputs, self.pictures, self.own]
        return [
            self.pictures.select(self.pick, [self.damage, self.own], [*outputs, self.sent], **QUICK),
            self.damage.input(self.choose, [self.source, self.damage], outputs, **QUICK),
            self.sent.change(self.receive, [self.sent, self.damage], taken, **QUICK),
            self.upload.upload(self.bring, [self.upload, self.damage], [*taken, self.sent], **QUICK),
        ]


@cache
def _examples() -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (key, label, pictures.photo(images.shrink_to(images.load(EXAMPLES / f"{key}.jpg").rgb, 96)))
        for key, label in EXAMPLE_LABELS.items()
    )


def bar(chosen: str, own: Tensor | None = None) -> Value:
    """The pictures to choose from: the examples, then the visitor's own (1, 3, H, W); `chosen` has the ring."""
    listed = [*_examples(), *([] if own is None else [(OWN, "Your photo", pictures.photo(own))])]
    return {"scene": chosen, "pictures": [list(one) for one in listed], "made": secrets.token_hex(4)}


def fill(stage: Stage) -> Choice:
    """Lay the bar out."""
    first = next(iter(EXAMPLE_LABELS))
    gr.HTML(INTRO, apply_default_css=False)
    with gr.Row(elem_id="learn-bar", equal_height=True):
        shown = figure("choice")
        shown.value = bar(first)
        upload = gr.UploadButton(
            "Your own photo", file_types=None, elem_id="learn-upload", size="sm", scale=0, min_width=150
        )
        damage = gr.Radio(
            DAMAGES,
            value=TASK,
            label="What happened to it",
            elem_id="learn-damage",
            elem_classes=["learn-radio"],
            scale=1,
        )
        go = gr.Button("Send to Restore", elem_id="learn-go", size="sm", scale=0, min_width=150)
        on = gr.Button("", elem_id="learn-to-restore", elem_classes=widgets.AWAY)
        made = gr.Textbox(elem_classes=widgets.AWAY, container=False)
    states = gr.State(first), gr.State(""), gr.State(), gr.State()
    return Choice(stage, shown, upload, damage, *states, go, on, gr.State(), made)
