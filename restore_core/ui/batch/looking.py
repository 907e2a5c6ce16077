"""What is seen in the photos of a batch before anybody starts it: their size, what they need, what they should cost."""

from __future__ import annotations

import threading

from restore_core import export, images
from restore_core.batch import Outcome
from restore_core.diagnosis import diagnose
from restore_core.ui.batch.entries import Entries, Entry
from restore_core.ui.batch.running import Runner
from restore_core.ui.desk import Desk, sentence

THUMBNAIL = 112  # pixels of the long side

one_large = threading.Lock()  # one large photo in memory at a time, however many batches there are


class Looker:
    """One thread, while there is a photo that nobody looked at, or a cost to be found out on a device that is free."""

    def __init__(self, desk: Desk, entries: Entries, runner: Runner):
        self.desk, self.entries, self.runner = desk, entries, runner
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def looking(self) -> bool:
        """Whether it is at work."""
        return self._thread is not None

    def look_soon(self) -> None:
        """There may be something new."""
        with self.entries.lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="stepback-look", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Look at nothing more."""
        self._closed = True

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread; whether it has ended."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return not self.looking

    # the thread

    def _work(self) -> None:
        while True:
            with self.entries.lock:
                entry = None if self._closed else self.entries.first("new")
                if entry is None and (self._closed or self.runner.running or not self._foreseeable):
                    self._thread = None
                    self.entries.touch()
                    return
            if entry is not None:
                self._look_at(entry)
            else:
                self.runner.costs.foresee()

    @property
    def _foreseeable(self) -> bool:
        """Whether costs are to be found out, and the device is free for it."""
        return not self.desk.turns.busy and any(e.cost is None and e.state == "waiting" for e in self.entries)

    def _look_at(self, entry: Entry) -> None:
        try:
            with one_large:
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


__all__ = ["Looker", "one_large"]
