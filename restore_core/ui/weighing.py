"""Which weights a method runs with: the menu, what to know of them, their authors' own run, the way to missing ones."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from restore_core.checkpoints import catalogue
from restore_core.counting import counted
from restore_core.library import Library, card
from restore_core.networks.published import absent
from restore_core.ui import widgets
from restore_core.ui.asking import Ask, calls, variants
from restore_core.ui.widgets import AWAY

PACE = "How to run it"
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Picker:
    """The components. `offer`: what the Models tab is sent, as JSON text."""

    variant: gr.Dropdown
    note: gr.HTML
    pace: gr.Radio
    get: gr.Button
    offer: gr.State

    @property
    def outputs(self) -> list[Any]:
        """What shown() and missing() change."""
        return [self.variant, self.note, self.pace, self.get, self.offer]

    def shown(self, ask: Ask, library: Library) -> Updates:
        """The menu of the method's weights, and what is to be known of the chosen ones."""
        chosen, choices = ask.weights, self._choices(ask, library)
        note = chosen.note if ask.method != "auto" else ""
        return {
            self.variant: gr.update(
                choices=choices, value=chosen.key if choices else None, elem_classes=[] if len(choices) > 1 else AWAY
            ),
            self.note: widgets.text(note),
            self.pace: self._paces(ask),
        } | self.missing(ask, library)

    def refreshed(self, ask: Ask, library: Library) -> Updates:
        """The same menu after weights came or went. Nothing else: it may be late, and another method chosen."""
        if ask.method == "auto":
            return self.missing(ask, library)
        return {self.variant: gr.update(choices=self._choices(ask, library))} | self.missing(ask, library)

    @staticmethod
    def _choices(ask: Ask, library: Library) -> list[tuple[str, str]]:
        offered = variants(ask.method_key, ask.task_key) if ask.method != "auto" else ()
        return [(_label(ask.method_key, v.key, v.label, library), v.key) for v in offered]

    def missing(self, ask: Ask, library: Library) -> Updates:
        """The button that leads to missing weights."""
        lacking = library.missing(ask.method_key, ask.weights.key)
        offer = json.dumps({"method": ask.method_key, "variant": ask.weights.key}) if lacking else None
        return {self.get: gr.update(elem_classes=[] if lacking else AWAY), self.offer: offer}

    def _paces(self, ask: Ask) -> Any:
        """Fast or as published, each with its network calls."""
        if not ask.weights.published:
            return gr.update(elem_classes=AWAY, value="fast")
        ways = [replace(ask, paper=paper, values={}, shown={}) for paper in (False, True)]
        needed = [calls(way.settings()) for way in ways]
        same = needed[0] == needed[1]
        told = [
            name_of(way) if same else f"{name_of(way)}: {calls_in_words(n)}"
            for way, n in zip(ways, needed, strict=True)
        ]
        return gr.update(
            choices=list(zip(told, ("fast", "paper"), strict=True)), value="paper" if ask.paper else "fast",
            label=f"{PACE}, {calls_in_words(needed[0])} either way" if same else PACE, elem_classes=[],
        )  # fmt: skip


def name_of(ask: Ask) -> str:
    """What this way of running published weights is called. Some of the slider's are no faster than the authors'."""
    if ask.as_published:
        return "As published"
    chosen, key = card(ask.method_key), ask.weights.key
    faster = calls(chosen.settings(key, ask.preset)) < calls(chosen.settings(key, paper=True))
    return "Fast" if faster else "By the slider"


def offer_of(ask: Ask, library: Library) -> str:
    """What is missing, how large it is and under which licence; "" if nothing is."""
    lacking = library.missing(ask.method_key, ask.weights.key)
    if not lacking:
        return ""
    records = [catalogue.record(key) for key in lacking]
    size = sum(record.size for record in records)
    licences = "; ".join(dict.fromkeys(record.licence for record in records))
    count = "a file that is" if len(lacking) == 1 else f"{len(lacking)} files that are"
    told = f"{size / 1e6:,.0f} MB, licence: {licences}" if size else f"licence: {licences}"
    return f"'{ask.weights.label}' needs {count} not here yet ({told}). {absent(ask.weights.packages)}".rstrip()


def _label(method: str, key: str, label: str, library: Library) -> str:
    return label if library.has(method, key) else f"{label} · not here"


def calls_in_words(number: int) -> str:
    """A number of network calls."""
    return counted(number, "network call")


def get_button() -> gr.Button:
    """The button that leads to missing weights; it stands beside the sentence that tells of them."""
    return gr.Button("Get the missing weights", elem_id="get-weights", elem_classes=AWAY)


def picker(get: gr.Button) -> Picker:
    """Lay the components out; shown() fills them."""
    variant = gr.Dropdown(
        [], label="Weights", elem_id="variant", elem_classes=AWAY,
        allow_custom_value=True,  # what is not offered (any more) is judged by Ask.weights
    )  # fmt: skip
    note = gr.HTML(elem_id="variant-note", apply_default_css=False)
    pace = gr.Radio(
        [("Fast", "fast"), ("As published", "paper")], value="fast", label=PACE, elem_id="pace",
        elem_classes=AWAY,
    )  # fmt: skip
    return Picker(variant, note, pace, get, gr.State(None))


__all__ = ["Picker", "counted", "get_button", "name_of", "offer_of", "picker"]
