"""What remains of a comparison: one picture of all, a page that opens offline, settings and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from restore_core import export
from restore_core.comparison.asked import Comparison, Contender, Ended, differing, flattened, start_notes
from restore_core.comparison.table import columns
from restore_core.export import Cell, Measured
from restore_core.images import flatten, join_alpha, resize, shrink_to, to_uint8

PHOTO, CLEAN = "Your photo", "The clean picture"
SHOWN = 1024  # pixels of a picture's long side in a report


def shown_photo(asked: Comparison) -> Tensor:
    """The photo as a person would enlarge it, at the size of the results, white where it is transparent."""
    photo = asked.photo
    seen = photo.rgb if photo.alpha is None else flatten(join_alpha(photo.rgb, photo.alpha))
    return resize(seen, asked.contenders[0].job.size).clamp(0, 1)


def sheet(asked: Comparison, ended: Sequence[Ended]) -> np.ndarray:
    """(H, W, 3) uint8: the photo, each result over what is its own, and the clean picture."""
    told = _told(ended)
    cells = [Cell(to_uint8(shown_photo(asked)), PHOTO)]
    for one in ended:
        letter = one.contender.letter
        numbers = ", ".join(f"{label} {value}" for label, value in told[letter].items())
        text = f"{_own(one.contender, asked.contenders)}\n{numbers}"
        cells.append(Cell(to_uint8(one.result), f"{letter}: {one.contender.name}", text))
    if asked.clean is not None:
        cells.append(Cell(to_uint8(asked.clean), CLEAN))
    across = 2 if len(cells) in (2, 4) else 3
    return export.contact_sheet(cells, columns=across, title=f"{asked.photo.name}, restored in {len(ended)} ways")


def report(asked: Comparison, ended: Sequence[Ended]) -> str:
    """A page of HTML with pictures, table and settings."""
    told = _told(ended)
    runs = [
        Measured(f"{e.contender.letter}: {e.contender.name}", told[e.contender.letter], _jpeg(e.result))
        for e in ended
    ]
    others = [(_jpeg(shown_photo(asked)), PHOTO)]
    if asked.clean is not None:
        others.append((_jpeg(asked.clean), CLEAN))
    notes = (*asked.notes, *start_notes(ended))
    title = f"{asked.photo.name}, restored in {len(ended)} ways"
    return export.runs_report(title, runs, record=asked.record(ended), notes=notes, others=others)


def keep(asked: Comparison, ended: Sequence[Ended], folder: Path) -> list[Path]:
    """A.png and so on, each with its settings inside, sheet.png, settings.json and report.html in the folder."""
    paths = []
    for one in ended:
        paths.append(folder / f"{one.contender.letter}.png")
        record = {**asked.record(ended), "settings": one.contender.job.settings.to_json()}
        export.save(one.result, paths[-1], like=one.contender.job.like, settings=record)
    export.write_whole(folder / "sheet.png", export.encode_png(sheet(asked, ended)))
    export.save_json(asked.record(ended), folder / "settings.json")
    export.save_report(report(asked, ended), folder / "report.html")
    return [*paths, folder / "sheet.png", folder / "settings.json", folder / "report.html"]


def _told(ended: Sequence[Ended]) -> dict[str, Mapping[str, str]]:
    """letter -> column label -> number with its unit."""
    shown = columns({e.contender.letter: e.numbers for e in ended})
    return {
        e.contender.letter: {c.label: c.told(e.numbers[c.key]) for c in shown if c.key in e.numbers} for e in ended
    }


def _own(contender: Contender, all_of_them: Sequence[Contender]) -> str:
    settings = flattened(contender.job.settings)
    own = {key: settings[key] for key in differing(all_of_them) if key in settings}
    return ", ".join(f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in own.items())


def _jpeg(image: Tensor) -> bytes:
    return export.encode_jpeg(to_uint8(shrink_to(image, SHOWN)), 90)


__all__ = ["CLEAN", "PHOTO", "keep", "report", "sheet", "shown_photo"]
