"""More downloads of the Restore tab: made when somebody asks, from what the session keeps, so that no run waits."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from restore_core import export, images
from restore_core.errors import SettingsError
from restore_core.export import beside, encode_jpeg
from restore_core.ui import widgets
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.links import Send
from restore_core.ui.sessions import Result, Run
from restore_core.ui.viewer import address

SHOWS = (("Noisy beside guess", "both"), ("Noisy xₜ", "noisy"), ("Current guess", "guess"))
REPORTED = 1024  # pixels of a picture's long side in a report
FETCH = """(address) => {
  if (!address) return;
  const link = document.createElement("a");
  link.href = address;
  link.download = "";
  link.click();
}"""
GO_TO_COMPARE = "() => document.querySelector('#to-compare').click()"

Write = Callable[[Run, Result, str, Path], None]  # (run, its result, what the film shows, where to)


@dataclass(frozen=True)
class Kind:
    """One thing that can be downloaded: the button's words, the end of the file's name, and what makes it."""

    label: str
    ending: str
    write: Write


def _film(run: Run, result: Result, shows: str, path: Path) -> None:
    export.save_film(frames(run, shows), path)


def _zip(run: Run, result: Result, shows: str, path: Path) -> None:
    _need_moments(run)
    names = [f"{k:03d}-{_plain(moment['caption'])}.jpg" for k, moment in enumerate(run.thumbnails)]
    files = {}
    for name, (noisy, guess) in zip(names, run.moments, strict=False):
        files |= {f"noisy/{name}": noisy, f"guess/{name}": guess}
    export.save_zip(files, path)


def _settings(run: Run, result: Result, shows: str, path: Path) -> None:
    export.save_json(result.record, path)


def _report(run: Run, result: Result, shows: str, path: Path) -> None:
    captions = [moment["caption"] for moment in run.thumbnails]
    film = [encode_jpeg(beside(_pair(moment, "both"))) for moment in run.moments]
    moments = list(zip(film, captions, strict=False))
    before, after = (_jpeg(picture) for picture in (result.before, result.after))
    page = export.run_report(result.record, before=before, after=after, facts=result.facts, moments=moments)
    export.save_report(page, path)


KINDS: Mapping[str, Kind] = {
    "gif": Kind("Film (GIF)", "film.gif", _film),
    "mp4": Kind("Film (MP4)", "film.mp4", _film),
    "zip": Kind("All frames (zip)", "frames.zip", _zip),
    "json": Kind("Settings (JSON)", "settings.json", _settings),
    "report": Kind("Report (HTML)", "report.html", _report),
}


def frames(run: Run, shows: str) -> list[np.ndarray]:
    """The film that the session keeps of a run, as (H, W, 3) uint8."""
    _need_moments(run)
    return [beside(_pair(moment, shows)) for moment in run.moments]


def _pair(moment: tuple[bytes, bytes], shows: str) -> list[np.ndarray]:
    chosen = {"noisy": moment[:1], "guess": moment[1:]}.get(shows, moment)
    return [np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in chosen]


def _need_moments(run: Run) -> None:
    if len(run.moments) < 2:  # the end alone is always kept
        raise SettingsError(
            "This run kept no film, since its live pictures were off. Choose Smooth or Light under More settings and "
            "restore again."
        )


def _jpeg(path: Path) -> bytes:
    small = images.shrink_to(images.load(path).rgb, REPORTED)
    return encode_jpeg(images.to_uint8(small), 90)


def _plain(caption: str) -> str:
    """A caption as part of a file's name."""
    return "-".join("".join(c if c.isalnum() else " " for c in caption).lower().split())


def make(desk: Desk, session: str, key: str, shows: str) -> Path:
    """Write the download `key` of the session's last result; its path."""
    run = desk.store.finished(session)
    if run is None or run.result is None:
        raise SettingsError("There is no result to write down yet. Restore a photo first.")
    result, kind = run.result, KINDS[key]
    name = f"{result.after.stem}-{kind.ending}"
    return desk.store.keep_file(session, run, name, lambda path: kind.write(run, result, shows, path))


@dataclass(frozen=True)
class Downloads:
    """The row's components that others are connected to. `again`: the result is to be the photo of the next run."""

    again: gr.Button
    to_compare: gr.Button
    to_learn: gr.Button
    settings: gr.State
    clean: gr.State

    def sends(self, photo: gr.Image) -> tuple[Send, Send]:
        """Photo and settings to Compare, where no clean picture goes along and none stays; the photo to the lessons."""
        compared = Send(self.to_compare, "compare", photo=photo, clean=self.clean, settings=self.settings)
        return compared, Send(self.to_learn, "learn", photo=photo)


def fill(desk: Desk) -> Downloads:
    """Lay the row out and wire it."""
    quick = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Accordion("More downloads", open=False, elem_id="more-downloads"):
        shows = gr.Radio(list(SHOWS), value="both", label="The film shows", elem_id="film-shows")
        with gr.Row(elem_id="downloads"):
            buttons = {
                key: gr.Button(kind.label, size="sm", elem_id=f"download-{key}", min_width=120)
                for key, kind in KINDS.items()
            }
        said = widgets.announcement("download-message")
        link = gr.Textbox(elem_classes=widgets.AWAY, container=False)
    with gr.Row(elem_id="go-on"):
        again = gr.Button("Use the result as the photo", size="sm", elem_id="take-result", min_width=200)
        compare = gr.Button("Compare with other settings", size="sm", elem_id="compare-this", min_width=200)
        learn = gr.Button("See how it works, on this photo", size="sm", elem_id="learn-this", min_width=200)
    to_compare = gr.Button("", elem_id="to-compare", elem_classes=widgets.AWAY)
    found = Downloads(again, to_compare, learn, gr.State(None), gr.State(None))

    def fetching(key: str) -> Callable[[gr.Request, str], tuple[str, str]]:
        def fetch(request: gr.Request, shown: str) -> tuple[str, str]:
            try:
                return address(make(desk, request.session_hash or "", key, shown)), ""
            except Exception as error:  # the page gets a sentence and stays usable
                return "", widgets.text(sentence(error), "error")

        return fetch

    def hand_over(request: gr.Request) -> str | None:
        run = desk.store.finished(request.session_hash or "")
        return None if run is None or run.result is None else json.dumps(run.result.record["settings"])

    for key, button in buttons.items():
        made = button.click(fetching(key), shows, [link, said], concurrency_limit=2, **quick)
        made.then(None, link, None, js=FETCH)
    compare.click(hand_over, None, found.settings, queue=False, **quick).then(None, js=GO_TO_COMPARE)
    return found


__all__ = ["KINDS", "Downloads", "fill", "frames", "make"]
