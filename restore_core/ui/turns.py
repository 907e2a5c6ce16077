"""Who has the one device: visitors in turn, first whoever had least of it.

Start-time fair queueing (Goyal, Vin and Cheng 1996) between sessions. A session's clock runs by the seconds that it
held the device; those who wait are served in the order of their clocks. A newcomer's clock starts at that of the run
being served, so neither being away nor pressing ten times buys anything. A run that held the device for SLICE seconds
gives way between two of its steps and goes on when its turn comes again: a short job never waits for a whole long one.
Waiting sets a clock back, and no clock counts as more than MOST ahead, so a long job gets on among any crowd of short.

The device belongs to the worker that entered turn(), not to a connection, and leaving turn() frees it, however that
happens.

    with turns.turn(stop, session="...") as mine:      # Cancelled if `stop` comes first
        for frame in frames:
            mine.give_way(share_done)                  # optional: lets others in, waits for the next turn
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from restore_core.errors import Cancelled, SettingsError

LOG = logging.getLogger("stepback")
SLICE = 15.0  # seconds after which a run lets others in
MOST = 60.0  # seconds that a session's use of the device counts against it at most
AGEING = 0.25  # seconds that a second of waiting counts for
PLACES = 64  # runs that may wait, of all sessions
AT_ONCE = PLACES + 8  # handlers of runs that are open at once: those who wait are among them
EACH = 3  # runs that may wait, of one session
PAUSED_PIXELS = 40_000_000  # of the results of runs that gave way: their states stay in memory
POLL = 0.1  # seconds between two looks at `stop`
ENDING = "The server ends, so the run was stopped."
REMEMBERED = 16  # runs that a guess of durations looks back on

Stop = Callable[[], bool]


@dataclass(eq=False)
class Turn:
    """One run's place in the queue, then its hold of the device; times in seconds.

    about    what is told of it in the log and guessed from: method, variant, size, steps, samples
    share    how much of it is done, 0 to 1
    waited   before its first hold;   away: between its holds;   held: all its holds until now
    """

    turns: Turns
    stop: Stop
    session: str
    number: int
    about: dict[str, Any]
    share: float = 0.0
    waited: float = 0.0
    away: float = 0.0
    paused: bool = False
    _since: float = field(default_factory=time.monotonic)
    _before: float = 0.0
    _holds: bool = False

    @property
    def held(self) -> float:
        """Seconds on the device, until now."""
        return self._before + (time.monotonic() - self._since if self._holds else 0.0)

    def give_way(self, share: float = 0.0) -> bool:
        """Between two steps: whether others were let in; returns when the device is this run's again."""
        self.share = share
        return self.turns._give_way(self)

    @property
    def kind(self) -> tuple[Any, Any]:
        """What runs of like speed have in common."""
        return self.about.get("method"), self.about.get("variant")

    @property
    def pixels(self) -> int:
        """Of the result."""
        height, width = self.about.get("size") or (1000, 1000)
        return int(height) * int(width)

    @property
    def work(self) -> float:
        """Pixels times steps times samples; 0 where not told."""
        if not self.about.get("size"):
            return 0.0
        return self.pixels * float(self.about.get("steps") or 0) * float(self.about.get("samples") or 1)

    def _begin(self) -> None:
        now = time.monotonic()
        if self.paused:
            self.away += now - self._since
        else:
            self.waited += now - self._since
        self._since, self._holds, self.paused = now, True, False

    def _end(self) -> float:
        now = time.monotonic()
        held = now - self._since
        self._before += held
        self._since, self._holds = now, False
        return held


