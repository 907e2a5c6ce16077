"""One press of Run sweep, from the photo's file to the last point, as a plain generator of messages for the page.

The runs belong to a worker thread, which holds the device and looks at no picture but a finished one. The page's side
wakes for each point, and twice a second for the line that says how far it is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from restore_core.counting import counted
from restore_core.engine import Frame
from restore_core.errors import Cancelled, SettingsError
from restore_core.library import card
from restore_core.settings import Settings
from restore_core.tradeoff import Request, run
from restore_core.tradeoff.running import missing
from restore_core.tradeoff.sweep import calls_of
from restore_core.ui.asking import duration
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.planning import Ask, Board, Foresight, board, cost
from restore_core.ui.running import waits
from restore_core.ui.turns import Turn

PERIOD = 0.5  # seconds between two lines about progress


@dataclass(frozen=True)
class Message:
    """One thing to show: the board when it has a new point, the share done, and words."""

    caption: str
    share: float
    board: Board | None = None
    text: str = ""
    failed: bool = False


class TooLong(SettingsError):
    """A sweep of which a person is asked first."""


class Sweeping:
    """One sweep in a thread of its own; `stop` and `join` are a Stream's, so that the page can end either.

    weigh   whether it is not known yet that it is short: that is seen to when the device is its own
    """

    def __init__(
        self, desk: Desk, found: Board, plan: Sequence[Request], session: str = "", *, weigh: bool = False
    ):
        self.board, self.plan, self.weigh = found, plan, weigh
        self.total = sum(max(map(calls_of, group)) for group in missing(plan, found.journal))
        self.calls, self.done, self.waiting = 0, 0, True
        self.error: BaseException | None = None
        self.stopped = self.ended = False
        self._session, self._about = session, {"task": "sweep", "steps": self.total}
        self._desk, self._halt, self._news = desk, threading.Event(), threading.Condition()
        self._now: tuple[Settings, int, int] | None = None
        self._turn: Turn | None = None
        self._thread = threading.Thread(target=self._work, name="stepback-sweep", daemon=True)

    def start(self) -> Sweeping:
        """Begin as soon as the device is free."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End at the next network call; every finished point is kept."""
        self._halt.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop: it may still be at its last network call."""
        return self._halt.is_set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the worker; whether it has ended. One that could not begin has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def news(self) -> Iterator[int]:
        """The number of points so far: after each, every PERIOD, and at the end."""
        seen, ended = 0, False
        while not ended:
            with self._news:
                self._news.wait_for(lambda known=seen: self.done > known or self.ended, PERIOD)
                seen, ended = self.done, self.ended
            yield seen

    @property
    def share(self) -> float:
        """How much of the network calls is done."""
        now = self._now
        return min(1.0, (self.calls + (0 if now is None else now[1])) / self.total) if self.total else 1.0

    @property
    def left(self) -> float | None:
        """Seconds to come, at the pace so far; None in the first moments."""
        spent, share = 0.0 if self._turn is None else self._turn.held, self.share
        return spent * (1 - share) / share if spent > 3 and share > 0.02 else None

    @property
    def waits(self) -> tuple[int, float | None]:
        """(place in the queue, 0 on the device; seconds until its turn)."""
        return (1, None) if self._turn is None else self._desk.turns.wait_of(self._turn)

    @property
    def where(self) -> str:
        """The run of this moment."""
        now = self._now
        return "" if now is None else f"{card(now[0].method).title}, step {now[1]} of {now[2]}"

    def _work(self) -> None:
        try:
            with self._desk.turns.place(self._halt.is_set, session=self._session, about=self._about) as mine:
                self._turn = mine
                self._desk.turns.take(mine)
                self.waiting = False
                if self.weigh:
                    _refuse_long(cost(self._desk, self.board, self.plan, mine=True))
                self._measure(mine)
        except Cancelled:
            self.stopped = True
        except BaseException as error:  # the page's side tells it; a thread has nobody to raise to
            self.error = error
        with self._news:
            self.ended = True
            self._news.notify_all()

    def _measure(self, mine: Turn) -> None:
        found, library = self.board, self._desk.library
        points = run(
            self.plan, found.subject, found.journal, library.method, stop=self._halt.is_set, watch=self._watch
        )
        for _ in points:
            with self._news:
                self.done += 1
                self._news.notify_all()
            if self._halt.is_set():
                raise Cancelled("The sweep was stopped.")
            mine.give_way(self.share)  # between two points: inside one, its time is measured

    def _watch(self, settings: Settings, frame: Frame) -> None:
        if frame.done:
            self.calls, self._now = self.calls + calls_of(settings), None
        else:
            self._now = settings, round(frame.share * calls_of(settings)), calls_of(settings)


def sweeping(desk: Desk, session: str, ask: Ask, *, agreed: bool = False) -> Iterator[Message]:
    """Measure what is missing. Closing the generator ends it; every error becomes a message."""
    try:
        yield Message("Looking at your photo", 0.0)
        found = board(desk, ask)
        plan = ask.plan(desk.library.precision)
        seen = Foresight("", large=False) if agreed else cost(desk, found, plan)
        _refuse_long(seen)
        yield from _sweep(desk, session, found, plan, weigh=seen.pending)
    except TooLong as error:
        yield Message("Not begun", 0.0, found, str(error), failed=True)
    except Exception as error:  # whatever happens, the page gets a sentence and stays usable
        yield Message("Not swept", 0.0, text=sentence(error), failed=True)


def _refuse_long(seen: Foresight) -> None:
    if seen.large:
        raise TooLong(f"{seen.sentence} That is long: tick the box to begin all the same, or name fewer values.")


def _sweep(desk: Desk, session: str, found: Board, plan: Sequence[Request], weigh: bool) -> Iterator[Message]:
    there = sum(found.journal.get(r.settings) is not None for r in plan)
    points = counted(len(plan), "point")
    yield Message(f"{there} of {points}", 0.0, found)
    work = Sweeping(desk, found, plan, session, weigh=weigh)
    with desk.store.running(session, work):
        seen = 0
        for done in work.news():
            fresh, seen = done > seen, done
            yield Message(_caption(work, there + done, len(plan)), work.share, found if fresh else None)
    done = there + work.done
    if work.stopped:
        text = f"Stopped with {done} of {points}, which are kept. Run sweep goes on from here, later too."
        yield Message(f"Stopped · {done} of {points}", work.share, found, text)
        return
    yield Message(f"Finished · {points}", 1.0, found)


def _caption(work: Sweeping, done: int, of: int) -> str:
    place, until = work.waits
    if work.stopping:
        return f"Stopping · {done} of {counted(of, 'point')}"
    if place:
        return waits(place, until, begun=not work.waiting)
    left = work.left
    parts = [f"{done} of {counted(of, 'point')}", work.where, f"{duration(left)} left" if left and left > 1 else ""]
    return " · ".join(filter(None, parts))
