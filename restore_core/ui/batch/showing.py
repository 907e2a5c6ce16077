"""Before and after of one photo of a batch, for the viewer."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from restore_core import images
from restore_core.errors import ImageError
from restore_core.ui import viewer
from restore_core.ui.batch.entries import Entry
from restore_core.ui.batch.looking import one_large
from restore_core.ui.sessions import Run, SessionStore


def before_and_after(
    entry: Entry | None, store: SessionStore, name: str, run: Run, max_pixels: int
) -> tuple[dict[str, Any], str]:
    """What the viewer shows, written into the run's folder, and the photo's name. One pair is kept at a time.

    name   of the batch, as its store knows it
    """
    if entry is None or entry.outcome is None or entry.state != "done":
        raise ImageError("This photo is not restored (any more), so there is nothing to show. Choose another.")
    with one_large:
        before, after, note = _pair(entry, max_pixels)
        for old in run.folder.glob("shown-*"):
            old.unlink(missing_ok=True)
        stem = f"shown-{entry.number}-{entry.changed}"  # an address of its own, or browsers show an older picture
        keep = partial(viewer.keep, store, name, run)
        pair = (("photo", "Before", before), ("result", "After", after))
        pictures = [viewer.Shown(k, title, keep(f"{stem}-{k}", image), k) for k, title, image in pair]
    return viewer.value(f"{run.id}-{stem}", pictures, note), entry.name


def _pair(entry: Entry, max_pixels: int) -> tuple[Tensor, Tensor, str]:
    """Both (1, 3, h, w) in [0, 1] and of one size, at most viewer.LARGEST pixels; what there is to say of that."""
    after = images.load(entry.outcome.target, max_pixels=16 * max_pixels).rgb
    pixels = after.shape[-2] * after.shape[-1]
    if pixels > viewer.LARGEST:
        after = images.shrink_to(after, int(max(after.shape[-2:]) * (viewer.LARGEST / pixels) ** 0.5))
    before = images.resize(images.load(entry.source, max_pixels=max_pixels).rgb, after.shape[-2:])
    return before.clamp(0, 1), after, viewer.SMALLER if pixels > viewer.LARGEST else ""


__all__ = ["before_and_after"]
