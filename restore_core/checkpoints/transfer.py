"""Bytes from a server into a file, over as many connections as that takes.

They gather in a part file, with the server's tag (ETag) of it beside, so that a transfer that was stopped, or whose
process was killed, goes on where it ended. The tag, sent back as If-Range, makes sure that it is still the same file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import get_session
from huggingface_hub.errors import HTTPError

from restore_core.checkpoints import files
from restore_core.errors import Cancelled

Progress = Callable[[int, int], None]  # bytes here, bytes in all (0: not known)

ATTEMPTS = 4  # lost connections in a row that brought nothing
BUSY = (408, 425, 429, 500, 502, 503, 504)


class Answered(Exception):
    """The server answered, and not with a file."""

    def __init__(self, status: int):
        super().__init__(f"answer {status}")
        self.status = status


class Lost(Exception):
    """The connection ended or stood still before the file was whole."""


@dataclass(frozen=True)
class Remote:
    """Where the bytes are.

    sha256    what they are promised to have, or "" where nothing was promised
    size      0 where the server does not tell
    """

    url: str
    sha256: str = ""
    size: int = 0
    headers: dict[str, str] = field(default_factory=dict, repr=False)  # may hold a token


@dataclass(frozen=True)
class Watch:
    """Who looks on: told of progress, asked whether to stop; `patience` in seconds without a byte."""

    progress: Progress
    stop: Callable[[], bool]
    patience: float

    def ask(self) -> None:
        """Cancelled if it was asked to stop."""
        if self.stop():
            raise Cancelled(
                "The download was stopped. What came so far is kept: get it again to go on from there."
            )

    def pause(self, seconds: float) -> None:
        """Wait, unless it is asked to stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.ask()
            time.sleep(min(0.1, left))


def gather(remote: Remote, part: Path, watch: Watch) -> None:
    """Fill `part` until it is whole. Answered, Lost, Cancelled or OSError; what came is then kept."""
    failures = 0
    while True:
        before = size_of(part)
        try:
            return _connect(remote, part, watch)
        except (HTTPError, Lost, ConnectionError, TimeoutError) as error:
            failures = 1 if size_of(part) > before else failures + 1
            if failures >= ATTEMPTS:
                raise Lost(_reason(error)) from error
        watch.pause(min(watch.patience, 0.1 * 4**failures))


def size_of(part: Path) -> int:
    """Bytes that are here."""
    return part.stat().st_size if part.is_file() else 0


def discard(part: Path) -> None:
    """Delete the part and what was kept beside it."""
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _connect(remote: Remote, part: Path, watch: Watch) -> None:
    """One connection: the rest of the file, as far as it comes."""
    watch.ask()
    tag, headers = _tag(part), {**remote.headers, "Accept-Encoding": "identity"}
    here = size_of(part) if tag or remote.sha256 else 0  # else nothing would tell a mixture of two files
    if here:
        headers |= {"Range": f"bytes={here}-"} | ({"If-Range": tag} if tag else {})
    with get_session().stream("GET", remote.url, headers=headers, timeout=watch.patience) as response:
        if response.status_code in BUSY:
            raise Lost(f"answer {response.status_code}")
        start = _start(response.status_code, response.headers.get("Content-Range", ""))
        if start not in (0, here):  # the part is no beginning of this file
            discard(part)
            raise Lost("the file changed")
        total = remote.size
        if "Content-Length" in response.headers:
            total = start + int(response.headers["Content-Length"])
        files.check_room(part.with_suffix(""), max(0, total - here))
        _keep_tag(part, response.headers.get("ETag", ""))
        _write(response.iter_bytes(), part, start, total, watch)
    if total and size_of(part) != total:
        raise Lost("it ended early")


def _write(chunks: Iterable[bytes], part: Path, start: int, total: int, watch: Watch) -> None:
    here = start
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        watch.progress(here, total)
        for chunk in chunks:
            file.write(chunk)
            here += len(chunk)
            watch.progress(here, total)
            watch.ask()


def _start(status: int, content_range: str) -> int:
    """The first byte that an answer brings, -1 where the asked range does not exist."""
    if status == 200:
        return 0
    if status == 416:
        return -1
    if status != 206:
        raise Answered(status)
    told = re.match(r"bytes (\d+)-", content_range)
    return int(told[1]) if told else -1


def _reason(error: Exception) -> str:
    kind = type(error).__name__
    return str(error) if isinstance(error, Lost) else f"{kind}: {error}" if str(error) else kind


def _tag(part: Path) -> str:
    with suppress(OSError):
        return _tag_file(part).read_text()
    return ""


def _keep_tag(part: Path, etag: str) -> None:
    _tag_file(part).write_text("" if etag.startswith("W/") else etag)  # a weak tag does not vouch for bytes


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")
