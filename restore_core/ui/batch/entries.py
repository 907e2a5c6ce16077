"""The photos of one batch and how each stands.

    new  ->  waiting  ->  working  ->  done
      \\          ^                \\->  failed          (Try again: back to waiting)
       \\-> failed \\-- stopped --/
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from restore_core.batch import Outcome
from restore_core.ui.batch.names import distinct, shown_name, stem_of, suffix_of

State = Literal["new", "waiting", "working", "done", "failed"]
STATES: tuple[State, ...] = ("new", "waiting", "working", "done", "failed")
OPEN: tuple[State, ...] = ("new", "waiting", "working")


@dataclass
class Entry:
    """One photo of a batch.

    name      as it came;   stem: its result's name without suffix, unlike every other's in the batch
    bytes     of the photo;   made: of its result
    task, seen   what it seems to need, and the sentence that says why
    share     how much of its restoration is done, 0 to 1
    cost      seconds that its restoration should take; None while not known, 0 where nothing tells
    changed   the version of the batch in which it last changed;   drawn: in which its thumbnail came
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
    drawn: int = 0

    @property
    def ended(self) -> bool:
        """Whether it is done or has failed."""
        return self.state in ("done", "failed")

    def forget_result(self) -> None:
        """Remove what was made of it."""
        if self.made and self.outcome is not None:
            Path(self.outcome.target).unlink(missing_ok=True)
        self.made, self.outcome, self.share, self.cost = 0, None, 0.0, None

    def told(self) -> dict[str, Any]:
        """For the page."""
        outcome = self.outcome
        return {
            "n": self.number, "name": self.name, "state": self.state, "share": round(self.share, 3),
            "size": f"{self.size[1]} × {self.size[0]}" if self.size else "", "bytes": megabytes(self.bytes),
            "seen": self.seen, "said": outcome.sentence if outcome and self.state == "failed" else "",
            "seconds": round(outcome.seconds, 1) if outcome and self.state == "done" else None,
        }  # fmt: skip


class Entries:
    """In the order in which they came. Safe between threads: hold `lock` where several steps belong together."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.news = threading.Condition(self.lock)
        self.version = 0
        self._all: dict[int, Entry] = {}
        self._gone: dict[int, int] = {}  # number -> version in which it was taken out
        self._numbers = 0

    def __iter__(self) -> Iterator[Entry]:
        with self.lock:
            return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, entry: Entry) -> bool:
        return entry.number in self._all

    @property
    def bytes(self) -> int:
        """Of photos and results."""
        return sum(entry.bytes + entry.made for entry in self)

    def get(self, number: int) -> Entry | None:
        """The photo of this number, which may come from a browser."""
        return self._all.get(number)

    def first(self, state: State) -> Entry | None:
        """The one in this state that came first."""
        return next((entry for entry in self if entry.state == state), None)

    def some(self, *states: State) -> bool:
        """Whether one is in any of these states."""
        return any(entry.state in states for entry in self)

    def add(self, name: str, folder: Path, size: int) -> Entry:
        """A new one, called `name` by a browser; its file is to lie at `source`, in a folder of its own."""
        with self.lock:
            self._numbers += 1
            stem = distinct(stem_of(name), [entry.stem for entry in self._all.values()])
            source = folder / str(self._numbers) / f"{stem}{suffix_of(name)}"
            entry = self._all[self._numbers] = Entry(self._numbers, shown_name(name), stem, source, size)
            self.touch(entry)
            return entry

    def discard(self, entry: Entry) -> None:
        """Take it out, with its files."""
        with self.lock:
            self._all.pop(entry.number, None)
            entry.forget_result()
            entry.source.unlink(missing_ok=True)
            self.touch()
            self._gone[entry.number] = self.version

    def touch(self, entry: Entry | None = None) -> None:
        """It has changed, or the whole has."""
        with self.lock:
            self.version += 1
            if entry is not None:
                entry.changed = self.version
            self.news.notify_all()

    def told(self, since: int) -> dict[str, Any]:
        """What changed after version `since`, and the numbers of what is gone; all (fresh) where that is no version."""
        with self.lock:
            fresh = not 0 < since <= self.version
            rows = [
                e.told() | ({"thumbnail": e.thumbnail} if fresh or e.drawn > since else {})
                for e in self
                if fresh or e.changed > since
            ]
            gone = [] if fresh else [number for number, version in self._gone.items() if version > since]
            return {"version": self.version, "fresh": fresh, "rows": rows, "gone": gone}


def megabytes(size: int) -> str:
    """Bytes in words."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(1, round(size / 1e3))} kB"


__all__ = ["OPEN", "STATES", "Entries", "Entry", "State", "megabytes"]
