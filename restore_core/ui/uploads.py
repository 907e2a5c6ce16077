"""Uploaded files go with the pages that show them.

An upload says nothing of the page that it is for, but every later request of that page does: it carries the page's
session and names the file. Each page holds one connection open while it is there (Gradio's heartbeat). What no page
shows any more is removed PATIENCE seconds after the last one has left, which is how long a page may be cut off from the
server, and a file that another page has just uploaded may go unnamed: equal files have one place.

All of it happens in the server's event loop, so there is no lock. What is never named (a program's upload by plain
HTTP) is left to Gradio's own clearing, by age.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

PATIENCE = 60.0  # seconds
HEARTBEAT = "/gradio_api/heartbeat/"


class Uploads:
    """Which sessions show which of the page's uploaded files."""

    def __init__(self, page: gr.Blocks, *, patience: float = PATIENCE):
        self.page, self.patience = page, patience
        self._shown: dict[str, set[str]] = {}
        self._here: Counter[str] = Counter()  # connections of a session
        self._left: dict[str, float] = {}  # session -> when
        self._next: asyncio.TimerHandle | None = None

    def named(self, body: bytes) -> None:
        """A page's request, as JSON: it shows what is named there."""
        try:
            asked = json.loads(body) if self.page.upload_file_set else None
        except ValueError:
            return  # the page refuses it
        session = asked.get("session_hash") if isinstance(asked, dict) else None
        if not isinstance(session, str) or not session:
            return
        for path in strings(asked):
            if path in self.page.upload_file_set:
                self._shown.setdefault(path, set()).add(session)
        if session in self._left:  # cut off, and here all the same
            self._left[session] = time.monotonic()

    @contextmanager
    def open(self, session: str) -> Iterator[None]:
        """As long as a page's connection lasts."""
        self._here[session] += 1
        self._left.pop(session, None)
        try:
            yield
        finally:
            self._here[session] -= 1
            if not self._here[session]:
                del self._here[session]
                self._left[session] = time.monotonic()
                self._look_later()

    def sweep(self) -> None:
        """Remove what no page shows any more."""
        self._next = None
        gone = {session for session, when in self._left.items() if time.monotonic() - when >= self.patience}
        for path, sessions in list(self._shown.items()):
            sessions -= gone
            age = _age(path)
            if age == math.inf or (not sessions and age >= self.patience):  # or it came now, for a page yet to name it
                del self._shown[path]
                self._remove(path)
        for session in gone:
            del self._left[session]
        if self._left or not all(self._shown.values()):
            self._look_later()

    def _look_later(self) -> None:
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(self.patience, self.sweep)

    def _remove(self, path: str) -> None:
        if any(path in block.keep_in_cache for block in self.page.blocks.values()):  # one of the page's own examples
            return
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)
            Path(path).parent.rmdir()  # its own, named by the contents
        self.page.upload_file_set.discard(path)


def _age(path: str) -> float:
    """Seconds since the file came; infinite where it has gone."""
    try:
        return time.time() - Path(path).lstat().st_ctime
    except OSError:
        return math.inf


def strings(value: Any) -> Iterator[str]:
    """All strings within what was read from JSON."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


__all__ = ["Uploads"]
