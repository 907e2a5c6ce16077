"""The command `batch`: a folder of photos in, a folder of restored ones out; run again, it does what is missing."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restore_core import batch, export
from restore_core.commands import options
from restore_core.counting import counted
from restore_core.degradations import TASKS
from restore_core.errors import SettingsError
from restore_core.library import Library
from restore_core.methods import METHODS

TABLE = "batch.csv"


def add_parser(commands: Any) -> None:
    """Add `batch` to the subparsers of the main parser."""
    p = commands.add_parser("batch", help="restore a folder of photos")
    p.add_argument("folder", type=Path, help="folder of photos; folders in it too")
    p.add_argument("out", type=Path, nargs="?", help="folder for the results")
    options.add_output(p, "the same, told as other commands have it", metavar="DIR")
    p.add_argument("--task", default="auto", help=f"auto, {', '.join(TASKS)}")
    p.add_argument("--method", default="auto", help=f"auto, {', '.join(METHODS)}")
    p.add_argument("--variant", help="one of the method's weights; default: the first for the task")
    p.add_argument("--preset", default="2", help="0 (most faithful) to 4 (most vivid), or paper: as the authors ran it")
    options.add_expert(p)
    options.add_models(p)
    p.add_argument("--format", choices=("png", "jpg", "webp"), default="png")
    p.add_argument("--workers", metavar="N", help="so many processes share the cores; default 1, by Ray all there are")
    p.add_argument("--ray", metavar="ADDRESS", help="on a Ray cluster: its address, or 'local' for one made here")
    p.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the best there is")
    options.add_reading(p)
    p.add_argument("--json", action="store_true", help="print one JSON object a photo")
    p.set_defaults(run=_batch)


def _batch(asked: argparse.Namespace) -> int:
    options.use_models(asked)
    out = _out(asked)
    items = batch.plan(asked.folder, out, suffix=f".{asked.format}")
    export.make_folder(out)
    preset, paper = options.preset(asked.preset)
    changes = options.given(asked) | ({"variant": asked.variant} if asked.variant else {})
    changes |= {"paper": True} if paper else {}  # where it is not, as before it came: for the journal
    request = batch.Request(
        asked.task, asked.method, preset, changes,
        options.whole("--max-pixels", asked.max_pixels), asked.smaller,
    )  # fmt: skip
    outcomes: list[batch.Outcome] = []
    try:
        for outcome in _with_bar(batch.run_all(items, request, _map(asked), batch.Journal(out)), len(items)):
            outcomes.append(outcome)
            if asked.json:
                print(json.dumps(asdict(outcome)), flush=True)
    except KeyboardInterrupt:
        print(f"Stopped: what is done is in {out}; the same command goes on from there.", file=sys.stderr)
        return 2
    finally:
        if outcomes:
            export.write_whole(out / TABLE, batch.as_table(outcomes).encode())
    return _told(outcomes, out)


def _out(asked: argparse.Namespace) -> Path:
    """The folder for the results, by its place or by its name."""
    told = [folder for folder in (asked.out, asked.output) if folder is not None]
    if len(told) != 1:
        raise SettingsError(
            f"{'Two folders' if told else 'No folder'} for the results {'were' if told else 'was'} given, and one is "
            f"needed. Write batch PHOTOS RESULTS, or batch PHOTOS -o RESULTS."
        )
    return told[0]


def _map(asked: argparse.Namespace) -> batch.Map:
    count = None if asked.workers is None else options.whole("--workers", asked.workers)
    if asked.ray:
        from restore_core import cluster

        return cluster.on_ray(asked.ray, workers=count, device=asked.device)
    return batch.here(Library(asked.device)) if count in (None, 1) else batch.workers(count, asked.device)


def _with_bar(outcomes: Iterator[batch.Outcome], total: int) -> Iterator[batch.Outcome]:
    with tqdm(total=total, unit="photo", disable=None, leave=False, file=sys.stderr) as bar:
        for outcome in outcomes:
            bar.update()
            if outcome.state == "failed":
                bar.write(f"{outcome.source}: {outcome.sentence}", file=sys.stderr)
            yield outcome


def _told(outcomes: list[batch.Outcome], out: Path) -> int:
    count = {state: sum(o.state == state for o in outcomes) for state in ("done", "kept", "failed")}
    if count["failed"]:
        raise SettingsError(
            f"{count['failed']} of {counted(len(outcomes), 'photo')} failed; {out / TABLE} says why. "
            "Run the same command again to try only those."
        )
    print(f"{out}: {count['done']} restored, {count['kept']} made earlier", file=sys.stderr)
    return 0


__all__ = ["add_parser"]
