"""The command `info`: what a bug report needs to say."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from restore_core import __version__, devices
from restore_core.library import Library
from restore_core.methods import METHODS


def add_parser(commands: Any) -> None:
    p = commands.add_parser("info", help="versions, device and weights, for a bug report")
    p.add_argument("--device")
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=_info)


def _info(asked: argparse.Namespace) -> int:
    library = Library(asked.device)
    found = {
        "stepback": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": devices.describe(library.device),
        "precision": library.precision,
        "packages": {name: _version(name) for name in ("torch", "gradio", "numpy", "pillow", "safetensors")},
        "weights": {
            f"{key}/{variant.key}": "here" if library.has(key, variant.key) else "not here"
            for key, method in METHODS.items()
            for variant in method.card.variants
        },
    }
    if asked.json:
        print(json.dumps(found))
        return 0
    for key, value in found.items():
        print(f"{key}: {value}" if not isinstance(value, dict) else f"{key}:")
        for name, detail in value.items() if isinstance(value, dict) else ():
            print(f"  {name}: {detail}")
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


__all__ = ["add_parser"]
