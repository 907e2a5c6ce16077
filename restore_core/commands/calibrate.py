"""The command `calibrate`: a camera's noise from a burst, flat fields or one picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from restore_core import export
from restore_core.counting import counted
from restore_core.degradations.calibrate import Calibration, calibrate
from restore_core.degradations.frame_files import read_frames
from restore_core.degradations.transfer_plot import plot


def add_parser(commands: Any) -> None:
    p = commands.add_parser("calibrate", help="measure a camera's noise from a burst, flat fields or one picture")
    p.add_argument("files", type=Path, nargs="+", help="frames of one scene; flat fields, two of each exposure; or one")
    p.add_argument("--plot", type=Path, metavar="FILE", help="write the photon transfer plot there as SVG")
    p.add_argument("--chain", type=Path, metavar="FILE", help="write this noise there as a chain for degrade --chain")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=_calibrate)


def _calibrate(asked: argparse.Namespace) -> int:
    found = calibrate(read_frames(asked.files))
    if asked.plot:
        export.write_whole(asked.plot, plot(found).encode())
    if asked.chain:
        export.write_whole(asked.chain, json.dumps(found.simulated().to_json(), indent=1).encode())
    print(json.dumps(found.to_json()) if asked.json else "\n".join(_told(found)))
    return 0


def _told(found: Calibration) -> list[str]:
    lines = [f"{found.kind}, {counted(found.frames, 'frame')}; 95 % intervals in brackets; white is 1"]
    for name, line in found.lines.items():
        k, sigma = (f"[{low:.3g}, {high:.3g}]" for low, high in (line.k_interval, line.sigma_interval))
        lines.append(
            f"{name:3} K {line.k:.4g} {k}   sigma {line.sigma:.4g} {sigma}   white is {line.electrons:.4g} electrons"
        )
    return [*lines, *found.notes]


__all__ = ["add_parser"]
