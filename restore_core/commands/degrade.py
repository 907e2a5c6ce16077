"""The command `degrade`: a clean photo in, a damaged one out, and the chain that did it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from restore_core import export, images
from restore_core.commands import options
from restore_core.degradations import DEGRADATIONS, TASKS, Chain, Step, generator_of
from restore_core.degradations.realworld import RECIPES, draw
from restore_core.errors import SettingsError

BESIDE = ("output", "size")  # printed with a chain, no part of it
EPILOG = "operators and their options:\n" + "\n".join(
    f"  {d.key}: {', '.join(f'{o.key}={o.default}' for o in d.options)}" for d in DEGRADATIONS.values()
)


def add_parser(commands: Any) -> None:
    p = commands.add_parser(
        "degrade", help="damage a photo", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("input", type=Path, help="the clean photo")
    options.add_output(p, "PNG, JPEG or WebP", required=True)
    p.add_argument("--op", action="append", default=[], metavar="NAME:KEY=VALUE,...", help="a step; repeatable")
    p.add_argument("--chain", type=Path, metavar="FILE", help="a chain as JSON, as --json prints it")
    p.add_argument("--random", metavar="RECIPE", help=f"a random chain, numbered by --seed: {', '.join(RECIPES)}")
    p.add_argument("--task", help=f"what results are measured on: {', '.join(TASKS)}")
    p.add_argument("--seed", metavar="N", help="of all that is random; default 1, the chain's own, or 0 with --task")
    p.add_argument("--json", action="store_true", help="print the chain with all its numbers")
    p.set_defaults(run=_degrade)


def _degrade(asked: argparse.Namespace) -> int:
    ways = [name for name in ("op", "chain", "random", "task") if getattr(asked, name)]
    if len(ways) != 1:
        raise SettingsError(
            f"{' and '.join(f'--{way}' for way in ways) or 'Nothing'} was given, and exactly one of --op, --chain, "
            f"--random and --task says what to do. Write --op blur:sigma=2, for example."
        )
    export.check_writable(asked.output)
    photo = images.load(asked.input)
    if asked.task:
        damaged, record = _as_measured(asked, photo)
    else:
        chain = _chain(asked)
        damaged, record = chain(photo.rgb), chain.to_json()
    export.save(damaged, asked.output, like=photo, settings={"degradation": record})
    if asked.json:
        print(json.dumps(record | {"output": str(asked.output), "size": list(damaged.shape[-2:])}))
    else:
        print(f"{asked.output}: {_told(record)}", file=sys.stderr)
    return 0


def _chain(asked: argparse.Namespace) -> Chain:
    seed = None if asked.seed is None else options.whole("--seed", asked.seed)
    if asked.random:
        return draw(asked.random, 1 if seed is None else seed)
    if asked.chain is None:
        return Chain(tuple(Step.from_text(text) for text in asked.op), 1 if seed is None else seed)
    chain = _read(asked.chain)
    return chain if seed is None else Chain(chain.steps, seed)


def _read(path: Path) -> Chain:
    """A chain from a file, which may be what --json printed."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"The chain {path} cannot be read ({error}). Choose another file.") from None
    return Chain.from_json({k: v for k, v in data.items() if k not in BESIDE} if isinstance(data, dict) else data)


def _as_measured(asked: argparse.Namespace, photo: images.Photo) -> tuple[Any, dict[str, Any]]:
    if asked.task not in TASKS:
        raise SettingsError(f"There is no task called '{asked.task}'. Choose one of {', '.join(TASKS)}.")
    task, seed = TASKS[asked.task], options.whole("--seed", asked.seed or 0)
    return task(photo.rgb, task.standard, generator_of(seed)), {"task": task.key, "seed": seed, **task.standard}


def _told(record: dict[str, Any]) -> str:
    if "steps" not in record:
        return f"as the task '{record['task']}' is measured"
    return "; ".join(map(str, Chain.from_json(record).steps))


__all__ = ["add_parser"]
