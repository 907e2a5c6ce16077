"""One request: what is asked of which method, checked, and the same as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from restore_core.errors import SettingsError

MAX_STEPS = 2000
MAX_SAMPLES = 64
MAX_SEED = 2**32 - 1  # the CPU's generator looks at 32 bits: larger ones would repeat the runs of smaller ones
WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True)
class Option:
    """A number, choice, switch or text that a method or sampler offers; becomes a slider, a menu, a flag or a line.

    low, high   of a number; of a text `high` is the most characters
    """

    key: str
    label: str
    default: float | str | bool
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    help: str = ""

    def check(self, value: Any) -> float | str | bool:
        """`value` as this option's type, or SettingsError."""
        if isinstance(self.default, bool):
            return switch(self.label, value)
        if self.choices:
            if value not in self.choices:
                raise SettingsError(f"{self.label}: '{value}' is not offered. Choose one of {', '.join(self.choices)}.")
            return value
        if isinstance(self.default, str):
            return text(self.label, value, self.high)
        return number(self.label, value, self.low, self.high)


def switch(label: str, value: Any) -> bool:
    """`value` as yes or no, in the words and numbers that people write too, or SettingsError."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in WORDS:
        raise SettingsError(f"{label}: '{value}' is neither yes nor no. Choose one of them.")
    return WORDS[word]


def text(label: str, value: Any, longest: float | None) -> str:
    """`value` as one line of printable text, or SettingsError where it is longer than `longest` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    if longest is not None and len(line) > longest:
        raise SettingsError(
            f"{label} has {len(line)} characters, and what is far behind the first 300 is read by no network. Shorten "
            f"it to {longest:g} or fewer."
        )
    return line


def number(label: str, value: Any, low: float | None, high: float | None) -> float:
    """`value` as a finite float between low and high, or SettingsError."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        result = math.nan
    lowest, highest = (-math.inf if low is None else low), (math.inf if high is None else high)
    if not math.isfinite(result) or not lowest <= result <= highest:
        between = f"between {lowest:g} and {highest:g}"
        raise SettingsError(f"{label} is {value!r}, which is not a number {between}. Choose one {between}.")
    return result


def whole(label: str, value: Any, low: int, high: int) -> int:
    """`value` as an integer between low and high, or SettingsError."""
    result = number(label, value, low, high)
    if result != int(result):
        raise SettingsError(
            f"{label} is {value!r}, and only whole numbers work there. Choose {int(result)}, for example."
        )
    return int(result)


@dataclass(frozen=True)
class Settings:
    """One restoration's request.

    strength    share of the way back to noise at which the run starts, 1: from the prior; below: from a noised guess
    samples     runs with seeds seed, seed+1, ... whose mean is the result
    tile        side of the network's tiles in pixels of the process's space; None: chosen by size, 0: never
    precision   "float32", "bfloat16", "float16" (autocast of the networks)
    options     the method's and the sampler's own, by Option key
    """

    method: str
    variant: str
    sampler: str
    steps: int
    spacing: str = "quadratic"
    seed: int = 0
    samples: int = 1
    strength: float = 1.0
    tile: int | None = None
    overlap: int = 32
    precision: str = "float32"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        put = lambda key, value: object.__setattr__(self, key, value)  # noqa: E731  frozen from here on
        put("steps", whole("Steps", self.steps, 1, MAX_STEPS))
        put("seed", whole("The variation number (seed)", self.seed, 0, MAX_SEED))
        put("samples", whole("The number of samples", self.samples, 1, MAX_SAMPLES))
        put("strength", number("Strength", self.strength, 0.01, 1.0))
        put("overlap", whole("The overlap of tiles", self.overlap, 0, 512))
        if self.tile is not None:
            put("tile", whole("The tile size", self.tile, 0, 8192))
        if 0 < (self.tile or 0) < 32 or 0 < (self.tile or 0) <= 2 * self.overlap:
            raise SettingsError(
                f"Tiles of {self.tile} px with an overlap of {self.overlap} px leave no room between the seams. Choose "
                f"tiles of at least {max(32, 2 * self.overlap + 32)} px, or 0 for none."
            )
        if self.precision not in ("float32", "bfloat16", "float16"):
            raise SettingsError(
                f"'{self.precision}' is not a precision that networks run in. Choose float32, bfloat16 or float16."
            )
        put("options", MappingProxyType(dict(self.options)))

    def to_json(self) -> dict[str, Any]:
        """A plain dict that from_json takes back."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "options"} | {
            "options": dict(self.options)
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """Checked; unknown keys are refused by name, missing ones take their defaults."""
        if not isinstance(data, Mapping):
            raise SettingsError("These settings are not a JSON object, so they cannot be read. Choose another file.")
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise SettingsError(
                f"These settings hold {', '.join(unknown)}, which this version does not know. Take them out, or use "
                f"the version that wrote them."
            )
        missing = sorted({"method", "variant", "sampler", "steps"} - set(data))
        if missing:
            raise SettingsError(f"These settings lack {', '.join(missing)}, so no run can be made. Add them.")
        if not isinstance(data.get("options", {}), Mapping):
            raise SettingsError("The options in these settings are not a JSON object. Write them as {\"eta\": 1.0}.")
        return cls(**dict(data))


__all__ = ["MAX_SAMPLES", "MAX_SEED", "MAX_STEPS", "Option", "Settings", "number", "switch", "text", "whole"]
