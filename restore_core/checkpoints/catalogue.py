"""Every set of weights that a method may ask for: where it comes from, what it is, under which licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from restore_core.errors import CheckpointError


@dataclass(frozen=True)
class Shipped:
    """A file that comes with the project, below weights/."""

    file: str


@dataclass(frozen=True)
class Checkpoint:
    """One weights file.

    sha256   of the file, or "" where none was published
    inside   keys down to the state dict, for files that wrap it
    config   what shapes cannot tell the architecture's `build`
    """

    key: str
    architecture: str
    source: Shipped
    licence: str
    sha256: str = ""
    size: int = 0
    inside: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


_COMPACT_LICENCE = "Apache-2.0; trained on openly licensed photographs named in weights/README.md"
_RECORDS = tuple(
    Checkpoint(f"compact/{task}", "compact", Shipped(f"compact/{task}.safetensors"), _COMPACT_LICENCE)
    for task in ("sr4", "deblur", "denoise")
)
CATALOGUE: Mapping[str, Checkpoint] = {record.key: record for record in _RECORDS}


def record(key: str) -> Checkpoint:
    """The record called `key`."""
    if key not in CATALOGUE:
        raise CheckpointError(f"No weights are called '{key}'. Choose one of {', '.join(CATALOGUE)}.")
    return CATALOGUE[key]
