"""Which settings a sweep visits: axes and their values, multiplied out, and the five positions of the slider."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from restore_core.checkpoints import catalogue, files
from restore_core.errors import SettingsError
from restore_core.methods import METHODS, Card
from restore_core.methods.base import PRESET_WORDS
from restore_core.samplers import GRID_LABELS, SAMPLERS
from restore_core.settings import Option, Settings

PAPER_STEPS = (10, 20, 30, 50, 100, 200, 300, 500)  # Whang et al. 2022, section 4.3
PAPER_NOISE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # largest noise level 1 - alpha_T
MAX_POINTS = 100_000

Value = float | str


@dataclass(frozen=True)
class Axis:
    """Something to sweep; `values` are those taken when none are named, empty where they depend on the method."""

    key: str
    label: str
    values: tuple[Value, ...] = ()


_AXES = (
    Axis("steps", "Steps", PAPER_STEPS),
    Axis("noise", "Largest noise level"),
    Axis("eta", "Randomness (eta)", (0.0, 0.25, 0.5, 0.75, 1.0)),
    Axis("samples", "Samples averaged", (1, 2, 4, 8, 16)),
    Axis("method", "Method"),
    Axis("sampler", "Way of stepping", tuple(SAMPLERS)),
    Axis("spacing", "Time grid", tuple(GRID_LABELS)),
    Axis("strength", "Starting noise", (0.25, 0.5, 0.75, 1.0)),
    Axis("preset", "Faithful to vivid", tuple(range(len(PRESET_WORDS)))),
)
AXES: Mapping[str, Axis] = {axis.key: axis for axis in _AXES}


@dataclass(frozen=True)
class Sweep:
    """What is asked for.

    axes        axis key -> values; a key may also be any numeric option of the method (guidance, for example).
                Empty: the preset alone
    method      a key of METHODS; not used where the axes hold "method"
    preset      position of the slider that all other settings start from
    positions   whether the five positions are measured as well
    changes     Settings fields and options that all points share
    """

    task: str
    axes: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    method: str = "dvsr"
    variant: str | None = None
    preset: int = 2
    positions: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods in play."""
        return tuple(str(m) for m in self.axes.get("method", (self.method,)))


@dataclass(frozen=True)
class Request:
    """One point to be measured; `preset` where it is one of the five positions of its method's slider."""

    settings: Settings
    preset: int | None = None


def requests(*sweeps: Sweep) -> tuple[Request, ...]:
    """Every point of the sweeps once, cheap ones first, so that a map has something to show soon."""
    count = sum(math.prod(map(len, sweep.axes.values())) for sweep in sweeps)
    if count > MAX_POINTS:
        raise SettingsError(
            f"That makes {count:,} points, more than the {MAX_POINTS:,} that one sweep takes. Choose fewer values, or "
            "sweep one setting after the other."
        )
    found: dict[str, Request] = {}
    for sweep in sweeps:
        for request in (*_grid(sweep), *_positions(sweep)):
            key = repr(sorted(request.settings.to_json().items(), key=str))
            known = found.get(key)
            if known is None or known.preset is None:
                found[key] = request
    return tuple(sorted(found.values(), key=lambda r: calls_of(r.settings)))


def calls_of(settings: Settings) -> int:
    """Network calls of a run."""
    return SAMPLERS[settings.sampler].total_calls(settings.steps) * settings.samples


def _grid(sweep: Sweep) -> Iterator[Request]:
    _check_axes(sweep)
    for values in itertools.product(*sweep.axes.values()):
        chosen = dict(zip(sweep.axes, values, strict=True))
        method = str(chosen.pop("method", sweep.method))
        preset = chosen.pop("preset", None)
        start = sweep.preset if preset is None else int(preset)
        settings = _settings(sweep, method, start, {**sweep.changes, **chosen})
        plain = preset is not None and not chosen and not _moves(sweep)
        yield Request(settings, start if plain else None)


def _positions(sweep: Sweep) -> Iterator[Request]:
    for method in sweep.methods if sweep.positions else ():
        shared = {k: v for k, v in sweep.changes.items() if k in ("seed", "precision", "tile", "overlap")}
        for preset in range(len(PRESET_WORDS)):
            yield Request(_settings(sweep, method, preset, shared), preset)


def _moves(sweep: Sweep) -> bool:
    return bool(set(sweep.changes) - {"seed", "precision", "tile", "overlap"})


