"""What the server keeps for each open page: its runs' pictures as encoded bytes and files, within limits.

A page's oldest results make room for its new ones; then, where all pages together hold too much, the oldest of others;
then whole pages that have been still the longest. What runs is never taken.
"""

from __future__ import annotations

import atexit
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restore_core.errors import SettingsError
from restore_core.ui.streaming import Stream

RUNS = 30  # a session
SESSION_BYTES = 300_000_000
TOTAL_BYTES = 2_000_000_000
SESSIONS = 500  # that hold anything
PHOTOS, PHOTO_BYTES = 100, 1_000_000_000  # that one page of a public server may restore
FOLDER = "stepback-page-"  # of one server's uploads and results, in the system's temporary folder
ABANDONED = 2 * 86400  # seconds after which such a folder is of a server that was killed

Moment = tuple[bytes, bytes]  # x_t and the guess as JPEG


@dataclass(frozen=True)
class Result:
    """What a restoration ended with: enough to write it down, and to run it again.

    source    the photo's file, and whether a `smaller` copy of it was restored
    record    as job.Job.record makes it
    """

    source: str
    smaller: bool
    record: Mapping[str, Any]
    before: Path
    after: Path
    facts: tuple[tuple[str, str], ...]


@dataclass
class Run:
    """One run's pictures. The id cannot be guessed, so knowing it is the right to look."""

    id: str
    folder: Path
    moments: list[Moment] = field(default_factory=list)
    thumbnails: list[dict[str, Any]] = field(default_factory=list)
    bytes: int = 0
    result: Result | None = None


class SessionStore:
    """Safe between threads. The oldest runs make room; a session's newest never does."""

    def __init__(
        self,
        root: Path,
        *,
        runs: int = RUNS,
        session_bytes: int = SESSION_BYTES,
        total_bytes: int = TOTAL_BYTES,
        sessions: int = SESSIONS,
    ):
        self.root, self.runs, self.session_bytes, self.total_bytes = root, runs, session_bytes, total_bytes
        self.sessions = sessions
        self._photos: dict[str, dict[str, int]] = {}
        self._displaced: set[str] = set()
        self._sessions: OrderedDict[str, OrderedDict[str, Run]] = OrderedDict()
        self._streams: dict[str, Stream] = {}
        self._lock = threading.RLock()

    def open(self, session: str) -> Run:
        """A new run of this session, with a folder of its own."""
        run_id = secrets.token_urlsafe(9)
        run = Run(run_id, self.root / f"stepback-{run_id}")
        run.folder.mkdir(parents=True)
        with self._lock:
            self._sessions.setdefault(session, OrderedDict())[run.id] = run
            self._make_room(session)
        return run

    def bring(self, session: str, path: str) -> None:
        """The page wants this photo restored; SettingsError where it has brought as many as one page may."""
        size = Path(path).stat().st_size if Path(path).is_file() else 0
        with self._lock:
            brought = self._photos.get(session, {})
            if path in brought:
                return
            total = sum(brought.values()) + size
            if len(brought) >= PHOTOS or total > PHOTO_BYTES:
                raise SettingsError(
                    f"This page has brought {len(brought)} photos ({sum(brought.values()) / 1e6:.0f} MB), as many as "
                    f"one page of a shared server may. Keep what you made, then open the page anew to go on."
                )
            self._photos.setdefault(session, brought)[path] = size

    def made_room(self, session: str) -> str:
        """A sentence, once, where older results of this page had to go."""
        with self._lock:
            if session not in self._displaced:
                return ""
            self._displaced.discard(session)
        return "To make room, the oldest results of this page were removed from the server. Download what you need."

    def keep_moment(self, session: str, run: Run, moment: Moment) -> int:
        """Store one thumbnail's full preview; its number."""
        run.moments.append(moment)
        self._grow(session, run, sum(map(len, moment)))
        return len(run.moments) - 1

    def keep_file(self, session: str, run: Run, name: str, write: Callable[[Path], object]) -> Path:
        """Let `write` make the file called `name` in the run's folder; its path."""
        path = run.folder / name
        write(path)
        self._grow(session, run, path.stat().st_size)
        return path

    def moment(self, run_id: object, number: object) -> Moment | None:
        """A stored preview; None for anything that is not (or no longer) there. Both come from a browser."""
        if not isinstance(run_id, str) or type(number) is not int:
            return None
        with self._lock:
            for runs in self._sessions.values():
                if run_id in runs:
                    moments = runs[run_id].moments
                    return moments[number] if 0 <= number < len(moments) else None
        return None

    def finished(self, session: str) -> Run | None:
        """The session's newest run that has a result."""
        with self._lock:
            runs = list(self._sessions.get(session, {}).values())
        return next((run for run in reversed(runs) if run.result is not None), None)

    def attach(self, session: str, stream: Stream) -> None:
        """Remember the session's running stream, so that it can be stopped; an older one is stopped."""
        with self._lock:
            self.stop(session)
            self._streams[session] = stream

    def detach(self, session: str, stream: Stream) -> None:
        """The stream has ended."""
        with self._lock:
            if self._streams.get(session) is stream:
                del self._streams[session]

    @contextmanager
    def running(self, session: str, stream: Stream) -> Iterator[None]:
        """Begin the session's stream; with the block it has ended, however that happens, and its error is raised."""
        self.attach(session, stream)
        try:
            stream.start()
            yield
        finally:
            stream.stop()
            stream.join()
            self.detach(session, stream)
        if stream.error is not None:
            raise stream.error

    def stop(self, session: str) -> bool:
        """Stop what the session is running; whether there was anything."""
        with self._lock:
            stream = self._streams.get(session)
        if stream is not None:
            stream.stop()
        return stream is not None

    def drop(self, session: str) -> None:
        """The page is closed: stop its run, forget its pictures, remove its files."""
        self.stop(session)
        with self._lock:
            self._streams.pop(session, None)
            self._photos.pop(session, None)
            self._displaced.discard(session)
            runs = self._sessions.pop(session, {})
        for run in list(runs.values()):
            shutil.rmtree(run.folder, ignore_errors=True)

    def used(self, session: str | None = None) -> int:
        """Bytes held for one session, or for all."""
        with self._lock:
            held = self._sessions.values() if session is None else [self._sessions.get(session, {})]
            return sum(run.bytes for runs in held for run in runs.values())

    def _grow(self, session: str, run: Run, size: int) -> None:
        with self._lock:
            run.bytes += size
            self._make_room(session)

    def _make_room(self, session: str) -> None:
        runs = self._sessions.get(session)
        if runs is None:  # the page was closed meanwhile
            return
        self._sessions.move_to_end(session)
        while len(runs) > 1 and (len(runs) > self.runs or self.used(session) > self.session_bytes):
            self._forget(session)
        for other in list(self._sessions):
            while self.used() > self.total_bytes and len(self._sessions[other]) > 1:
                self._forget(other)
        still = [s for s in self._sessions if s != session and s not in self._streams]
        for other in still:
            if self.used() <= self.total_bytes and len(self._sessions) <= self.sessions:
                break
            self.drop(other)

    def _forget(self, session: str) -> None:
        _, oldest = self._sessions[session].popitem(last=False)
        self._displaced.add(session)
        shutil.rmtree(oldest.folder, ignore_errors=True)


def temporary_folder() -> Path:
    """A folder for this server's uploads and results, which goes when the program ends.

    What servers left behind that were killed goes now.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        if time.time() - left.lstat().st_mtime > ABANDONED and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=FOLDER))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
