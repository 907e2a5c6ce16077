"""Part 1, one formula for five methods: coefficients, signal-to-noise, the picture and its histogram at one t.

The page does the sums itself while the slider is dragged, from the numbers sent here: the pictures, the noise, and the
coefficients of the very process that the method runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import gradio as gr
from torch import Tensor, zeros_like

from restore_core.engine import Noise
from restore_core.errors import RestoreError
from restore_core.library import card
from restore_core.methods.compact import to_signed
from restore_core.processes import Process
from restore_core.settings import Option
from restore_core.teaching import forward
from restore_core.teaching.scenes import SIDE, Scene, pose, settings_of
from restore_core.ui.learn import pictures
from restore_core.ui.learn.component import Teaching, figure, formula, heading, teachers
from restore_core.ui.learn.stage import Stage, Value

NOISE_SEED = 7
DIGITS = 5


@dataclass(frozen=True)
class Family:
    """How a method fills in the one formula. `law`: its a, b, s in LaTeX; `words`: the same for everybody.

    marks   shares of the way to noise at which the slider has a mark; DDPM's are the usual 0, 50, 100, 500, 999
    """

    title: str
    law: str
    words: str
    anchor: str
    marks: tuple[float, ...] = (0, 0.25, 0.5, 0.75, 1)


FAMILIES: Mapping[str, Family] = {
    "ddpm": Family(
        "DDPM", r"a_t=\sqrt{\bar\alpha_t},\quad y=0,\quad s_t=\sqrt{1-\bar\alpha_t}",
        "Where it took off, in 2020: the picture fades while noise takes its place, and at the end only noise is left.",
        "none", (0, 0.05, 0.1, 0.5, 0.999),
    ),
    "sr3": Family(
        "SR3", r"a_t=\sqrt{\bar\alpha_t},\quad y=0,\quad s_t=\sqrt{1-\bar\alpha_t}",
        "DDPM with a guide: the same fading, but on the way back the network also sees the damaged photo.", "none",
    ),
    "dvsr": Family(
        "DvSR", r"a_t=\sqrt{\bar\alpha_t},\quad y=g(\text{photo}),\quad s_t=\sqrt{1-\bar\alpha_t}",
        "It fades towards a first guess g instead of towards nothing, so only what the guess missed must be found.",
        "predicted",
    ),
    "resshift": Family(
        "ResShift", r"a_t=1-\eta_t,\quad y=\text{photo},\quad s_t=\kappa\sqrt{\eta_t}",
        "The clean picture slides over into the damaged photo under growing noise: a short way, so few steps.",
        "degraded", (0, 1 / 15, 4 / 15, 8 / 15, 1),
    ),
    "irsde": Family(
        "IR-SDE, Refusion", r"a_t=e^{-\bar\theta_t},\quad y=\text{photo},\quad s_t=\lambda\sqrt{1-a_t^2}",
        "Like a spring: the picture is pulled to the damaged photo and trembles there with a fixed amount of noise.",
        "degraded",
    ),
    "diffbir": Family(
        "DiffBIR", r"a_t=\sqrt{\bar\alpha_t},\quad y=0,\quad s_t=\sqrt{1-\bar\alpha_t}",
        "DDPM again, with Stable Diffusion's schedule. The real one mixes latents; here, as in this "
        "program's small version, pixels.", "none", (0, 0.05, 0.1, 0.5, 0.999),
    ),
}  # fmt: skip
LAWS = (
    r"x_t = \textcolor{#0072B2}{a_t}\,x_0 + \textcolor{#009E73}{b_t}\,y + \textcolor{#D55E00}{s_t}\,\varepsilon",
    r"b_t = 1 - a_t,\quad \varepsilon\sim\mathcal N(0,1)",
)
ANCHORS = {
    "none": "no anchor (y = 0)",
    "predicted": "first guess g",
    "degraded": "damaged photo y",
}
TEACHING = Teaching(
    ask="At which t can you no longer tell what the photo shows? Is that where the signal-to-noise ratio passes 0 dB?",
    see="The eye is better than 0 dB: a shape is seen well below it, for noise averages out over an area. The "
    "histogram turns into a bell long before the picture is gone (the cup shows it best). With ResShift and IR-SDE the "
    "damaged photo is still inside the bell at the end: tick the box that takes the anchor away, and noise alone is "
    "left.",
    exercise="Note the t at which you lose the picture, for DDPM and for ResShift. Compare the decibels, not the t: "
    "different clocks, one quantity. Why do ResShift and IR-SDE need fewer steps back?",
    papers=(
        ("DDPM", "https://arxiv.org/abs/2006.11239"), ("SR3", "https://arxiv.org/abs/2104.07636"),
        ("DvSR", "https://arxiv.org/abs/2112.02475"), ("ResShift", "https://arxiv.org/abs/2307.12348"),
        ("IR-SDE", "https://arxiv.org/abs/2301.11699"), ("Refusion", "https://arxiv.org/abs/2304.08291"),
        ("DiffBIR", "https://arxiv.org/abs/2308.15070"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Forward:
    """The part's component and its two answers to the page."""

    stage: Stage
    figure: gr.HTML

    def show(self, key: str) -> Value:
        """The scene's pictures and noise as numbers, and the first family."""
        chosen = self.stage.scene(key)
        return {
            "scene": chosen.key,
            "side": SIDE,
            "x0": pictures.raw(chosen.clean),
            "noise": pictures.raw_values(Noise(NOISE_SEED)(chosen.clean)),
            "families": [[k, f.title, f.words] for k, f in FAMILIES.items()],
            "family": family(self.stage, chosen.key, "ddpm", None),
        }


