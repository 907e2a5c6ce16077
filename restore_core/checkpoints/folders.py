"""Where weights are looked for, and whether the network may be asked.

    weights/                 $STEPBACK_WEIGHTS, or weights/ beside the package: shipped, downloaded and added files
    further folders          $STEPBACK_MODELS, separated as in $PATH: copies that others keep, only read

The environment is asked at each call, so that a program may set it from its arguments.
"""

from __future__ import annotations

import os
from pathlib import Path

from restore_core.errors import SettingsError


def folder() -> Path:
    """The weights folder: $STEPBACK_WEIGHTS, or weights/ beside the package."""
    return Path(os.environ.get("STEPBACK_WEIGHTS") or Path(__file__).parents[2] / "weights")


def mirrors() -> tuple[Path, ...]:
    """Further folders with weights, from $STEPBACK_MODELS."""
    named = os.environ.get("STEPBACK_MODELS", "").split(os.pathsep)
    return tuple(Path(name).expanduser() for name in named if name)


def also_look_in(place: Path) -> None:
    """Add a further folder for this process and those it starts; SettingsError if it is none."""
    place = place.expanduser()
    if not place.is_dir():
        found = "is a file" if place.exists() else "is not there"
        raise SettingsError(
            f"The models folder {place} {found}, so no weights can be looked for in it. Name a folder."
        )
    known = os.environ.get("STEPBACK_MODELS", "")
    os.environ["STEPBACK_MODELS"] = os.pathsep.join(filter(None, (str(place.resolve()), known)))


def offline() -> bool:
    """Whether nothing may be asked of the network: $STEPBACK_OFFLINE or $HF_HUB_OFFLINE."""
    said = (os.environ.get(name, "") for name in ("STEPBACK_OFFLINE", "HF_HUB_OFFLINE"))
    return any(word.strip().lower() in ("1", "true", "yes", "on") for word in said)


def memory() -> Path:
    """The file that remembers checksums."""
    return folder() / ".checksums.json"
