"""The Compare tab: two to four settings on one photo from the same noise, their films side by side, and a table."""

from __future__ import annotations

import gradio as gr

from restore_core.checkpoints.catalogue import COMPACT
from restore_core.comparison import LETTERS
from restore_core.degradations import TASKS
from restore_core.library import card
from restore_core.methods import METHODS
from restore_core.ui import cards, masking, viewer, widgets
from restore_core.ui.arranging import FEWEST, TOLD, Tab
from restore_core.ui.asking import UNSEEN
from restore_core.ui.desk import Desk
from restore_core.ui.film import film

FILES = (("sheet", "Contact sheet (PNG)"), ("json", "Settings (JSON)"), ("report", "Report (HTML)"))
LATER = 3.0  # seconds between two looks at whether the device is free
SAME_INFO = "The runs begin with the same numbers. Off: each with its own variation number."
CLEAN_INFO = "The picture that your photo was made from, if you have it: results are measured against it too."


def fill(desk: Desk) -> Tab:
    """Lay the tab out and wire it."""
    start = [card(method).settings(card(method).variant_for(UNSEEN).key) for method in _first_methods()]
    with gr.Row(elem_id="compare", equal_height=False):
        with gr.Column(scale=4, min_width=300, elem_id="compare-asking"):
            photo = _photo("Drop a photo here\n\nor click to choose one", "compare-photo", 200)
            facts = gr.HTML(elem_id="compare-facts", apply_default_css=False)
            task = gr.Radio(_tasks(desk), value="auto", label="What is wrong with it?", elem_id="compare-task")
            estimate = gr.HTML(elem_id="compare-estimate", apply_default_css=False)
            later = gr.Timer(LATER, active=False)
            with gr.Row(elem_id="compare-press"):
                run = gr.Button("Compare", variant="primary", elem_id="compare-run", scale=3, min_width=140)
                stop = gr.Button("Stop", elem_id="compare-stop", scale=1, min_width=90, interactive=False)
            message = widgets.announcement("compare-message")
            with gr.Accordion("The clean picture", open=False, elem_id="compare-truth"):
                gr.HTML(widgets.text(CLEAN_INFO), apply_default_css=False)
                clean = _photo("Drop the clean picture here", "compare-clean", 140)
            holes = masking.fill("compare")
            with gr.Accordion("Starting noise", open=False, elem_id="compare-noise"):
                same = gr.Checkbox(True, label="Same starting noise for all", info=SAME_INFO, elem_id="compare-same")
                with gr.Row(elem_id="compare-variation"):
                    seed = gr.Number(
                        1, precision=0, minimum=0, maximum=widgets.MAX_SEED, label="Variation number (seed)",
                        elem_id="compare-seed", scale=3, min_width=120,
                    )  # fmt: skip
                    dice = gr.Button("New number", size="sm", elem_id="compare-dice", scale=1, min_width=110)
        with gr.Column(scale=10, min_width=320, elem_id="compare-seeing"):
            with gr.Row(elem_id="compare-cards", equal_height=False):
                laid = [
                    cards.card_of(letter, settings, desk.library, visible=k < FEWEST)
                    for k, (letter, settings) in enumerate(zip(LETTERS, start, strict=True))
                ]
            with gr.Row(elem_id="compare-arrange"):
                swap = gr.Button("Swap A and B", size="sm", elem_id="compare-swap", min_width=110)
                copy = gr.Button("Copy A to B", size="sm", elem_id="compare-copy", min_width=110)
                more = gr.Button("Add a setting", size="sm", elem_id="compare-more", min_width=110)
                fewer = gr.Button("Take one away", size="sm", elem_id="compare-fewer", min_width=110, interactive=False)
            with gr.Row(elem_id="compare-films", equal_height=False):
                places, films = [], []
                for k, letter in enumerate(LETTERS):
                    with gr.Column(min_width=320, visible=k < FEWEST) as place:
                        places.append(place)
                        own = f"compare-film-{letter.lower()}"
                        films.append(film(desk.store.moment, elem_id=own, group="compare", name=letter))
            table = gr.HTML(elem_id="compare-table", apply_default_css=False)
            pictures = viewer.viewer(elem_id="compare-viewer")
            with gr.Row(elem_classes=widgets.AWAY, elem_id="compare-kept") as kept:
                files = tuple(
                    gr.DownloadButton(label, elem_id=f"compare-{key}", size="sm", min_width=130)
                    for key, label in FILES
                )
                restore = gr.Button("Send to Restore", size="sm", elem_id="compare-restore", min_width=130)
    tab = Tab(
        desk, photo, clean, facts, task, estimate, later, seed, same, tuple(found for found, _ in laid),
        gr.State(FEWEST), more, fewer, run, stop, message, tuple(films), tuple(places), pictures, table, kept, files,
        gr.State(None), gr.State(""), restore,
    )  # fmt: skip
    tab.wire(dice, swap, copy, holes)
    return tab


def _photo(words: str, elem_id: str, height: int) -> gr.Image:
    component = gr.Image(
        type="filepath", image_mode=None, sources=["upload", "clipboard"], label=words.partition("\n")[0],
        show_label=False, height=height, buttons=["fullscreen"], elem_id=elem_id, placeholder=words,
    )  # fmt: skip
    component.preprocess = lambda payload: None if payload is None else payload.path  # untouched: we decode it
    return component


def _tasks(desk: Desk) -> list[tuple[str, str]]:
    """The tasks that weights on this machine undo."""
    every = ((key, v) for key, method in METHODS.items() for v in method.card.variants if v.task in TASKS)
    able = {v.task for key, v in every if desk.library.has(key, v.key)}
    named = [(TASKS[key].label, key) for key in dict.fromkeys((*COMPACT, *TASKS)) if key in able]  # as in Restore
    return [("I am not sure", "auto"), *named, ("As the settings say", TOLD)]


def _first_methods() -> list[str]:
    """What the cards begin with: the methods in order that have weights for the task."""
    able = [key for key, method in METHODS.items() if UNSEEN in {v.task for v in method.card.variants}]
    return [able[k % len(able)] for k in range(len(LETTERS))]


__all__ = ["Tab", "fill"]
