"""The command `evaluate`: a folder of clean photos, damaged and restored, as a table of scores."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restore_core import export
from restore_core.commands import options
from restore_core.counting import counted
from restore_core.degradations import TASKS
from restore_core.degradations.realworld import RECIPES
from restore_core.errors import SettingsError
from restore_core.evaluation import as_json, as_table, evaluate, methods_for, own_weights, task_called
from restore_core.library import Library


def add_parser(commands: Any) -> None:
    p = commands.add_parser("evaluate", help="measure a task's weights on a folder of clean photos")
    p.add_argument("folder", type=Path, nargs="+", help="each makes a table of its own")
    p.add_argument("--task", required=True, help=", ".join(TASKS))
    p.add_argument("--method", action="append", help="repeatable; default: all that have weights for the task")
    p.add_argument("--weights", type=Path, metavar="FILE", help="compact weights of your own, in place of the shipped")
    p.add_argument("--mean-of", default="8", help="also the mean of so many samples; 0: not")
    p.add_argument("--damage", action="append", default=[], metavar="NAME=NUMBER", help="e.g. sigma=25, noise=0")
    p.add_argument("--random", metavar="RECIPE", help=f"damage by a random chain instead: {', '.join(RECIPES)}")
    p.add_argument("--variant", help="these weights of the method; default: the first for the task")
    p.add_argument("--limit", help="only the first so many pictures")
    options.add_expert(p)
    options.add_models(p)
    p.add_argument("--device")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the table there as JSON too")
    p.set_defaults(run=_evaluate)


def _evaluate(asked: argparse.Namespace) -> int:
    options.use_models(asked)
    changes, damage = options.given(asked), dict(_pair(text) for text in asked.damage)
    _refuse_both(asked, "weights", "variant")
    _refuse_both(asked, "random", "damage")
    library = Library(asked.device)
    task_called(asked.task)
    own = own_weights(asked.weights) if asked.weights else None
    methods = asked.method or methods_for(asked.task, own)
    found = []
    for folder in asked.folder:
        tables = evaluate(
            folder, asked.task, methods, library, mean_of=options.whole("--mean-of", asked.mean_of, 0),
            damage=damage, changes=changes, own=own, recipe=asked.random, variant=asked.variant,
            limit=None if asked.limit is None else options.whole("--limit", asked.limit, 1),
        )  # fmt: skip
        *_, scores = tqdm(tables, unit="picture", disable=None, leave=False)
        heading = f"{folder.name}, {counted(scores[0].pictures, 'picture')}\n\n" if len(asked.folder) > 1 else ""
        print(f"{heading}{as_table(scores)}\n")
        found.append({"folder": folder.name, "scores": as_json(scores)})
    if asked.json:
        rows = found if len(found) > 1 else found[0]["scores"]
        export.write_whole(asked.json, json.dumps(rows, indent=1).encode())
    return 0


def _pair(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingsError(f"--damage '{text}' is not NAME=NUMBER. Write sigma=25, for example.")
    return name, value


def _refuse_both(asked: argparse.Namespace, one: str, other: str) -> None:
    """SettingsError where two arguments were given of which one would have no effect."""
    if getattr(asked, one) and getattr(asked, other):
        raise SettingsError(f"--{one} takes the place of what --{other} names, so both cannot be. Leave out either.")


__all__ = ["add_parser"]
