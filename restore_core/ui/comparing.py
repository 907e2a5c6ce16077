"""One press of Compare: the contenders run one after the other, as a plain generator of messages for the page."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from restore_core import comparison, export, images
from restore_core.comparison import LETTERS, Column, Comparison, Contender, Ended, Wish
from restore_core.comparison.keeping import CLEAN, PHOTO, shown_photo
from restore_core.engine import Frame
from restore_core.images import Photo
from restore_core.job import Job, run
from restore_core.moments import caption
from restore_core.ui import film, viewer
from restore_core.ui.asking import need_photo
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.running import in_pieces, watch
from restore_core.ui.sessions import Run
from restore_core.ui.streaming import Stop, Stream, Way
from restore_core.ui.viewer import Shown


@dataclass(frozen=True)
class Kept:
    """Files of a finished comparison."""

    sheet: Path
    settings: Path
    report: Path


@dataclass(frozen=True)
class Message:
    """What is new: films by letter, the table, the pictures, files, sentences."""

    films: Mapping[str, film.Value] = field(default_factory=dict)
    table: str | None = None
    pictures: dict[str, Any] | None = None
    kept: Kept | None = None
    text: str = ""
    failed: bool = False


def compared(
    desk: Desk, session: str, path: str | None, wishes: Sequence[Wish], *, task: str = "auto", clean: str | None = None
) -> Iterator[Message]:
    """Run all wishes on the photo. Closing the generator ends the run; every error becomes a message."""
    runs = {letter: desk.store.open(session) for letter, _ in zip(LETTERS, wishes, strict=False)}
    try:
        yield from _compared(desk, session, runs, need_photo(path), wishes, task, clean)
    except Exception as error:  # whatever happens, the page gets a sentence and stays usable
        ending = {"caption": "Not compared", "done": True, "error": True}
        films = {letter: {"run": kept.id, **ending} for letter, kept in runs.items()}
        yield Message(films, text=sentence(error), failed=True)


def _compared(
    desk: Desk, session: str, runs: Mapping[str, Run], path: str, wishes: Sequence[Wish], task: str, clean: str | None
) -> Iterator[Message]:
    photo = images.load(path, max_pixels=desk.max_pixels)
    true = None if clean is None else images.load(clean, max_pixels=desk.max_pixels)
    opening = {"p": 0.0, "aspect": round(photo.size[1] / photo.size[0], 4), "caption": "Waits for its turn"}
    yield Message({letter: {"run": kept.id, **opening} for letter, kept in runs.items()}, table="")
    asked = comparison.prepare(photo, wishes, desk.library, task=task, clean=true)
    board = _Board(desk, session, next(iter(runs.values())), asked)
    ended: list[Ended] = []
    for contender in asked.contenders:
        stream = _stream(desk, session, contender.job)
        with desk.store.running(session, stream):
            for message in watch(desk, session, runs[contender.letter], stream):
                yield Message({contender.letter: message.film}, text=message.text)
        if stream.last is not None:
            yield Message({contender.letter: _last(runs[contender.letter], stream, "Measuring")})
            ended.append(asked.ended(contender, stream.last, whole=stream.last.done))
        ending = _last(runs[contender.letter], stream, "Finished" if not stream.stopped else "Stopped")
        yield Message({contender.letter: ending}, table=table(asked, ended), pictures=board.pictures(ended))
        if stream.stopped:
            yield _stopped(runs, contender, asked)
            break
    if ended:
        yield Message(kept=board.files(ended), text=" ".join((*asked.notes, *comparison.start_notes(ended))))


def _stream(desk: Desk, session: str, work: Job) -> Stream:
    def frames(stop: Stop, way: Way) -> Iterator[Frame]:
        return run(in_pieces(work, way), desk.library, stop=stop, tell=stream.look)

    about = {"task": work.task, "size": work.size}
    stream = Stream(frames, work.settings, desk.turns, session=session, about=about)
    return stream


def _last(kept: Run, stream: Stream, word: str) -> film.Value:
    value: film.Value = {"run": kept.id, "caption": word, "done": word != "Measuring", "all": kept.thumbnails}
    if stream.last is not None and stream.last.done:
        return value | {"p": 1.0}
    return value | ({"caption": f"Stopped · {caption(stream.last)}"} if stream.last is not None else {})


def _stopped(runs: Mapping[str, Run], at: Contender, asked: Comparison) -> Message:
    left = [c.letter for c in asked.contenders if c.letter > at.letter]
    films = {letter: {"run": runs[letter].id, "caption": "Not run", "done": True} for letter in left}
    return Message(films, text=f"Stopped at {at.letter}. What was made by then is shown, and Compare starts over.")


class _Board:
    """What is shown of a comparison so far: pictures are written once, when they first are needed."""

    def __init__(self, desk: Desk, session: str, kept: Run, asked: Comparison):
        self.asked, self.run, self._shown = asked, kept, {}
        self._keep = partial(viewer.keep, desk.store, session, kept)
        self._file = partial(desk.store.keep_file, session, kept)

    def pictures(self, ended: Sequence[Ended]) -> dict[str, Any]:
        """The photo, the results so far, the clean picture."""
        height, width = self.asked.contenders[0].job.size
        shown = [self._one("photo", PHOTO, shown_photo(self.asked), "photo")]
        shown += [self._one(e.contender.letter, _named(e), e.result, "result") for e in ended]
        if self.asked.clean is not None:
            shown.append(self._one("clean", CLEAN, self.asked.clean, "clean"))
        note = viewer.SMALLER if height * width > viewer.LARGEST else ""
        return viewer.value(self.run.id, shown, note)

    def files(self, ended: Sequence[Ended]) -> Kept:
        """Contact sheet, settings and report."""
        stem = f"{file_stem(self.asked.photo)}-compared"
        sheet = export.encode_png(comparison.sheet(self.asked, ended))
        report = comparison.report(self.asked, ended)
        record = self.asked.record(ended)
        return Kept(
            self._file(f"{stem}.png", lambda path: export.write_whole(path, sheet)),
            self._file(f"{stem}.json", lambda path: export.save_json(record, path)),
            self._file(f"{stem}.html", lambda path: export.save_report(report, path)),
        )

    def _one(self, key: str, name: str, image: Tensor, what: str) -> Shown:
        if key not in self._shown:
            self._shown[key] = Shown(key, name, self._keep(key, image), what)
        return self._shown[key]


def _named(one: Ended) -> str:
    return f"{one.contender.letter}: {one.contender.name}"


def table(asked: Comparison, ended: Sequence[Ended]) -> str:
    """The numbers as HTML, the best of each column in bold."""
    numbers = {e.contender.letter: e.numbers for e in ended}
    shown = comparison.columns(numbers)
    whole = {e.contender.letter: e.numbers for e in ended if e.whole}
    winners = {c.key: comparison.best(whole, c) for c in shown}
    head = "".join(f'<th scope="col">{html.escape(c.label)}<small>{c.better} is better</small></th>' for c in shown)
    rows = "".join(_row(e, shown, winners) for e in ended)
    if not rows:
        return ""
    caption = "The same photo, the same starting noise" if _one_seed(asked) else "The same photo"
    return (
        f'<div class="wide"><table><caption>{caption}</caption><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(one: Ended, shown: Sequence[Column], winners: Mapping[str, frozenset[str]]) -> str:
    letter, cells = one.contender.letter, ""
    for column in shown:
        text = html.escape(column.told(one.numbers.get(column.key)))
        cells += f"<td>{f'<strong>{text}</strong>' if letter in winners[column.key] else text}</td>"
    name = html.escape(one.contender.name) + ("" if one.whole else " (stopped)")
    return f'<tr><th scope="row">{letter}<small>{name}</small></th>{cells}</tr>'


def _one_seed(asked: Comparison) -> bool:
    return len({c.job.settings.seed for c in asked.contenders}) == 1


def file_stem(photo: Photo) -> str:
    """The photo's name without anything that a file system or a page could stumble over."""
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in photo.name)
    return kept[:60].strip("._") or "photo"


__all__ = ["Kept", "Message", "compared", "file_stem", "table"]
