"""Part 2, going back: a real run, step by step, with the sampler's own formula and the numbers in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from restore_core.images import to_8bit
from restore_core.library import card
from restore_core.metrics import psnr
from restore_core.samplers import SAMPLERS
from restore_core.teaching.formulas import FORMULAS, Term
from restore_core.teaching.scenes import METHODS, SIDE, Scene, pose, settings_of
from restore_core.teaching.traces import Moment, noise_share, trace
from restore_core.ui.learn import pictures
from restore_core.ui.learn.component import Teaching, figure, formula, heading, teachers
from restore_core.ui.learn.stage import Stage, Value

LEAST, MOST = 2, 20
SAMPLER_CHOICES = [(SAMPLERS[key].label, key) for key in FORMULAS]
PIXEL = (SIDE // 2, SIDE // 2)  # the one whose numbers are told: row, column
ROLES = {
    "state": "where we are, x",
    "guess": "the network's guess D",
    "anchor": "the anchor y",
    "noise": "the noise it finds, ε",
    "fresh": "fresh noise z",
}
TEACHING = Teaching(
    ask="The first guess is already a decent picture. Why not stop there?",
    see="The guess D is blurred at first, for from pure noise the best answer is an average over all that could be. "
    "Each step moves only part of the way and asks again; edges come first, texture last. With randomness 0 no fresh "
    "noise is added. The last line of numbers really adds up: check it.",
    exercise="Set two steps, then twenty. Take one step's numbers and work out the middle pixel by hand. Then choose "
    "another way of stepping: which terms change, and which picture comes out?",
    papers=(
        ("DDIM, eq. 12", "https://arxiv.org/abs/2010.02502"), ("DPM-Solver++", "https://arxiv.org/abs/2211.01095"),
        ("EDM", "https://arxiv.org/abs/2206.00364"), ("Score SDE", "https://arxiv.org/abs/2011.13456"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Back:
    """The part's components and its handler."""

    stage: Stage
    controls: tuple[Any, ...]
    figure: gr.HTML
    more: tuple[gr.Markdown, ...]

    def show(self, key: str, method: str, sampler: str, steps: float, eta: float, seed: float) -> list[Any]:
        """A run with these settings: [the figure's value, the formulas]."""
        asked = (method, sampler, int(steps), float(eta), int(seed))
        value = self.stage.worked_out("back", key, asked, lambda scene: self._run(scene, *asked))
        return [value, value["formulas"]]

    def _run(self, scene: Scene, method: str, sampler: str, steps: int, eta: float, seed: int) -> Value:
        library = self.stage.desk.library
        options = {"eta": eta} if _has_eta(sampler) else {}
        asked = {"sampler": sampler, "steps": steps, "seed": seed, "spacing": "log-snr", **options}
        settings = settings_of(scene, library, method, **asked)
        problem = pose(scene, library, settings)
        moments = trace(problem, settings)
        shares = [noise_share(problem, m.step.t) for m in moments] + [0.0]
        result = problem.decode(moments[-1].after)
        return {
            "y": pictures.state(problem.anchor),
            "start": pictures.state(moments[0].step.x),
            "steps": [_step(m, k, len(moments), shares) for k, m in enumerate(moments)],
            "formulas": _formulas(moments),
            "clean": pictures.photo(scene.clean),
            "psnr": round(psnr(to_8bit(result), scene.clean).item(), 2),
        }


def _step(moment: Moment, k: int, total: int, shares: list[float]) -> Value:
    guess = moment.step.prediction.x0
    return {
        "says": _words(moment, k, total, shares),
        "share": [round(shares[k], 4), round(shares[k + 1], 4)],
        "t": [round(moment.step.t.item(), 2), round(moment.t_next.item(), 2)],
        "guess": pictures.state(guess),
        "after": pictures.state(moment.after),
        "terms": [_term(term) for term in moment.formula.terms],
        "pixel": [round(v, 4) for v in moment.after[0, :, *PIXEL].tolist()],
    }


def _term(term: Term) -> Value:
    draw = pictures.noise if term.role in ("noise", "fresh") else pictures.state
    return {
        "role": term.role,
        "name": ROLES[term.role],
        "c": round(term.coefficient, 4),
        "src": None if term.role == "anchor" else draw(term.picture),
        "pixel": [round(v, 4) for v in term.picture[0, :, *PIXEL].tolist()],
    }


def _words(moment: Moment, k: int, total: int, shares: list[float]) -> str:
    """What the step did, for everybody."""
    if shares[k + 1] == 0:
        return f"Step {k + 1} of {total}, the last: no noise may be left, so the guess itself is the result."
    roles = {term.role: term for term in moment.formula.terms}
    before, after = (f"{100 * share:.0f} %" for share in shares[k : k + 2])
    told = f"Step {k + 1} of {total}: the noise falls from {before} to {after} of what it was at the start."
    if "state" in roles:
        told += " The picture is moved a little towards the guess, and some of the noise found is taken out"
    else:
        share = 100 * roles["guess"].coefficient
        told += f" The new picture holds {share:.0f} % of the guess, and some of the noise that was found"
    if "fresh" in roles and roles["fresh"].coefficient > 0:
        return told + f"; fresh noise of strength {roles['fresh'].coefficient:.2f} is added."
    return told + "; no fresh noise is added, so the same start leads to the same end."


def _formulas(moments: list[Moment]) -> str:
    """Markdown: a paragraph for the law of each step and one with its numbers; the page shows one pair at a time."""
    blocks = []
    for moment in moments:
        found = moment.formula
        inset = rf"\qquad {found.inset}" if found.inset else ""
        blocks += [f"$${found.law}{inset}$$", f"$${found.latex()}$$"]
    return "\n\n".join(blocks)


def fill(stage: Stage) -> tuple[Back, ...]:
    """Lay the part out."""
    heading(
        2, "Going back",
        "The network looks at the noisy picture and says what the clean one may be. The sampler believes it only a "
        "little, takes one step, and asks again.",
    )  # fmt: skip
    with gr.Row(elem_classes=["learn-controls"]):
        method = gr.Radio(
            [(card(key).title, key) for key in METHODS], value="resshift", label="Method",
            elem_id="learn-back-method", elem_classes=["learn-radio"], scale=3, min_width=260,
        )  # fmt: skip
        sampler = gr.Dropdown(
            SAMPLER_CHOICES,
            value="ddim",
            label="Way of stepping",
            elem_id="learn-back-sampler",
            scale=2,
            min_width=220,
        )
        steps = gr.Slider(
            LEAST, MOST, 8, step=1, label="Steps", elem_id="learn-back-steps", scale=2, min_width=170
        )
        eta = gr.Slider(0, 1, 1, step=0.05, label="Eta", elem_id="learn-back-eta", scale=2, min_width=170)
        seed = gr.Slider(
            1, 20, 1, step=1, label="Variation", elem_id="learn-back-seed", scale=2, min_width=150
        )
    sampler.input(
        lambda key: gr.update(interactive=_has_eta(key)), sampler, eta, queue=False, show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip
    made = figure("back")
    law = formula("", "learn-back-law")
    teachers(TEACHING)
    return (Back(stage, (method, sampler, steps, eta, seed), made, (law,)),)


def _has_eta(sampler: str) -> bool:
    """Whether the way of stepping draws noise at all."""
    return any(option.key == "eta" for option in SAMPLERS[sampler].options)


__all__ = ["Back", "fill"]
