"""The Restore tab: one photo, one button, one result; everything technical behind More settings."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from restore_core.checkpoints.catalogue import COMPACT
from restore_core.degradations import TASKS
from restore_core.library import card
from restore_core.methods import METHODS
from restore_core.methods.base import PRESET_WORDS
from restore_core.ui import downloads, invented, widgets
from restore_core.ui.asking import Ask
from restore_core.ui.desk import Desk
from restore_core.ui.film import film
from restore_core.ui.restoring import Tab
from restore_core.ui.weighing import get_button, picker

EXAMPLES = Path(__file__).parent / "examples"
TASK_CHOICES = [("I am not sure", "auto"), *((TASKS[key].label, key) for key in COMPACT)]
LIVE_CHOICES = [("Smooth", "smooth"), ("Light", "light"), ("Off", "off")]
LATER = 3.0  # seconds between two looks at whether the device is free
AUTOMATIC_TEXT = "Picks the method that suits what is wrong with your photo. Right for most."


def fill(desk: Desk) -> Tab:
    """Lay the tab out and wire it."""
    start = Ask()
    defaults = start.defaults()
    with gr.Row(elem_id="restore", equal_height=False):
        with gr.Column(scale=5, min_width=330, elem_id="asking"):
            photo = widgets.photo()
            facts = gr.HTML(elem_id="photo-facts", apply_default_css=False)
            smaller = gr.Checkbox(
                False, label="Use a smaller copy (12 million pixels)", visible=False, elem_id="smaller"
            )
            _examples(photo)
            task = gr.Radio(TASK_CHOICES, value="auto", label="What is wrong with it?", elem_id="task")
            preset = gr.Slider(0, 4, 2, step=1, label="Faithful to vivid", elem_id="preset")
            says = gr.HTML(widgets.preset_text(*PRESET_WORDS[2]), elem_id="preset-word", apply_default_css=False)
            estimate = gr.HTML(elem_id="estimate", apply_default_css=False)
            later = gr.Timer(LATER, active=False)
            get = get_button()
            with gr.Row(elem_id="press"):
                run = gr.Button("Restore", variant="primary", elem_id="run", scale=3, min_width=140)
                stop = gr.Button("Stop", elem_id="stop", scale=1, min_width=90, interactive=False)
            message = widgets.announcement("message")
            method = gr.State("auto")
            method_tabs = _method_tabs()
            weights = picker(get)
            with gr.Accordion("More settings", open=False, elem_id="more"):
                with gr.Row(elem_id="variation"):
                    seed = gr.Number(
                        1, precision=0, minimum=0, maximum=widgets.MAX_SEED, label="Variation number (seed)",
                        info="Same number, same result.", elem_id="seed", scale=3, min_width=160,
                    )  # fmt: skip
                    dice = gr.Button("New number", size="sm", elem_id="dice", scale=1, min_width=110)
                expert = widgets.expert(defaults)
                live = gr.Radio(
                    LIVE_CHOICES, value="smooth", label="Live pictures", elem_id="live",
                    info="Light sends two a second, for slow lines.",
                )  # fmt: skip
        with gr.Column(scale=9, min_width=330, elem_id="seeing"):
            with gr.Column(elem_classes=widgets.AWAY, elem_id="finished") as finished:
                result = gr.ImageSlider(
                    label="Before and after", type="filepath", interactive=False, show_label=False, max_height=560,
                    buttons=["fullscreen"], elem_id="result",
                )  # fmt: skip
                with gr.Row(elem_id="keep"):
                    show_before = gr.Button("Show before", elem_id="show-before", min_width=120)
                    png = gr.DownloadButton("Download PNG", variant="primary", elem_id="download-png", min_width=140)
                    jpeg = gr.DownloadButton("Download JPEG", elem_id="download-jpeg", min_width=140)
                result_facts = gr.HTML(elem_id="facts", apply_default_css=False)
                more = downloads.fill(desk)
                invented.fill(desk)
            reel = film(desk.store.moment)
    tab = Tab(
        desk, photo, facts, smaller, task, preset, says, estimate, later, run, stop, message, method, weights, seed,
        live, expert, gr.State({}), gr.State(defaults), gr.State(False), reel, finished, result, result_facts, png,
        jpeg, more,
    )  # fmt: skip
    tab.wire(method_tabs, dice, show_before)
    return tab


def _examples(photo: gr.Image) -> None:
    found = sorted(EXAMPLES.glob("*.png")) + sorted(EXAMPLES.glob("*.jpg"))
    gr.Examples([[str(path)] for path in found], [photo], label="Or try one of these", elem_id="examples")


def _method_tabs() -> dict[str, gr.Tab]:
    tabs = {}
    with gr.Tabs(elem_id="method-tabs", overflow_behavior="wrap"):
        with gr.Tab("Automatic", id="auto") as tabs["auto"]:
            gr.HTML(widgets.text(AUTOMATIC_TEXT), apply_default_css=False)
        for key in METHODS:
            chosen = card(key)
            with gr.Tab(chosen.title, id=key) as tabs[key]:
                gr.HTML(
                    widgets.text(chosen.summary) + widgets.text(chosen.paper, "paper"), apply_default_css=False
                )
    return tabs


__all__ = ["Tab", "fill"]
