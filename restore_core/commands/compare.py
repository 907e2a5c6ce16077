"""The command `compare`: two to four settings on one photo, from the same noise, as pictures and numbers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restore_core import comparison, export, images, job
from restore_core.commands import options
from restore_core.comparison import LETTERS, Comparison, Contender, Ended
from restore_core.engine import Frame
from restore_core.errors import ImageError, SettingsError
from restore_core.library import Library

EXAMPLE = "method=dvsr,steps=20"


def add_parser(commands: Any) -> None:
    p = commands.add_parser("compare", help="two to four settings on one photo, from the same noise")
    p.add_argument("input", type=Path, help="the photo")
    for letter in LETTERS.lower():
        p.add_argument(f"--{letter}", metavar="NAME=VALUE,...", help=f"settings, for example {EXAMPLE}")
    p.add_argument("--like", type=Path, metavar="FILE", help="settings.json of an earlier comparison")
    p.add_argument("--task", default="auto", help="auto, or what is wrong with the photo")
    p.add_argument("--seed", metavar="N", help="of all that name none of their own; default 0")
    p.add_argument("--clean", type=Path, metavar="FILE", help="the picture that the photo was made from")
    options.add_output(p, "pictures, sheet, settings, report", metavar="DIR", required=True)
    options.add_models(p)
    p.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the best there is")
    p.add_argument("--max-pixels", default=images.MAX_PIXELS, help="largest photo that is opened")
    p.add_argument("--json", action="store_true", help="print one JSON object about the runs")
    p.set_defaults(run=_compare)


def _compare(asked: argparse.Namespace) -> int:
    options.use_models(asked)
    library, limit = Library(asked.device), options.whole("--max-pixels", asked.max_pixels)
    photo = images.load(asked.input, max_pixels=limit)
    clean = None if asked.clean is None else images.load(asked.clean, max_pixels=limit)
    prepared = comparison.prepare(photo, _wishes(asked), library, task=asked.task, clean=clean)
    export.make_folder(asked.output)
    ended = [_ended(prepared, contender, library) for contender in prepared.contenders]
    comparison.keep(prepared, ended, asked.output)
    record = prepared.record(ended)
    for sentence in (*photo.notes, *prepared.notes, *comparison.start_notes(ended)):
        print(sentence, file=sys.stderr)
    print(json.dumps(record | {"output": str(asked.output)}) if asked.json else _table(ended))
    return 0


def _wishes(asked: argparse.Namespace) -> list[dict[str, Any]]:
    given = [getattr(asked, letter) for letter in LETTERS.lower()]
    if asked.like is not None:
        if any(given) or asked.seed is not None or asked.task != "auto":
            raise SettingsError("--like brings the settings of all, so none can be given beside it. Leave out either.")
        return [dict(wish) for wish in comparison.again(_read(asked.like))]
    return [{"seed": asked.seed or 0} | wish(text) for text in given if text is not None]


def wish(text: str) -> dict[str, Any]:
    """"method=dvsr,steps=20" -> {"method": "dvsr", "steps": "20"}."""
    found: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, is_, value = part.partition("=")
        if not is_ or not name.strip():
            raise SettingsError(f"'{part}' is not NAME=VALUE, so it is no setting. Write {EXAMPLE}, for example.")
        name = {"grid": "spacing"}.get(name.strip(), name.strip())
        if name not in ("method", "variant", "preset"):
            options.check_free(name, part)
        found[name] = value.strip()
    if "preset" in found:
        found["preset"], found["paper"] = options.preset(found["preset"])
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{path.name} cannot be read: {error}. Choose the settings.json of a comparison.") from error
    return export.parse_settings(path.name, text)


def _ended(prepared: Comparison, contender: Contender, library: Library) -> Ended:
    last: Frame | None = None
    with tqdm(desc=contender.letter, unit="step", disable=None, leave=False, file=sys.stderr) as bar:
        for last in job.run(contender.job, library):
            bar.total = last.total
            bar.update(round(last.share * last.total) - bar.n)
    assert last is not None
    return prepared.ended(contender, last)


def _table(ended: list[Ended]) -> str:
    numbers = {e.contender.letter: e.numbers for e in ended}
    shown = comparison.columns(numbers)
    head = " | ".join(["", "", *(f"{c.label} ({c.better} is better)" for c in shown)]).strip()
    lines = [f"{head} |", "|---" * (len(shown) + 1) + "|"]
    for e in ended:
        cells = [f"{e.contender.letter}: {e.contender.name}", *(c.told(e.numbers.get(c.key)) for c in shown)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


__all__ = ["add_parser", "wish"]