def family(stage: Stage, key: object, name: str, noise: float | None) -> Value:
    """One family on one scene: curves, moments, the anchor's picture, marks and its noise slider."""
    found = FAMILIES[name]

    def work(chosen: Scene) -> Value:
        process, anchor, option, level = _posed(stage, chosen, name, noise)
        seen = forward.curves(process)
        over = forward.moments(seen, to_signed(chosen.clean), anchor)
        table = {"a": seen.a, "s": seen.s, "snr": seen.snr, "mean": over.mean, "std": over.std}
        return {
            "key": name,
            "steps": process.steps,
            "per": round((len(seen.t) - 1) / process.steps, 6),  # points of the table in one unit of t
            "anchor": ANCHORS[found.anchor],
            "y": None if found.anchor == "none" else pictures.raw_values(anchor),
            "marks": [round(mark * process.steps) for mark in found.marks],
            "option": option and {
                "label": option.label, "low": option.low, "high": option.high, "step": option.step, "value": level,
            },
            **{column: [float(f"{v:.{DIGITS}g}") for v in values.tolist()] for column, values in table.items()},
        }  # fmt: skip

    return stage.worked_out("forward", key, (name, noise), work, light=True)


def _posed(
    stage: Stage, chosen: Scene, name: str, noise: float | None
) -> tuple[Process, Tensor, Option | None, float]:
    """The process and anchor that the method itself makes of the scene."""
    if name == "ddpm":
        return forward.ddpm(), zeros_like(chosen.clean), None, 0.0
    library = stage.desk.library
    option = next((o for o in card(name).options if o.key == "noise"), None)
    settings = settings_of(chosen, library, name, noise=noise if option else None)
    problem = pose(chosen, library, settings)
    return problem.process, problem.anchor, option, settings.options.get("noise", 0.0)


def fill(stage: Stage) -> tuple[Forward, ...]:
    """Lay the part out."""
    heading(
        1, "One formula for five methods",
        "Every method mixes three things: the clean photo, an anchor, and noise. They differ only in how much of each "
        "there is at time t. Drag t and watch the mixture.",
    )  # fmt: skip
    with gr.Row(elem_id="learn-laws"):
        for k, law in enumerate(LAWS):
            formula(f"$${law}$$", f"learn-one-formula-{k}")
        for key, found in FAMILIES.items():
            formula(f"$${found.law}$$", f"learn-law-{key}")

    def curves(asked: object) -> Value:  # [scene, family, noise], from a browser
        scene, name, noise = asked if isinstance(asked, list) and len(asked) == 3 else ("", "", None)
        known = str(name) if str(name) in FAMILIES else "ddpm"
        try:
            return family(stage, scene, known, None if noise is None else float(noise))
        except (RestoreError, TypeError, ValueError) as error:
            return {"error": str(error)}

    made = Forward(stage, figure("forward", server=[curves]))
    teachers(TEACHING)
    return (made,)
