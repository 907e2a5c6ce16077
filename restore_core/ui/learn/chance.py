"""Part 3, chance and steps: what eta does to one start, and few steps against many along the same path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from torch import Tensor

from restore_core.library import card
from restore_core.samplers import SAMPLERS
from restore_core.teaching.convergence import REFERENCE, End, distance, flow
from restore_core.teaching.randomness import Spread, spreads
from restore_core.teaching.scenes import METHODS, Scene, pose, settings_of
from restore_core.ui.learn import pictures
from restore_core.ui.learn.component import Teaching, figure, heading, teachers
from restore_core.ui.learn.stage import Stage, Value

ETAS, RUNS = (0.0, 0.5, 1.0), 4
SHOWN_STEPS = (4, 15, 100)
MEASURED = {"ddim": (4, 15, 100), "multistep": (4, 8, 15, 30), "heun": (4, 8)}
TEACHING = Teaching(
    ask="All the runs begin with the same noise. Where does the difference between two of them come from when eta is "
    "above 0? And when eta is 0, what decides which picture comes out?",
    see="With eta 0 the spread is black: the start decides everything. Above 0 it lights up where the damaged photo "
    "says little: fur, edges, print. With own starts even eta 0 spreads. Among few and many steps, 4 is soft, 15 is "
    "close, 100 hardly differs: on the chart a method of first order needs ten times the calls for a tenth of the "
    "error, one of second order about three times.",
    exercise="Choose SR3, then DvSR, each with 8 steps and with 24. Which invents more? Then find the cheapest point "
    "on the chart whose error is below two grey levels.",
    papers=(
        ("DDIM", "https://arxiv.org/abs/2010.02502"), ("EDM", "https://arxiv.org/abs/2206.00364"),
        ("DPM-Solver++", "https://arxiv.org/abs/2211.01095"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Randomness:
    """The upper half: eta."""

    stage: Stage
    controls: tuple[Any, ...]
    figure: gr.HTML

    def show(self, key: str, method: str, start: str, steps: float) -> Value:
        """Four runs for each eta, the same noise for all three."""
        asked = (method, start, int(steps))
        return self.stage.worked_out("randomness", key, asked, lambda scene: self._runs(scene, *asked))

    def _runs(self, scene: Scene, method: str, start: str, steps: int) -> Value:
        library = self.stage.desk.library
        settings = settings_of(
            scene, library, method, sampler="multistep-sde", spacing="log-snr", steps=steps, seed=1
        )
        found = list(
            spreads(pose(scene, library, settings), settings, ETAS, RUNS, same_start=start == "same")
        )
        top = max(spread.deviation.flatten().quantile(0.995).item() for spread in found)
        return {"etas": [_spread(s, top) for s in found], "top": round(255 * top, 1), "same": start == "same"}


def _spread(found: Spread, top: float) -> Value:
    return {
        "eta": found.eta,
        "runs": [pictures.photo(picture[None]) for picture in found.results],
        "map": pictures.heat(found.deviation, top),
        "grey": round(found.grey_levels, 2),
    }


@dataclass(frozen=True)
class Steps:
    """The lower half: how many steps."""

    stage: Stage
    controls: tuple[Any, ...]
    figure: gr.HTML

    def show(self, key: str, method: str) -> Value:
        """The same noise in 4, 15 and 100 steps, and the errors of three samplers."""
        return self.stage.worked_out("steps", key, (method,), lambda scene: self._flows(scene, method))

    def _flows(self, scene: Scene, method: str) -> Value:
        library = self.stage.desk.library
        settings = settings_of(scene, library, method, steps=15, seed=1)
        problem = pose(scene, library, settings)
        end = flow(problem, settings, *REFERENCE).picture
        found = {s: [flow(problem, settings, s, n) for n in counts] for s, counts in MEASURED.items()}
        return {
            "shown": [_shown(e, end) for e in found["ddim"] if e.steps in SHOWN_STEPS],
            "end": pictures.photo(end),
            "lines": [_line(key, ends, end) for key, ends in found.items()],
            "reference": f"{REFERENCE[1]} steps of the multistep sampler",
        }


ERROR_TOP = 24 / 255  # what an error map shows brightest


def _shown(found: End, end: Tensor) -> Value:
    apart = (found.picture - end).abs().mean(dim=1, keepdim=True)
    return {
        "steps": found.steps,
        "picture": pictures.photo(found.picture),
        "map": pictures.heat(apart, ERROR_TOP),
        "grey": round(distance(found.picture, end), 2),
    }


def _line(key: str, ends: Iterable[End], end: Tensor) -> Value:
    return {
        "key": key,
        "label": SAMPLERS[key].label,
        "order": SAMPLERS[key].order,
        "points": [[e.calls, round(distance(e.picture, end), 3), e.steps] for e in ends],
    }


def _methods(elem_id: str, value: str) -> gr.Radio:
    return gr.Radio(
        [(card(key).title, key) for key in METHODS], value=value, label="Method", elem_id=elem_id,
        elem_classes=["learn-radio"], scale=3, min_width=280,
    )  # fmt: skip


def fill(stage: Stage) -> tuple[Randomness, Steps]:
    """Lay both halves out."""
    heading(
        3, "Chance, and how many steps",
        "Restoring is guessing what was lost. Eta says how often the dice are thrown on the way; the number of steps "
        "says how carefully the way is walked.",
    )  # fmt: skip
    with gr.Row(elem_classes=["learn-controls"]):
        method = _methods("learn-chance-method", "dvsr")
        start = gr.Radio(
            [("The same for all", "same"), ("Each its own", "own")], value="same", label="Starting noise",
            elem_id="learn-chance-start", elem_classes=["learn-radio"], scale=2, min_width=240,
        )  # fmt: skip
        steps = gr.Slider(
            4, 24, 16, step=4, label="Steps", elem_id="learn-chance-steps", scale=2, min_width=200
        )
    dice = Randomness(stage, (method, start, steps), figure("randomness"))
    with gr.Row(elem_classes=["learn-controls"]):
        walked = _methods("learn-steps-method", "sr3")
    walk = Steps(stage, (walked,), figure("steps"))
    teachers(TEACHING)
    return dice, walk
