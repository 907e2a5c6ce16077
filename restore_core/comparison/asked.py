"""From wishes to runs: who runs what on which photo, what it is measured against, and what one must know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from restore_core import __version__
from restore_core.comparison.table import COLUMNS
from restore_core.engine import Frame
from restore_core.errors import SettingsError
from restore_core.images import Photo
from restore_core.job import Job, plan
from restore_core.library import Library, card
from restore_core.metrics import METRICS
from restore_core.samplers import SAMPLERS
from restore_core.settings import Settings
from restore_core.tradeoff import sweep
from restore_core.tradeoff.measures import BORDER, Measures, niqe_fits
from restore_core.tradeoff.subject import ALIKE, SMALLEST, Subject, given, match, middle

LETTERS = "ABCD"
LARGE = 1_500_000  # pixels: above, the middle is measured
MEASURED = 1024  # pixels of that middle's side
FEWEST = SMALLEST + 2 * BORDER  # pixels of a side that the measures need
REPORTED = ("method", "variant", "sampler", "spacing", "steps", "strength", "samples", "seed")

Wish = Mapping[str, Any]  # method, variant, preset, and Settings fields or option keys


@dataclass(frozen=True)
class Contender:
    """One letter and what it runs."""

    letter: str
    job: Job

    @property
    def name(self) -> str:
        """What is different at a glance: method, weights, way of stepping."""
        s = self.job.settings
        return f"{card(s.method).title}, {SAMPLERS[s.sampler].label}, {s.steps} step{'s' if s.steps > 1 else ''}"


@dataclass(frozen=True, eq=False)
class Ended:
    """One contender's run and its numbers, by column key."""

    contender: Contender
    last: Frame
    result: Tensor  # (1, 3, H, W), RGB in [0, 1], on the CPU
    numbers: Mapping[str, float]
    whole: bool = True  # not stopped on the way


@dataclass(frozen=True, eq=False)
class Comparison:
    """A photo, what is compared on it, and what measures it; `measures` is None where it is too small for that."""

    photo: Photo
    contenders: tuple[Contender, ...]
    measures: Measures | None
    clean: Tensor | None = None
    notes: tuple[str, ...] = ()

    def ended(self, contender: Contender, last: Frame, *, whole: bool = True) -> Ended:
        """What the run that ended with `last` is worth."""
        result = last.result.float().cpu()
        numbers = {"calls": float(last.calls), "seconds": last.seconds} | self._measured(result, last)
        return Ended(contender, last, result, numbers, whole)

    def _measured(self, result: Tensor, last: Frame) -> dict[str, float]:
        if self.measures is None:
            return {}
        size = common_size(self.contenders)
        side, scale = _side(size), size[0] // self.photo.size[0]
        part = middle(result, side, scale)

        def guess() -> Tensor:  # what the damage is estimated from, once: the first contender's own first guess
            first = last.problem.guess
            return part if first is None else middle(last.problem.decode(first).cpu(), side, scale)

        found = self.measures.of(part, "all", guess)
        if "niqe" not in found and niqe_fits(tuple(part.shape[-2:])):
            found["niqe"] = METRICS["niqe"].run(part).item()
        if has_holes(self.photo):
            found.pop("consistency", None)  # nobody says what is under the holes
        return {key: found[key] for key in COLUMNS if key in found}

    def record(self, ended: Sequence[Ended] = ()) -> dict[str, Any]:
        """All settings and numbers, ready for JSON; `again` takes it back."""
        numbers = {e.contender.letter: {k: round(v, 5) for k, v in e.numbers.items()} for e in ended}
        return {
            "stepback": __version__,
            "input": {"name": self.photo.name, "size": list(self.photo.size)},
            "settings": {c.letter: c.job.settings.to_json() for c in self.contenders},
            "numbers": numbers,
            "notes": list(self.notes),
        }


