"""What is told of a run before it begins: what is missing for it, its network calls, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from restore_core import images
from restore_core.errors import RestoreError
from restore_core.library import Library
from restore_core.settings import Settings
from restore_core.ui import widgets
from restore_core.ui.asking import LONG, Ask, calls, duration, seconds
from restore_core.ui.desk import Desk
from restore_core.ui.weighing import calls_in_words, name_of, offer_of

LATER = "The machine is at work; how long it takes is told when it is free."


@dataclass(frozen=True)
class Foresight:
    """A sentence as HTML. `pending`: the time is told when the device is free."""

    html: str
    pending: bool = False


def foreseen(ask: Ask, about: Mapping[str, Any], desk: Desk) -> Foresight:
    """For a photo of which `about` tells size (height, width) and what it was found to need; {} without one."""
    try:
        lacking = offer_of(ask, desk.library)
        if lacking:
            return Foresight(widgets.text(lacking, "error"))
        if not about:
            return Foresight("")
        why = f"{about['sentence']} " if ask.task == "auto" else ""
        if desk.turns.busy and not desk.library.is_measured(ask.settings(desk.library.precision)):
            return Foresight(widgets.text(f"{why}{calls_in_words(calls(ask.settings()))}. {LATER}"), pending=True)
        return Foresight(widgets.text(why + _times(ask, about["size"], desk.library)))
    except RestoreError as error:
        return Foresight(widgets.text(str(error), "error"))


def foreseen_of(runs: Mapping[str, Settings], size: tuple[int, int], desk: Desk) -> Foresight:
    """Of runs one after the other on a photo of this (height, width), each by its letter."""
    lacking = [letter for letter, one in runs.items() if not desk.library.has(one.method, one.variant)]
    if lacking:
        told = f"The weights of {' and '.join(lacking)} are not here yet: choose others, or get them on the Models tab."
        return Foresight(widgets.text(told, "error"))
    made = calls_in_words(sum(map(calls, runs.values())))
    if desk.turns.busy and not all(map(desk.library.is_measured, runs.values())):
        return Foresight(widgets.text(f"{made}. {LATER}"), pending=True)
    each = {letter: seconds(one, size, desk.library)[0] for letter, one in runs.items()}
    told = ", ".join(f"{letter} {duration(time)}" for letter, time in each.items())
    whole = sum(each.values())
    long = " That is long: fewer steps or a smaller photo are faster." if whole > LONG else ""
    return Foresight(widgets.text(f"Takes {duration(whole)} ({told}): {made}.{long}"))


def _times(ask: Ask, size: list[int], library: Library) -> str:
    """Seconds and network calls, and those of the other way of running published weights."""
    if ask.smaller:
        factor = images.reduction(tuple(size))
        size = [int(side / factor) for side in size]
    time, pieces = seconds(ask.settings(library.precision), tuple(size), library)
    made = calls(ask.settings())
    told = f"Takes {duration(time)}{f', in {pieces} pieces' if pieces > 1 else ''}: {calls_in_words(made)}."
    other = replace(ask, paper=not ask.paper, values={}, shown={})
    if ask.weights.published and calls(other.settings()) != made:
        there, _ = seconds(other.settings(library.precision), tuple(size), library)
        told += f" {name_of(other)}: {duration(there)}."
    if time > LONG:
        told += " That is long: fewer steps or a smaller copy are faster."
    return told


__all__ = ["Foresight", "foreseen", "foreseen_of"]
