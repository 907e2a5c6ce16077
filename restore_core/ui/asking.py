"""From what the page's controls show to Settings: presets first, then whatever was changed by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from restore_core.degradations import TASKS
from restore_core.errors import ImageError, SettingsError
from restore_core.images import COMFORTABLE_PIXELS, READABLE, Header
from restore_core.job import AUTOMATIC
from restore_core.library import Library, card, worked_pixels
from restore_core.methods import METHODS
from restore_core.methods.base import PRESET_WORDS, Variant
from restore_core.samplers import SAMPLERS
from restore_core.settings import Option, Settings
from restore_core.tiling import tile_size, windows

EXPERT = ("steps", "eta", "noise", "sampler", "spacing", "strength", "samples", "tile")
UNSEEN = "deblur"  # the task whose defaults are shown before there is a photo to judge
CUSTOM = ("Custom", "Set by hand below. Move this slider to go back to a prepared choice.")
PUBLISHED = ("As published", "The authors' own way of running it, number for number.")
LONG = 180.0  # seconds

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Ask:
    """What the page asks for.

    task, method   keys, or "auto"
    variant        key of the weights, or "" for the first that suit the task
    paper          whether published weights run as their authors ran them, and not by the preset
    values         what the expert controls show now; `shown` is what they were last given, so that the difference is
                   what somebody changed by hand
    seen           the task that the photo was found to need
    smaller        whether to work on a smaller copy
    """

    task: str = "auto"
    method: str = "auto"
    variant: str = ""
    paper: bool = False
    preset: int = 2
    seed: int = 1
    values: Values = field(default_factory=dict)
    shown: Values = field(default_factory=dict)
    seen: str | None = None
    smaller: bool = False

    @property
    def task_key(self) -> str:
        """The task, the photo's own where it is left open."""
        task = (self.seen or UNSEEN) if self.task == "auto" else self.task
        if task not in TASKS:
            raise SettingsError(f"There is no task called '{task}'. Choose one of {', '.join(TASKS)}.")
        return task

    @property
    def method_key(self) -> str:
        """The method, the task's own where it is left open."""
        return AUTOMATIC[self.task_key] if self.method == "auto" else self.method

    @property
    def weights(self) -> Variant:
        """The variant that was chosen, where the method offers it for the task, or the first for the task."""
        offered = variants(self.method_key, self.task_key) if self.method != "auto" else ()
        chosen = next((variant for variant in offered if variant.key == self.variant), None)
        return chosen or card(self.method_key).variant_for(self.task_key)

    @property
    def as_published(self) -> bool:
        """Whether the authors' own run is asked for, and there is one."""
        return self.paper and self.weights.published

    @property
    def changes(self) -> dict[str, Any]:
        """Options that somebody changed by hand, as Card.settings takes them."""
        asked = {key: value for key, value in self.values.items() if _differs(value, self.shown.get(key))}
        if "sampler" in asked and "eta" in self.values:
            asked["eta"] = self.values["eta"]  # the control may show the eta of a sampler that had none
        if "tile" in asked:
            asked["tile"] = None if asked["tile"] == "auto" else int(asked["tile"])
        offered = {option.key for option in card(self.method_key).options_of(self.weights.key)}
        for key in {*fixed(self), *(own_options().keys() - offered)}:
            asked.pop(key, None)
        return asked

    def settings(self, precision: str = "float32") -> Settings:
        """The run's settings, checked."""
        fresh = {"seed": self.seed, "precision": precision}
        return self._settings(**fresh, **self.changes)

    def defaults(self) -> dict[str, Any]:
        """What the controls show when nothing was changed by hand."""
        return shown_in(self._settings())

    def _settings(self, **changes: Any) -> Settings:
        chosen = card(self.method_key)
        return chosen.settings(self.weights.key, self.preset, paper=self.as_published, **changes)


def variants(method: str, task: str) -> tuple[Variant, ...]:
    """The weights that a method offers: those for the task first, then published ones for other tasks."""
    found = card(method).variants
    suiting = tuple(variant for variant in found if variant.task == task)
    return suiting + tuple(variant for variant in found if variant.published and variant.task != task)


