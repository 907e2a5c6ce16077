"""The structured log: one JSON object a run, for who keeps a server. It knows no picture, no file and no person.

    {"time": "2026-01-31T09:30:00Z", "session": "5f1c2ab09d3e", "task": "sr4", "method": "resshift",
     "variant": "compact-sr4", "size": [512, 512], "steps": 15, "samples": 1, "waited": 0.2, "seconds": 3.1,
     "outcome": "done"}

`session` tells one page's runs from another's within one start of the server, and nothing more: it is a hash with a
key that is never written down. `seconds` are those on the device, `waited` those in the queue; the outcome is done,
stopped or failed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from restore_core.errors import SettingsError

LOG = logging.getLogger("stepback")
WRITTEN = ("task", "tab", "method", "variant", "size", "steps", "samples", "waited", "seconds", "outcome")
LONGEST = 40  # characters of a word
LARGEST = 20_000_000  # bytes, after which a new file is begun and the last one kept as FILE.1


class JobLog:
    """Appends to a file. One that cannot be written is told at the start, and later holds nobody up."""

    def __init__(self, path: Path, *, largest: int = LARGEST):
        self.path, self.largest = path, largest
        self._key, self._lock, self._failed = secrets.token_bytes(16), threading.Lock(), False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a").close()
        except OSError as error:
            raise SettingsError(
                f"The log {path} cannot be written ({error.strerror}). Choose another file with --log, or leave it out."
            ) from error

    def __call__(self, entry: Mapping[str, Any]) -> None:
        """Write one run down."""
        told = {"time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "session": self.pseudonym(entry)}
        told |= {key: _short(entry[key]) for key in WRITTEN if key in entry}
        with self._lock:
            try:
                self._write(json.dumps(told, default=str) + "\n")
                self._failed = False
            except OSError as error:
                if not self._failed:
                    LOG.warning("the log %s cannot be written: %s", self.path, error)
                self._failed = True

    def pseudonym(self, entry: Mapping[str, Any]) -> str:
        """What stands for the page."""
        session = str(entry.get("session") or "")
        return hashlib.blake2b(session.encode(), key=self._key, digest_size=6).hexdigest() if session else ""

    def _write(self, line: str) -> None:
        if self.path.exists() and self.path.stat().st_size + len(line) > self.largest:
            os.replace(self.path, self.path.with_name(f"{self.path.name}.1"))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)


def _short(value: Any) -> Any:
    """Keys of methods are short; what a stranger sent in their place may not be."""
    return value[:LONGEST] if isinstance(value, str) else value


__all__ = ["JobLog"]
