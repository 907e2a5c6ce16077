"""One page's batch: photos that come and go, each with a state, and the run that restores them one by one.

    new  ->  waiting  ->  working  ->  done
      \\          ^                \\->  failed          (a press of Try again: back to waiting)
       \\-> failed \\-- stopped --/

Two threads work on it: one looks at what is dropped (size, thumbnail, what is wrong), one runs batch.run_all on what
waits. Both end when there is nothing to do. The page asks look() how things stand, and hears only what is new.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from restore_core import batch, export, images
from restore_core.batch import Item, Outcome, Request
from restore_core.diagnosis import diagnose
from restore_core.engine import Frame
from restore_core.errors import Cancelled, ImageError, RestoreError, SettingsError
from restore_core.job import Job
from restore_core.ui import viewer
from restore_core.ui.asking import Ask, duration, seconds
from restore_core.ui.batch_pace import Pace
from restore_core.ui.batch_packing import distinct, pack, shown_name, stem_of
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.sessions import Run, SessionStore
from restore_core.ui.turns import Turn

State = Literal["new", "waiting", "working", "done", "failed"]
STATES: tuple[State, ...] = ("new", "waiting", "working", "done", "failed")
THUMBNAIL = 112  # pixels of the long side
FORMATS = ("png", "jpg", "webp")
ZIP = "stepback-photos.zip"
PATIENCE = 1.0  # seconds until a full queue is tried again

_looking = threading.Lock()  # one large photo in memory at a time, however many batches there are


@dataclass
class Entry:
    """One photo of a batch.

    stem      the name of its result without suffix, unlike every other's in the batch
    share     how much of its restoration is done, 0 to 1
    cost      seconds that its restoration should take; None while not known
    changed   the batch's version when it last changed
    """

    number: int
    name: str
    stem: str
    source: Path
    bytes: int
    state: State = "new"
    size: tuple[int, int] | None = None
    task: str = ""
    seen: str = ""
    thumbnail: str = ""
    share: float = 0.0
    cost: float | None = None
    outcome: Outcome | None = None
    made: int = 0
    changed: int = 0

    def told(self, *, thumbnail: bool) -> dict[str, Any]:
        """For the page."""
        outcome = self.outcome
        found: dict[str, Any] = {
            "n": self.number, "name": self.name, "state": self.state, "share": round(self.share, 3),
            "size": f"{self.size[1]} × {self.size[0]}" if self.size else "", "bytes": _megabytes(self.bytes),
            "seen": self.seen, "said": outcome.sentence if outcome and self.state == "failed" else "",
            "seconds": round(outcome.seconds, 1) if outcome and self.state == "done" else None,
        }  # fmt: skip
        return found | ({"thumbnail": self.thumbnail} if thumbnail else {})


@dataclass
class Batch:
    """Safe between threads. Everything it keeps lies in the folder of `run`, which its store forgets with it.

    room   a sentence where so many more bytes are too many, "" where there is room
    name   as its store knows it
    """

    desk: Desk
    store: SessionStore
    run: Run
    room: Callable[[int], str]
    name: str = ""
    request: Request = field(default_factory=Request)
    suffix: str = ".png"
    said: str = ""
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._lock, self._packing = threading.RLock(), threading.Lock()
        self._news = threading.Condition(self._lock)
        self._version, self._cut, self._numbers, self._packed = 0, 0, 0, 0
        self._halt = threading.Event()
        self._worker: threading.Thread | None = None
        self._looker: threading.Thread | None = None
        self._queued, self._closed = False, False
        self._turn: Turn | None = None
        self._under_way: Entry | None = None

    # what comes from the page

    @property
    def id(self) -> str:
        """Cannot be guessed: knowing it is the right to look."""
        return self.run.id

    @property
    def running(self) -> bool:
        """Whether photos are being restored."""
        return self._worker is not None

    @property
    def bytes(self) -> int:
        """What it holds on disk."""
        with self._lock:
            return self._packed + sum(entry.bytes + entry.made for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, path: Path, name: str) -> None:
        """Take a photo in: the upload at `path`, which stays for whoever else shows it."""
        size = path.stat().st_size
        full = self.room(size)
        if full:
            raise SettingsError(full)
        with self._lock:
            self._numbers += 1
            stem = distinct(stem_of(name), [entry.stem for entry in self._entries.values()])
            source = self.run.folder / "photos" / str(self._numbers) / f"{stem}{Path(shown_name(name)).suffix[:8]}"
            self._entries[self._numbers] = entry = Entry(self._numbers, shown_name(name), stem, source, size)
            _link(path, source)
            self._touch(entry)
            self._look_soon()

    def start(self, request: Request, suffix: str) -> None:
        """Restore what waits. A run that goes on keeps its settings, for photos dropped meanwhile too."""
        with self._lock:
            if self._closed or self.running:
                return
            if not any(entry.state in ("new", "waiting") for entry in self._entries.values()):
                raise ImageError("There is no photo waiting, so there is nothing to restore. Drop some photos first.")
            self.request, self.suffix, self.said = request, suffix, ""
            self._halt.clear()
            self.pace.restart()
            self._worker = threading.Thread(target=self._work, name="stepback-batch", daemon=True)
            self._worker.start()

    def stop(self, said: str = "") -> None:
        """End at the next network call. What is done stays; the photo under way waits again."""
        with self._lock:
            self.said = said or self.said
            self._halt.set()
            self._news.notify_all()

    def again(self, states: tuple[State, ...], number: int | None = None) -> None:
        """Photos that failed, or that are done, wait again: all of them, or one."""
        with self._lock:
            for entry in self._entries.values():
                if entry.state in states and number in (None, entry.number):
                    self._drop_result(entry)
                    entry.state, entry.share, entry.cost = "waiting" if entry.size else "new", 0.0, None
                    self._touch(entry)
            self._look_soon()

    def remove(self, number: int | None = None) -> None:
        """Take one photo out, or all of them; not the one that is being restored."""
        with self._lock:
            for entry in list(self._entries.values()):
                if number in (None, entry.number) and entry.state != "working":
                    del self._entries[entry.number]
                    self._drop_result(entry)
                    entry.source.unlink(missing_ok=True)
            self._drop_zip()
            self._version += 1
            self._cut = self._version
            self._news.notify_all()

    def close(self) -> None:
        """The page is gone for good: nothing more is begun. Its files are the store's to remove."""
        with self._lock:
            self._closed = True
            self.stop()

    # what goes to the page

    def look(self, since: int) -> dict[str, Any]:
        """How things stand: the whole, and each photo that changed after version `since`."""
        with self._lock:
            fresh = since <= 0 or since < self._cut or since > self._version
            rows = [e.told(thumbnail=True) for e in self._entries.values() if fresh or e.changed > since]
            return {"id": self.id, "version": self._version, "fresh": fresh, "rows": rows, "head": self._head()}

    def _head(self) -> dict[str, Any]:
        entries = list(self._entries.values())
        counts = {state: sum(entry.state == state for entry in entries) for state in STATES}
        waits = self.running and self._queued and not self._halt.is_set()
        left = self._left(entries) if self.running and not self._halt.is_set() else None
        return {
            "counts": counts, "total": len(entries), "running": self.running, "stopping": self._halt.is_set(),
            "queued": waits, "share": round(self._share(entries), 4), "said": self.said,
            "left": "" if left is None else duration(left), "looking": self._looker is not None,
            "bytes": _megabytes(self.bytes),
        }  # fmt: skip

    def _share(self, entries: list[Entry]) -> float:
        """How much of it all is done, by what each photo costs."""
        mean = _mean([e.cost for e in entries if e.cost]) or 1.0
        told = [e for e in entries if e.state != "failed" or e.size]  # what could not even be opened costs nothing
        costs = [(e.cost or mean, 1.0 if e.state in ("done", "failed") else e.share) for e in told]
        whole = sum(cost for cost, _ in costs)
        return sum(cost * share for cost, share in costs) / whole if whole else 0.0

    def _left(self, entries: list[Entry]) -> float | None:
        known = [e.cost for e in entries if e.cost]
        if not known:
            return None
        mean = _mean(known)
        open_ = [e for e in entries if e.state in ("new", "waiting", "working")]
        under_way = sum((e.cost or mean) * e.share for e in open_)
        to_come = sum((e.cost or mean) * (1 - e.share) for e in open_)
        return self.pace.left(to_come, under_way=under_way, photo=mean)

    def shown(self, number: int) -> dict[str, Any]:
        """Before and after of a photo that is done, for the viewer."""
        with self._lock:
            entry = self._entries.get(number)
            if entry is None or entry.outcome is None or entry.state != "done":
                raise ImageError("This photo is not restored (any more), so there is nothing to show. Choose another.")
        with _looking:
            after = images.load(entry.outcome.target, max_pixels=10 * self.desk.max_pixels).rgb
            height, width = after.shape[-2:]
            if height * width > viewer.LARGEST:
                after = images.shrink_to(after, int(max(height, width) * (viewer.LARGEST / (height * width)) ** 0.5))
            before = images.resize(images.load(entry.source, max_pixels=self.desk.max_pixels).rgb, after.shape[-2:])
            for old in self.run.folder.glob("shown-*"):
                old.unlink(missing_ok=True)
            pair = (("photo", "Before", before.clamp(0, 1)), ("result", "After", after))
            keep = partial(viewer.keep, self.store, self.name, self.run)
            pictures = [viewer.Shown(k, name, keep(f"shown-{number}-{k}", image), k) for k, name, image in pair]
        note = viewer.SMALLER if height * width > viewer.LARGEST else ""
        return viewer.value(f"{self.id}-{number}-{entry.changed}", pictures, note)

    def packed(self) -> Path:
        """The zip of all that is done until now."""
        with self._packing:
            with self._lock:
                ended = [entry for entry in self._entries.values() if entry.outcome is not None]
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

    # looking

    def _look_at_all(self) -> None:
        while True:
            with self._lock:
                entry = next((e for e in self._entries.values() if e.state == "new" and not self._closed), None)
                if entry is None:
                    self._looker = None
                    self._version += 1
                    self._news.notify_all()
                    return
            self._look_at(entry)

    def _look_at(self, entry: Entry) -> None:
        try:
            with _looking:
                rgb = images.load(entry.source, max_pixels=self.desk.max_pixels).rgb
                seen, pixels = diagnose(rgb), images.to_uint8(images.shrink_to(rgb, THUMBNAIL))
            entry.size, entry.task, entry.seen = tuple(rgb.shape[-2:]), seen.task, seen.sentence
            entry.thumbnail, state = export.data_uri(pixels), "waiting"
        except Exception as error:  # of this photo; the others are looked at all the same
            entry.outcome, state = Outcome(str(entry.source), "", "failed", sentence(error)), "failed"
        with self._lock:
            entry.state = state
            self._touch(entry)
            self._news.notify_all()

    # restoring

    def _work(self) -> None:
        run = batch.here(self.desk.library, turn=self._held, stop=self._halt.is_set, tell=self._hear)
        try:
            for outcome in batch.run_all(self._missing(), self.request, run):
                self._ended(outcome)
        except Exception as error:  # of the run, not of a photo
            self.said = sentence(error)
        with self._lock:
            for entry in self._entries.values():
                if entry.state == "working":
                    entry.state, entry.share = "waiting", 0.0
                    self._touch(entry)
            self._worker = None
            self._halt.clear()
            self._version += 1

    def _missing(self) -> Iterator[Item]:
        """The next photo that waits, as long as there is one or one is being looked at."""
        while True:
            with self._lock:
                if self._halt.is_set():
                    return
                entry = next((e for e in self._entries.values() if e.state == "waiting"), None)
                if entry is None and any(e.state == "new" for e in self._entries.values()):
                    self._news.wait(1.0)
                    continue
                self.said = self.room(entry.bytes) if entry is not None else self.said
                if entry is None or self.said:
                    return
                entry.state, entry.share, self._under_way = "working", 0.0, entry
                self._touch(entry)
            yield Item(entry.source, self.run.folder / "results" / f"{entry.stem}{self.suffix}")

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The device, for one photo; others come in between two photos, and where one takes long, between its steps."""
        self._queued = True
        try:
            with ExitStack() as held:
                self._turn = self._take_turn(held)
                self._queued = False
                self._foresee()
                yield
        finally:
            self._queued, self._turn = False, None

    def _take_turn(self, held: ExitStack) -> Turn:
        while True:
            try:
                return held.enter_context(
                    self.desk.turns.turn(self._halt.is_set, session=self.id, about={"tab": "batch"})
                )
            except SettingsError as full:  # a batch has time
                if self._halt.wait(PATIENCE):
                    raise Cancelled("The batch was stopped before its turn came.") from full

    def _foresee(self) -> None:
        """What each photo should cost: measured for each kind of network, once, while the device is ours."""
        with self._lock:
            unknown = [e for e in self._entries.values() if e.cost is None and e.state in ("waiting", "working")]
        for entry in unknown:
            ask = Ask(self.request.task, self.request.method, preset=self.request.preset, seen=entry.task)
            try:
                entry.cost = seconds(ask, entry.size, self.desk.library)[0]
            except RestoreError:
                entry.cost = 0.0  # its restoration will tell what is the matter
        if unknown:
            self.pace.begin()  # measuring is no part of any photo

    def _hear(self, item: Item, work: Job, frame: Frame | None) -> None:
        entry, turn = self._under_way, self._turn
        if entry is None or turn is None:
            return
        if frame is None:
            known = work.settings
            told = {"method": known.method, "variant": known.variant, "steps": known.steps, "samples": known.samples}
            turn.about.update(told, size=work.size)
            return
        entry.share = (frame.index + 1) / frame.total
        with self._lock:
            self._touch(entry)
        if not frame.done:
            self._queued = turn.paused
            turn.give_way(entry.share)

    def _ended(self, outcome: Outcome) -> None:
        with self._lock:
            entry = self._under_way
            if entry is None:
                return
            done = outcome.state == "done"
            entry.state, entry.outcome = ("done" if done else "failed"), outcome
            entry.made = Path(outcome.target).stat().st_size if done else 0
            self.pace.ended((entry.cost or 0.0) * (1.0 if done else entry.share))
            self._under_way = None
            self._touch(entry)

    # with the lock

    def _touch(self, entry: Entry) -> None:
        self._version += 1
        entry.changed = self._version

    def _look_soon(self) -> None:
        """Somebody looks at what is new."""
        if self._looker is None:
            self._looker = threading.Thread(target=self._look_at_all, name="stepback-look", daemon=True)
            self._looker.start()

    @staticmethod
    def _drop_result(entry: Entry) -> None:
        if entry.made and entry.outcome is not None:
            Path(entry.outcome.target).unlink(missing_ok=True)
        entry.made, entry.outcome = 0, None

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


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(1, round(size / 1e3))} kB"


__all__ = ["FORMATS", "Batch", "Entry"]
