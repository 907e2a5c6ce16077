"""The command `evaluate`: a folder of clean photos, damaged and restored, as a table of scores."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restore_core import export
from restore_core.commands import options
from restore_core.degradations import TASKS
from restore_core.errors import SettingsError
from restore_core.evaluation import as_json, as_table, evaluate
from restore_core.library import Library
from restore_core.methods import METHODS


def add_parser(commands: Any) -> None:
    p = commands.add_parser("evaluate", help="measure a task's weights on a folder of clean photos")
    p.add_argument("folder", type=Path)
    p.add_argument("--task", required=True, help=", ".join(TASKS))
    p.add_argument("--method", action="append", help=f"repeatable; default: {', '.join(METHODS)}")
    p.add_argument("--mean-of", default="8", help="also the mean of so many samples; 0: not")
    p.add_argument("--damage", action="append", default=[], metavar="NAME=NUMBER", help="e.g. sigma=25, noise=0")
    p.add_argument("--limit", help="only the first so many pictures")
    options.add_expert(p)
    p.add_argument("--device")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the table there as JSON too")
    p.set_defaults(run=_evaluate)


def _evaluate(asked: argparse.Namespace) -> int:
    changes = options.given(asked)
    library = Library(asked.device)
    tables = evaluate(
        asked.folder, asked.task, asked.method or list(METHODS), library,
        mean_of=options.whole("--mean-of", asked.mean_of), damage=dict(_pair(text) for text in asked.damage),
        limit=None if asked.limit is None else options.whole("--limit", asked.limit), changes=changes,
    )  # fmt: skip
    *_, scores = tqdm(tables, unit="picture", disable=None, leave=False)
    print(as_table(scores))
    if asked.json:
        export.write_whole(asked.json, json.dumps(as_json(scores), indent=1).encode())
    return 0


def _pair(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise SettingsError(f"--damage '{text}' is not NAME=NUMBER. Write sigma=25, for example.") from None


__all__ = ["add_parser"]
