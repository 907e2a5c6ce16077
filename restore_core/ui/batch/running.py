"""The run of one batch: batch.run_all on what waits, the device given away between photos."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from restore_core import batch
from restore_core.batch import Item, Outcome, Request
from restore_core.engine import Frame
from restore_core.errors import Cancelled, ImageError, SettingsError
from restore_core.job import Job
from restore_core.ui.batch.costs import Costs
from restore_core.ui.batch.entries import OPEN, Entries, Entry
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.turns import Turn

PATIENCE = 1.0  # seconds until a full queue is tried again


class Runner:
    """One thread, while there is something to restore.

    results   the folder of the results
    session   by which the turns know it
    room      a sentence where so many more bytes are too many, "" where there is room
    said      why the run ended before its end, "" where it did not
    """

    def __init__(self, desk: Desk, entries: Entries, results: Path, session: str, room: Callable[[int], str]):
        self.desk, self.entries, self.results, self.session, self.room = desk, entries, results, session, room
        self.costs, self.suffix = Costs(desk.library, entries), ".png"
        self.said, self._queued = "", False
        self._halt = threading.Event()
        self._thread: threading.Thread | None = None
        self._turn: Turn | None = None
        self._entry: Entry | None = None

    @property
    def queued(self) -> bool:
        """Whether somebody else has the device."""
        turn = self._turn
        return self._queued or (turn is not None and turn.paused)

    @property
    def running(self) -> bool:
        """Whether photos are being restored."""
        return self._thread is not None

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop and has not stopped yet."""
        return self.running and self._halt.is_set()

    def expect(self, request: Request) -> None:
        """What will be asked for; a run that goes on keeps what it was started with."""
        with self.entries.lock:
            if not self.running:
                self.costs.expect(request)

    def start(self, request: Request, suffix: str) -> None:
        """Restore what waits, and what comes meanwhile."""
        with self.entries.lock:
            if self.running:
                return
            if not self.entries.some(*OPEN):
                raise ImageError("There is no photo waiting, so there is nothing to restore. Drop some photos first.")
            self.costs.expect(request)
            self.suffix, self.said = suffix, ""
            self._halt.clear()
            self.costs.pace.restart()
            self._thread = threading.Thread(target=self._work, name="stepback-batch", daemon=True)
            self._thread.start()

    def stop(self, said: str = "") -> None:
        """End at the next network call. What is done stays; the photo under way waits again."""
        with self.entries.lock:
            if self.running:
                self.said = said or self.said
                self._halt.set()
                self.entries.news.notify_all()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the run; whether it has ended."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return not self.running

    # the thread

    def _work(self) -> None:
        run = batch.here(self.desk.library, turn=self._held, stop=self._halt.is_set, tell=self._hear)
        try:
            for outcome in batch.run_all(self._missing(), self.costs.request, run):
                self._ended(outcome)
        except Exception as error:  # of the run, not of a photo
            self.said = sentence(error)
        with self.entries.lock:
            for entry in self.entries:
                if entry.state == "working":
                    entry.state, entry.share = "waiting", 0.0
                    self.entries.touch(entry)
            self._entry = self._thread = None
            self.entries.touch()

    def _missing(self) -> Iterator[Item]:
        """The next photo that waits, as long as there is one, or one is being looked at."""
        while True:
            with self.entries.lock:
                if self._halt.is_set():
                    return
                entry = self.entries.first("waiting")
                if entry is None:
                    if not self.entries.some("new"):
                        return
                    self.entries.news.wait(1.0)
                    continue
                self.said = self.room(entry.bytes)
                if self.said:
                    return
                entry.state, entry.share, self._entry = "working", 0.0, entry
                self.entries.touch(entry)
            yield Item(entry.source, self.results / f"{entry.stem}{self.suffix}")

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The device for one photo; others come in between two photos, and between steps where one takes long."""
        self._queued = True
        try:
            with ExitStack() as held:
                self._turn = self._take_turn(held)
                self._queued = False
                self.costs.foresee()
                yield
        finally:
            self._queued, self._turn = False, None

    def _take_turn(self, held: ExitStack) -> Turn:
        while True:
            try:
                turn = self.desk.turns.turn(self._halt.is_set, session=self.session, about={"tab": "batch"})
                return held.enter_context(turn)
            except SettingsError as full:  # a batch has time
                if self._halt.wait(PATIENCE):
                    raise Cancelled("The batch was stopped before its turn came.") from full

    def _hear(self, item: Item, work: Job, frame: Frame | None) -> None:
        entry, turn = self._entry, self._turn
        if entry is None or turn is None:
            return
        if frame is None:
            asked = work.settings
            told = {"method": asked.method, "variant": asked.variant, "steps": asked.steps, "samples": asked.samples}
            turn.about.update(told, size=work.size)
            return
        entry.share = frame.share
        self.entries.touch(entry)
        if not frame.done:
            turn.give_way(entry.share)

    def _ended(self, outcome: Outcome) -> None:
        with self.entries.lock:
            entry, done = self._entry, outcome.state == "done"
            if entry is None:
                return
            entry.state, entry.outcome = ("done" if done else "failed"), outcome
            entry.made = Path(outcome.target).stat().st_size if done else 0
            entry.seen = outcome.sentence if done and outcome.sentence else entry.seen
            self.costs.ended(entry)
            self._entry = None
            self.entries.touch(entry)


__all__ = ["Runner"]
