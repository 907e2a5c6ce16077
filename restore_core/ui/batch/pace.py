"""Time left of a batch, that stays right: photos differ in size and work, and others have turns in between."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

LOOKED_BACK, AT_LEAST = 8, 30.0  # photos, and seconds
TRUSTED = 0.5  # of a photo: so much weight has what was foreseen until one has ended, then ever less


class Pace:
    """What is to come takes as much more, or less, than foreseen as what has just been done.

        left = foreseen(to come) (seconds gone + w) / (foreseen(done) + w),   w = TRUSTED foreseen(one) / (1 + n)^2

    over the last n photos, their waits for a turn included: so few that a change of pace is soon told, so many that
    chance does not make it jump. Costs are in seconds as foreseen, so that the quotient begins at 1.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._marks: deque[tuple[float, float]] = deque()  # (when, foreseen cost done by then)
        self.restart()

    def restart(self) -> None:
        """A run begins; what the last one was held up by is not counted, how fast it was is forgotten."""
        self._marks.clear()
        self._marks.append((self._clock(), 0.0))

    def begin(self) -> None:
        """The first photo begins only now; no matter where one has ended."""
        if len(self._marks) == 1:
            self.restart()

    def ended(self, cost: float) -> None:
        """A photo of this foreseen cost has ended."""
        _, done = self._marks[-1]
        self._marks.append((self._clock(), done + cost))
        while len(self._marks) > LOOKED_BACK + 1 and self._clock() - self._marks[1][0] > AT_LEAST:
            self._marks.popleft()

    def left(self, to_come: float, *, under_way: float = 0.0, photo: float = 1.0) -> float:
        """Seconds for a cost `to_come`, the photo under way having had `under_way` of its cost done.

        photo   the cost of one, about
        """
        (began, before), (_, done) = self._marks[0], self._marks[-1]
        measured, gone = done - before + under_way, self._clock() - began
        weight = TRUSTED * photo / len(self._marks) ** 2
        return to_come * (gone + weight) / (measured + weight) if measured + weight > 0 else 0.0


__all__ = ["Pace"]
