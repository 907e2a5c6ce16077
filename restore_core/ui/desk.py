"""What all tabs share: the networks, the one device's turns, and what is kept for each open page."""

from __future__ import annotations

import errno
import logging
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from restore_core.errors import RestoreError
from restore_core.images import MAX_PIXELS
from restore_core.library import Library
from restore_core.ui.sessions import SessionStore
from restore_core.ui.turns import Turns

SETTLED = 30.0  # seconds after which nothing of a closed page is under way any more
LOG = logging.getLogger("stepback")


def _store() -> SessionStore:
    return SessionStore(Path(get_upload_folder()))  # inside Gradio's cache, so files are served without a copy


@dataclass(frozen=True)
class Desk:
    """One server's means; handlers of every tab work with it.

    keeper   whether visitors may add and remove weights: not where the page is open to others
    """

    library: Library
    store: SessionStore = field(default_factory=_store)
    turns: Turns = field(default_factory=Turns)
    max_pixels: int = MAX_PIXELS
    keeper: bool = True

    def leave(self, request: gr.Request) -> None:
        """A page was closed."""
        self.store.drop(request.session_hash or "")


class Departures:
    """Forgets what Gradio keeps of pages that were closed: of each a copy of the whole configuration, about 1 MB, for
    up to ten thousand pages. An event that was under way may bring a page's state back, so it is looked for twice.
    """

    def __init__(self, page: gr.Blocks):
        self.page, self._left, self._lock = page, dict[str, float](), threading.Lock()

    def __call__(self, request: gr.Request) -> None:
        """This page was closed."""
        now, session = time.monotonic(), request.session_hash or ""
        with self._lock:
            self._left[session] = now
            late = [one for one, when in self._left.items() if now - when > SETTLED]
            for one in late:
                del self._left[one]
        for one in (session, *late):
            self._forget(one)

    def _forget(self, session: str) -> None:
        holder = getattr(self.page, "state_holder", None)
        if holder is not None:
            with holder.lock:
                holder.session_data.pop(session, None)
                holder.time_last_used.pop(session, None)


def sentence(error: BaseException) -> str:
    """What to tell of an error: a refusal's own words; a short code, found in the log, for a fault of ours."""
    if isinstance(error, RestoreError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk of this server is full, so nothing can be kept. Make room there, then press again."
    code = secrets.token_hex(3)
    LOG.error("fault %s", code, exc_info=error)
    return (
        f"Something went wrong that should not have (code {code}; the log says more). Nothing is lost: "
        f"press Restore again, or try another photo."
    )
