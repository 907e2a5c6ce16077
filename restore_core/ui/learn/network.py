"""Part 5, the network: its real shapes, read off while it runs, and what it makes of the noise level it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from restore_core.devices import autocast
from restore_core.engine import Noise
from restore_core.methods.compact import to_signed
from restore_core.networks.compact_unet import CompactModel
from restore_core.teaching.anatomy import Anatomy, Part, anatomy
from restore_core.teaching.levels import told
from restore_core.teaching.scenes import SIDE, Scene
from restore_core.ui.learn import pictures
from restore_core.ui.learn.component import Teaching, figure, heading, teachers
from restore_core.ui.learn.stage import Stage, Value

LEVEL = 0.1  # of the noise on the picture that runs through the diagram
ROLES = {
    "head": "first layer: pixels, two by two, to channels",
    "down": "blocks on the way down",
    "shrink": "half the width and height",
    "grow": "twice the width and height",
    "up": "blocks on the way up",
    "tail": "last layer: channels to pixels",
}
TEACHING = Teaching(
    ask="Why does the picture shrink and grow again inside the network? What would be lost without the dashed bridges?",
    see="Deep down one number sees a large part of the photo but not where its edges lie; the bridges bring the edges "
    "back. In the table of noise levels the best answers lie on the diagonal, where the network is told the truth. "
    "Told too little it leaves noise in, for it takes it for texture; told too much it wipes detail away.",
    exercise="Set the true level to 0.5 and find the told level with the best PSNR. Then tell it 5 at any true level: "
    "its answer hardly depends on the picture any more. Compare that with the predictor of part 4.",
    papers=(
        ("U-Net", "https://arxiv.org/abs/1505.04597"), ("EDM, preconditioning", "https://arxiv.org/abs/2206.00364"),
        ("SR3, continuous noise level", "https://arxiv.org/abs/2104.07636"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Diagram:
    """The upper half: the network as it is."""

    stage: Stage
    controls: tuple[Any, ...]
    figure: gr.HTML

    def show(self, key: str, which: str) -> Value:
        """The denoiser or the predictor, with one picture running through it."""
        return self.stage.worked_out("anatomy", key, (which,), lambda scene: self._read(scene, which))

    def _read(self, scene: Scene, which: str) -> Value:
        library = self.stage.desk.library
        model = library.network(f"compact/{scene.task}")
        network = model.denoiser if which == "denoiser" else model.predictor
        with autocast(library.device, library.precision):
            seen, run = _run(model, scene, which)
            found = anatomy(network, run)
            answer = run()
        return {
            "seen": pictures.state(seen),
            "answer": pictures.state(answer),
            "parts": [_part(part) for part in found.parts],
            "skips": [list(join) for join in found.skips],
            "enters": list(found.enters),
            "leaves": list(found.leaves),
            "says": _says(found, which),
            "told": which == "denoiser",
        }


@torch.no_grad()
def _run(model: CompactModel, scene: Scene, which: str) -> tuple[Tensor, Callable[[], Tensor]]:
    """The picture that goes in, and the call that sends it through."""
    y = to_signed(scene.enlarged)
    if which == "predictor":
        return y, lambda: model.predict(y)
    g, level = model.predict(y), torch.tensor(LEVEL)
    u = to_signed(scene.clean) + level * Noise(1)(y)
    return u, lambda: model.denoise(u - g, torch.ones(()), level, g, y)


def _part(part: Part) -> Value:
    return {
        "name": part.name,
        "role": ROLES.get(part.name.partition(".")[0], part.kind),
        "shape": list(part.shape),
        "parameters": part.parameters,
        "repeats": part.repeats,
        "maps": [pictures.grey(channel) for channel in part.maps],
    }


def _says(found: Anatomy, which: str) -> str:
    millions, cost = found.parameters / 1e6, found.flops / SIDE**2 / 1e6
    told = (
        "It sees the noisy picture, the first guess g and the damaged photo, and is told the noise level."
        if which == "denoiser"
        else "It sees the damaged photo alone, and is asked once."
    )
    return f"{told} {millions:.1f} million learned numbers, {cost:.2f} million operations a pixel."


@dataclass(frozen=True)
class Levels:
    """The lower half: the noise level it is told."""

    stage: Stage
    figure: gr.HTML

    def show(self, key: str) -> Value:
        """Every true level under every level it is told."""
        return self.stage.worked_out("levels", key, (), self._ask)

    def _ask(self, scene: Scene) -> Value:
        found = told(scene, self.stage.desk.library)
        return {
            "levels": list(found.levels),
            "seen": [pictures.photo(p[None]) for p in found.seen],
            "answers": [[pictures.photo(p[None]) for p in row] for row in found.answers],
            "psnr": [[round(v, 2) for v in row] for row in found.psnr.tolist()],
            "clean": pictures.photo(scene.clean),
            "predictor": pictures.photo(found.predictor),
        }


def fill(stage: Stage) -> tuple[Diagram, Levels]:
    """Lay both halves out."""
    heading(
        5, "The network",
        "One network does all the guessing, whatever the method. It makes the picture small to see the whole and large "
        "again to draw the detail. This is the one loaded now, with your picture inside.",
    )  # fmt: skip
    with gr.Row(elem_classes=["learn-controls"]):
        which = gr.Radio(
            [("The denoiser, asked at every step", "denoiser"), ("The predictor, asked once", "predictor")],
            value="denoiser", label="Network", elem_id="learn-network-which", elem_classes=["learn-radio"],
        )  # fmt: skip
    diagram = Diagram(stage, (which,), figure("anatomy"))
    levels = Levels(stage, figure("levels"))
    teachers(TEACHING)
    return diagram, levels
