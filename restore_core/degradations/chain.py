"""A chain of degradations with its seed: applied, told in words, and as JSON both ways.

Every step draws from a generator of its own, made of the seed and the step's place, so that moving one number leaves
the noise of all other steps as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from restore_core.degradations.operators import Context, degradation
from restore_core.errors import SettingsError
from restore_core.images import to_8bit
from restore_core.settings import whole

MAX_STEPS = 64
MAX_SEED = 2**31 - 1
STRIDE = 1_000_003  # between the seeds of neighbouring chains; a prime above any number of steps


@dataclass(frozen=True)
class Step:
    """One operator with a value for each of its options; those that are not given take their defaults."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping):
            raise SettingsError(f"The options of '{self.key}' are not a JSON object. Write them as {{\"sigma\": 2}}.")
        object.__setattr__(self, "values", degradation(self.key).checked(self.values))

    @classmethod
    def from_text(cls, text: str) -> Step:
        """From "blur:sigma=2,angle=30"; a lone "haze" takes the defaults."""
        key, _, rest = text.partition(":")
        values: dict[str, Any] = {}
        for pair in filter(None, rest.split(",")):
            name, sign, value = pair.partition("=")
            if not sign:
                raise SettingsError(f"'{pair}' in '{text}' is not NAME=VALUE. Write blur:sigma=2,angle=30, say.")
            values[name.strip()] = value.strip()
        return cls(key.strip(), values)

    def __str__(self) -> str:
        """In words: "Blur (Gaussian): deviation (px) 2, ..."."""
        operator = degradation(self.key)
        told = ", ".join(f"{_lower(o.label)} {_told(self.values[o.key])}" for o in operator.options)
        return f"{operator.label}: {told}" if told else operator.label


@dataclass(frozen=True)
class Chain:
    """Steps in order, and the seed of all that is random in them."""

    steps: tuple[Step, ...] = ()
    seed: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "seed", whole("The seed", self.seed, 0, MAX_SEED))
        if len(self.steps) > MAX_STEPS:
            raise SettingsError(
                f"The chain has {len(self.steps)} steps, and after a few nothing is left of a picture. Choose at most "
                f"{MAX_STEPS}."
            )

    def __call__(self, image: Tensor) -> Tensor:
        """image (1, 3, H, W) -> the damaged picture in 8-bit values; its size may differ."""
        for done in self.stages(image):
            image = done
        return to_8bit(image)

    def stages(self, image: Tensor) -> Iterator[Tensor]:
        """The picture after each step, as a file would hold it no better than clipped."""
        size = tuple(image.shape[-2:])
        seed = self.seed or MAX_SEED + 1  # 0 would be the seed of a run (tasks.generator_of)
        for place, step in enumerate(self.steps):
            generator = torch.Generator().manual_seed(seed * STRIDE + place)
            image = degradation(step.key).run(image, step.values, Context(generator, size)).clamp(0, 1)
            yield image

    def to_json(self) -> dict[str, Any]:
        """A plain dict that from_json takes back."""
        return {"seed": self.seed, "steps": [{"operator": s.key, **s.values} for s in self.steps]}

    @classmethod
    def from_json(cls, data: Any) -> Chain:
        """Checked: SettingsError names what is unknown or out of range."""
        if not isinstance(data, Mapping) or not isinstance(data.get("steps"), Sequence | None):
            raise SettingsError(
                'This is not a chain of damages, so it cannot be read. It is written {"seed": 1, "steps": '
                '[{"operator": "blur", "sigma": 2}]}.'
            )
        unknown = sorted(map(str, set(data) - {"seed", "steps"}))
        if unknown:
            raise SettingsError(f"A chain holds seed and steps, and this one {', '.join(unknown)} too. Take that out.")
        return cls(tuple(_step(entry) for entry in data.get("steps") or ()), data.get("seed", 1))

    @classmethod
    def from_text(cls, text: str) -> Chain:
        """From JSON as a file holds it."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise SettingsError(f"This chain is not JSON, so it cannot be read ({error}). Choose another.") from None
        return cls.from_json(data)


def _step(entry: Any) -> Step:
    if not isinstance(entry, Mapping) or "operator" not in entry:
        raise SettingsError(f"The step {entry!r} names no operator. Write {{\"operator\": \"blur\", \"sigma\": 2}}.")
    return Step(entry["operator"], {key: value for key, value in entry.items() if key != "operator"})


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:.4g}"


def _lower(label: str) -> str:
    return label if label[:2].isupper() or label[1:2] == " " else label[:1].lower() + label[1:]
