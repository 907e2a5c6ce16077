"""What stands between the page and the network: headers, limits of requests, and /healthz, as one ASGI layer.

Headers. nosniff: nothing that was uploaded is taken for a script. Referrer-Policy: links tell no other site of this
page. frame-ancestors: only this page itself and Hugging Face (whose Spaces are shown in a frame) may embed it, which
the older X-Frame-Options could not say. There is no script-src: Gradio's page holds scripts in its HTML.

Limits. A request's body is bounded, an address's uploads in an hour, and the disk's room for them; an upload that is
broken off leaves no file. A request that names another host's file (http://...) is refused: nothing is fetched here.

Uploads. It passes all that says which page shows which uploaded file (uploads.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.formparsers import MultiPartException

from restore_core.ui.uploads import HEARTBEAT, Uploads

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

EMBEDDERS = "'self' https://huggingface.co https://*.huggingface.co https://*.hf.space"
HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "content-security-policy": f"frame-ancestors {EMBEDDERS}; object-src 'none'; base-uri 'self'",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
UPLOAD = "/gradio_api/upload"
FETCHING = ("/gradio_api/proxy=", "/gradio_api/file=http:", "/gradio_api/file=https:")
REMOTE = ("http:", "https:", "ftp:", "file:", "//")
HOUR = 3600.0


@dataclass(frozen=True)
class Limits:
    """Bytes.

    body      of a request that is not an upload
    upload    of one upload, all its files together
    hour      of one address's uploads in an hour
    held      of the uploads and results that the server keeps
    spare     of the disk that stay free
    """

    body: int = 8_000_000
    upload: int = 500_000_000
    hour: int = 4_000_000_000
    held: int = 8_000_000_000
    spare: int = 500_000_000


OWN = Limits(upload=8_000_000_000, hour=64_000_000_000, held=64_000_000_000)  # weights, by who owns the machine


class _Refused(Exception):
    """An answer in place of the page's."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Guard:
    """The layer. `folder` holds uploads and results; `health` makes the answer of /healthz, without waiting."""

    def __init__(
        self,
        app: App,
        *,
        limits: Limits,
        folder: Path,
        health: Callable[[], Mapping[str, Any]],
        uploads: Uploads | None = None,
    ):
        self.app, self.limits, self.folder, self.health, self.uploads = app, limits, folder, health, uploads
        self._uploads: dict[str, deque[tuple[float, int]]] = defaultdict(deque)
        self._held = 0.0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] in ("/healthz", "/healthz/"):
            await _answer(send, 200, self.health())
            return
        try:
            receive = await self._checked(scope, receive)
        except _Refused as refusal:
            await _answer(send, refusal.status, {"error": refusal.sentence, "detail": refusal.sentence})
            return
        with self._connection(scope["path"]):
            await self.app(scope, receive, _with_headers(send))

    def _connection(self, path: str) -> contextlib.AbstractContextManager[None]:
        """What is to be kept as long as this request lasts: a page is open while its heartbeat goes."""
        if self.uploads is None or not path.startswith(HEARTBEAT):
            return contextlib.nullcontext()
        return self.uploads.open(path.removeprefix(HEARTBEAT).strip("/"))

    async def _checked(self, scope: Scope, receive: Receive) -> Receive:
        path = scope["path"]
        if path.startswith(FETCHING):
            raise _Refused(403, "This server fetches nothing from other addresses. Upload the file itself.")
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            return receive
        declared = _length(scope)
        if path.rstrip("/") == UPLOAD:
            address = (scope.get("client") or ("",))[0]
            self._check_upload(address, declared)
            return self._counted(receive, address)
        if declared > self.limits.body:
            raise _too_large(self.limits.body)
        body = await _whole(receive, self.limits.body)
        if names_a_remote_file(body):
            raise _Refused(403, "This server fetches nothing from other addresses. Upload the file itself.")
        if self.uploads is not None:
            self.uploads.named(body)
        return _replayed(body, receive)

    def _check_upload(self, address: str, size: int) -> None:
        if size > self.limits.upload:
            raise _too_large(self.limits.upload)
        recent, now = self._uploads[address], time.monotonic()
        while recent and now - recent[0][0] > HOUR:
            recent.popleft()
        if sum(amount for _, amount in recent) + size > self.limits.hour:
            raise _Refused(429, "More was uploaded from your address in this hour than one may. Come back in an hour.")
        if self.held() + size > self.limits.held or _free(self.folder) - size < self.limits.spare:
            raise _Refused(507, "This server has no room for more photos at the moment. Try again in some minutes.")
        for stale in [a for a, amounts in self._uploads.items() if not amounts and a != address]:
            del self._uploads[stale]

    def _counted(self, receive: Receive, address: str) -> Receive:
        """receive() for an upload; MultiPartException makes its parser remove what it had written by then."""
        seen = 0

        async def counted() -> Event:
            nonlocal seen
            event = await receive()
            seen += len(event.get("body", b""))
            if not event.get("more_body"):
                self._uploads[address].append((time.monotonic(), seen))
            if event["type"] == "http.disconnect":
                raise MultiPartException("The upload was broken off.")
            if seen > self.limits.upload:
                raise MultiPartException(_too_large(self.limits.upload).sentence)
            return event

        return counted

    def held(self) -> int:
        """Bytes in the folder, looked at every few seconds."""
        when, amount = self._held
        if not when or time.monotonic() - when > 5:
            amount = _size(self.folder)
            self._held = time.monotonic(), amount
        return amount


def names_a_remote_file(body: bytes) -> bool:
    """Whether a JSON request holds a file by an address in place of an uploaded one.

    Read by the page's own reader: what the two understood differently could slip through.
    """
    try:
        waiting: list[Any] = [json.loads(body)]
    except RecursionError:
        return True
    except ValueError:
        return False  # the page refuses it too
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            path = one.get("path")
            if isinstance(path, str) and path.strip().lower().startswith(REMOTE):
                return True
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return False


def _too_large(limit: int) -> _Refused:
    told = f"{limit / 1e6:.0f} MB" if limit < 1e9 else f"{limit / 1e9:.0f} GB"
    return _Refused(413, f"The request is larger than the maximum allowed size of {told}. Send a smaller file.")


def _length(scope: Scope) -> int:
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(told) if told.isdigit() else 0


async def _whole(receive: Receive, limit: int) -> bytes:
    parts, size = [], 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise _Refused(400, "The request ended early.")
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        if not event.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """receive() with the body that was read already, then whatever comes."""
    told = False

    async def replay() -> Event:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send) -> Send:
    extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def sending(event: Event) -> None:
        if event["type"] == "http.response.start":
            own = {name.lower() for name, _ in event.get("headers", ())}
            event = {**event, "headers": [*event.get("headers", ()), *(h for h in extra if h[0] not in own)]}
        await send(event)

    return sending


async def _answer(send: Send, status: int, content: Mapping[str, Any]) -> None:
    body = json.dumps(content).encode()
    told = {"content-type": "application/json", "content-length": str(len(body)), "cache-control": "no-store"}
    headers = [(name.encode(), value.encode()) for name, value in {**told, **HEADERS}.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:  # not made yet
        return shutil.disk_usage(folder.parent).free if folder.parent.exists() else 1 << 62


def _size(folder: Path) -> int:
    """Bytes of all files below; what goes meanwhile does not count."""
    total = 0
    for place, _, names in os.walk(folder):  # which leaves out folders that go
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


__all__ = ["HEADERS", "OWN", "Guard", "Limits", "names_a_remote_file"]
