"""One task on several sets, a row for each: python -m benchmarks.sets FOLDER FOLDER ... --task jpeg

The method is the one that the automatic choice takes, at its default. Cells hold PSNR of Y in dB / LPIPS / NIQE, means
over the set; pictures, damage, seeds and border are those of `python -m restore_core evaluate`.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from restore_core.degradations import TASKS
from restore_core.errors import RestoreError
from restore_core.evaluation import Scores, evaluate
from restore_core.job import AUTOMATIC
from restore_core.library import Library


def cell(scores: Scores) -> str:
    """PSNR Y / LPIPS / NIQE."""
    natural = "" if math.isnan(scores.niqe) else f" / {scores.niqe:.2f}"
    return f"{scores.psnr_y:.2f} / {scores.lpips:.4f}{natural}"


def row(name: str, found: list[Scores]) -> str:
    """One set."""
    return f"| {name}, {found[0].pictures} | " + " | ".join(cell(scores) for scores in found) + " |"


def main() -> int:
    """Print the table; the exit code."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.sets")
    p.add_argument("folders", nargs="+", type=Path)
    p.add_argument("--task", required=True, choices=tuple(TASKS))
    p.add_argument("--limit", type=int, help="only the first so many pictures of each")
    p.add_argument("--device")
    asked = p.parse_args()
    library, method = Library(asked.device), AUTOMATIC[asked.task]
    for k, folder in enumerate(asked.folders):
        try:
            for found in evaluate(folder, asked.task, (method,), library, mean_of=0, limit=asked.limit):
                print(f"{folder.name}: {found[0].pictures}", end="\r", file=sys.stderr, flush=True)
        except RestoreError as error:
            print(error, file=sys.stderr)
            return 2
        if not k:
            print("| set, pictures | " + " | ".join(scores.what for scores in found) + " |")
            print("|---" * (len(found) + 1) + "|")
        print(row(folder.name, found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
