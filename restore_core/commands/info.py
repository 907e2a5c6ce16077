"""The command `doctor` (also `info`): what a bug report says, what is in order, and what to do where it is not."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch

from restore_core import __version__, devices
from restore_core.checkpoints import catalogue, files, folders
from restore_core.commands import options
from restore_core.counting import counted
from restore_core.errors import RestoreError, gist
from restore_core.library import Library
from restore_core.methods import METHODS

NEEDED = {"torch": "2.13", "gradio": "6.31", "numpy": "2.0", "pillow": "11.0", "safetensors": "0.5"}  # at least
FURTHER = ("opencv-python-headless", "huggingface_hub", "av", "diffusers", "transformers", "ray")
LITTLE_MEMORY, LITTLE_DISK = 2 << 30, 2 << 30  # bytes
PROBE = 512  # side of the matrices that are multiplied to see that the device works


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. advice: what to do; empty where all is well."""

    what: str
    found: str
    advice: str = ""
    grave: bool = False  # nothing can be restored like this


def add_parser(commands: Any) -> None:
    """Add `doctor` to the subparsers of the main parser."""
    p = commands.add_parser("doctor", aliases=["info"], help="what is in order here and what to do; for a bug report")
    p.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the best there is")
    options.add_models(p)
    p.add_argument("--json", action="store_true", help="one JSON object")
    p.set_defaults(run=_doctor)


def _doctor(asked: argparse.Namespace) -> int:
    options.use_models(asked)
    library = Library(asked.device)
    findings = list(examine(library))
    about = describe(library)
    if asked.json:
        print(json.dumps(about | {"findings": [asdict(f) for f in findings], "verdict": verdict(findings)}))
    else:
        _print(about, findings)
    return 1 if any(f.grave for f in findings) else 0


def describe(library: Library) -> dict[str, Any]:
    """The machine, versions, device and weights."""
    cores = counted(os.cpu_count() or 1, "core")
    return {
        "stepback": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {cores}",
        "device": devices.describe(library.device),
        "precision": library.precision,
        "packages": {name: _version(name) or "not installed" for name in (*NEEDED, *FURTHER)},
        "weights": {
            f"{key}/{variant.key}": "here" if library.has(key, variant.key) else "not here"
            for key, method in METHODS.items()
            for variant in method.card.variants
        },
    }


def examine(library: Library) -> Iterator[Finding]:
    """Everything that can keep a restoration from working, one after the other."""
    yield from _packages()
    yield _device(library)
    yield _memory(library)
    yield from _disks()
    yield from _weights()
    yield _network()


def verdict(findings: list[Finding]) -> str:
    """In one sentence."""
    grave, slight = [f for f in findings if f.grave], [f for f in findings if f.advice and not f.grave]
    if grave:
        return f"Not in order: {', '.join(f.what for f in grave)}. Do what is advised there, then run this again."
    if slight:
        return f"Ready to restore photos, with {len(slight)} thing{'s' * (len(slight) > 1)} to look at."
    return "Ready to restore photos."


def _packages() -> Iterator[Finding]:
    for name, least in NEEDED.items():
        found = _version(name)
        if found is None:
            advice = "Install what is needed: python -m pip install -r requirements.txt"
            yield Finding(name, "not installed", advice, grave=name != "gradio")
        elif _numbers(found) < _numbers(least):
            yield Finding(name, found, f"At least {least} is needed: python -m pip install -r requirements.txt")


def _device(library: Library) -> Finding:
    told = f"{devices.describe(library.device)}, networks in {library.precision}"
    try:
        took = probe(library.device)
    except Exception as error:  # drivers raise anything
        advice = f"It does not compute ({gist(error)[:160]}). Try --device cpu, then see to its driver."
        return Finding("device", told, advice, grave=True)
    advice = ""
    if library.device.type == "cpu" and torch.backends.cuda.is_built() and shutil.which("nvidia-smi"):
        advice = "There is an NVIDIA card that PyTorch cannot use: its driver is perhaps too old for this PyTorch."
    return Finding("device", f"{told}; product of two matrices of side {PROBE} in {1000 * took:.1f} ms", advice)


def probe(device: torch.device) -> float:
    """Seconds of a matrix product whose result is known; RuntimeError where it is wrong."""
    ones = torch.ones(PROBE, PROBE, device=device)
    began = time.perf_counter()
    found = (ones @ ones).cpu()
    took = time.perf_counter() - began
    if not torch.equal(found, torch.full_like(found, PROBE)):
        raise RuntimeError("a product of ones came out wrong")
    return took


def _memory(library: Library) -> Finding:
    free = devices.free_memory(library.device)
    if free is None:
        return Finding("memory", "this system does not tell")
    advice = "Little is free: close other programs, or restore with --tile 256." if free < LITTLE_MEMORY else ""
    return Finding("memory", f"{free / 2**30:.1f} GB free on the device", advice)


def _disks() -> Iterator[Finding]:
    for what, place in (("disk of the weights", folders.folder()), ("disk of the page's pictures", _pictures())):
        there = next((p for p in (place, *place.parents) if p.exists()), Path.cwd())
        free = shutil.disk_usage(there).free
        advice = "Little is free, and published weights take up to 8 GB: make room." if free < LITTLE_DISK else ""
        if not os.access(there, os.W_OK):
            advice = "It cannot be written. Choose another: STEPBACK_WEIGHTS for weights, GRADIO_TEMP_DIR for pictures."
        yield Finding(what, f"{free / 2**30:.0f} GB free", advice)


def _pictures() -> Path:
    return Path(os.environ.get("GRADIO_TEMP_DIR") or gettempdir())


def _weights() -> Iterator[Finding]:
    """What is here is opened and compared with what it should be."""
    whole = 0
    for key, record in catalogue.CATALOGUE.items():
        try:
            here = files.standing(record).path
            if here:
                files.check(record, here)
                whole += 1
            elif record.source.kind == "shipped":
                yield Finding(f"weights {key}", "missing", "They come with the project: get it again, whole.")
        except RestoreError as error:
            yield Finding(f"weights {key}", "not usable", str(error))
    advice = "" if whole else "Without weights nothing can be restored: python -m restore_core weights list"
    yield Finding("weights", f"{counted(whole, 'file')} here and whole", advice, grave=not whole)


def _network() -> Finding:
    if folders.offline():
        return Finding("network", "set offline: weights are not fetched (STEPBACK_OFFLINE or HF_HUB_OFFLINE)")
    return Finding("network", "asked only when weights are fetched; not tried here")


def _print(about: dict[str, Any], findings: list[Finding]) -> None:
    for key, value in about.items():
        print(f"{key}: {value}" if not isinstance(value, dict) else f"{key}:")
        for name, detail in value.items() if isinstance(value, dict) else ():
            print(f"  {name}: {detail}")
    print("looked at:")
    for finding in findings:
        print(f"  {'!!' if finding.grave else ' !' if finding.advice else 'ok'} {finding.what}: {finding.found}")
        if finding.advice:
            print(f"       {finding.advice}")
    print(verdict(findings), flush=True)
    sys.stdout.flush()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _numbers(told: str) -> tuple[int, ...]:
    parts = told.split("+")[0].split(".")
    return tuple(int(part) for part in parts[:2] if part.isdigit())


__all__ = ["Finding", "add_parser", "describe", "examine", "probe", "verdict"]
