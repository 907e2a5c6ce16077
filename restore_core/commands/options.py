"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from restore_core import images, job
from restore_core.checkpoints.folders import also_look_in
from restore_core.errors import SettingsError
from restore_core.samplers import GRID_LABELS, SAMPLERS
from restore_core.settings import Settings

NUMBERS = ("steps", "eta", "variance", "noise", "strength", "seed", "samples", "tile", "overlap")
PAPER = "paper"
TAKEN = frozenset({"self", "options", *signature(job.plan).parameters}) - {"changes"}
EXPERT = (*NUMBERS, "sampler", "spacing", "precision")


def add_expert(p: argparse.ArgumentParser) -> None:
    """Everything that changes how a run samples."""
    p.add_argument("--sampler", help=", ".join(SAMPLERS))
    p.add_argument("--spacing", "--grid", dest="spacing", help=f"time grid: {', '.join(GRID_LABELS)}")
    for name in NUMBERS:
        p.add_argument(f"--{name}", metavar="N")
    p.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="one of the method's own, e.g. guidance=0.8"
    )
    p.add_argument("--precision", help="float32, bfloat16, float16; default: what the device does best")


def add_reading(p: argparse.ArgumentParser) -> None:
    """How large a photo may be, and be worked on."""
    p.add_argument("--max-pixels", default=images.MAX_PIXELS, help="largest photo that is opened")
    p.add_argument(
        "--smaller", action="store_true",
        help=f"work on a smaller copy where a photo holds more than {images.COMFORTABLE_PIXELS / 1e6:g} million pixels",
    )  # fmt: skip


def add_output(p: argparse.ArgumentParser, told: str, *, metavar: str = "FILE", required: bool = False) -> None:
    """Where what is made goes: -o, or --out, or --output; `asked.output`."""
    p.add_argument("-o", "--out", "--output", dest="output", type=Path, required=required, metavar=metavar, help=told)


def add_models(p: argparse.ArgumentParser) -> None:
    """Where else to look for weights."""
    p.add_argument("--models", type=Path, metavar="DIR", help="also look for weights in this folder")


def use_models(asked: argparse.Namespace) -> None:
    """Look there from now on."""
    if asked.models:
        also_look_in(asked.models)


def preset(text: object) -> tuple[int, bool]:
    """(position of the slider, whether it is the authors' own run that is meant) of --preset."""
    if text == PAPER:
        return 2, True
    try:
        return int(str(text)), False
    except ValueError:
        raise SettingsError(
            f"--preset is '{text}'. Choose 0 (most faithful) to 4 (most vivid), or {PAPER}, which runs published "
            f"weights as their authors did."
        ) from None


def given(asked: argparse.Namespace) -> dict[str, Any]:
    """The expert arguments that were given, as text."""
    own = dict(_option(text) for text in asked.option)
    return own | {key: getattr(asked, key) for key in EXPERT if getattr(asked, key) is not None}


def idle(changes: Mapping[str, Any], settings: Settings) -> list[str]:
    """A sentence for each setting that was given and is nothing to the weights and the sampler that were chosen."""
    known = {*settings.to_json(), *settings.options}
    label = SAMPLERS[settings.sampler].label
    idle = [key for key in changes if key not in known]
    return [f"'{key}' has no effect: neither these weights nor the sampler '{label}' know it." for key in idle]


def _option(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not key.isidentifier():
        raise SettingsError(f"--option '{text}' is not KEY=VALUE. Write guidance=0.8, for example.")
    check_free(key, f"--option {text}")
    return key, value


def check_free(name: str, told: str) -> None:
    """SettingsError where a name that was given as a setting is an argument of the planning itself."""
    if name in TAKEN:
        raise SettingsError(
            f"'{told}' is no setting of the way of restoring. What a command takes by itself is an argument of its "
            f"own, as --task is."
        )


def whole(name: str, text: object, least: int | None = None) -> int:
    """`text` as a whole number of at least `least`, or a sentence that names the argument."""
    try:
        number = int(str(text))
    except ValueError:
        raise SettingsError(f"{name} is '{text}', and only whole numbers work there. Choose one.") from None
    if least is not None and number < least:
        raise SettingsError(f"{name} is {number}, and nothing can be done with so few. Choose {least} or more.")
    return number


__all__ = [
    "EXPERT", "PAPER", "add_expert", "add_models", "add_output", "add_reading", "check_free", "given", "idle", "preset",
    "use_models", "whole",
]  # fmt: skip
