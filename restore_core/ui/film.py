"""The live film: what the page shows while a run goes on, and through which one steps back afterwards.

The browser's side is film.html, film.css, film.js and linked.js. Its value is one small JSON object with differences:

    run         another one clears the film        p          share done, 0 to 1
    caption     where the run is, in words         src_xt     the state x_t as a JPEG in a URI
    aspect      width / height of the result       src_x0     the guess of x0 likewise
    new         thumbnails, each sent once: {k, i, level, caption, src, guess}
    all         every thumbnail, in the last message: a page that joined late is whole
    done        whether this is the last message   error      whether it ended in one

Frames travel inside the page's own event stream: no request and no file for any of them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from restore_core.export import data_uri
from restore_core.ui.sessions import Moment
from restore_core.ui.streaming import Shot

THUMBNAIL_SIDE = 128
THUMBNAIL_QUALITY = 75

Value = dict[str, Any]
Lookup = Callable[[object, object], Moment | None]


def film(
    moment: Lookup, *, elem_id: str = "film", group: str = "", name: str = "", view: str = "both"
) -> gr.HTML:
    """The component. `moment(run, k)` finds the stored preview of a thumbnail that someone rests on.

    group   films of one group rest at the same noise level, show the same view, and stay open when they end
    name    what the group calls this one
    view    what is shown at first: both, noisy, guess
    """

    def fetch(asked: object) -> list[str] | None:  # [run, k], from a browser
        found = moment(*asked) if isinstance(asked, list) and len(asked) == 2 else None
        return None if found is None else [_uri(jpeg) for jpeg in found]

    fetch.__name__ = "moment"  # the name the script calls
    return gr.HTML(
        html_template=_part("film.html"),
        css_template=_part("film.css"),
        js_on_load=_part("film.js") + _part("linked.js"),
        server_functions=[fetch],
        apply_default_css=False,
        elem_id=elem_id,
        group=group,
        name=name,
        view=view,
    )


def picture(shot: Shot) -> Value:
    """The live picture of a message."""
    noisy, guess = shot.jpegs
    return {
        "src_xt": _uri(noisy),
        "src_x0": _uri(guess),
        "i": shot.index,
        "n": shot.total,
        "p": shot.share,
    }


def thumbnail(shot: Shot, k: int) -> Value:
    """One entry of `new`."""
    noise = "" if shot.noise == 0 else f", noise {round(100 * shot.noise)} %"
    noisy, guess = shot.develop()
    return {
        "k": k,
        "i": shot.index,
        "level": round(shot.noise, 4),
        "caption": shot.caption + noise,
        "src": data_uri(_small(noisy), THUMBNAIL_QUALITY),
        "guess": data_uri(_small(guess), THUMBNAIL_QUALITY),
    }


def _small(pixels: np.ndarray) -> np.ndarray:
    """Every k-th pixel: the page shows thumbnails at half this size, which smooths them."""
    k = max(1, max(pixels.shape[:2]) // THUMBNAIL_SIDE)
    return np.ascontiguousarray(pixels[::k, ::k])


def _uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