def _settings(sweep: Sweep, method: str, preset: int, changes: Mapping[str, Any]) -> Settings:
    chosen = _card(method)
    variant = sweep.variant or chosen.variant_for(sweep.task).key
    return chosen.settings(variant, preset, **changes)


def _card(method: str) -> Card:
    if method not in METHODS:
        raise SettingsError(f"There is no method called '{method}'. Choose one of {', '.join(METHODS)}.")
    return METHODS[method].card


def _check_axes(sweep: Sweep) -> None:
    """Refuse axes that nothing would follow from: unknown ones, empty ones, eta where a sampler has none."""
    for key, values in sweep.axes.items():
        if key not in AXES:
            for method in sweep.methods:
                _option(sweep, method, key)
        if not values:
            raise SettingsError(
                f"No value is given for '{key}', so there is nothing to sweep. Name at least one."
            )
    if "noise" in sweep.axes and len(sweep.methods) > 1:
        raise SettingsError(
            "Each method has a noise scale of its own, so one list of noise levels does not suit several methods. "
            "Sweep the noise of one method at a time."
        )
    if "eta" in sweep.axes and "sampler" not in sweep.axes:
        for method in sweep.methods:
            _check_eta(sweep, method)


def _check_eta(sweep: Sweep, method: str) -> None:
    changes = {k: v for k, v in sweep.changes.items() if k == "sampler"}
    sampler = SAMPLERS[_settings(sweep, method, sweep.preset, changes).sampler]
    if all(option.key != "eta" for option in sampler.options):
        raise SettingsError(
            f"The sampler {sampler.label} puts no fresh noise in, so sweeping eta would measure the same point again "
            "and again. Choose another sampler or leave eta out."
        )


def default_values(key: str, task: str, method: str) -> tuple[Value, ...]:
    """The values that an axis takes when none are named; of methods those whose weights are here."""
    if key == "method":
        return tuple(m for m in METHODS if _is_here(m, task)) or (method,)
    if key == "noise" and method == "dvsr":
        return PAPER_NOISE
    if key in AXES and AXES[key].values:
        return AXES[key].values
    option = _option(Sweep(task), method, key)
    if option.choices:
        return option.choices
    default, low, high = float(option.default), option.low, option.high
    around = {min(high, max(low, round(default * factor, 6))) for factor in (0.25, 0.5, 1, 2, 4)}
    return tuple(sorted(around)) if default else tuple(low + (high - low) * k / 4 for k in range(5))


def _is_here(method: str, task: str) -> bool:
    """Whether the method can undo the task with weights that are on this machine."""
    chosen = METHODS[method].card
    if all(variant.task != task for variant in chosen.variants):
        return False
    weights = chosen.variant_for(task).weights.values()
    return all(files.standing(catalogue.record(key)).path for key in weights)


def _option(sweep: Sweep, method: str, key: str) -> Option:
    chosen = _card(method)
    variant = sweep.variant or chosen.variant_for(sweep.task).key
    own = {option.key: option for option in chosen.options_of(variant)}
    own |= {option.key: option for sampler in SAMPLERS.values() for option in sampler.options}
    if key not in own or (own[key].low is None and not own[key].choices):
        known = dict.fromkeys([*AXES, *(k for k, o in own.items() if o.low is not None or o.choices)])
        raise SettingsError(
            f"'{key}' is nothing that {chosen.title} can sweep. Choose from {', '.join(known)}."
        )
    return own[key]


def varied(settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Keys that differ between settings (as JSON, options beside the fields), the most varied first."""
    flat = [flattened(one) for one in settings]
    keys = dict.fromkeys(key for one in flat for key in one)
    counts = {key: len({repr(one.get(key)) for one in flat}) for key in keys}
    return tuple(sorted((k for k in keys if counts[k] > 1), key=lambda k: -counts[k]))


def telling(settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Like `varied`, without what follows from the method: of its own settings only those that vary within it."""
    methods = dict.fromkeys(one["method"] for one in settings)
    within = [varied([one for one in settings if one["method"] == method]) for method in methods]
    own = {"method", *(key for keys in within for key in keys)}
    return tuple(key for key in varied(settings) if key in own)


def flattened(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON with the options beside the fields."""
    own = [f.name for f in fields(Settings) if f.name != "options"]
    return {key: settings[key] for key in own if key in settings} | dict(settings.get("options", {}))
