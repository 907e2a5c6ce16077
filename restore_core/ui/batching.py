"""One page's batch: photos that come and go, what is seen in each, their run, and what the page is told of it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from restore_core import export, images
from restore_core.batch import Outcome, Request
from restore_core.diagnosis import diagnose
from restore_core.errors import ImageError, SettingsError
from restore_core.ui import viewer
from restore_core.ui.asking import duration
from restore_core.ui.batch_entries import STATES, Entries, Entry, State, megabytes
from restore_core.ui.batch_packing import pack
from restore_core.ui.batch_running import Runner
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.sessions import Run, SessionStore

THUMBNAIL = 112  # pixels of the long side
FORMATS = ("png", "jpg", "webp")
ZIP = "stepback-photos.zip"

_looking = threading.Lock()  # one large photo in memory at a time, however many batches there are


class Batch:
    """Safe between threads. Everything it keeps lies in the folder of `run`, which its store forgets with it.

    name   as its store knows it
    room   a sentence where so many more bytes are too many, "" where there is room
    """

    def __init__(self, desk: Desk, store: SessionStore, name: str, room: Callable[[Batch, int], str]):
        self.desk, self.store, self.name = desk, store, name
        self.run: Run = store.open(name)
        self.entries = Entries()
        self.room = partial(room, self)
        self.runner = Runner(desk, self.entries, self.run.folder / "results", self.id, self.room)
        self._packing, self._packed = threading.Lock(), 0
        self._looker: threading.Thread | None = None
        self._closed = False

    @property
    def id(self) -> str:
        """Cannot be guessed: knowing it is the right to look."""
        return self.run.id

    @property
    def bytes(self) -> int:
        """What it holds on disk."""
        return self._packed + self.entries.bytes

    # what comes from the page

    def add(self, path: Path, name: str) -> None:
        """Take a photo in: the upload at `path`, which stays for whoever else shows it."""
        size = path.stat().st_size
        full = self.room(size)
        if full:
            raise SettingsError(full)
        with self.entries.lock:
            _link(path, self.entries.add(name, self.run.folder / "photos", size).source)
            self._look_soon()

    def expect(self, request: Request) -> None:
        """Settings were changed: how long it would take is told anew."""
        self.runner.expect(request)
        self._look_soon()

    def start(self, request: Request, suffix: str) -> None:
        """Restore what waits. A run that goes on keeps its settings, for photos dropped meanwhile too."""
        if not self._closed:
            self.runner.start(request, suffix)

    def again(self, states: tuple[State, ...], number: int | None = None) -> None:
        """Photos that failed, or that are done, wait again: all of them, or one."""
        with self.entries.lock:
            for entry in self.entries:
                if entry.state in states and number in (None, entry.number):
                    entry.forget_result()
                    entry.state = "waiting" if entry.size else "new"
                    self.entries.touch(entry)
            self._look_soon()

    def remove(self, number: int | None = None) -> None:
        """Take one photo out, or all of them; not the one that is being restored."""
        with self.entries.lock:
            for entry in self.entries:
                if number in (None, entry.number) and entry.state != "working":
                    self.entries.discard(entry)
            self._drop_zip()

    def close(self) -> None:
        """The page is gone for good: nothing more is begun. Its files are the store's to remove."""
        self._closed = True
        self.runner.stop()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until neither thread works; whether that is so."""
        looker = self._looker
        if looker is not None:
            looker.join(timeout)
        return self.runner.join(timeout) and self._looker is None

    # what goes to the page

    def look(self, since: int) -> dict[str, Any]:
        """How things stand: the whole, and each photo that changed after version `since`."""
        with self.entries.lock:
            return {"id": self.id, "head": self._head(), **self.entries.told(since)}

    def _head(self) -> dict[str, Any]:
        run, left = self.runner, None if self.runner.stopping else self.runner.left()
        return {
            "counts": {state: sum(entry.state == state for entry in self.entries) for state in STATES},
            "total": len(self.entries), "bytes": megabytes(self.bytes), "share": round(run.share(), 4),
            "running": run.running, "stopping": run.stopping, "queued": run.queued, "said": run.said,
            "left": "" if left is None else duration(left), "looking": self._looker is not None,
        }  # fmt: skip

    def shown(self, number: int) -> tuple[dict[str, Any], str]:
        """Before and after of a photo that is done, for the viewer; its name."""
        entry = self.entries.get(number)
        if entry is None or entry.outcome is None or entry.state != "done":
            raise ImageError("This photo is not restored (any more), so there is nothing to show. Choose another.")
        with _looking:
            after = images.load(entry.outcome.target, max_pixels=16 * self.desk.max_pixels).rgb
            height, width = after.shape[-2:]
            if height * width > viewer.LARGEST:
                after = images.shrink_to(after, int(max(height, width) * (viewer.LARGEST / (height * width)) ** 0.5))
            before = images.resize(images.load(entry.source, max_pixels=self.desk.max_pixels).rgb, after.shape[-2:])
            for old in self.run.folder.glob("shown-*"):
                old.unlink(missing_ok=True)
            stem = f"shown-{number}-{entry.changed}"  # an address of its own, or browsers show an older picture
            keep = partial(viewer.keep, self.store, self.name, self.run)
            pair = (("photo", "Before", before.clamp(0, 1)), ("result", "After", after))
            pictures = [viewer.Shown(k, name, keep(f"{stem}-{k}", image), k) for k, name, image in pair]
        note = viewer.SMALLER if height * width > viewer.LARGEST else ""
        return viewer.value(f"{self.id}-{stem}", pictures, note), entry.name

    def packed(self) -> Path:
        """The zip of all that is done until now."""
        with self._packing:
            with self.entries.lock:
                ended = [entry for entry in self.entries if entry.outcome is not None]
                outcomes = [replace(entry.outcome, source=entry.name) for entry in ended]
                self._drop_zip()
            if not any(entry.state == "done" for entry in ended):
                raise ImageError("No photo is done yet, so there is nothing to put into a zip. Restore some first.")
            full = self.room(sum(entry.made for entry in ended))
            if full:
                raise SettingsError(full)
            path = self.run.folder / ZIP
            self._packed = pack(outcomes, path)
            return path

    def _drop_zip(self) -> None:
        (self.run.folder / ZIP).unlink(missing_ok=True)
        self._packed = 0

    # what is seen in the photos

    def _look_soon(self) -> None:
        with self.entries.lock:
            if self._looker is None and not self._closed:
                self._looker = threading.Thread(target=self._look_at_all, name="stepback-look", daemon=True)
                self._looker.start()

    def _look_at_all(self) -> None:
        while True:
            with self.entries.lock:
                entry = None if self._closed else self.entries.first("new")
                if entry is None and (self._closed or self.runner.running or not self._foreseeable):
                    self._looker = None
                    self.entries.touch()
                    return
            if entry is not None:
                self._look_at(entry)
            else:
                self.runner.foresee()

    @property
    def _foreseeable(self) -> bool:
        """Whether costs are to be found out, and the device is free for it."""
        return not self.desk.turns.busy and any(e.cost is None and e.state == "waiting" for e in self.entries)

    def _look_at(self, entry: Entry) -> None:
        try:
            with _looking:
                photo = images.load(entry.source, max_pixels=self.desk.max_pixels)
                seen, small = diagnose(photo.rgb), images.shrink_to(photo.rgb, THUMBNAIL)
            entry.size, entry.task = photo.size, seen.task
            entry.seen = " ".join((seen.sentence, *photo.notes))
            entry.thumbnail, state = export.data_uri(images.to_uint8(small)), "waiting"
        except Exception as error:  # of this photo; the others are looked at all the same
            entry.outcome, state = Outcome(str(entry.source), "", "failed", sentence(error)), "failed"
        with self.entries.lock:
            entry.state = state
            self.entries.touch(entry)
            entry.drawn = entry.changed


def _link(path: Path, to: Path) -> None:
    """The same bytes under another name, without a copy where the disk can do that."""
    to.parent.mkdir(parents=True)
    try:
        os.link(path, to)
    except OSError:
        shutil.copyfile(path, to)


__all__ = ["FORMATS", "Batch"]
