"""A contender's settings as controls: method, weights, way of stepping, grid, steps, eta, noise, variation number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from restore_core.comparison import Wish
from restore_core.errors import SettingsError
from restore_core.library import Library, card
from restore_core.methods import EVERY
from restore_core.samplers import GRID_LABELS, SAMPLERS
from restore_core.settings import Settings
from restore_core.ui import widgets

FIELDS = ("method", "variant", "sampler", "steps", "eta", "spacing", "noise", "blur", "seed")
OWN = ("noise", "blur")  # options that not every method has
NOT_HERE = " (not here yet)"
NO_NOISE = "These weights were trained at one noise level."

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Card:
    """One letter's controls, in the order of FIELDS."""

    letter: str
    box: gr.Column
    controls: Mapping[str, gr.components.FormComponent]

    @property
    def listed(self) -> list[gr.components.FormComponent]:
        """The controls, in the order of FIELDS."""
        return [self.controls[key] for key in FIELDS]


def card_of(letter: str, settings: Settings, library: Library, *, visible: bool) -> tuple[Card, gr.Row]:
    """Lay one card out; also the row of its heading, for buttons."""
    values = shown(settings)
    name = letter.lower()
    with gr.Column(min_width=300, visible=visible, elem_id=f"compare-card-{name}", elem_classes="card") as box:
        with gr.Row(elem_classes="card-head") as head:
            gr.HTML(f"<h2>{letter}</h2>", apply_default_css=False)
        with gr.Row(elem_classes="pair"):
            method = gr.Dropdown(
                [(method.card.title, key) for key, method in EVERY.items()], value=values["method"], label="Method",
                elem_id=f"compare-method-{name}", min_width=120,
            )  # fmt: skip
            variant = gr.Dropdown(
                weights(values["method"], library), value=values["variant"], label="Weights",
                elem_id=f"compare-weights-{name}", min_width=150,
            )  # fmt: skip
            variant.preprocess = lambda payload: payload  # two events may cross: consistent() decides, not a 500
        sampler = gr.Dropdown(
            [(s.label, s.key) for s in SAMPLERS.values()], value=values["sampler"],
            label="Way of stepping (sampler)", elem_id=f"compare-sampler-{name}",
        )  # fmt: skip
        with gr.Row(elem_classes="pair"):
            steps = gr.Number(
                values["steps"], precision=0, minimum=1, maximum=widgets.MAX_SHOWN_STEPS, label="Steps",
                elem_id=f"compare-steps-{name}", min_width=90,
            )  # fmt: skip
            eta = gr.Slider(
                0, 1, values["eta"], step=0.05, label="Randomness (eta)", elem_id=f"compare-eta-{name}", min_width=160,
            )  # fmt: skip
        with gr.Accordion("More", open=False, elem_classes="card-more"):
            spacing = gr.Dropdown(
                [(label, key) for key, label in GRID_LABELS.items()], value=values["spacing"],
                label="Where the steps lie (time grid)", elem_id=f"compare-grid-{name}",
            )  # fmt: skip
            with gr.Row(elem_classes="pair"):
                noise = gr.Number(
                    values["noise"], label="Noise level", elem_id=f"compare-noise-{name}", min_width=120
                )
                blur = gr.Number(
                    values["blur"], label="Blur", visible=False, elem_id=f"compare-blur-{name}", min_width=120
                )
                seed = gr.Number(
                    1, precision=0, minimum=0, maximum=widgets.MAX_SEED, label="Own variation number",
                    elem_id=f"compare-seed-{name}", min_width=120, interactive=False,
                )  # fmt: skip
    controls = (method, variant, sampler, steps, eta, spacing, noise, blur, seed)
    return Card(letter, box, dict(zip(FIELDS, controls, strict=True))), head


def consistent(values: Values) -> dict[str, Any]:
    """The values as a browser sent them, with weights that are the method's."""
    values = dict(values)
    if values["method"] not in EVERY:
        raise SettingsError(f"There is no method called '{values['method']}'. Choose one of {', '.join(EVERY)}.")
    if values["variant"] in {v.key for v in card(values["method"]).variants}:
        return values
    return moved(values, "method")


