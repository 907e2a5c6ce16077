"""Holes drawn on the photo: what was painted over becomes transparent, which is how every method is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core import export, images
from restore_core.errors import SettingsError
from restore_core.images import Photo
from restore_core.ui import widgets
from restore_core.ui.desk import Desk

INFO = "Paint over what is to be filled. It becomes transparent, and the methods fill it."
PAINT = "#d55e00"
TOUCHED = 0.05  # of full paint: where the brush was


@dataclass(frozen=True)
class Editor:
    """The part's components."""

    canvas: gr.ImageEditor
    take: gr.Button
    use: gr.Button


def fill(prefix: str) -> Editor:
    """Lay the part out; who uses it connects the two buttons."""
    with gr.Accordion("Holes drawn on the photo", open=False, elem_id=f"{prefix}-holes"):
        gr.HTML(widgets.text(INFO), apply_default_css=False)
        canvas = gr.ImageEditor(
            type="numpy", image_mode="RGBA", sources=(), transforms=(), height=300, show_label=False,
            brush=gr.Brush(default_size=18, colors=[PAINT], default_color=PAINT, color_mode="fixed"),
            layers=gr.LayerOptions(allow_additional_layers=False), elem_id=f"{prefix}-canvas",
        )  # fmt: skip
        with gr.Row():
            take = gr.Button("Draw on the photo", size="sm", elem_id=f"{prefix}-take", min_width=120)
            use = gr.Button("Fill what I painted", size="sm", elem_id=f"{prefix}-use", min_width=120)
    return Editor(canvas, take, use)


def painted(drawn: Mapping[str, Any] | None, size: tuple[int, int]) -> Tensor:
    """(1, 1, H, W) of `size`: 1 where any layer was painted, 0 elsewhere."""
    layers: Sequence[np.ndarray] = (drawn or {}).get("layers") or []
    marks = [torch.from_numpy(np.ascontiguousarray(layer[..., 3])).float() / 255 for layer in layers if layer.ndim == 3]
    if not marks:
        raise SettingsError("Nothing was painted, so there is nothing to fill. Paint over a part of the photo first.")
    mark = torch.stack(marks).amax(0)[None, None]
    if mark.shape[-2:] != size:
        mark = F.interpolate(mark, size=size, mode="bilinear", align_corners=False)
    mark = (mark > TOUCHED).float()
    if not bool(mark.any()):
        raise SettingsError("Nothing was painted, so there is nothing to fill. Paint over a part of the photo first.")
    if bool(mark.all()):
        raise SettingsError("Everything was painted over, so there is no picture to go by. Leave some of it.")
    return mark


def with_holes(photo: Photo, mark: Tensor) -> Photo:
    """The photo, transparent where mark is 1 (and where it was already)."""
    alpha = 1 - mark if photo.alpha is None else photo.alpha * (1 - mark)
    return changed(photo, alpha=alpha)


def save(desk: Desk, session: str, path: str, drawn: Mapping[str, Any] | None) -> Path:
    """The photo with its holes as a PNG of the session's; its path."""
    photo = images.load(path, max_pixels=desk.max_pixels)
    holed = with_holes(photo, painted(drawn, photo.size))
    run = desk.store.open(session)
    name = f"{Path(path).stem}-holes.png"
    return desk.store.keep_file(session, run, name, lambda to: export.save(holed.rgb, to, like=holed))


__all__ = ["Editor", "fill", "painted", "save", "with_holes"]
