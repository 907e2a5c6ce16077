"""Part 4, you cannot have both: truth against looks, why regression blurs, and what one step gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from restore_core.images import to_8bit
from restore_core.library import card
from restore_core.metrics import psnr
from restore_core.problem import Problem
from restore_core.settings import Settings
from restore_core.teaching.averages import LIMIT_DB, expected_gain, measured, running_means
from restore_core.teaching.randomness import sampled
from restore_core.teaching.scenes import METHODS, Scene, pose, settings_of
from restore_core.ui.learn import pictures
from restore_core.ui.learn.component import Teaching, figure, heading, teachers
from restore_core.ui.learn.stage import Stage, Value

SAMPLES = 12
TEACHING = Teaching(
    ask="Which picture would you hang on the wall, and which would you show to a judge? Why are they not the same?",
    see="A single sample lies to the left and high: photo-like, and wrong in its details. Averaging moves it right and "
    "down, towards the predictor: truer on average, and softer. The corner of both stays empty. "
    "In the row of pixels the samples disagree about every hair; their mean and the predictor agree with each other, "
    "and with none of them.",
    exercise="Average 1, 2, 4 and 12 samples and note the PSNR. Theory says +1.25 dB at 2, +2.04 at 4, at most +3.01. "
    "How close do these samples come, and what does it say about them if they gain less?",
    papers=(
        ("The perception-distortion tradeoff", "https://arxiv.org/abs/1711.06077"),
        ("DvSR", "https://arxiv.org/abs/2112.02475"), ("LPIPS", "https://arxiv.org/abs/1801.03924"),
        ("SRGAN", "https://arxiv.org/abs/1609.04802"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Both:
    """The part's components and its handler."""

    stage: Stage
    controls: tuple[Any, ...]
    figure: gr.HTML

    def show(self, key: str, method: str, steps: float) -> Value:
        """Samples, their means, the predictor and a single step, measured against the clean picture."""
        asked = (method, int(steps))
        return self.stage.worked_out("both", key, asked, lambda scene: self._measure(scene, *asked))

    def _measure(self, scene: Scene, method: str, steps: int) -> Value:
        library = self.stage.desk.library
        settings = settings_of(
            scene, library, method, sampler="multistep-sde", spacing="log-snr", steps=steps, seed=1
        )
        problem = pose(scene, library, settings)
        samples = sampled(problem, settings, SAMPLES)
        means = running_means(samples)
        predictor = problem.decode(problem.guess)
        single = _one_step(problem, settings)
        every = torch.cat([samples, means[1:], predictor, single, scene.enlarged])
        true, alike = measured(to_8bit(every), scene.clean)
        points = [
            {"psnr": round(p, 3), "lpips": round(q, 4), "src": pictures.photo(picture[None])}
            for p, q, picture in zip(true, alike, every, strict=True)
        ]
        count = SAMPLES
        return {
            "samples": points[:count],
            "means": [points[0], *points[count : 2 * count - 1]],
            "predictor": points[-3],
            "single": points[-2],
            "input": points[-1],
            "calls": steps,
            "gains": [round(expected_gain(n), 2) for n in range(1, count + 1)],
            "limit": round(LIMIT_DB, 2),
            "agree": [round(v, 1) for v in psnr(means, predictor.expand_as(means)).tolist()],
            "agree_single": round(psnr(single, predictor).item(), 1),
            "clean": pictures.photo(scene.clean),
            "rows": pictures.luma(torch.cat([scene.clean, predictor, samples])),
            "side": scene.clean.shape[-1],
        }


def _one_step(problem: Problem, settings: Settings) -> Tensor:
    """The whole way in one step: the guess from the first noise is the result."""
    once = Settings(**(settings.to_json() | {"steps": 1, "sampler": "ddim"}))
    return sampled(problem, once, 1)


def fill(stage: Stage) -> tuple[Both, ...]:
    """Lay the part out."""
    heading(
        4, "You cannot have both",
        "What was lost can have been many things. Choose one of them and it looks real but may be wrong; take the "
        "middle of all and it is least wrong but looks like none. No method escapes this; each picks its place.",
    )  # fmt: skip
    with gr.Row(elem_classes=["learn-controls"]):
        method = gr.Radio(
            [(card(key).title, key) for key in METHODS], value="dvsr", label="Method", elem_id="learn-both-method",
            elem_classes=["learn-radio"], scale=3, min_width=280,
        )  # fmt: skip
        steps = gr.Slider(
            4, 24, 16, step=4, label="Steps", elem_id="learn-both-steps", scale=2, min_width=200
        )
    made = figure("both")
    teachers(TEACHING)
    return (Both(stage, (method, steps), made),)
