"""One zip of everything that is done, with a table of what failed."""

from __future__ import annotations

import json
import uuid
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from restore_core import __version__, batch
from restore_core.batch import Outcome
from restore_core.errors import ImageError
from restore_core.export import cannot_write

TABLE = "stepback-batch"


def pack(outcomes: Sequence[Outcome], path: Path) -> int:
    """Every result that is there, with a table of what was done and what failed (CSV and JSON); the zip's bytes.

    outcomes   their targets are files; sources are told by name
    The zip has its name only when it is whole.
    """
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:  # pictures are pressed already
            told = [_packed(archive, outcome) for outcome in outcomes]
            archive.writestr(f"{TABLE}.csv", batch.as_table(told), zipfile.ZIP_DEFLATED)
            archive.writestr(f"{TABLE}.json", _as_json(told), zipfile.ZIP_DEFLATED)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ImageError(cannot_write(path, error)) from error
    return path.stat().st_size


def _packed(archive: zipfile.ZipFile, outcome: Outcome) -> Outcome:
    """Put the result in; the outcome as the table tells it, with names in place of paths."""
    target = Path(outcome.target)
    if outcome.state == "done":
        archive.write(target, target.name)
    return replace(outcome, source=Path(outcome.source).name, target=target.name if outcome.state == "done" else "")


def _as_json(told: Sequence[Outcome]) -> str:
    photos = [asdict(outcome) for outcome in told]
    return json.dumps({"stepback": __version__, "photos": photos}, indent=1, ensure_ascii=False) + "\n"


__all__ = ["TABLE", "pack"]
