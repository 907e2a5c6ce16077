"""Every open page's batch, within limits, and for a while after its page was last seen.

A page that is loaded anew asks for its batch by the id that the browser's tab remembers, so a batch is no part of a
page's session: it ends when nobody has asked how it stands for some time.
"""

from __future__ import annotations

import atexit
import secrets
import shutil
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gradio.utils import get_upload_folder

from restore_core.errors import ImageError, SettingsError
from restore_core.ui.batch.batch import Batch
from restore_core.ui.desk import Desk
from restore_core.ui.sessions import SessionStore

SWEEP = 20.0  # seconds between two looks at who is still there
ENDING = 5.0  # seconds that a batch has to end in when the server does
LEFT = "Nobody looked at this page for a while, so the run was stopped. Press Go on: what is done is kept."


@dataclass(frozen=True)
class Limits:
    """What a server gives.

    photos   in a batch;   batches: at a time
    bytes    on disk, of a batch and of all: photos, results, zip
    spare    bytes of the disk that stay free
    runs_on, kept   seconds without its page: then its run is stopped, then its files are removed
    """

    photos: int = 500
    batches: int = 64
    bytes: int = 2_000_000_000
    total: int = 8_000_000_000
    spare: int = 1_000_000_000
    runs_on: float = 900.0
    kept: float = 3600.0


OWN = Limits(photos=2000, bytes=20_000_000_000, total=60_000_000_000, runs_on=86_400.0, kept=86_400.0)  # one's own


def _end(batches: weakref.ref[Batches]) -> None:
    """The server ends: so do the runs, before the interpreter does, and the photos are removed."""
    found = batches()
    if found is not None:
        found.close()


@dataclass(eq=False)
class Batches:
    """Safe between threads. `limits`: those of a machine of one's own, or of a server that is open to others."""

    desk: Desk
    limits: Limits | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.limits = self.limits or (OWN if self.desk.keeper else Limits())
        root = self.desk.store.root  # a store of its own: runs of other tabs need not make room for photos
        self.store = SessionStore(root, session_bytes=self.limits.bytes, total_bytes=self.limits.total)
        self._batches: dict[str, tuple[Batch, float]] = {}
        self._lock = threading.Lock()
        self._sweeper: threading.Thread | None = None
        atexit.register(_end, weakref.ref(self))  # a thread that is ended inside PyTorch ends the program with an abort

    def of(self, known: object) -> Batch | None:
        """The batch of this id, which comes from a browser; that its page is there is noted."""
        with self._lock:
            found = self._batches.get(known) if isinstance(known, str) else None
            if found is None:
                return None
            self._batches[found[0].id] = found[0], self.clock()
            return found[0]

    def open(self, known: object = None) -> Batch:
        """The batch of this id, or a new one."""
        found = self.of(known)
        if found is not None:
            return found
        self._make_room()
        batch = Batch(self.desk, self.store, f"batch-{secrets.token_hex(8)}", self.room)
        with self._lock:
            self._batches[batch.id] = batch, self.clock()
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._watch, name="stepback-batches", daemon=True)
                self._sweeper.start()
        return batch

    def take(self, batch: Batch, path: object, name: object) -> None:
        """A photo that was uploaded. Path and name come from a browser: only what lies among the uploads is taken."""
        folder, found = Path(get_upload_folder()).resolve(), Path(path if isinstance(path, str) else "")
        whole = found.resolve()
        if not isinstance(name, str) or not whole.is_relative_to(folder) or found.is_symlink() or not whole.is_file():
            raise ImageError("This photo did not arrive on the server. Drop it again.")
        if len(batch.entries) >= self.limits.photos:
            raise SettingsError(
                f"{self.limits.photos} photos are in the list, and more it does not hold. Download what is done and "
                f"empty the list, then drop the others."
            )
        batch.add(whole, name)

    def room(self, batch: Batch, size: int) -> str:
        """Why so many more bytes are too many; "" where they are not."""
        others = sum(other.bytes for other, _ in list(self._batches.values()))
        if batch.bytes + size > self.limits.bytes:
            return (
                f"The photos and results of this list fill {self.limits.bytes / 1e9:.1f} GB, which is all it may hold. "
                f"Download the zip, take photos out of the list, and go on."
            )
        if others + size > self.limits.total or shutil.disk_usage(self.store.root).free < self.limits.spare + size:
            return "The server's disk is full for now. Download what is done, and go on later."
        return ""

    def sweep(self) -> None:
        """Stop what nobody looks at, and remove what nobody came back for."""
        now = self.clock()
        with self._lock:
            idle = [(batch, now - seen) for batch, seen in self._batches.values()]
        for batch, seconds in idle:
            if seconds > self.limits.kept:
                self.drop(batch)
            elif seconds > self.limits.runs_on and batch.runner.running:
                batch.runner.stop(LEFT)

    def drop(self, batch: Batch) -> None:
        """Stop it and remove its files."""
        with self._lock:
            self._batches.pop(batch.id, None)
        batch.close()
        self.store.drop(batch.name)

    def close(self) -> None:
        """Drop all of them, and wait until nothing works any more."""
        for batch, _ in list(self._batches.values()):
            batch.close()
        for batch, _ in list(self._batches.values()):
            batch.join(ENDING)
            self.drop(batch)

    def _make_room(self) -> None:
        with self._lock:
            idle = [(seen, batch) for batch, seen in self._batches.values() if not batch.runner.running]
            if len(self._batches) < self.limits.batches:
                return
        if not idle or self.clock() - min(idle, key=lambda one: one[0])[0] < self.limits.runs_on:
            raise SettingsError(
                f"{self.limits.batches} people have lists of photos on this server, and more it does not hold. Try "
                f"again later."
            )
        self.drop(min(idle, key=lambda one: one[0])[1])

    def _watch(self) -> None:
        while True:
            time.sleep(SWEEP)
            self.sweep()
            with self._lock:
                if not self._batches:
                    self._sweeper = None
                    return


__all__ = ["Batches", "Limits"]
