"""What each photo of a batch should cost, how much of it all is done, and the time that is left."""

from __future__ import annotations

from restore_core.batch import Request
from restore_core.errors import RestoreError
from restore_core.library import Library
from restore_core.ui.asking import Ask, seconds
from restore_core.ui.batch.entries import Entries, Entry
from restore_core.ui.batch.pace import Pace


class Costs:
    """Costs in seconds, foreseen for one request; `pace` corrects them by how long it takes in truth."""

    def __init__(self, library: Library, entries: Entries):
        self.library, self.entries = library, entries
        self.request, self.pace = Request(), Pace()

    def expect(self, request: Request) -> None:
        """What will be asked for: what was foreseen for something else is forgotten."""
        with self.entries.lock:
            if request == self.request:
                return
            self.request = request
            for entry in self.entries:
                if not entry.ended:
                    entry.cost = None

    def foresee(self) -> None:
        """What each photo should cost: measured for each kind of network, once, on a device that is free or ours."""
        unknown = [e for e in self.entries if e.cost is None and e.state in ("waiting", "working")]
        for entry in unknown:
            entry.cost = self._seconds(entry)
        if unknown:
            self.pace.begin()  # measuring is no part of any photo

    def _seconds(self, entry: Entry) -> float:
        request = self.request
        ask = Ask(request.task, request.method, preset=request.preset, seen=entry.task)
        try:
            settings = ask.settings(self.library.precision)
            return seconds(settings, request.size_of(entry.size), self.library)[0]
        except RestoreError:
            return 0.0  # its restoration will tell what is the matter

    def ended(self, entry: Entry) -> None:
        """This photo's turn is over; of one that failed, what was done of it counts."""
        self.pace.ended((entry.cost or 0.0) * (1.0 if entry.state == "done" else entry.share))

    def share(self) -> float:
        """How much of it all is done, by what each photo costs; what could not even be opened costs nothing."""
        told = [e for e in self.entries if e.state != "failed" or e.size]
        mean = self._mean() or 1.0
        whole = sum(e.cost or mean for e in told)
        return sum((e.cost or mean) * (1.0 if e.ended else e.share) for e in told) / whole if whole else 0.0

    def left(self, *, running: bool) -> float | None:
        """Seconds to the end of the run, or that it would take; None while nothing tells."""
        mean, todo = self._mean(), [e for e in self.entries if not e.ended]
        if not mean or not todo:
            return None
        under_way = sum((e.cost or mean) * e.share for e in todo)
        to_come = sum((e.cost or mean) * (1 - e.share) for e in todo)
        return self.pace.left(to_come, under_way=under_way, photo=mean) if running else to_come

    def _mean(self) -> float:
        known = [e.cost for e in self.entries if e.cost]
        return sum(known) / len(known) if known else 0.0


__all__ = ["Costs"]
