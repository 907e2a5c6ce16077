"""Visitors and files that mean ill: what the page, its addresses and its readers refuse, and in which words."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
import torch
from PIL import Image
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware
from starlette.testclient import TestClient

import app
from restore_core import export, images
from restore_core.checkpoints import reading
from restore_core.errors import CheckpointError, ImageError, SettingsError
from restore_core.library import Library
from restore_core.ui import build, guarding, serving
from restore_core.ui.accounts import add, read
from restore_core.ui.guarding import HEADERS, Guard, Limits, names_a_remote_file
from restore_core.ui.serving import Health
from restore_core.ui.turns import Turns

pytestmark = pytest.mark.usefixtures("loops")
ROOT = Path(__file__).parents[1]
UPLOAD, PREDICT = "/gradio_api/upload", "/gradio_api/run/predict"


# --- the page's addresses ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The page as it is open to others, with small limits: `enter(accounts)` is a browser's way to it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("site") / "kept"
        folder.mkdir()
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        loops, new = [], asyncio.new_event_loop
        patch.setattr(asyncio, "new_event_loop", lambda: loops.append(new()) or loops[-1])
        turns = Turns()
        page = build(Library("cpu"), keeper=False, turns=turns)
        page.max_file_size, page.auth_message = 400_000, None
        page.has_launched = True  # before that Gradio looks at no path
        limits = Limits(upload=500_000, body=200_000)
        guard = Middleware(Guard, limits=limits, folder=folder, health=Health(turns, "CPU"))

        def enter(accounts: Any = None) -> TestClient:
            page.auth = accounts
            made = gr.routes.App.create_app(page, app_kwargs={"middleware": [guard]})
            made.uploaded_file_dir = str(folder)
            return TestClient(made, raise_server_exceptions=False)

        yield SimpleNamespace(enter=enter, page=page, folder=folder, turns=turns)
        asyncio.set_event_loop(None)
        for loop in loops:
            loop.close()


@pytest.fixture(scope="module")
def visitor(site: SimpleNamespace) -> Iterator[TestClient]:
    """A browser of somebody who is not to be trusted."""
    with site.enter() as client:
        client.page = site.page
        yield client


@pytest.fixture
def folder(site: SimpleNamespace) -> Path:
    """Where uploads and results lie."""
    return site.folder


@pytest.fixture
def turns(site: SimpleNamespace) -> Turns:
    return site.turns


def event(visitor: TestClient, element: str, kind: str) -> tuple[int, list[Any]]:
    """(number, inputs) of an event of the page."""
    config = visitor.page.get_config_file()
    ids = {c["props"].get("elem_id"): c["id"] for c in config["components"]}
    found = next(d for d in config["dependencies"] if [ids[element], kind] in map(list, d["targets"]))
    return found["id"], found["inputs"]


def look(visitor: TestClient, value: Any) -> Any:
    """Tell the page that a photo was dropped: this value."""
    number, _ = event(visitor, "photo-in", "change")
    return visitor.post(PREDICT, json={"data": [value], "fn_index": number, "session_hash": "s"})


def png(size: tuple[int, int] = (8, 8), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 60, 60)).save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_headers_are_set_on_every_answer(visitor: TestClient):
    for path in ("/config", "/healthz", "/gradio_api/proxy=http://x.invalid/", "/no-such-page"):
        told = visitor.get(path).headers
        assert {key: told.get(key) for key in HEADERS} == dict(HEADERS), path
    assert "hf.space" in HEADERS["content-security-policy"] and "x-frame-options" not in HEADERS


def test_health_is_told_without_secrets_and_while_the_device_is_busy(visitor: TestClient, turns: Turns, folder: Path):
    with turns.turn(lambda: False, session="secret session"):
        answer = visitor.get("/healthz")
    told = answer.json()
    assert answer.status_code == 200 and told["ok"] is True and told["busy"] is True and told["queue"] == 0
    assert told.keys() == {"ok", "version", "device", "busy", "queue", "done", "uptime"} and told["uptime"] >= 0
    assert "secret" not in answer.text and str(folder) not in answer.text
    assert visitor.get("/healthz").json()["busy"] is False


@pytest.mark.parametrize(
    "address",
    [
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/file=https://x.invalid/a.png",
        "/gradio_api/proxy=http://169.254.169.254/latest",
    ],
)
def test_the_server_fetches_nothing_for_others(visitor: TestClient, address: str):
    answer = visitor.get(address)
    assert answer.status_code == 403 and "fetches nothing" in answer.json()["error"]


REMOTE = [
    "http://127.0.0.1:1/a.png", "https://x.invalid/a.png", "HTTP://x.invalid", " http://x.invalid", "//x.invalid/a",
    "ftp://x.invalid/a", "file:///etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("path", REMOTE)
def test_a_photo_that_lies_elsewhere_is_not_fetched(visitor: TestClient, path: str, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []

    async def download(url: str, cache_dir: str) -> str:
        asked.append(url)
        raise ValueError("asked")

    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_download", download)
    answer = look(visitor, {"path": path, "meta": {"_type": "gradio.FileData"}})
    assert answer.status_code in (403, 500) and asked == []
    escaped = json.dumps({"data": [{"path": path}]}).replace("/", "\\u002f")
    answer = visitor.post(PREDICT, content=escaped, headers={"content-type": "application/json"})
    assert answer.status_code in (403, 422, 500) and asked == []


@pytest.mark.parametrize("deep", [0, 3, 2000])
def test_addresses_are_found_wherever_they_are_hidden(deep: int):
    hidden: Any = {"path": "http://x.invalid/"}
    for _ in range(deep):
        hidden = [hidden]
    text = "[" * deep + '{"path": "http://x.invalid/"}' + "]" * deep
    assert names_a_remote_file(text.encode()) or deep == 2000  # as deep as that, nothing reads it
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert names_a_remote_file(text.encode(encoding)) or deep == 2000
    harmless = {"path": "/kept/a.png", "url": "http://127.0.0.1/gradio_api/file=/kept/a.png"}
    assert not names_a_remote_file(json.dumps(harmless).encode())


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../etc/passwd", "/proc/self/environ", str(ROOT / "app.py")])
def test_no_file_outside_of_the_uploads_is_read(visitor: TestClient, path: str):
    answer = look(visitor, {"path": path, "meta": {"_type": "gradio.FileData"}})
    assert answer.status_code == 500 and "root:" not in answer.text and "def main" not in answer.text
    for prefix in ("/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/", "/gradio_api/custom_component/"):
        found = visitor.get(prefix + path)
        assert found.status_code in (400, 403, 404, 500), prefix
        assert "root:" not in found.text and "def main" not in found.text


@pytest.mark.parametrize(
    "name", ["../../evil.png", "..\\..\\evil.png", "/etc/evil.png", "a/../../evil.png", "\0evil.png", "....//evil.png"]
)
def test_an_uploads_name_leads_nowhere(visitor: TestClient, folder: Path, name: str):
    answer = visitor.post(UPLOAD, files={"files": (name, png())})
    before = {p for p in folder.parent.rglob("*") if not p.is_relative_to(folder)}
    if answer.status_code == 200:
        assert Path(answer.json()[0]).resolve().is_relative_to(folder.resolve())
    assert {p for p in folder.parent.rglob("*") if not p.is_relative_to(folder)} == before
    assert not list(folder.parent.glob("evil*")) and not Path("/etc/evil.png").exists()


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.png"])
def test_what_was_uploaded_is_never_shown_as_a_page(visitor: TestClient, name: str):
    text = b"<html><script>alert(1)</script></html>"
    path = visitor.post(UPLOAD, files={"files": (name, text)}).json()[0]
    answer = visitor.get(f"/gradio_api/file={path}")
    assert answer.headers["x-content-type-options"] == "nosniff"
    kind = answer.headers["content-type"]
    saved = answer.headers.get("content-disposition", "").startswith("attachment")
    assert answer.status_code == 200 and (saved or kind.startswith("image/png"))


def test_html_in_a_name_is_shown_as_text(visitor: TestClient):
    name = "<img src=x onerror=alert(1)>.png"
    path = visitor.post(UPLOAD, files={"files": (name, b"no picture")}).json()[0]
    told = look(visitor, {"path": path, "meta": {"_type": "gradio.FileData"}}).text
    assert "holds text" in told and "<img" not in told


def test_html_in_camera_data_and_comments_is_kept_out_of_the_page(visitor: TestClient):
    exif = Image.Exif()
    exif[0x010F] = exif[0x010E] = "<script>alert(1)</script>"
    path = visitor.post(UPLOAD, files={"files": ("a.png", png(exif=exif))}).json()[0]
    told = look(visitor, {"path": path, "meta": {"_type": "gradio.FileData"}})
    assert told.status_code == 200 and "8 × 8 pixels" in told.json()["data"][1] and "script" not in told.text


def test_a_report_shows_names_as_text(tmp_path: Path):
    page = export.run_report(
        {"stepback": "1", "task": "<i>", "settings": {"method": "<b>"}, "input": {"name": "<script>x</script>"}},
        before=b"", after=b"", moments=(), notes=("<u>",), facts=(("Time", "<s>"),),
    )  # fmt: skip
    export.save_report(page, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert not re.search(r"<(script>x|i>|b>|u>|s>)", text)


# --- too much --------------------------------------------------------------------------------------------------


def test_an_oversized_request_is_refused_before_it_is_read(visitor: TestClient):
    answer = visitor.post(PREDICT, content=b"x" * 300_000, headers={"content-type": "application/json"})
    assert answer.status_code == 413 and "maximum allowed size" in answer.json()["error"]


def test_an_oversized_upload_is_refused_and_leaves_nothing(visitor: TestClient, folder: Path):
    before = set(folder.rglob("*"))
    for size in (450_000, 600_000):  # above what a file may have, above what a request may
        answer = visitor.post(UPLOAD, files={"files": ("big.png", b"x" * size)})
        assert answer.status_code == 413 and "maximum allowed size" in answer.text
    several = [("files", (f"{k}.png", b"x" * 200_000)) for k in range(4)]
    assert visitor.post(UPLOAD, files=several).status_code == 413
    assert set(folder.rglob("*")) == before


def test_an_upload_without_a_length_is_counted_as_it_comes(visitor: TestClient, folder: Path):
    def slowly() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(10):
            yield b"x" * 100_000

    before = set(folder.rglob("*"))
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = visitor.post(UPLOAD, content=slowly(), headers=headers)
    assert answer.status_code == 413 and set(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"data": 1}', b'{"fn_index": 10000}', b'{"fn_index": -1, "data": []}',
             b"[" * 50_000, b'{"data": [' + b"1e999," * 1000 + b"1]}"]
)  # fmt: skip
def test_nonsense_in_a_request_is_refused(visitor: TestClient, body: bytes):
    for path in (PREDICT, "/gradio_api/queue/join", "/gradio_api/component_server", "/gradio_api/cancel"):
        answer = visitor.post(path, content=body, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code <= 500 and "Traceback" not in answer.text
    assert visitor.get("/healthz").json()["ok"]


async def call(guard: Guard, scope: dict, events: list[dict]) -> tuple[int, bytes]:
    """The layer alone: (status, body) of its answer to these events."""
    sent: list[dict] = []

    async def receive() -> dict:
        return events.pop(0) if events else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await guard({"type": "http", "method": "POST", "headers": [], "client": ("1.2.3.4", 5), **scope}, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


async def reads(scope: Any, receive: Callable, send: Callable) -> None:
    """An app that takes an upload in."""
    more = True
    while more:
        more = (await receive()).get("more_body")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"taken"})


def guard_of(folder: Path, **limits: int) -> Guard:
    return Guard(reads, limits=Limits(**limits), folder=folder, health=lambda: {"ok": True})


def part(size: int, more: bool = False) -> dict:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


def test_an_address_may_upload_so_much_in_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    guard, scope = guard_of(tmp_path, hour=250), {"path": UPLOAD, "headers": [(b"content-length", b"100")]}
    run = lambda **more: asyncio.run(call(guard, scope | more, [part(50, True), part(50)]))  # noqa: E731
    assert [run()[0] for _ in range(3)] == [200, 200, 429]
    assert b"Come back in an hour" in run()[1] and run(client=("5.6.7.8", 9))[0] == 200
    later = guarding.time.monotonic() + 3700
    monkeypatch.setattr(guarding.time, "monotonic", lambda: later)
    assert run()[0] == 200 and len(guard._uploads) == 2


def test_where_there_is_no_room_it_is_said(tmp_path: Path):
    (tmp_path / "kept.png").write_bytes(b"x" * 900)
    scope = {"path": UPLOAD, "headers": [(b"content-length", b"200")]}
    status, body = asyncio.run(call(guard_of(tmp_path, held=1000), scope, [part(200)]))
    assert status == 507 and b"no room" in body
    status, _ = asyncio.run(call(guard_of(tmp_path, spare=1 << 60), scope, [part(200)]))
    assert status == 507
    assert asyncio.run(call(guard_of(tmp_path), scope, [part(200)])) == (200, b"taken")


def test_a_broken_off_upload_makes_its_reader_tidy_up(tmp_path: Path):
    with pytest.raises(MultiPartException, match="broken off"):
        asyncio.run(call(guard_of(tmp_path), {"path": UPLOAD}, [part(10, True)]))


def test_a_broken_off_request_is_answered(tmp_path: Path):
    assert asyncio.run(call(guard_of(tmp_path), {"path": PREDICT}, [part(10, True)]))[0] == 400


# --- who may enter ----------------------------------------------------------------------------------------------


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    add(tmp_path / "users.txt", "ada", "correct horse")
    return tmp_path / "users.txt"


def test_who_is_in_the_file_may_enter_and_nobody_else(accounts: Path):
    found = read(accounts)
    assert asyncio.run(found.enter("ada", "correct horse"))
    wrong = ("ada", "wrong horse"), ("ada", ""), ("eve", "correct horse"), ("", ""), ("ada", "x" * 9999)
    for name, password in wrong:
        assert not asyncio.run(found.enter(name, password))


def test_the_file_holds_no_password_and_is_for_its_owner(accounts: Path):
    text = accounts.read_text()
    assert "horse" not in text and text.startswith("ada:scrypt$")
    if sys.platform != "win32":
        assert accounts.stat().st_mode & 0o077 == 0
    add(accounts, "bob", "another secret")
    add(accounts, "ada", "a new password")
    found = read(accounts)
    assert found.matches("bob", "another secret") and found.matches("ada", "a new password")
    assert not found.matches("ada", "correct horse") and accounts.read_text().count("\n") == 2


GOOD = "scrypt$16384$8$1$MDEyMzQ1Njc4OWFiY2RlZg==$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no account"),
        ("# nobody\n\n", "holds no account"),
        ("ada:correct horse\n", "line 1, is no account"),
        (f"ada:{GOOD}\nada:{GOOD}\n", "twice"),
        (f"# x\nada:{GOOD}\nbob\n", "line 3"),
        (f"ada:{GOOD.replace('16384', '16383')}\n", "line 1"),
        (f"ada:{GOOD.replace('16384', '4194304')}\n", "line 1"),  # would take gigabytes at each try
        (f"ada:{GOOD.replace('$8$', '$0$')}\n", "line 1"),
        (f"ada:{GOOD[:-9]}\n", "line 1"),
        (f"a da:{GOOD}\n", "line 1"),
    ],
)
def test_a_bad_file_of_accounts_is_told_by_its_line(tmp_path: Path, text: str, said: str):
    (tmp_path / "users.txt").write_text(text)
    with pytest.raises(SettingsError, match=said) as error:
        read(tmp_path / "users.txt")
    assert "horse" not in str(error.value)


def test_files_that_are_none(tmp_path: Path):
    with pytest.raises(SettingsError, match="There is no file"):
        read(tmp_path / "gone.txt")
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\x00" * 30)
    with pytest.raises(SettingsError, match="not text"):
        read(tmp_path / "x.bin")
    with pytest.raises(SettingsError, match="cannot be read"):
        read(tmp_path)
    for name, password in (("a:b", "long enough"), ("ada", "short"), ("", "long enough")):
        with pytest.raises(SettingsError):
            add(tmp_path / "users.txt", name, password)


def test_the_app_adds_accounts_and_refuses_bad_files(tmp_path: Path, monkeypatch, capsys):
    file = tmp_path / "users.txt"
    monkeypatch.setattr("getpass.getpass", lambda prompt: "correct horse")
    monkeypatch.setattr("sys.argv", ["app.py", "--auth-file", str(file), "--add-user", "ada"])
    assert app.main() == 0 and read(file).matches("ada", "correct horse")
    monkeypatch.setattr("sys.argv", ["app.py", "--add-user", "ada"])
    assert app.main() == 2 and "--auth-file" in capsys.readouterr().err
    file.write_text("ada:secret\n")
    monkeypatch.setattr("sys.argv", ["app.py", "--auth-file", str(file)])
    assert app.main() == 2
    said = capsys.readouterr().err
    assert "line 1" in said and "secret" not in said and said.count("\n") == 1


def test_without_an_account_nothing_but_health_is_answered(site: SimpleNamespace, accounts: Path):
    with site.enter(read(accounts).enter) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/config").status_code == 401
        assert client.post(UPLOAD, files={"files": ("a.png", png())}).status_code == 401
        assert client.post(PREDICT, json={"data": [], "fn_index": 1}).status_code == 401
        assert client.post("/login", data={"username": "ada", "password": "no"}).status_code == 400
        assert client.post("/login", data={"username": "ada", "password": "correct horse"}).status_code == 200
        assert client.get("/config").status_code == 200


def test_by_default_the_page_is_for_this_machine_alone(monkeypatch):
    seen: dict[str, Any] = {}

    class Page(SimpleNamespace):
        def launch(self, **options: Any) -> None:
            seen.update(options)

        def block_thread(self) -> None:
            pass

    monkeypatch.setattr(app, "_serve", lambda asked, accounts: seen.update(asked=asked, accounts=accounts))
    monkeypatch.setattr("sys.argv", ["app.py"])
    monkeypatch.setenv("GRADIO_TEMP_DIR", "kept")
    assert app.main() == 0 and seen["asked"].host == "127.0.0.1" and not seen["asked"].share and not seen["accounts"]
    monkeypatch.setattr(serving, "_end_on_request", lambda: None)
    serving.serve(Page(share_url=None), browser=False)
    assert seen["server_name"] == "127.0.0.1" and seen["share"] is False and seen["run_history"] is False
    assert seen["max_file_size"] == "1gb" and not seen["enable_monitoring"] and "allowed_paths" not in seen
    serving.serve(Page(share_url=None), browser=False, own=False)
    assert seen["max_file_size"] == serving.LARGEST_PHOTO


@pytest.mark.parametrize(
    ("told", "words", "port"), [("", [], None), ("7999", [], 7999), (" 7999 ", ["--port", "8000"], 8000)]
)
def test_the_environment_tells_the_port_unless_it_is_asked_for(told: str, words: list[str], port, monkeypatch):
    seen: list[Any] = []
    monkeypatch.setattr(app, "_serve", lambda asked, accounts: seen.append(asked.port))
    monkeypatch.setattr("sys.argv", ["app.py", *words])
    monkeypatch.setenv("GRADIO_TEMP_DIR", "kept")
    monkeypatch.setenv(app.PORT, told)
    assert app.main() == 0 and seen == [port]


@pytest.mark.parametrize("told", ["http", "78.6", "-1", "²", "0", "70000"])
def test_a_port_that_is_none_is_told(told: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(serving.Uploads, "__init__", lambda *_: pytest.fail("It goes on."))
    monkeypatch.setattr("sys.argv", ["app.py", "--device", "cpu"])
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setenv(app.PORT, told)
    assert app.main() == 2
    said = capsys.readouterr().err
    assert told in said and "port" in said and "between 1024 and 65535" in said


@pytest.mark.parametrize(
    ("words", "own"),
    [([], True), (["--host", "::1"], True), (["--host", "0.0.0.0"], False), (["--share"], False),
     (["--auth-file", "users.txt"], False)],
)  # fmt: skip
def test_where_others_may_come_they_are_not_the_owner(
    words: list[str], own: bool, accounts: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: dict[str, Any] = {}
    monkeypatch.chdir(accounts.parent)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "kept")
    monkeypatch.setattr("restore_core.ui.build", lambda library, **options: seen.update(options))
    monkeypatch.setattr("restore_core.ui.serving.serve", lambda page, **options: seen.update(options))
    monkeypatch.setattr("sys.argv", ["app.py", "--device", "cpu", *words])
    assert app.main() == 0
    assert seen["keeper"] is own and seen["own"] is own and bool(seen["accounts"]) is ("--auth-file" in words)


# --- files that mean ill ------------------------------------------------------------------------------------------


def gadget(function: Any, *arguments: Any) -> Any:
    """An object that calls the function when it is unpickled."""
    return type("Gadget", (), {"__reduce__": lambda self: (function, arguments)})()


def gadgets(mark: Path) -> dict[str, Any]:
    """Ways of running code from a pickle; each would make the file `mark` or change something."""
    import builtins
    import codecs
    import ctypes
    import functools
    import importlib
    import operator
    import pickle
    import runpy
    import shutil
    import socket
    import subprocess
    import webbrowser

    code = f"open({str(mark)!r}, 'w')"
    return {
        "system": gadget(os.system, f"touch {mark}"),
        "popen": gadget(subprocess.Popen, ["touch", str(mark)]),
        "check_output": gadget(subprocess.check_output, ["touch", str(mark)]),
        "eval": gadget(builtins.eval, code),
        "exec": gadget(builtins.exec, code),
        "open": gadget(builtins.open, str(mark), "w"),
        "import": gadget(importlib.import_module, "antigravity"),
        "getattr": gadget(builtins.getattr, "x", "upper"),
        "pickle": gadget(pickle.loads, pickle.dumps(gadget_of_system(mark))),
        "runpy": gadget(runpy.run_path, str(mark)),
        "rmtree": gadget(shutil.rmtree, str(mark.parent)),
        "remove": gadget(os.remove, str(mark)),
        "socket": gadget(socket.create_connection, ("127.0.0.1", 9)),
        "browser": gadget(webbrowser.open, "http://x.invalid"),
        "library": gadget(ctypes.CDLL, "libc.so.6"),
        "partial": gadget(functools.partial, os.system, f"touch {mark}"),
        "caller": gadget(operator.methodcaller, "system", f"touch {mark}"),
        "codecs": gadget(codecs.decode, b"x", "zlib"),
        "execv": gadget(os.execv, "/bin/touch", ["touch", str(mark)]),
        "torch.load": gadget(torch.load, str(mark)),
        "torch.hub": gadget(torch.hub.load, "x/y", "z"),
        "torch.compile": gadget(torch.compile, None),
    }


def gadget_of_system(mark: Path) -> Any:
    return _System(str(mark))


class _System:
    """Picklable by its name, unlike those above."""

    def __init__(self, mark: str):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


KINDS = sorted(gadgets(Path("x")))


def test_there_are_ten_kinds_and_more():
    assert len(KINDS) >= 20


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_gadget_runs(tmp_path: Path, kind: str, zipped: bool):
    mark, path = tmp_path / "inside" / "was-run", tmp_path / "net.pth"
    mark.parent.mkdir()
    torch.save({"w": torch.zeros(2), "more": gadgets(mark)[kind]}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"wants to run code.*It was not opened") as error:
        reading.open_state(path)
    assert mark.parent.is_dir() and not mark.exists() and "safetensors" in str(error.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".png", ".bin", ""])
def test_a_gadget_under_another_name_is_no_safer(tmp_path: Path, suffix: str):
    mark, path = tmp_path / "was-run", tmp_path / f"net{suffix}"
    torch.save({"more": gadgets(mark)["system"]}, path)
    with pytest.raises(CheckpointError, match=r"wants to run code|not a whole"):
        reading.open_state(path)
    with pytest.raises(ImageError):
        images.load(path)
    assert not mark.exists()


def test_a_result_replaces_a_link_and_leaves_what_it_points_to(tmp_path: Path):
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "result.png").symlink_to(tmp_path / "precious.txt")
    export.save(torch.full((1, 3, 8, 8), 0.5), tmp_path / "result.png")
    assert (tmp_path / "precious.txt").read_text() == "mine" and not (tmp_path / "result.png").is_symlink()


@pytest.mark.parametrize("target", ["/etc/passwd", "/dev/zero", "loop.png", "."])
def test_a_photo_that_is_a_link_to_something_else_is_refused(tmp_path: Path, target: str):
    (tmp_path / "loop.png").symlink_to(target)
    with pytest.raises(ImageError):
        images.load(tmp_path / "loop.png")


# --- what is installed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [*sorted(ROOT.glob("requirements*.txt")), ROOT / "tests" / "requirements.txt"],
                         ids=lambda path: str(path.relative_to(ROOT)))  # fmt: skip
def test_every_requirement_is_bounded_above(file: Path):
    """What was never tried is not installed by itself; looking for known faults of versions is up to pip-audit."""
    for line in filter(None, (line.partition("#")[0].strip() for line in file.read_text().splitlines())):
        if line.startswith("-r "):
            assert (file.parent / line[3:].strip()).is_file()
            continue
        assert re.fullmatch(r"[\w.-]+(\[[\w,]+\])?(==[\w.+]+|>=[\w.]+,<[\w.]+)( *;.*)?", line), line