@cache
def own_options() -> Mapping[str, Option]:
    """Every option that some method or its weights offer, but for the noise level, which has a control of its own."""
    cards = [method.card for method in METHODS.values()]
    options = [o for chosen in cards for o in (*chosen.options, *(o for v in chosen.variants for o in v.options))]
    return {option.key: option for option in options if option.key != "noise"}


def calls(settings: Settings) -> int:
    """Network calls of a run."""
    return SAMPLERS[settings.sampler].total_calls(settings.steps) * settings.samples


def _differs(value: Any, shown: Any) -> bool:
    """A cleared number (None) means: leave it to the preset. A cleared text is a text."""
    if value is None or (value == "" and not isinstance(shown, str)):
        return False
    if isinstance(value, float) and isinstance(shown, int | float):
        return not math.isclose(value, shown, rel_tol=1e-6, abs_tol=1e-9)
    return value != shown


def shown_in(settings: Settings) -> dict[str, Any]:
    """Settings as the controls show them; what the weights do not offer, at its default."""
    own = {key: settings.options.get(key, option.default) for key, option in own_options().items()}
    return {
        "steps": settings.steps,
        "eta": settings.options.get("eta", 0.0),
        "noise": settings.options.get("noise", 0.0),
        "sampler": settings.sampler,
        "spacing": settings.spacing,
        "strength": settings.strength,
        "samples": settings.samples,
        "tile": "auto" if settings.tile is None else str(settings.tile),
        **own,
    }


def noise_option(ask: Ask) -> Option | None:
    """The method's own scale of noise, None where it offers none."""
    return next((o for o in card(ask.method_key).options if o.key == "noise"), None)


def fixed(ask: Ask) -> dict[str, str]:
    """Options that cannot be changed now, each with the sentence that says why."""
    why = {key: sentence for key, (_, sentence) in ask.weights.fixed.items()}
    if noise_option(ask) is None:
        why.setdefault("noise", "This method was trained at one noise level, so there is nothing to choose.")
    sampler = SAMPLERS.get(ask.values.get("sampler") or "")
    if sampler is not None and not any(o.key == "eta" for o in sampler.options):
        why["eta"] = "This way of stepping puts no fresh noise in."
    return why


def word(ask: Ask) -> tuple[str, str]:
    """The preset's word and sentence, or Custom."""
    if ask.changes:
        return CUSTOM
    return PUBLISHED if ask.as_published else PRESET_WORDS[ask.preset]


def look_of(header: Header) -> str:
    """Size line of an uploaded photo."""
    height, width = header.size
    size = f"{header.bytes / 1e6:.1f} MB" if header.bytes >= 1e5 else f"{max(1, round(header.bytes / 1e3))} kB"
    depth = ", 16 bit" if header.bits == 16 else ""
    return f"{width} × {height} pixels, {header.format}, {size}{depth}"


def is_large(header: Header) -> bool:
    """Whether a smaller copy is worth proposing."""
    return header.pixels > COMFORTABLE_PIXELS


def seconds(settings: Settings, size: tuple[int, int], library: Library) -> tuple[float, int]:
    """(seconds, pieces) of a run on a photo of this (height, width), from a measurement of the networks."""
    weights = card(settings.method).variant(settings.variant)
    height, width = size[0] * weights.scale, size[1] * weights.scale
    latent = not {"autoencoder", "control"}.isdisjoint(weights.weights)  # whose tiles are not the picture's pixels
    tile = 0 if latent else tile_size(settings.tile, height, width)
    pieces = sum(1 for _ in windows(height, width, tile, settings.overlap, 32)) if tile else 1
    pixels, once = worked_pixels(settings, height, width), calls(settings) // settings.samples
    return library.timing(settings).seconds(pixels, once, settings.samples), pieces


def duration(seconds: float) -> str:
    """Seconds in words, rounded as an estimate deserves."""
    if seconds < 1.5:
        return "about a second"
    if seconds < 90:
        return f"about {round(seconds) if seconds < 20 else round(seconds / 5) * 5} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} hours"


def need_photo(path: str | None) -> str:
    """The path, or the sentence that asks for a photo."""
    if not path:
        raise ImageError(
            f"There is no photo yet, so there is nothing to work on. Drop one into the frame ({READABLE})."
        )
    return path
