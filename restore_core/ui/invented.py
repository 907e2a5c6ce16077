"""Show what may be invented: samples of the last result's run, their mean and where they differ, growing live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr
from torch import Tensor

from restore_core import export, images, invention
from restore_core.engine import Frame
from restore_core.errors import SettingsError
from restore_core.export import data_uri, png_uri
from restore_core.job import Job, again, run
from restore_core.ui import widgets
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.running import in_pieces
from restore_core.ui.sessions import Result, Run
from restore_core.ui.streaming import Stop, Stream, Way
from restore_core.ui.turns import AT_ONCE

SIDE = 900  # pixels of the pictures' long side on the page
ASKED = 8

Value = dict[str, Any]


@dataclass(frozen=True)
class Files:
    """The mean and the map, as files to keep."""

    mean: Path
    spread: Path


@dataclass(frozen=True)
class Message:
    """What the map shows now; `text` is an error or a note."""

    value: Value = field(default_factory=dict)
    files: Files | None = None
    text: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Samples:
    """The samples that have ended: how many, their mean, their spread (None for one)."""

    count: int
    mean: Tensor
    spread: Tensor | None


class _Ends:
    """Passes a run's frames on and keeps what the last ended sample left: written and read as one reference."""

    def __init__(self) -> None:
        self.latest: Samples | None = None

    def of(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if frame.average is not None and frame.step.t.item() == 0:
                self.latest = Samples(frame.average.count, frame.average.mean, frame.spread)
            yield frame


def sampled(desk: Desk, session: str, count: int) -> Iterator[Message]:
    """Run the session's last result `count` times. Closing the generator ends it; every error becomes a message."""
    try:
        kept = desk.store.finished(session)
        if kept is None or kept.result is None:
            raise SettingsError("There is no result yet whose details could be doubted. Restore a photo first.")
        yield from _sampled(desk, session, kept, kept.result, count)
    except Exception as error:  # whatever happens, the page gets a sentence and stays usable
        yield Message(text=sentence(error), failed=True)


def _sampled(desk: Desk, session: str, kept: Run, result: Result, count: int) -> Iterator[Message]:
    work, ends = _job(desk, result, count), _Ends()

    def frames(stop: Stop, way: Way) -> Iterator[Frame]:
        return ends.of(run(in_pieces(work, way), desk.library, stop=stop))

    opening = {"id": f"{kept.id}-{count}", "of": count}
    yield Message({**opening, "says": f"Drawing the first of {count} samples."})
    about = {"task": work.task, "size": work.size}
    stream, told = Stream(frames, work.settings, desk.turns, session=session, about=about, rate=0), opening
    with desk.store.running(session, stream):
        for _ in stream.news():
            now = ends.latest
            if now is not None and now.count > told.get("count", 0):
                told = {**opening, **shown(now)}
                yield Message({**told, "says": _progress(now, count)})
    last = ends.latest
    if last is None or last.spread is None:
        text = "Stopped before the second sample, so nothing can be compared yet."
        yield Message({**opening, "says": ""}, text=text)
    else:
        told = told if told.get("count") == last.count else {**opening, **shown(last)}
        files = _kept(desk, session, kept, work, last)
        yield Message({**told, "says": invention.find(last.spread, last.count).sentence}, files)


def _job(desk: Desk, result: Result, count: int) -> Job:
    photo = images.load(result.source, max_pixels=desk.max_pixels)
    if result.smaller:
        photo = images.comfortable(photo)
    work = again(photo, result.record)
    return replace(work, settings=replace(work.settings, samples=count))


def shown(now: Samples) -> Value:
    """Mean, overlay and map as addresses inside the message."""
    value: Value = {"count": now.count, "base": data_uri(images.to_uint8(_small(now.mean)), 88)}
    if now.spread is not None:
        small = _small(now.spread)
        painted = invention.paint(small)
        value |= {"over": png_uri(invention.overlay(small, painted)), "map": png_uri(images.to_uint8(painted))}
    return value


def _small(image: Tensor) -> Tensor:
    return images.shrink_to(image.cpu(), SIDE)


def _progress(now: Samples, count: int) -> str:
    if now.count < 2:
        return f"Sample 1 of {count}: from the second on, the differences show."
    return f"After {now.count} of {count} samples: {invention.find(now.spread, now.count).sentence}"


def _kept(desk: Desk, session: str, kept: Run, work: Job, last: Samples) -> Files:
    record = {"settings": replace(work.settings, samples=last.count).to_json(), "task": work.task}
    stem = f"{images_stem(kept)}-{last.count}"

    def keep(name: str, picture: Tensor) -> Path:
        write = lambda path: export.save(picture, path, like=work.like, settings=record)  # noqa: E731  binds the rest
        return desk.store.keep_file(session, kept, name, write)

    return Files(keep(f"{stem}-mean.png", last.mean.cpu()), keep(f"{stem}-spread.png", invention.paint(last.spread)))


def images_stem(kept: Run) -> str:
    """What the run's files begin with."""
    return kept.result.after.stem if kept.result is not None else "samples"


def fill(desk: Desk) -> None:
    """Lay the part out below a result, and wire it."""
    quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    with gr.Accordion("Show what may be invented", open=False, elem_id="invented"):
        gr.HTML(widgets.text(
            "The same run again with other noise: what comes out different each time was not read off your photo. "
            "It takes as long as so many runs, and sharpens with each."
        ), apply_default_css=False)  # fmt: skip
        count = gr.Slider(invention.FEWEST, invention.MOST, ASKED, step=1, label="Samples", elem_id="invented-count")
        with gr.Row(elem_id="invented-press"):
            start = gr.Button("Draw the samples", elem_id="invented-run", scale=3, min_width=180)
            stop = gr.Button("Stop", elem_id="invented-stop", scale=1, min_width=90, interactive=False)
        message = widgets.announcement("invented-message")
        picture = gr.HTML(
            html_template=_part("invented.html"), css_template=_part("invented.css"), js_on_load=_part("invented.js"),
            apply_default_css=False, elem_id="invented-map",
        )  # fmt: skip
        with gr.Row(elem_classes=widgets.AWAY, elem_id="invented-keep") as row:
            mean = gr.DownloadButton("Download the mean", size="sm", elem_id="invented-mean", min_width=140)
            spread = gr.DownloadButton("Download the map", size="sm", elem_id="invented-spread", min_width=140)

    def show(request: gr.Request, asked: float) -> Iterator[dict[Any, Any]]:
        yield {
            start: gr.update(interactive=False), stop: gr.update(interactive=True), message: "",
            row: gr.update(elem_classes=widgets.AWAY),
        }  # fmt: skip
        for news in sampled(desk, request.session_hash or "", int(asked or ASKED)):
            updates: dict[Any, Any] = {picture: news.value} if news.value else {}
            if news.text:
                updates[message] = widgets.text(news.text, "error" if news.failed else "note")
            if news.files is not None:
                updates |= {row: gr.update(elem_classes=[]), mean: str(news.files.mean), spread: str(news.files.spread)}
            yield updates

    def halt(request: gr.Request) -> None:
        desk.store.stop(request.session_hash or "")

    outputs = [picture, start, stop, message, row, mean, spread]
    running = start.click(
        show, count, outputs, show_progress="hidden", trigger_mode="once", concurrency_id="engine",
        concurrency_limit=AT_ONCE, api_visibility="private",
    )  # fmt: skip
    ready = lambda: {start: gr.update(interactive=True), stop: gr.update(interactive=False)}  # noqa: E731  binds both
    running.then(ready, None, [start, stop], **quick)
    stop.click(halt, None, None, **quick)


def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


__all__ = ["Message", "Samples", "fill", "sampled", "shown"]
