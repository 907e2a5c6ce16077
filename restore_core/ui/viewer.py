"""Pictures of one size to be held against each other: slider, side by side, difference times k, all against the photo.

The browser's side is viewer.html, viewer.css and viewer.js; the difference is computed there, so its factor answers at
once. The value is one small JSON object:

    id         another one forgets the pictures        note    a sentence under them
    pictures   {key, name, src, what}: src is an address that the page may fetch, what is photo, result or clean
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
from torch import Tensor

from restore_core import export, images
from restore_core.ui.sessions import Run, SessionStore

LARGEST = 4_000_000  # pixels; larger pictures are shown as smaller copies
SMALLER = "The pictures are large: smaller copies are shown here, the downloads are whole."


@dataclass(frozen=True)
class Shown:
    """One picture of the viewer; `what` is photo, result or clean."""

    key: str
    name: str
    address: str
    what: str


def viewer(*, elem_id: str) -> gr.HTML:
    """The component; nothing is shown before there is a pair."""
    return gr.HTML(
        html_template=_part("viewer.html"),
        css_template=_part("viewer.css"),
        js_on_load=_part("viewer.js"),
        apply_default_css=False,
        elem_id=elem_id,
    )


def value(run: str, shown: Sequence[Shown], note: str = "") -> dict[str, Any]:
    """What the component shows."""
    pictures = [{"key": p.key, "name": p.name, "src": p.address, "what": p.what} for p in shown]
    return {"id": run, "pictures": pictures, "note": note}


def keep(store: SessionStore, session: str, run: Run, name: str, image: Tensor) -> str:
    """Write image (1, 3, H, W), at most LARGEST pixels of it, into the run's folder; its address on the page."""
    height, width = image.shape[-2:]
    if height * width > LARGEST:
        image = images.shrink_to(image, int(max(height, width) * (LARGEST / (height * width)) ** 0.5))
    write = lambda path: export.write_whole(path, export.encode_png(images.to_uint8(image)))  # noqa: E731  binds it
    return address(store.keep_file(session, run, f"{name}.png", write))


def address(path: Path) -> str:
    """Where the page finds a file of the session store: relative, so that it holds behind any proxy."""
    return "gradio_api/file=" + quote(str(path))


def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


__all__ = ["LARGEST", "SMALLER", "Shown", "address", "keep", "value", "viewer"]