def prepare(
    photo: Photo,
    wishes: Sequence[Wish],
    library: Library,
    *,
    task: str = "auto",
    clean: Photo | None = None,
) -> Comparison:
    """Checked and ready to run: two to four wishes whose results have one size, and a clean picture that fits."""
    if not 2 <= len(wishes) <= len(LETTERS):
        raise SettingsError(
            f"{len(wishes)} settings cannot be compared side by side. Choose two to {len(LETTERS)}."
        )
    contenders = tuple(
        Contender(letter, plan(photo, library, task=task, **wish))
        for letter, wish in zip(LETTERS, wishes, strict=False)
    )
    size, notes = common_size(contenders), _notes(contenders)
    if min(size) < FEWEST:
        return Comparison(photo, contenders, None, notes=notes)
    scale, side = size[0] // photo.size[0], _side(size)
    known, more = (None, ()) if clean is None else _fitting(photo, clean, contenders[0].job.task, scale)
    part = None if known is None else middle(known, side, scale)
    subject = Subject(photo.name, contenders[0].job.task, middle(photo.rgb, side and side // scale), part)
    return Comparison(photo, contenders, Measures(subject), known, (*notes, *more))


def has_holes(photo: Photo) -> bool:
    """Whether parts of it are transparent."""
    return photo.alpha is not None and bool((photo.alpha < 0.5).any())


def common_size(contenders: Sequence[Contender]) -> tuple[int, int]:
    """(height, width) of every result; refused where they differ."""
    first, *others = contenders
    for other in others:
        if other.job.size != first.job.size:
            sizes = [" × ".join(map(str, reversed(c.job.size))) for c in (first, other)]
            raise SettingsError(
                f"{first.letter} makes a picture of {sizes[0]} pixels and {other.letter} one of {sizes[1]}, so no "
                f"pixel of one has a partner in the other. Choose weights that enlarge alike."
            )
    return first.job.size


def _side(size: tuple[int, int]) -> int | None:
    """Pixels of the middle that is measured; None: all of it."""
    return MEASURED if size[0] * size[1] > LARGE else None


def again(record: Mapping[str, Any]) -> list[Wish]:
    """The wishes of a record: {"settings": {"A": {...}, "B": {...}}}, a list of settings, or those of one run."""
    found = record.get("settings", record)
    if isinstance(found, Mapping) and "method" not in found:
        found = list(found.values())
    kept = found if isinstance(found, list) else [found]
    if not kept:
        raise SettingsError("There are no settings in what came, so nothing can be compared. Choose another file.")
    return [sweep.flattened(Settings.from_json(settings).to_json()) for settings in kept]


def _notes(contenders: Sequence[Contender]) -> tuple[str, ...]:
    """What a reader must know before believing the table."""
    notes = []
    if len({c.job.settings.seed for c in contenders}) > 1:
        notes.append("The variation numbers differ, so the runs start from different noise.")
    size = common_size(contenders)
    if _side(size):
        notes.append(f"The pictures are large: their middle, {MEASURED} pixels wide, is measured.")
    if min(size) < FEWEST:
        notes.append(f"The pictures are smaller than {FEWEST} pixels, too small to be measured.")
    return tuple(notes)


def _fitting(photo: Photo, clean: Photo, task: str, scale: int) -> tuple[Tensor | None, tuple[str, ...]]:
    """The clean picture, or None and the sentence that it shows something else."""
    notes = given(photo, task, clean, scale=scale).notes
    if match(photo.rgb, clean.rgb).correlation >= ALIKE:
        return clean.rgb, notes
    note = (
        "The clean picture shows something else than your photo, so nothing is measured against it. Choose the picture "
        "that this photo was made from."
    )
    return None, (note,)


def start_notes(ended: Sequence[Ended]) -> list[str]:
    """Where the same seed is not the same start: states of another shape take other numbers."""
    shapes = {tuple(e.last.problem.anchor.shape): e.contender.letter for e in ended}
    if len(shapes) < 2:
        return []
    told = ", ".join(f"{letter} in {' × '.join(map(str, shape[1:]))}" for shape, letter in shapes.items())
    return [f"The methods work in spaces of different size ({told}), so the same noise is not possible for all."]


def differing(contenders: Sequence[Contender]) -> list[str]:
    """Names of the settings in which the contenders are not all alike, for captions."""
    flat = [flattened(c.job.settings) for c in contenders]
    keys = list(dict.fromkeys(key for settings in flat for key in settings))
    return [key for key in keys if len({str(settings.get(key)) for settings in flat}) > 1]


def flattened(settings: Settings) -> dict[str, Any]:
    """Fields and options in one dict, those that a reader cares for."""
    return {key: getattr(settings, key) for key in REPORTED} | dict(settings.options)
