"""Components that tabs put together: the photo, the expert controls, pieces of text."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from restore_core.library import card
from restore_core.samplers import GRID_LABELS, SAMPLERS
from restore_core.settings import MAX_SAMPLES, MAX_STEPS, Option
from restore_core.ui.asking import Ask, fixed, noise_option, own_options

AWAY = ["away"]  # a class of page.css: not shown, but there, so that nothing has to be made anew
MAX_SHOWN_STEPS = MAX_STEPS
MAX_SEED = 2**31 - 1
TILES = (("Automatic", "auto"), ("Never", "0"), ("256 px", "256"), ("512 px", "512"), ("1024 px", "1024"))

STEPS_INFO = "More steps take longer; beyond about 50 little changes."
ETA_INFO = "0: the straightest path. 1: fresh detail at each step."
SPACING_INFO = "How the steps are spread between noise and photo."
STRENGTH_INFO = "Low keeps more of a first guess, high lets the model redraw more."
INFOS: Mapping[str, str] = {  # said again when weights that fix a setting make way for others
    "steps": STEPS_INFO, "eta": ETA_INFO, "spacing": SPACING_INFO, "strength": STRENGTH_INFO,
}  # fmt: skip


def photo() -> gr.Image:
    """The upload. The file is passed on untouched: Gradio would open it first and lose its own words for a bad one."""
    component = gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        label="Your photo",
        show_label=False,
        height=220,
        buttons=["fullscreen"],
        elem_id="photo-in",
        placeholder="Drop a photo here\n\nor click to choose one",
    )
    component.preprocess = lambda payload: None if payload is None else payload.path
    return component


def expert(defaults: Mapping[str, Any]) -> dict[str, gr.components.FormComponent]:
    """The controls behind More settings, by settings key, in the order shown: those of every run, then those that only
    some weights offer and that are shown with them."""
    return _of_every_run(defaults) | {key: _control(option) for key, option in own_options().items()}


def _of_every_run(defaults: Mapping[str, Any]) -> dict[str, gr.components.FormComponent]:
    return {
        "steps": gr.Slider(
            1, MAX_SHOWN_STEPS, defaults["steps"], step=1, label="Steps", info=STEPS_INFO, elem_id="steps"
        ),
        "eta": gr.Slider(
            0, 1, defaults["eta"], step=0.05, label="Randomness (eta)", info=ETA_INFO, elem_id="eta"
        ),
        "noise": gr.Number(defaults["noise"], label="Noise level", elem_id="noise-level"),
        "sampler": gr.Dropdown(
            [(s.label, s.key) for s in SAMPLERS.values()],
            value=defaults["sampler"],
            label="Way of stepping (sampler)",
            info="The method's own is right for most photos.",
            elem_id="sampler",
        ),
        "spacing": gr.Dropdown(
            [(label, key) for key, label in GRID_LABELS.items()],
            value=defaults["spacing"],
            label="Where the steps lie (time grid)",
            info=SPACING_INFO,
            elem_id="grid",
        ),
        "strength": gr.Slider(
            0.05,
            1,
            defaults["strength"],
            step=0.05,
            label="Starting noise (strength)",
            info=STRENGTH_INFO,
            elem_id="strength",
        ),
        "samples": gr.Slider(
            1,
            MAX_SAMPLES,
            defaults["samples"],
            step=1,
            label="Samples to average",
            info="The mean of several runs is truer and softer, and takes that many times as long.",
            elem_id="samples",
        ),
        "tile": gr.Dropdown(
            list(TILES),
            value=defaults["tile"],
            label="Work in pieces (tiles)",
            info="On when memory is short. May show faint seams.",
            elem_id="tile",
        ),
    }


def _control(option: Option) -> gr.components.FormComponent:
    """An option as a switch, a menu, a slider or a line of text."""
    said = {"label": option.label, "info": option.help or None, "elem_id": f"own-{option.key}", "elem_classes": AWAY}
    if isinstance(option.default, bool):
        return gr.Checkbox(option.default, **said)
    if option.choices:
        return gr.Dropdown(list(option.choices), value=option.default, **said)
    if isinstance(option.default, str):
        return gr.Textbox(option.default, **said)
    return gr.Slider(option.low, option.high, option.default, step=option.step, **said)


def adjusted(ask: Ask, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Updates of the expert controls, in order: values, the method's own scale of noise, what is greyed and why.

    No limit of a control changes: an event that was on its way would hold a value of the old ones, and be refused.
    """
    why = fixed(ask)
    own = {key: {"value": value, "interactive": key not in why} for key, value in values.items()}
    option = noise_option(ask)
    if option is not None:
        own["noise"] |= {
            "label": option.label,
            "step": option.step,
            "info": f"{option.low:g} to {option.high:g}. {option.help}",
        }
    for key in why.keys() & own.keys():
        own[key]["info"] = why[key]
    for key in own.keys() & INFOS.keys() - why.keys():
        own[key]["info"] = INFOS[key]
    if ask.weights.published and "steps" not in why:
        own["steps"]["info"] = f"Their authors took {ask.weights.paper['steps']}."
    offered = {o.key for o in card(ask.method_key).options_of(ask.weights.key)}
    for key in own_options():
        own[key]["elem_classes"] = [] if key in offered else AWAY
    return [gr.update(**update) for update in own.values()]


def announcement(elem_id: str) -> gr.HTML:
    """A place for sentences that a screen reader tells when they change."""
    return gr.HTML(
        "",
        html_template='<div role="status" aria-live="polite">${value}</div>',
        apply_default_css=False,
        elem_id=elem_id,
    )


def text(sentence: str, kind: str = "note") -> str:
    """A sentence as HTML; `kind` is its class: note, error. Whatever came from outside is escaped here."""
    return f'<p class="{kind}">{html.escape(sentence)}</p>' if sentence else ""


def preset_text(word: str, sentence: str) -> str:
    """The preset's word, and what it means."""
    return f'<p class="preset"><strong>{html.escape(word)}</strong><span>{html.escape(sentence)}</span></p>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Pairs of name and value as a definition list."""
    rows = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in pairs)
    return f'<dl class="facts">{rows}</dl>' if rows else ""
