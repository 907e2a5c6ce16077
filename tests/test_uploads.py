"""Uploaded files go with the pages that show them, and no sooner."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from restore_core.ui import uploads
from restore_core.ui.guarding import OWN, Guard
from restore_core.ui.uploads import HEARTBEAT, PATIENCE, Uploads

pytestmark = pytest.mark.usefixtures("loops")


class Clock:
    """Time that goes by when it is told to. Files keep their real times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.ahead, real, steady = 0.0, time.time, time.monotonic
        monkeypatch.setattr(uploads.time, "time", lambda: real() + self.ahead)
        monkeypatch.setattr(uploads.time, "monotonic", lambda: steady() + self.ahead)

    def later(self, kept: Uploads, seconds: float = 2 * PATIENCE) -> None:
        self.ahead += seconds
        asyncio.run(swept(kept))


async def swept(kept: Uploads) -> None:
    kept.sweep()


async def left(kept: Uploads, session: str) -> None:
    with kept.open(session):
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "sum-of-it" / "photo.png"
    path.parent.mkdir()
    path.write_bytes(b"a photo")
    return path


def uploads_of(*paths: Path, examples: tuple[Path, ...] = (), **options: float) -> Uploads:
    block = SimpleNamespace(keep_in_cache={str(path) for path in examples})
    return Uploads(SimpleNamespace(upload_file_set={str(p) for p in paths}, blocks={1: block}), **options)


def request(session: str, *paths: Path) -> bytes:
    return json.dumps({"data": [{"path": str(path)} for path in paths], "session_hash": session}).encode()


def test_a_photo_goes_after_its_page_by_itself(photo: Path):
    kept = uploads_of(photo, patience=0.02)

    async def meeting() -> None:
        kept.named(request("a", photo))
        with kept.open("a"):
            await asyncio.sleep(0.1)
            assert photo.exists()
        for _ in range(500):
            await asyncio.sleep(0.02)
            if not photo.exists():
                return

    asyncio.run(meeting())
    assert not photo.exists() and not photo.parent.exists() and not kept.page.upload_file_set


def test_what_another_page_shows_stays(photo: Path, clock: Clock):
    kept = uploads_of(photo)
    kept.named(request("a", photo))
    kept.named(request("b", photo))
    asyncio.run(left(kept, "a"))
    clock.later(kept)
    assert photo.exists()
    asyncio.run(left(kept, "b"))
    clock.later(kept)
    assert not photo.exists()


def test_a_photo_that_has_just_come_again_stays_until_its_page_names_it(photo: Path, clock: Clock):
    kept = uploads_of(photo)
    kept.named(request("a", photo))
    asyncio.run(left(kept, "a"))
    kept._left["a"] -= 2 * PATIENCE  # while the photo has come now
    asyncio.run(swept(kept))
    assert photo.exists()
    kept.named(request("b", photo))
    clock.later(kept)
    assert photo.exists()


def test_nobody_comes_for_a_photo_that_has_just_come_again(photo: Path, clock: Clock):
    kept = uploads_of(photo)
    kept.named(request("a", photo))
    asyncio.run(left(kept, "a"))
    kept._left["a"] -= 2 * PATIENCE
    asyncio.run(swept(kept))
    clock.later(kept)
    assert not photo.exists()


def test_a_page_that_was_cut_off_and_comes_back_keeps_its_photo(photo: Path, clock: Clock):
    kept = uploads_of(photo)
    kept.named(request("a", photo))
    asyncio.run(left(kept, "a"))
    for _ in range(3):  # without its connection, but at work
        clock.later(kept, 0.9 * PATIENCE)
        kept.named(request("a", photo))
    assert photo.exists()
    clock.later(kept)
    assert not photo.exists()


def test_a_page_that_connects_again_keeps_its_photo(photo: Path, clock: Clock):
    kept = uploads_of(photo)
    kept.named(request("a", photo))

    async def meeting() -> None:
        await left(kept, "a")
        with kept.open("a"):
            clock.ahead += 2 * PATIENCE
            kept.sweep()
            assert photo.exists()

    asyncio.run(meeting())


def test_an_example_of_the_page_stays_and_so_does_what_was_not_uploaded(photo: Path, tmp_path: Path, clock: Clock):
    other = tmp_path / "result.png"
    other.touch()
    kept = uploads_of(photo, examples=(photo,))
    kept.named(request("a", photo, other))
    asyncio.run(left(kept, "a"))
    clock.later(kept)
    assert photo.exists() and other.exists()


def test_a_photo_that_went_by_its_age_is_forgotten(photo: Path):
    kept = uploads_of(photo)
    kept.named(request("a program", photo))
    photo.unlink()
    asyncio.run(swept(kept))
    assert not kept._shown and not kept.page.upload_file_set


@pytest.mark.parametrize("body", [b"{", b"[]", b"3", b'{"session_hash": 3, "data": []}', b'{"data": ["x"]}'])
def test_nonsense_is_nobodys(photo: Path, body: bytes, clock: Clock):
    kept = uploads_of(photo)
    kept.named(body)
    asyncio.run(left(kept, "a"))
    clock.later(kept)
    assert photo.exists()


@pytest.fixture
def visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks() as page:
        shown, told = gr.File(), gr.Textbox()
        shown.change(lambda path: "seen", shown, told)
    page.max_file_size = None
    kept = Uploads(page)
    guard = Middleware(Guard, limits=OWN, folder=tmp_path, health=dict, uploads=kept)
    made = gr.routes.App.create_app(page, app_kwargs={"middleware": [guard]})
    made.uploaded_file_dir = str(tmp_path)
    with TestClient(made) as client:
        client.kept = kept
        yield client


def test_the_layer_notes_what_pages_name_and_when_they_leave(visitor: TestClient, tmp_path: Path, clock: Clock):
    """With Gradio's own addresses, and its own list of what was uploaded."""
    [path] = visitor.post("/gradio_api/upload", files={"files": ("photo.png", b"a photo")}).json()
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    told = visitor.post("/gradio_api/run/predict", json={"data": [file], "fn_index": 0, "session_hash": "a"})
    assert told.json()["data"] == ["seen"]

    async def ends(scope: object, receive: object, send: object) -> None:
        """A heartbeat that ends at once."""

    guard = Guard(ends, limits=OWN, folder=tmp_path, health=dict, uploads=visitor.kept)
    clock.later(visitor.kept)
    assert Path(path).exists()
    asyncio.run(guard({"type": "http", "method": "GET", "path": HEARTBEAT + "a", "headers": []}, None, None))
    clock.later(visitor.kept)
    assert not Path(path).exists()
