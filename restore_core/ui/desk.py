"""What all tabs share: the networks, the one device's turns, and what is kept for each open page."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from restore_core.errors import RestoreError
from restore_core.images import MAX_PIXELS
from restore_core.library import Library
from restore_core.ui.sessions import SessionStore
from restore_core.ui.turns import Turns

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


def sentence(error: BaseException) -> str:
    """What to tell of an error: a refusal's own words; a short code, found in the log, for a fault of ours."""
    if isinstance(error, RestoreError):
        return str(error)
    code = secrets.token_hex(3)
    LOG.error("fault %s", code, exc_info=error)
    return (
        f"Something went wrong that should not have (code {code}; the log says more). Nothing is lost: "
        f"press Restore again, or try another photo."
    )
