"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from typing import Any

from restore_core.errors import SettingsError
from restore_core.samplers import GRID_LABELS, SAMPLERS

NUMBERS = ("steps", "eta", "variance", "noise", "strength", "seed", "samples", "tile", "overlap")
EXPERT = (*NUMBERS, "sampler", "spacing", "precision")


def add_expert(p: argparse.ArgumentParser) -> None:
    """Everything that changes how a run samples."""
    p.add_argument("--sampler", help=", ".join(SAMPLERS))
    p.add_argument("--spacing", "--grid", dest="spacing", help=f"time grid: {', '.join(GRID_LABELS)}")
    for name in NUMBERS:
        p.add_argument(f"--{name}", metavar="N")
    p.add_argument("--precision", help="float32, bfloat16, float16; default: what the device does best")


def given(asked: argparse.Namespace) -> dict[str, Any]:
    """The expert arguments that were given, as text."""
    return {key: getattr(asked, key) for key in EXPERT if getattr(asked, key) is not None}


def whole(name: str, text: object) -> int:
    """`text` as a whole number, or a sentence that names the argument."""
    try:
        return int(str(text))
    except ValueError:
        raise SettingsError(f"{name} is '{text}', and only whole numbers work there. Choose one.") from None


__all__ = ["EXPERT", "add_expert", "given", "whole"]
