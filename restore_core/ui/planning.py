"""What a sweep is asked for, what is known of its photo already, and what it will cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from restore_core import images
from restore_core.counting import counted
from restore_core.errors import SettingsError
from restore_core.images import Photo
from restore_core.library import card
from restore_core.tradeoff import (
    AXES,
    Estimate,
    Journal,
    Plane,
    Point,
    Request,
    Shelf,
    Subject,
    Sweep,
    damaged,
    estimate,
    given,
    plane_of,
    requests,
)
from restore_core.tradeoff.journal import default_root
from restore_core.tradeoff.running import missing
from restore_core.tradeoff.sweep import calls_of
from restore_core.ui.asking import need_photo
from restore_core.ui.desk import Desk

LATER = "The machine is at work; how long they take is told when it is free."
CLEAN, DAMAGED, BOTH = "clean", "damaged", "both"  # what somebody has


@dataclass(frozen=True)
class Ask:
    """What the tab asks for.

    have     "clean": the photo is damaged here; "damaged": as it is; "both": the clean picture comes with it
    over     keys of AXES; values: their values as text, empty for the usual ones
    side     pixels of the result's middle that are measured, 0 for all
    """

    photo: str | None = None
    clean: str | None = None
    have: str = CLEAN
    task: str = "deblur"
    method: str = "dvsr"
    over: tuple[str, ...] = ("steps", "eta")
    values: Mapping[str, str] = field(default_factory=dict)
    positions: bool = True
    side: int = 256
    seed: int = 1

    @property
    def scale(self) -> int:
        """How much larger results are than the photo."""
        chosen = card(self.method)
        return chosen.variant_for(self.task).scale

    def plan(self, precision: str) -> tuple[Request, ...]:
        """The points asked for."""
        changes = {"seed": self.seed, "precision": precision}
        axes = {key: parsed(key, self.values.get(key, "")) for key in AXES if key in self.over}
        if not axes and not self.positions:
            raise SettingsError(
                "Nothing is chosen to sweep. Tick at least one setting, or the five positions."
            )
        if not axes:
            axes = {"preset": tuple(AXES["preset"].values)}
        return requests(Sweep(self.task, axes, self.method, positions=self.positions, changes=changes))

    def subject(self, max_pixels: int) -> Subject:
        """The photo as it will be swept."""
        path = need_photo(self.photo)
        clean = self.clean if self.have == BOTH else None
        if self.have == BOTH and clean is None:
            raise SettingsError(
                "The clean picture is missing. Drop it into the second frame, or choose what you have."
            )
        return _subject(path, clean, self.have == CLEAN, self.task, self.scale, self.side or None, max_pixels)


def parsed(key: str, text: str) -> tuple[float | str, ...]:
    """Values of an axis from what was typed: numbers or keys between commas or blanks."""
    found = tuple(_value(key, word) for word in text.replace(",", " ").split())
    if not found:
        raise SettingsError(f"{AXES[key].label}: no values are named. Write some, separated by commas.")
    return found


def _value(key: str, word: str) -> float | str:
    if key in ("method", "sampler", "spacing"):
        return word
    try:
        number = float(word)
    except ValueError:
        raise SettingsError(
            f"{AXES[key].label}: '{word}' is not a number. Write numbers, separated by commas."
        ) from None
    return int(number) if number == int(number) else number


@lru_cache(maxsize=8)
def _subject(
    path: str, clean: str | None, damage: bool, task: str, scale: int, side: int | None, max_pixels: int
) -> Subject:
    photo = _loaded(path, max_pixels)
    if damage:
        return damaged(photo, task, side=side)
    return given(photo, task, None if clean is None else _loaded(clean, max_pixels), scale=scale, side=side)


@lru_cache(maxsize=4)
def _loaded(path: str, max_pixels: int) -> Photo:
    return images.load(path, max_pixels=max_pixels)


@dataclass(frozen=True)
class Board:
    """What the map shows: the photo's points, and which of them are positions of the slider."""

    subject: Subject
    journal: Journal
    plane: Plane
    presets: Mapping[str, int]

    @property
    def points(self) -> tuple[Point, ...]:
        """Everything that was measured on this photo."""
        return self.journal.points()


def board(desk: Desk, ask: Ask) -> Board:
    """The photo's board, with what is known from before."""
    subject = ask.subject(desk.max_pixels)
    journal = Shelf(default_root()).journal(subject)
    return Board(subject, journal, plane_of(subject, ask.scale), _presets(desk, ask, journal))


def _presets(desk: Desk, ask: Ask, journal: Journal) -> dict[str, int]:
    changes = {"seed": ask.seed, "precision": desk.library.precision}
    plan = requests(Sweep(ask.task, {"preset": AXES["preset"].values}, ask.method, changes=changes))
    return {journal.key(r.settings): r.preset for r in plan if r.preset is not None}


@dataclass(frozen=True)
class Foresight:
    """What a sweep will cost, in words.

    large     whether a person is asked first
    pending   the time is told when the device is free: measuring it beside a run would tell a wrong one, and slow both
    """

    sentence: str
    large: bool
    pending: bool = False


def foreseen(desk: Desk, ask: Ask) -> Foresight:
    """What a sweep will cost."""
    return cost(desk, board(desk, ask), ask.plan(desk.library.precision))


def cost(desk: Desk, found: Board, plan: Sequence[Request], *, mine: bool = False) -> Foresight:
    """What measuring the plan will cost. `mine`: the device is the sweep's own, so that it may measure."""
    groups, library = missing(plan, found.journal), desk.library
    longest = [max(group, key=calls_of) for group in groups]
    made = counted(sum(map(calls_of, longest)), "network call")
    if desk.turns.busy and not mine and not all(map(library.is_measured, longest)):
        points = Estimate(sum(map(len, groups)), len(plan), 0.0)
        return Foresight(f"{counted(len(plan), 'point')}, {made}. {LATER}", points.large, pending=True)
    whole = estimate(plan, found.subject, found.journal, library.timing)
    calls = f" {made}." if groups else ""
    return Foresight(f"{whole.sentence}{calls}", whole.large)


def forget(desk: Desk, ask: Ask) -> None:
    """Delete everything that was measured on this photo."""
    Shelf(default_root()).forget(ask.subject(desk.max_pixels))


__all__ = [
    "BOTH", "CLEAN", "DAMAGED", "Ask", "Board", "Foresight", "board", "cost", "foreseen", "forget", "parsed",
]  # fmt: skip
