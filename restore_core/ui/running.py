"""One press of Restore, from the photo's file to its result, as a plain generator of messages for the page."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from restore_core import export, images
from restore_core.engine import Frame
from restore_core.job import Job, check_bounds, plan, run
from restore_core.library import card
from restore_core.metrics import psnr
from restore_core.moments import caption
from restore_core.ui import film
from restore_core.ui.asking import Ask, duration, need_photo, word
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.sessions import Result, Run
from restore_core.ui.streaming import RATE, SIDE, News, Stop, Stream, Way

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
    name = secrets.token_hex(4)  # of the film, where not even a folder could be made
    try:
        kept = desk.store.open(session)
        name = kept.id
        yield from _restoration(desk, session, kept, need_photo(path), ask, live)
    except Exception as error:  # whatever happens, the page gets a sentence and stays usable
        yield Message(
            {"run": name, "caption": "Not restored", "done": True, "error": True}, text=sentence(error), failed=True
        )


def _restoration(desk: Desk, session: str, kept: Run, path: str, ask: Ask, live: str) -> Iterator[Message]:
    header = images.inspect(path)
    opening = {"run": kept.id, "p": 0.0, "aspect": round(header.size[1] / header.size[0], 4)}
    yield Message({**opening, "caption": "Reading your photo"})
    if not desk.keeper:
        desk.store.bring(session, path)
    ask = _judged(desk, path, ask)
    settings = ask.settings(desk.library.precision)
    rate, side = LIVE.get(live, LIVE["smooth"])
    work: list[Job] = []

    def frames(stop: Stop, way: Way) -> Iterator[Frame]:
        if not work:  # read when its turn has come: those who wait hold no picture
            work.append(_job(desk, path, ask))
        return run(in_pieces(work[0], way), desk.library, stop=stop, tell=stream.look)

    about = {"task": ask.task_key, "size": result_size(header, ask)}
    stream = Stream(frames, settings, desk.turns, session=session, about=about, rate=rate, side=side)
    with desk.store.running(session, stream):
        yield from watch(desk, session, kept, stream)
    if stream.last is None:
        yield _nothing(kept)
        return
    done = in_pieces(work[0], stream.way)
    ending = _ending(desk, session, kept, done, stream, ask)
    if ending.outcome is not None:
        found, record = ending.outcome, done.record(desk.library, stream.last)
        kept.result = Result(path, ask.smaller, record, found.before, found.png, found.facts)
    yield ending


def _judged(desk: Desk, path: str, ask: Ask) -> Ask:
    """With what the photo needs, where that is asked and not yet known."""
    if ask.task != "auto" or ask.seen is not None:
        return ask
    return replace(ask, seen=plan(images.load(path, max_pixels=desk.max_pixels), desk.library).task)


def _job(desk: Desk, path: str, ask: Ask) -> Job:
    photo = images.load(path, max_pixels=desk.max_pixels)
    if ask.smaller:
        photo = images.comfortable(photo)
    return Job(photo, ask.weights.task, ask.settings(desk.library.precision), "")


def result_size(header: images.Header, ask: Ask) -> tuple[int, int]:
    """(height, width) of what will come out."""
    height, width = images.comfortable_size(header.size) if ask.smaller else header.size
    return height * ask.weights.scale, width * ask.weights.scale


def in_pieces(work: Job, way: Way) -> Job:
    """The same job, tried this way."""
    return work if way == Way() else replace(work, settings=way.of(work.settings))


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
    now = stream.last
    if stream.stopping:
        return "Stopping"
    if news.waiting:
        return waits(news.place, news.until, begun=now is not None)
    if now is None:
        return f"A first look at the whole picture{stream.looked and f' · {stream.looked}'}"
    where = news.latest.caption if news.latest is not None else caption(now)
    left = f" · {duration(news.left)} left" if news.left and news.left >= 1 else ""
    return where + left


def waits(place: int, until: float | None, *, begun: bool = False) -> str:
    """A place in the queue in words, with the time until its turn where something tells it.

    begun: the run was under way and lets others in for a moment
    """
    where = "you are next" if place == 1 else f"place {place} in the queue"
    when = "" if until is None or until < 1 else f", {duration(until)} until your turn"
    return f"{'Paused to let others in' if begun else 'Waiting'} · {where}{when}"


def _nothing(kept: Run) -> Message:
    text = "Stopped before the first step, so there is nothing to keep yet. Press Restore to start again."
    return Message({"run": kept.id, "done": True, "all": kept.thumbnails, "caption": "Stopped", "p": 0.0}, text=text)


def _ending(desk: Desk, session: str, kept: Run, work: Job, stream: Stream, ask: Ask) -> Message:
    final = {"run": kept.id, "done": True, "all": kept.thumbnails}
    last = stream.last
    assert last is not None
    check_bounds(last, work.settings)
    outcome = _outcome(desk, session, kept, work, last, ask)
    if stream.stopped and not last.done:
        place = caption(last)
        text = f"Stopped at {place[:1].lower() + place[1:]}. This is {_left(last)}, and you can keep it."
        return Message({**final, "caption": f"Stopped · {place}"}, outcome, text)
    return Message({**final, "caption": "Finished", "p": 1.0}, outcome, desk.store.made_room(session))


def _left(last: Frame) -> str:
    """What a run that was stopped leaves, in words."""
    ended = 0 if last.average is None else last.average.count
    many = f"the mean of the {ended} samples that had ended"
    return ("the guess at that moment", "the sample that had ended", many)[min(ended, 2)]


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


__all__ = ["LIVE", "Message", "Outcome", "in_pieces", "restoration", "waits", "watch"]
