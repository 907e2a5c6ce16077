"""Seconds foreseen of a run over what it took: python -m benchmarks.foreseen

Results of several sizes, by one sample and by more, ten steps; after Library.timing has run on its own small pictures.
The nearer to 1 the better; on a machine that does other things meanwhile both numbers move.
"""

from __future__ import annotations

import argparse
import time

import torch

from restore_core import devices
from restore_core.engine import finish, restore
from restore_core.library import Library, card
from restore_core.settings import Settings

CASES = ((96, 1), (96, 8), (256, 1), (256, 4), (512, 1), (512, 4), (1024, 1))  # (side, samples)
STEPS = 10


def took(library: Library, settings: Settings, side: int) -> float:
    """Seconds of a run, posing and loading apart from the networks included."""
    method = library.method(settings.method, settings.variant)
    small = side // method.variant.scale
    image = torch.rand(1, 3, small, small, generator=torch.Generator().manual_seed(0)).to(library.device)
    began = time.perf_counter()
    finish(restore(method.pose(image, settings), settings))
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device")
    parser.add_argument("--task", default="denoise")
    parser.add_argument("--method", action="append", help="repeatable; default: resshift and sr3")
    asked = parser.parse_args()
    library = Library(asked.device)
    print(f"{devices.describe(library.device)}, {library.precision}")
    print("| run | foreseen, s | took, s | foreseen over taken |\n|---|---|---|---|")
    for key in asked.method or ("resshift", "sr3"):
        variant = card(key).variant_for(asked.task).key
        for side, samples in CASES:
            changes = {"samples": samples, "steps": STEPS, "precision": library.precision}
            settings = card(key).settings(variant, **changes)
            expected, real = library.timing(settings).seconds(side**2, STEPS, samples), took(library, settings, side)
            print(f"| {key}, {side} px, {samples} | {expected:.2f} | {real:.2f} | {expected / real:.2f} |", flush=True)


if __name__ == "__main__":
    main()
