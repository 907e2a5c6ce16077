"""Of a question that a page asks again before it was answered, only the newest answer is shown.

Handlers beside the queue run at once: a first estimate that has to measure its networks may be answered after the
next one, which found them measured, and would stand in its place.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

PAGES = 4096  # that are remembered, the longest silent out first


class Newest:
    """The last question of each page; one object for each place that answers are shown in."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, object] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, session: str) -> Callable[[], bool]:
        """A page asks; the function tells whether nothing was asked since."""
        mine = object()
        with self._lock:
            self._asked[session] = mine
            self._asked.move_to_end(session)
            while len(self._asked) > PAGES:
                self._asked.popitem(last=False)
        return lambda: self._asked.get(session, mine) is mine


__all__ = ["Newest"]
