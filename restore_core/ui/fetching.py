"""Downloads and checks that go on in the background, for all pages of the server alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from restore_core.checkpoints import files
from restore_core.checkpoints.sources import Checkpoint
from restore_core.errors import Cancelled
from restore_core.ui.desk import sentence

Stop = Callable[[], bool]
Tell = Callable[[int, int], None]  # bytes done, bytes in all (0: not known)


@dataclass
class Task:
    """One thing being done to one record's file. `said`: how it ended, where there is something to tell."""

    record: Checkpoint
    verb: str
    done: int = 0
    total: int = 0
    said: str = ""
    failed: bool = False
    running: bool = True
    halt: threading.Event = field(default_factory=threading.Event)
    _first: tuple[float, int] | None = None

    def tell(self, done: int, total: int) -> None:
        """So much of it is done."""
        if self._first is None:
            self._first = time.monotonic(), done
        self.done, self.total = done, total

    @property
    def rate(self) -> float:
        """Bytes a second since it began, 0 while that means nothing."""
        if self._first is None:
            return 0.0
        began, already = self._first
        elapsed = time.monotonic() - began
        return (self.done - already) / elapsed if elapsed > 0.5 else 0.0


class Fetching:
    """Safe between threads. A record has one task at a time; its last one stays until it is dismissed."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._lock = threading.Lock()

    def of(self, key: str) -> Task | None:
        """The record's present or last task."""
        return self._tasks.get(key)

    @property
    def busy(self) -> bool:
        """Whether anything is going on."""
        return any(task.running for task in list(self._tasks.values()))

    def get(self, record: Checkpoint) -> None:
        """Fetch its file."""
        self._start(record, "get", _get)

    def check(self, record: Checkpoint) -> None:
        """Compare its bytes with the published ones, open it, compare its parameters with the network's."""
        self._start(record, "check", _check)

    def stop(self, key: str) -> None:
        """End its task; what was fetched is kept."""
        task = self.of(key)
        if task is not None:
            task.halt.set()

    def dismiss(self, key: str) -> None:
        """Forget a task that has ended."""
        with self._lock:
            task = self._tasks.get(key)
            if task is not None and not task.running:
                del self._tasks[key]

    def _start(self, record: Checkpoint, verb: str, work: Callable[[Task], str]) -> None:
        with self._lock:
            present = self._tasks.get(record.key)
            if present is not None and present.running:
                return
            task = self._tasks[record.key] = Task(record, verb)
        threading.Thread(target=self._run, args=(task, work), name=f"stepback-{verb}", daemon=True).start()

    @staticmethod
    def _run(task: Task, work: Callable[[Task], str]) -> None:
        try:
            task.said = work(task)
        except Cancelled as stopped:
            task.said = str(stopped)
        except Exception as error:  # the page tells it; a thread has nobody to raise to
            task.said, task.failed = sentence(error), True
        task.running = False


def _get(task: Task) -> str:
    from restore_core.checkpoints import download  # imports the hub's client, which only this needs

    download.get(task.record, progress=task.tell, stop=task.halt.is_set)
    return ""


def _check(task: Task) -> str:
    path = files.locate(task.record)
    task.tell(0, path.stat().st_size)
    compared = files.verify(task.record, path)
    files.check(task.record, path)
    same = "its bytes are the published ones" if compared else "no checksum was published to compare its bytes with"
    return f"Checked: a whole network of the right kind and size, all numbers finite, and {same}."


__all__ = ["Fetching", "Task"]
