"""One visitor of a running page, over HTTP as the page itself does it: upload, look, restore, stop, close.

    with Page(address, layout) as page:
        path = page.upload("photo.png", data)
        for shown in page.restore(path, steps=20):       # what the page shows, one message after the other
            print(shown["film"]["caption"])

Used by benchmarks.soak and by the tests of a running server. Only the page's own addresses are asked.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from gradio_client.utils import apply_diff

API = "/gradio_api"
PATIENCE = httpx.Timeout(60.0, read=120.0)


class Broken(Exception):
    """The server answered what it never should."""


@dataclass(frozen=True)
class Layout:
    """Where the Restore tab's components are, read from the page's own description.

    ids        element id -> component id
    calls      name of an event -> its description
    values     component id -> the value it starts with
    """

    ids: dict[str, int]
    calls: dict[str, dict[str, Any]]
    values: dict[int, Any]

    @classmethod
    def read(cls, address: str, client: httpx.Client | None = None) -> Layout:
        """From /config."""
        found = (client or httpx).get(f"{address}/config", timeout=PATIENCE)
        found.raise_for_status()
        config = found.json()
        props = {one["id"]: one["props"] for one in config["components"]}
        ids = {told["elem_id"]: key for key, told in props.items() if told.get("elem_id")}
        wanted = {"look": ("photo-in", "change"), "restore": ("run", "click"), "stop": ("stop", "click")}
        events = config["dependencies"]
        calls = {
            name: next(d for d in events if [ids[element], event] in map(list, d["targets"]))
            for name, (element, event) in wanted.items()
        }
        calls["foresee"] = next(d for d in events if ids["estimate"] in d["outputs"] and d["targets"][0][1] == "tick")
        return cls(ids, calls, {key: told.get("value") for key, told in props.items()})

    def data(self, name: str, changed: dict[str, Any]) -> list[Any]:
        """What the page would send for the event, with some components' values changed."""
        by_id = {self.ids[element]: value for element, value in changed.items()}
        return [by_id.get(key, self.values.get(key)) for key in self.calls[name]["inputs"]]


class Page:
    """An open page: a session of its own, a heartbeat as long as it is open."""

    def __init__(self, address: str, layout: Layout, *, client: httpx.Client | None = None):
        self.address, self.layout, self.session = address, layout, secrets.token_hex(6)
        self._client = client or httpx.Client(timeout=PATIENCE, limits=httpx.Limits(max_connections=6))
        self._closed = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Page:
        self._get("/")
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the page, in the middle of whatever it does."""
        self._closed.set()
        self._beating.join(30)
        self._client.close()

    def upload(self, name: str, data: bytes) -> str:
        """Upload a file; its path on the server."""
        sent = self._client.post(f"{self.address}{API}/upload", files={"files": (name, data)})
        if sent.status_code != 200:
            raise Broken(f"upload: {sent.status_code} {sent.text[:200]}")
        return sent.json()[0]

    def look(self, path: str) -> None:
        """The photo was dropped: what the page does with it then."""
        self._run("look", {"photo-in": file_of(path)})

    def foresee(self) -> None:
        """The page asks how long a run would take."""
        self._run("foresee", {})

    def stop(self) -> None:
        """Press Stop."""
        self._run("stop", {})

    def restore(self, path: str, **changed: Any) -> Iterator[dict[str, Any]]:
        """Press Restore: what the components show after each message, by their element ids."""
        call = self.layout.calls["restore"]
        values = {"photo-in": file_of(path), **{key.replace("_", "-"): value for key, value in changed.items()}}
        event = self._post("/queue/join", self._body("restore", values))["event_id"]
        names = {key: name for name, key in self.layout.ids.items()}
        shown: list[Any] | None = None
        for message in self._messages(event):
            kind = message["msg"]
            if kind == "process_generating":
                news = message["output"]["data"]
                shown = news if shown is None else [
                    apply_diff(old, new) if isinstance(new, list) else old for old, new in zip(shown, news, strict=True)
                ]  # fmt: skip
            elif kind == "process_completed":
                if not message["success"]:
                    raise Broken(f"restore: {message['output']}")
                return
            if kind == "process_generating" and shown is not None:
                yield {names.get(key, str(key)): value for key, value in zip(call["outputs"], shown, strict=True)}

    def fetch(self, file: dict[str, Any]) -> bytes:
        """A file that a component shows."""
        found = self._client.get(file["url"])
        if found.status_code != 200:
            raise Broken(f"file: {found.status_code} {file['url']}")
        return found.content

    def _messages(self, event: str) -> Iterator[dict[str, Any]]:
        asked = {"session_hash": self.session}
        with self._client.stream("GET", f"{self.address}{API}/queue/data", params=asked) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    message = json.loads(line[5:])
                    if message["msg"] in ("unexpected_error", "server_stopped"):
                        raise Broken(f"{message['msg']}: {message.get('message')}")
                    if message.get("event_id") == event:
                        yield message

    def _body(self, name: str, changed: dict[str, Any]) -> dict[str, Any]:
        call = self.layout.calls[name]
        told = {"data": self.layout.data(name, changed), "fn_index": call["id"], "session_hash": self.session}
        return told | {"event_data": None, "trigger_id": call["targets"][0][0]}

    def _run(self, name: str, changed: dict[str, Any]) -> dict[str, Any]:
        return self._post("/run/predict", self._body(name, changed))

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._client.post(f"{self.address}{API}{path}", json=body)
        if answer.status_code != 200:
            raise Broken(f"{path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def _get(self, path: str) -> bytes:
        answer = self._client.get(f"{self.address}{path}")
        if answer.status_code != 200:
            raise Broken(f"{path}: {answer.status_code}")
        return answer.content

    def _beat(self) -> None:
        address = f"{self.address}{API}/heartbeat/{self.session}"
        with contextlib.suppress(httpx.HTTPError), httpx.stream("GET", address, timeout=PATIENCE) as stream:
            threading.Thread(target=lambda: (self._closed.wait(), _shut(stream)), daemon=True).start()
            for _ in stream.iter_raw():
                if self._closed.is_set():
                    return


def _shut(stream: httpx.Response) -> None:
    """End a connection that another thread reads from."""
    held = stream.extensions["network_stream"].get_extra_info("socket")
    with contextlib.suppress(OSError):
        held.shutdown(socket.SHUT_RDWR)


def file_of(path: str) -> dict[str, Any]:
    """An uploaded file as a component's value."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
