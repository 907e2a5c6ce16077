"""Which picture, and what happened to it: shared by all parts of the Learn tab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from restore_core import images
from restore_core.ui import widgets
from restore_core.ui.desk import sentence
from restore_core.ui.learn import pictures
from restore_core.ui.learn.component import figure
from restore_core.ui.learn.stage import EXAMPLE_LABELS, EXAMPLES, TASK, Stage

DAMAGES = [("Four times smaller", "sr4"), ("Blurred", "deblur"), ("Noisy", "denoise")]
INTRO = (
    '<div class="learn-intro"><p>How a picture goes to noise and comes back: five short parts, each with something to '
    "move. All is worked out here and now, on a picture of 128 pixels, by the networks of this program.</p></div>"
)
QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Choice:
    """The picture bar. `source`: an example's name or a file's path; `scene`: the key of what was made of it;
    `sent`: the path of a photo that another tab sends."""

    stage: Stage
    examples: gr.HTML
    upload: gr.UploadButton
    damage: gr.Radio
    source: gr.State
    scene: gr.State
    sent: gr.State

    def choose(self, source: str | None, damage: str) -> list[Any]:
        """Another picture or damage: [source, scene, message]. A bad file changes nothing but the message."""
        try:
            made = self.stage.set_up(source or next(iter(EXAMPLE_LABELS)), damage)
        except Exception as error:
            return [gr.skip(), gr.skip(), widgets.text(sentence(error), "error")]
        told = (
            "" if source in EXAMPLE_LABELS or not source else "Your photo: the middle of it, as 128 pixels."
        )
        return [source, made.key, widgets.text(told)]

    def pick(self, damage: str, event: gr.EventData) -> list[Any]:
        """One of the examples."""
        name = str(event._data.get("key"))
        return [*self.choose(name if name in EXAMPLE_LABELS else None, damage), None]

    def bring(self, path: str | None, damage: str) -> list[Any]:
        """A photo was uploaded: what was sent before may be sent again."""
        return [*self.choose(path, damage), None]

    def receive(self, path: str | None, damage: str) -> list[Any]:
        """Another tab's photo."""
        return self.choose(path, damage) if path else [gr.skip()] * 3

    def wire(self, message: gr.HTML) -> list[Any]:
        """Which event calls which handler; the events after which the scene is another."""
        outputs = [self.source, self.scene, message]
        return [
            self.examples.select(self.pick, self.damage, [*outputs, self.sent], **QUICK),
            self.damage.input(self.choose, [self.source, self.damage], outputs, **QUICK),
            self.sent.change(self.receive, [self.sent, self.damage], outputs, **QUICK),
            self.upload.upload(self.bring, [self.upload, self.damage], [*outputs, self.sent], **QUICK),
        ]


def fill(stage: Stage) -> Choice:
    """Lay the bar out."""
    listed = [
        [key, label, pictures.photo(images.shrink_to(images.load(EXAMPLES / f"{key}.jpg").rgb, 96))]
        for key, label in EXAMPLE_LABELS.items()
    ]
    gr.HTML(INTRO, apply_default_css=False)
    with gr.Row(elem_id="learn-bar", equal_height=True):
        examples = figure("choice")
        examples.value = {"scene": listed[0][0], "examples": listed}
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
    return Choice(stage, examples, upload, damage, gr.State(listed[0][0]), gr.State(""), gr.State())
