"""One press of Restore, from the photo's file to its result, as a plain generator of messages for the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from restore_core import export, images
from restore_core.engine import Frame
from restore_core.job import Job, plan, run
from restore_core.library import card
from restore_core.metrics import psnr
from restore_core.moments import caption
from restore_core.ui import film
from restore_core.ui.asking import Ask, duration, need_photo, word
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.sessions import Result, Run
from restore_core.ui.streaming import RATE, SIDE, News, Stop, Stream

SHOWN_AS_PNG = 4_000_000  # pixels; larger results are shown, not kept, as JPEG
LIVE = {"smooth": (RATE, SIDE), "light": (2.0, 256), "off": (0.0, SIDE)}  # pictures a second, their long side


@dataclass(frozen=True)
class Outcome:
    """A result: pictures to compare (same size), files to keep, facts to tell."""

    before: Path
    after: Path
    png: Path
    jpeg: Path
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Message:
    """One thing to show. `text` is a sentence for the reader: an error, a stop, a note."""

    film: film.Value
    outcome: Outcome | None = None
    text: str = ""
    failed: bool = False


def restoration(desk: Desk, session: str, path: str | None, ask: Ask, *, live: str = "smooth") -> Iterator[Message]:
    """Restore a photo. Closing the generator ends the run; every error becomes a message."""
    kept = desk.store.open(session)
    try:
        yield from _restoration(desk, session, kept, need_photo(path), ask, live)
    except Exception as error:  # whatever happens, the page gets a sentence and stays usable
        yield Message(
            {"run": kept.id, "caption": "Not restored", "done": True, "error": True}, text=sentence(error), failed=True
        )


def _restoration(desk: Desk, session: str, kept: Run, path: str, ask: Ask, live: str) -> Iterator[Message]:
    header = images.inspect(path)
    opening = {"run": kept.id, "p": 0.0, "aspect": round(header.size[1] / header.size[0], 4)}
    yield Message({**opening, "caption": "Reading your photo"})
    work = _job(desk, path, ask)
    rate, side = LIVE.get(live, LIVE["smooth"])

    def frames(stop: Stop, tile: int | None) -> Iterator[Frame]:
        return run(in_pieces(work, tile), desk.library, stop=stop)

    stream = Stream(frames, work.settings, desk.turns, rate=rate, side=side)
    desk.store.attach(session, stream)
    try:
        yield from watch(desk, session, kept, stream.start())
    finally:
        stream.stop()
        stream.join()
        desk.store.detach(session, stream)
    if stream.error is not None:
        raise stream.error
    ending = _ending(desk, session, kept, work, stream, ask)
    if ending.outcome is not None and stream.last is not None:
        found, record = ending.outcome, work.record(desk.library, stream.last)
        kept.result = Result(path, ask.smaller, record, found.before, found.png, found.facts)
    yield ending


def _job(desk: Desk, path: str, ask: Ask) -> Job:
    photo = images.load(path, max_pixels=desk.max_pixels)
    if ask.smaller:
        photo = images.reduce_by(photo, images.reduction(photo.size))
    if ask.task == "auto" and ask.seen is None:
        seen = plan(photo, desk.library).task
        ask = replace(ask, seen=seen)
    settings = ask.settings(desk.library.precision)
    return Job(photo, ask.weights.task, settings, "")


def in_pieces(work: Job, tile: int | None) -> Job:
    """The same job in tiles of this size; None: as its settings have it."""
    return work if tile is None else replace(work, settings=replace(work.settings, tile=tile))


def watch(desk: Desk, session: str, kept: Run, stream: Stream) -> Iterator[Message]:
    """The film while it goes on."""
    seq = 0
    for news in stream.news():
        seq += 1
        value: film.Value = {"run": kept.id, "seq": seq, "caption": _caption(news, stream)}
        if news.latest is not None:
            value |= film.picture(news.latest)
        value["new"] = [
            film.thumbnail(shot, desk.store.keep_moment(session, kept, shot.jpegs))
            for shot in news.thumbnails
        ]
        kept.thumbnails.extend(value["new"])
        yield Message(value, text=" ".join(news.notes))


def _caption(news: News, stream: Stream) -> str:
    if news.waiting:
        return "Waiting for another restoration to end"
    now = stream.last
    if now is None:
        return "A first look at the whole picture"
    where = news.latest.caption if news.latest is not None else caption(now)
    left = f" · {duration(news.left)} left" if news.left and news.left >= 1 else ""
    return where + left


def _ending(desk: Desk, session: str, kept: Run, work: Job, stream: Stream, ask: Ask) -> Message:
    final = {"run": kept.id, "done": True, "all": kept.thumbnails}
    last = stream.last
    if last is None:
        text = "Stopped before the first step, so there is nothing to keep yet. Press Restore to start again."
        return Message({**final, "caption": "Stopped", "p": 0.0}, text=text)
    outcome = _outcome(desk, session, kept, work, last, ask)
    if stream.stopped and not last.done:
        place = caption(last)
        text = f"Stopped at {place[:1].lower() + place[1:]}. This is the guess at that moment, and you can keep it."
        return Message({**final, "caption": f"Stopped · {place}"}, outcome, text)
    return Message({**final, "caption": "Finished", "p": 1.0}, outcome)


def _outcome(desk: Desk, session: str, kept: Run, work: Job, last: Frame, ask: Ask) -> Outcome:
    result, photo = last.result.cpu(), work.photo
    before = images.resize(photo.rgb, result.shape[-2:]).clamp(0, 1)
    stem, record = _stem(work, ask), work.record(desk.library, last)

    def keep(name: str, picture: Tensor, settings: dict | None) -> Path:
        write = lambda path: export.save(picture, path, like=work.like, settings=settings)  # noqa: E731  binds the rest
        return desk.store.keep_file(session, kept, name, write)

    png, jpeg = keep(f"{stem}.png", result, record), keep(f"{stem}.jpg", result, record)
    small = result.shape[-2] * result.shape[-1] <= SHOWN_AS_PNG
    shown_before = keep(f"before{'.png' if small else '.jpg'}", before, None)
    return Outcome(shown_before, png if small else jpeg, png, jpeg, _facts(work, last, before, result))


def _stem(work: Job, ask: Ask) -> str:
    """Original name, method and preset; nothing that a file system or a page could stumble over."""
    name = re.sub(r"[^\w.-]+", "_", work.photo.name)[:60].strip("._") or "photo"
    return f"{name}-{work.settings.method}-{word(ask)[0].lower().replace(' ', '-')}"


def _facts(work: Job, last: Frame, before: Tensor, result: Tensor) -> tuple[tuple[str, str], ...]:
    distance = psnr(result, before).item()
    levels = (result - before).abs().mean().item() * 255
    height, width = result.shape[-2:]
    return (
        ("Time", f"{last.seconds:.1f} s"),
        ("Network calls", str(last.calls)),
        ("Changed vs. your photo", f"{levels:.1f} grey levels ({distance:.1f} dB)"),
        ("Size", f"{width} × {height}"),
        ("Method", card(work.settings.method).title),
        ("Variation", str(work.settings.seed)),
    )


__all__ = ["LIVE", "Message", "Outcome", "in_pieces", "restoration", "watch"]
