"""Names that no system stumbles over, and one zip of everything that is done."""

from __future__ import annotations

import json
import unicodedata
import uuid
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PureWindowsPath

from restore_core import __version__, batch
from restore_core.batch import Outcome
from restore_core.errors import ImageError
from restore_core.export import cannot_write

LONGEST = 80  # characters of a name without its suffix
NAMELESS = "photo"
FORBIDDEN = frozenset('<>:"/\\|?*')  # by some system or other
DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{kind}{k}" for kind in ("com", "lpt") for k in range(10))})
TABLE = "stepback-batch"


def shown_name(name: str) -> str:
    """A photo's name as it came, without folders and without what is not to be seen."""
    last = PureWindowsPath(name).name  # knows both kinds of slashes
    seen = "".join(c for c in unicodedata.normalize("NFC", last) if c.isprintable())
    return seen.strip()[: LONGEST + 20] or NAMELESS


def stem_of(name: str) -> str:
    """The name of a photo's result: its own without the suffix, for every system, and never a way to another folder."""
    shown = shown_name(name)
    stem = shown[: shown.rindex(".")] if "." in shown.lstrip(".") else shown
    plain = "".join("_" if c in FORBIDDEN else c for c in stem)[:LONGEST].strip(" .")
    return f"{plain}_" if plain.split(".")[0].casefold() in DEVICES else plain or NAMELESS


def suffix_of(name: str) -> str:
    """The suffix that a photo came with, in letters and figures; "" without one."""
    found = "".join(c for c in PureWindowsPath(shown_name(name)).suffix if c.isascii() and c.isalnum())[:8]
    return f".{found}" if found else ""


def distinct(stem: str, taken: Collection[str]) -> str:
    """`stem`, or `stem (2)` and so on where one of the `taken` is the same to some system."""
    there, found, number = {name.casefold() for name in taken}, stem, 1
    while found.casefold() in there:
        number += 1
        found = f"{stem} ({number})"
    return found


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


__all__ = ["TABLE", "distinct", "pack", "shown_name", "stem_of", "suffix_of"]
