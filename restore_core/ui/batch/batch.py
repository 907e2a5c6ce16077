"""One page's batch: photos that come and go, their run, their results, and what the page is told of it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from restore_core.batch import Request
from restore_core.errors import ImageError, SettingsError
from restore_core.ui.asking import duration
from restore_core.ui.batch.entries import STATES, Entries, State, megabytes
from restore_core.ui.batch.looking import Looker
from restore_core.ui.batch.packing import pack
from restore_core.ui.batch.running import Runner
from restore_core.ui.batch.showing import before_and_after
from restore_core.ui.desk import Desk
from restore_core.ui.sessions import Run, SessionStore

FORMATS = ("png", "jpg", "webp")
ZIP = "stepback-photos.zip"


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
        self.looker = Looker(desk, self.entries, self.runner)
        self._packing, self._packed = threading.Lock(), 0
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
            self.looker.look_soon()

    def expect(self, request: Request) -> None:
        """Settings were changed: how long it would take is told anew."""
        self.runner.expect(request)
        self.looker.look_soon()

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
            self.looker.look_soon()

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
        self.looker.close()
        self.runner.stop()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until neither thread works; whether that is so."""
        ended = [self.looker.join(timeout), self.runner.join(timeout)]
        return all(ended)

    # what goes to the page

    def look(self, since: int) -> dict[str, Any]:
        """How things stand: the whole, and each photo that changed after version `since`."""
        with self.entries.lock:
            return {"id": self.id, "head": self._head(), **self.entries.told(since)}

    def _head(self) -> dict[str, Any]:
        run, costs = self.runner, self.runner.costs
        left = None if run.stopping else costs.left(running=run.running)
        return {
            "counts": {state: sum(entry.state == state for entry in self.entries) for state in STATES},
            "total": len(self.entries), "bytes": megabytes(self.bytes), "share": round(costs.share(), 4),
            "running": run.running, "stopping": run.stopping, "queued": run.queued, "said": run.said,
            "left": "" if left is None else duration(left), "looking": self.looker.looking,
        }  # fmt: skip

    def shown(self, number: int) -> tuple[dict[str, Any], str]:
        """Before and after of a photo that is done, for the viewer; its name."""
        return before_and_after(self.entries.get(number), self.store, self.name, self.run, self.desk.max_pixels)

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


def _link(path: Path, to: Path) -> None:
    """The same bytes under another name, without a copy where the disk can do that."""
    to.parent.mkdir(parents=True)
    try:
        os.link(path, to)
    except OSError:
        shutil.copyfile(path, to)


__all__ = ["FORMATS", "Batch"]