class Turns:
    """One device and those who want it. `note` is told of every run when it ends."""

    def __init__(
        self,
        places: int = PLACES,
        each: int = EACH,
        *,
        slice: float = SLICE,
        note: Callable[[Mapping[str, Any]], None] = lambda entry: None,
    ):
        self.places, self.each, self.slice, self.note = places, each, slice, note
        self.done = 0
        self.closed = False  # the server ends
        self._free = threading.Condition()
        self._waiting: list[Turn] = []
        self._holder: Turn | None = None
        self._clocks: dict[str, float] = {}
        self._served, self._numbers = 0.0, 0
        self._rates: dict[tuple[Any, Any], deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._recent: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def busy(self) -> bool:
        """Whether a run holds the device."""
        return self._holder is not None

    @property
    def queue(self) -> int:
        """How many runs wait."""
        return len(self._waiting)

    @contextmanager
    def turn(self, stop: Stop, *, session: str = "", about: Mapping[str, Any] | None = None) -> Iterator[Turn]:
        """Hold the device; Cancelled if `stop` comes first, SettingsError where too many wait."""
        with self.place(stop, session=session, about=about) as mine:
            self.take(mine)
            yield mine

    @contextmanager
    def place(self, stop: Stop, *, session: str = "", about: Mapping[str, Any] | None = None) -> Iterator[Turn]:
        """A place in the queue, to be looked at from elsewhere while take() waits; left behind with the block."""
        mine, outcome = self._queue_up(stop, session, dict(about or {})), "failed"
        try:
            yield mine
            outcome = "done"
        except (Cancelled, GeneratorExit):
            outcome = "stopped"
            raise
        finally:
            self._leave(mine, outcome)

    def take(self, turn: Turn) -> None:
        """Wait for the device."""
        with self._free:
            while self._holder is not None or self._order()[0] is not turn:
                self._free.wait(POLL)
                if self.closed or turn.stop():
                    raise Cancelled("The run was stopped before its turn came.")
            self._waiting.remove(turn)
            self._holder, self._served = turn, self._clock(turn.session)
            turn._begin()

    def close(self, patience: float = 0.0) -> bool:
        """The server ends: nobody gets the device any more, and who has it loses it between two steps.

        Whether it was free within `patience` seconds.
        """
        with self._free:
            self.closed = True
            self._free.notify_all()
            return self._free.wait_for(lambda: self._holder is None, patience)

    def wait_of(self, turn: Turn) -> tuple[int, float | None]:
        """(place in the queue from 1 on, or 0 on the device; seconds until its turn, None where nothing tells)."""
        with self._free:
            order = self._order()
            if turn not in order:
                return 0, 0.0
            place = order.index(turn)
            holder = self._holder
            ahead = [self._left_of(holder)] if holder is not None else []
            ahead += [self._left_of(other) for other in order[:place]]
        known = [min(left, self.slice) for left in ahead if left is not None]
        return place + 1, sum(known) if len(known) == len(ahead) else None

    # between threads: what follows is called with the lock, or takes it

    def _queue_up(self, stop: Stop, session: str, about: dict[str, Any]) -> Turn:
        with self._free:
            if self.closed:
                raise Cancelled(ENDING)
            if len(self._waiting) >= self.places:
                raise SettingsError(
                    f"{len(self._waiting)} runs are waiting already and there is one device, so the queue is full. "
                    f"Press again in a minute."
                )
            own = sum(other.session == session for other in self._waiting) if session else 0
            if own >= self.each:
                raise SettingsError(
                    f"{own} runs of this page are waiting already, so the others have their turns first. Wait for one "
                    f"of yours to end, or stop one."
                )
            self._numbers += 1
            turn = Turn(self, stop, session, self._numbers, about)
            self._clocks[session] = max(self._clocks.get(session, 0.0), self._served)
            self._waiting.append(turn)
            return turn

    def _give_way(self, turn: Turn) -> bool:
        if self.closed:
            raise Cancelled(ENDING)
        if not self._waiting or time.monotonic() - turn._since < self.slice:
            return False  # without the lock: a run asks after every step
        with self._free:
            held_up = sum(other.pixels for other in self._waiting if other.paused)
            others = any(other.session != turn.session for other in self._waiting)
            if not others or held_up + turn.pixels > PAUSED_PIXELS:
                return False
            self._release(turn)
            turn.paused = True
            self._waiting.append(turn)
        self.take(turn)
        return True

    def _release(self, turn: Turn) -> None:
        self._clocks[turn.session] = self._clock(turn.session, 0.0) + turn._end()
        self._holder = None
        self._free.notify_all()

    def _leave(self, turn: Turn, outcome: str) -> None:
        with self._free:
            if self._holder is turn:
                self._release(turn)
            else:
                turn.waited += 0.0 if turn.paused else time.monotonic() - turn._since
                with suppress(ValueError):
                    self._waiting.remove(turn)
            if outcome == "done":
                self._learn(turn)
            self.done += 1
            self._forget()
        try:
            self.note(_told(turn, outcome))
        except Exception:  # the book may fail; the device is free and the run has ended all the same
            LOG.exception("a run could not be noted")

    def _clock(self, session: str, running: float | None = None) -> float:
        """Seconds of this session, with those of the run that holds the device."""
        holder = self._holder
        if running is None:
            running = time.monotonic() - holder._since if holder is not None and holder.session == session else 0.0
        return self._clocks.get(session, self._served) + running

    def _order(self) -> list[Turn]:
        """Those who wait, in the order in which they will be served if nobody comes."""
        clocks: dict[str, float] = {}
        tagged, now = [], time.monotonic()
        for turn in self._waiting:
            clock = clocks.setdefault(turn.session, min(self._clock(turn.session), self._served + MOST))
            tagged.append((clock - AGEING * (now - turn._since), turn.number, turn))
            clocks[turn.session] = clock + (self._left_of(turn) or 1.0)
        return [turn for _, _, turn in sorted(tagged, key=lambda one: one[:2])]

    def _left_of(self, turn: Turn) -> float | None:
        """Seconds on the device that the run will still take, from its own pace or that of runs like it."""
        if turn.share > 0.02:
            return turn.held * (1 - turn.share) / turn.share
        rates = self._rates.get(turn.kind)
        if rates and turn.work:
            return max(0.0, statistics.median(rates) * turn.work - turn.held)
        return max(0.0, statistics.median(self._recent) - turn.held) if self._recent else None

    def _learn(self, turn: Turn) -> None:
        self._recent.append(turn.held)
        if turn.work:
            self._rates[turn.kind].append(turn.held / turn.work)

    def _forget(self) -> None:
        """Clocks that say no more than the common one; all of them, where nobody is here."""
        here = {turn.session for turn in self._waiting} | ({self._holder.session} if self._holder else set())
        if not here:
            self._clocks, self._served = {}, 0.0
        self._clocks = {s: clock for s, clock in self._clocks.items() if s in here or clock > self._served}


def _told(turn: Turn, outcome: str) -> dict[str, Any]:
    times = {"waited": round(turn.waited + turn.away, 3), "seconds": round(turn.held, 3)}
    return {"session": turn.session, **turn.about, **times, "outcome": outcome}


__all__ = ["Turn", "Turns"]