def weights(method: str, library: Library) -> list[tuple[str, str]]:
    """The method's weights, those that are here first."""
    here = {v.key: library.has(method, v.key) for v in card(method).variants}
    ordered = sorted(card(method).variants, key=lambda v: not here[v.key])
    return [(v.label + ("" if here[v.key] else NOT_HERE), v.key) for v in ordered]


def shown(settings: Settings) -> dict[str, Any]:
    """Settings as the controls show them."""
    return {
        "method": settings.method,
        "variant": settings.variant,
        "sampler": settings.sampler,
        "steps": settings.steps,
        "eta": settings.options.get("eta", 0.0),
        "spacing": settings.spacing,
        "noise": settings.options.get("noise"),
        "blur": settings.options.get("blur"),
        "seed": settings.seed,
    }


def adjusted(values: Values, library: Library) -> list[dict[str, Any]]:
    """Updates of the controls, in the order of FIELDS: values, choices, what is greyed.

    No limit of a control changes: an event that was on its way would hold a value of the old ones, and be refused.
    """
    variant = card(values["method"]).variant(values["variant"])
    updates = {key: {"value": values[key], "interactive": key not in variant.fixed} for key in FIELDS if key != "seed"}
    updates["variant"]["choices"] = weights(values["method"], library)
    updates["eta"]["interactive"] &= has_eta(values["sampler"])
    options = {o.key: o for o in card(values["method"]).options_of(variant.key) if o.key in OWN}
    for key, option in options.items():
        updates[key] |= {"label": option.label, "info": f"{option.low:g} to {option.high:g}."}
    if "noise" not in options or "noise" in variant.fixed:
        updates["noise"] |= {"interactive": False, "label": "Noise level", "info": NO_NOISE}
    updates["blur"]["visible"] = "blur" in options
    return [gr.update(**updates[key]) if key in updates else gr.skip() for key in FIELDS]


def has_eta(sampler: str) -> bool:
    """Whether this way of stepping can put fresh noise in."""
    return any(option.key == "eta" for option in SAMPLERS[sampler].options)


def wish(values: Values) -> Wish:
    """What the controls ask for; what the weights fix is left to them, and so is a cleared number."""
    variant = card(values["method"]).variant(values["variant"])
    asked = {key: value for key, value in values.items() if key not in variant.fixed and value is not None}
    if not has_eta(asked["sampler"]):
        asked.pop("eta", None)
    offered = {option.key for option in card(values["method"]).options_of(variant.key)}
    for key in OWN:
        if key not in offered:
            asked.pop(key, None)
    return asked


def moved(values: Values, key: str) -> dict[str, Any]:
    """The values after the control `key` was moved by hand: what hangs on it follows."""
    values = dict(values)
    if key == "method":
        task = _task_of(values["variant"])
        chosen = card(values["method"])
        tasks = {v.task for v in chosen.variants}
        values["variant"] = (chosen.variant_for(task) if task in tasks else chosen.variants[0]).key
    if key in ("method", "variant"):
        settings = card(values["method"]).settings(values["variant"])
        return shown(settings) | {"seed": values["seed"]}
    if key == "sampler":
        values["spacing"] = SAMPLERS[values["sampler"]].spacing
        if has_eta(values["sampler"]) and not values["eta"]:
            values["eta"] = 1.0
    return values


def for_task(values: Values, task: str) -> dict[str, Any]:
    """The same method with its first weights for the task; as it is where they undo that already."""
    chosen = card(values["method"])
    if chosen.variant(values["variant"]).task == task or task not in {v.task for v in chosen.variants}:
        return dict(values)
    return moved(values | {"variant": chosen.variant_for(task).key}, "variant")


def _task_of(variant: str) -> str | None:
    found = (v.task for method in EVERY.values() for v in method.card.variants if v.key == variant)
    return next(found, None)


__all__ = [
    "FIELDS", "Card", "adjusted", "card_of", "consistent", "for_task", "has_eta", "moved", "shown", "weights", "wish",
]  # fmt: skip
