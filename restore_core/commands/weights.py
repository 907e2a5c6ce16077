"""The command `weights`: what there is, what is here, and how to get, check, convert and remove it.

Each handler returns an exit code: 0, or 2 with one sentence on standard error (with --json: in an object on standard
output).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restore_core.checkpoints import (
    catalogue,
    checksums,
    conversion,
    diffusers_form,
    files,
    folders,
    match,
    reading,
    recognition,
)
from restore_core.checkpoints.sources import Checkpoint
from restore_core.commands import options
from restore_core.errors import RestoreError

Report = tuple[Mapping[str, Any], str]  # for programs, for people


def add_parser(commands: Any) -> None:
    """Add `weights` with its five commands to the subparsers of the main parser."""
    parser = commands.add_parser("weights", help="published weights: list, get, check, convert, remove")
    verbs = parser.add_subparsers(required=True, metavar="WHAT")
    p = _verb(verbs, "list", "all that is known, and what of it is here", _list)
    p.add_argument("--here", action="store_true", help="only what is on this machine")
    p = _verb(verbs, "get", "fetch a file, or add one that you have", _get)
    p.add_argument("key", metavar="KEY", help="for example resshift/vq-f4")
    p.add_argument("--from", dest="brought", type=Path, metavar="FILE", help="your own copy of the file")
    p.add_argument("--offline", action="store_true", help="ask nothing of the network")
    p = _verb(verbs, "check", "what a file is and whether it can be used", _check)
    p.add_argument("file", type=Path, metavar="FILE")
    p = _verb(verbs, "convert", "write a file as safetensors, beside it", _convert)
    p.add_argument("file", type=Path, metavar="FILE")
    options.add_output(p, "where to; default: the same name")
    p.add_argument("--eight-bits", action="store_true", help="rounded: a quarter of float32's size")
    p = _verb(verbs, "remove", "delete a fetched file, an unfinished download too", _remove)
    p.add_argument("key", metavar="KEY")


def _verb(verbs: Any, name: str, summary: str, handler: Callable[[argparse.Namespace], Report]) -> Any:
    p = verbs.add_parser(name, help=summary)
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.add_argument("--models", type=Path, metavar="DIR", help="also look for files in this folder")
    p.set_defaults(run=lambda asked: run(handler, asked))
    return p


def run(handler: Callable[[argparse.Namespace], Report], asked: argparse.Namespace) -> int:
    """Carry out one command and tell its outcome; the exit code."""
    try:
        if asked.models:
            folders.also_look_in(asked.models)
        found, text = handler(asked)
    except RestoreError as error:
        if asked.json:
            _say(json.dumps({"error": str(error), "kind": type(error).__name__}))
        else:
            sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What came so far is kept: run it again to go on.\n")
        return 2
    _say(json.dumps(found) if asked.json else text)
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def described(checkpoint: Checkpoint) -> dict[str, Any]:
    """A record and what is here of it, ready for JSON."""
    standing = files.standing(checkpoint)
    return {
        "key": checkpoint.key,
        "architecture": checkpoint.architecture,
        "note": checkpoint.note,
        "source": checkpoint.source.kind,
        "page": checkpoint.source.page,
        "file": checkpoint.file,
        "size": standing.size or checkpoint.size,
        "sha256": checkpoint.sha256 or None,
        "licence": checkpoint.licence,
        "terms": checkpoint.terms,
        "citation": checkpoint.citation,
        "config": dict(checkpoint.config),
        "path": str(standing.path) if standing.path else None,
        "part": standing.part,
        "checksum": standing.checksum,
    }


def _list(asked: argparse.Namespace) -> Report:
    rows = [described(record) for record in catalogue.CATALOGUE.values()]
    rows = [row for row in rows if row["path"] or not asked.here]
    lines = [
        f"{row['key']:28} {_megabytes(row['size']):>8}  {_where(row):34}  {row['licence']}" for row in rows
    ]
    found = [
        {"file": str(s.path), "size": s.size, "records": [r.key for r in s.records], "trouble": s.trouble or None}
        for s in files.strays()
    ]
    lines += [f"{Path(row['file']).name}: {row['trouble'] or _may_be(row)}" for row in found]
    return {"weights": rows, "others": found}, "\n".join(lines) or "No weights are here."


def _may_be(row: Mapping[str, Any]) -> str:
    """What a file under a name of its own is."""
    if len(row["records"]) == 1:
        return f"used as {row['records'][0]}"
    keys = ", ".join(row["records"])
    return f"fits {keys}; nothing in it tells which. Say so: weights get KEY --from {row['file']}"


def _where(row: Mapping[str, Any]) -> str:
    if row["path"]:
        return f"here, checksum {row['checksum']}"
    if row["part"]:
        return f"{_megabytes(row['part'])} of it fetched"
    return {"bring": "to be brought by hand", "shipped": "missing"}.get(row["source"], "can be fetched")


def _get(asked: argparse.Namespace) -> Report:
    record = catalogue.record(asked.key)
    path = files.add(record, asked.brought) if asked.brought else _fetched(record, asked.offline)
    return described(record), f"{path}\n{record.licence}: {record.terms}"


def _fetched(record: Checkpoint, offline: bool) -> Path:
    from restore_core.checkpoints import download  # imports the hub's client, which only this needs

    if offline:
        os.environ["STEPBACK_OFFLINE"] = "1"
    with tqdm(desc=record.key, unit="B", unit_scale=True, disable=None, leave=False, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total or None
            bar.update(done - bar.n)

        return download.get(record, progress=show)


def _check(asked: argparse.Namespace) -> Report:
    folder = diffusers_form.is_one(asked.file)
    kind = "a folder of diffusers' kind" if folder else reading.format_of(asked.file)
    state = match.network_of(diffusers_form.open_any(asked.file))
    match.check_numbers(state)
    architecture = match.architecture_of(state)
    network = match.blank(state, {})
    match.compare(network.state_dict(), state)
    records = recognition.recognise(asked.file)
    digest = None if folder else checksums.sha256(asked.file, folders.memory())
    found = {
        "file": str(asked.file),
        "format": kind,
        "size": recognition.identity(asked.file)[1],
        "sha256": digest,
        "architecture": architecture.key,
        "parameters": sum(p.numel() for p in network.parameters()),
        "records": [record.key for record in records],
        "published": any(record.sha256 == digest for record in records),
    }
    lines = [
        f"{asked.file.name}: {kind}, {_megabytes(found['size'])}{'' if folder else f', SHA-256 {digest}'}",
        f"a whole {architecture.key} network of {found['parameters']:,} parameters, all of them finite",
        _belongs(records, found["published"]),
    ]
    return found, "\n".join(lines)


def _belongs(records: tuple[Checkpoint, ...], published: bool) -> str:
    if not records:
        return "of none of the catalogue's sizes: no method here is made for it"
    if published:
        return f"the published file of {records[0].key}"
    if len(records) == 1:
        return f"fits {records[0].key}; add it with: weights get {records[0].key} --from FILE"
    keys = ", ".join(record.key for record in records)
    return f"fits {keys}: nothing in the file tells which, you must know. Add it with: weights get KEY --from FILE"


def _convert(asked: argparse.Namespace) -> Report:
    target = conversion.convert(asked.file, asked.output, eight_bits=asked.eight_bits)
    return {"source": str(asked.file), "file": str(target), "size": target.stat().st_size}, str(target)


def _remove(asked: argparse.Namespace) -> Report:
    record = catalogue.record(asked.key)
    gone = files.remove(record)
    text = "\n".join(f"{path} deleted" for path in gone) or f"Nothing of {record.key} is here."
    return {"key": record.key, "deleted": [str(path) for path in gone]}, text


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size else "-"


__all__ = ["add_parser", "described", "run"]
