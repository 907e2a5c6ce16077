"""What a method tells of itself, and what it does: pose one picture as a Problem."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from torch import Tensor, nn

from restore_core.errors import SettingsError
from restore_core.problem import Problem
from restore_core.samplers import GRID_LABELS, SAMPLERS
from restore_core.settings import Option, Settings
from restore_core.tiling import Heed, alone


@dataclass(frozen=True)
class Preset:
    """A position of the faithful-to-vivid slider: what it changes in the defaults."""

    word: str
    sentence: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """One published or shipped set of weights.

    task      the damage it undoes, a key of degradations.TASKS or of the published work
    weights   role -> key in the catalogue, e.g. {"network": "resshift/realsr-x4-v3", "autoencoder": "resshift/vq-f4"}
    scale     how much larger the result is than the input
    config    the numbers of this variant: schedule, ranges
    channels  of the picture it is given: 3, or 4 where its alpha marks what is to be filled (transparent)
    note      what one should know before choosing it
    options   its own, beside the card's
    defaults  its own, over the card's
    presets   its own, in place of the card's
    paper     the authors' own run (sampler, steps, grid, variance), over the defaults; empty for our own weights
    fixed     settings that cannot be changed: key -> (value, the sentence that says why)
    least     short side, in pixels of the result, to which smaller photos are grown while they are worked on
    packages  of Python that run it, beside those that every run needs
    """

    key: str
    label: str
    task: str
    weights: Mapping[str, str]
    scale: int = 1
    config: Mapping[str, Any] = field(default_factory=dict)
    channels: int = 3
    note: str = ""
    options: tuple[Option, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    presets: tuple[Preset, ...] = ()
    paper: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    least: int = 0
    packages: tuple[str, ...] = ()

    def worked_pixels(self, height: int, width: int) -> float:
        """Of a result of this size, as many as the networks see: small photos may be grown for them (`least`)."""
        return height * width * max(1.0, self.least / min(height, width)) ** 2

    @property
    def published(self) -> bool:
        """Whether these are the weights of a paper, which ran them in a way of its own."""
        return bool(self.paper)


PRESET_WORDS: tuple[tuple[str, str], ...] = (
    ("Most faithful", "Closest to what the camera saw. May stay soft."),
    ("Faithful", "Little is invented."),
    ("Balanced", "A good start."),
    ("Crisp", "Sharper. Fine texture may be redrawn."),
    ("Most vivid", "Sharpest. Details, letters and faces may be invented."),
)


def presets(*changes: Mapping[str, Any]) -> tuple[Preset, ...]:
    """The five positions with their words, from what each changes."""
    return tuple(Preset(w, s, c) for (w, s), c in zip(PRESET_WORDS, changes, strict=True))


@dataclass(frozen=True)
class Card:
    """What the interface, the command line and the README say of a method.

    defaults   Settings fields and options by key: sampler, steps, spacing, eta, noise, ...
    presets    five positions from faithful to vivid; the middle one changes nothing
    """

    key: str
    title: str
    paper: str
    summary: str
    variants: tuple[Variant, ...]
    options: tuple[Option, ...]
    defaults: Mapping[str, Any]
    presets: tuple[Preset, ...]

    def variant(self, key: str) -> Variant:
        """The variant called `key`."""
        for variant in self.variants:
            if variant.key == key:
                return variant
        known = ", ".join(v.key for v in self.variants)
        raise SettingsError(f"{self.title} has no weights called '{key}'. Choose one of {known}.")

    def variant_for(self, task: str) -> Variant:
        """The first variant that undoes `task`."""
        for variant in self.variants:
            if variant.task == task:
                return variant
        known = ", ".join(dict.fromkeys(v.task for v in self.variants))
        raise SettingsError(f"{self.title} has no weights for the task '{task}'. Choose one of {known}.")

    def options_of(self, variant: str) -> tuple[Option, ...]:
        """The card's options and the variant's own."""
        return (*self.options, *self.variant(variant).options)

    def settings(self, /, variant: str, preset: int = 2, *, paper: bool = False, **changes: Any) -> Settings:
        """The variant's defaults, moved by a preset (or to the paper's own run), then by `changes`.

        changes   Settings fields or option keys; None means unchanged
        """
        wanted = self._start(self.variant(variant), preset, paper)
        wanted |= {key: value for key, value in changes.items() if value is not None}
        if not isinstance(wanted.get("options", {}), Mapping):
            raise SettingsError(f"The options are {wanted['options']!r}, no names with values. Give each by its name.")
        own = {f.name for f in fields(Settings)}
        options = {key: value for key, value in wanted.items() if key not in own}
        chosen = {key: value for key, value in wanted.items() if key in own and key != "options"}
        chosen["options"] = options | dict(wanted.get("options", {}))
        return self.checked(Settings(method=self.key, variant=variant, **chosen))

    def _start(self, variant: Variant, preset: int, paper: bool) -> dict[str, Any]:
        positions = variant.presets or self.presets
        if not 0 <= preset < len(positions):
            raise SettingsError(f"There is no preset {preset}. Choose 0 (most faithful) to 4 (most vivid).")
        if paper and not variant.published:
            raise SettingsError(
                f"'{variant.label}' are weights of our own, so no paper says how to run them. Choose one of the five "
                f"presets, or published weights."
            )
        moved = variant.paper if paper else positions[preset].changes
        fixed = {key: value for key, (value, _) in variant.fixed.items()}
        return {**self.defaults, **variant.defaults, **moved, **fixed}

    def checked(self, settings: Settings) -> Settings:
        """The same settings with every option of the method and sampler present and in range, unknown ones refused."""
        if settings.sampler not in SAMPLERS:
            raise SettingsError(
                f"There is no sampler called '{settings.sampler}'. Choose one of {', '.join(SAMPLERS)}."
            )
        if settings.spacing not in GRID_LABELS:
            raise SettingsError(
                f"There is no time grid called '{settings.spacing}'. Choose one of {', '.join(GRID_LABELS)}."
            )
        variant = self.variant(settings.variant)
        options = self._options(variant, settings)
        _refuse_changed(variant, {**settings.to_json(), **options}, {o.key: o.label for o in self.options})
        return Settings(**(settings.to_json() | {"options": options}))

    def _options(self, variant: Variant, settings: Settings) -> dict[str, Any]:
        """Every option of the variant and the sampler, checked; those of other samplers and variants are left out."""
        own = {o.key: o for o in self.options_of(variant.key)}
        steppers = {o.key: o for o in SAMPLERS[settings.sampler].options}
        elsewhere = {o.key for s in SAMPLERS.values() for o in s.options}
        elsewhere |= {o.key for v in self.variants for o in v.options}
        unknown = sorted(set(settings.options) - set(own) - elsewhere)
        if unknown:
            raise SettingsError(
                f"{self.title} has no option called {', '.join(unknown)}. It has: {', '.join([*own, *steppers])}."
            )
        given = {key: value for key, (value, _) in variant.fixed.items()} | dict(settings.options)
        return {key: o.check(given.get(key, o.default)) for key, o in (own | steppers).items()}


def _refuse_changed(variant: Variant, found: Mapping[str, Any], labels: Mapping[str, str]) -> None:
    """SettingsError where something that the weights fix has another value."""
    for key, (value, why) in variant.fixed.items():
        if key in found and not _same(found[key], value):
            raise SettingsError(
                f"{labels.get(key, key.capitalize())} is {found[key]}, and '{variant.label}' runs at {value} only. "
                f"{why} Choose {value}, or other weights."
            )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-6)
    return one == other


class Method(ABC):
    """One paper with one set of weights, loaded.

    heed   to be asked before each window of whatever pose() puts a large photo through: whether to go on
    """

    card: ClassVar[Card]

    def __init__(self, variant: Variant, modules: Mapping[str, nn.Module], heed: Heed = alone):
        self.variant, self.modules, self.heed = variant, modules, heed

    @abstractmethod
    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """image (1, 3, H, W), RGB in [0, 1], on the networks' device -> Problem with result scale x H by scale x W.

        Variants of 4 channels take RGB and alpha, and fill what is transparent.
        """

    def rehearse(self, image: Tensor, settings: Settings) -> Problem:
        """A problem to be timed for an estimate: its cost a pixel is a photo's, however small the image."""
        return self.pose(image, settings)
