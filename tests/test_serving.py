"""A server as it runs, over HTTP on this machine: many pages at once, pages that close, health, log, and its end."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import numpy as np
import pytest
from PIL import Image

from benchmarks import hosting, soak
from benchmarks.visitors import Broken, Layout, Page
from restore_core import commands
from restore_core.commands import info
from restore_core.library import Library
from restore_core.ui import serving
from restore_core.ui.desk import SETTLED, Departures
from restore_core.ui.guarding import HEADERS
from restore_core.ui.serving import Health
from restore_core.ui.turns import Turns

ROOT = Path(__file__).parents[1]


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


# --- without a server -------------------------------------------------------------------------------------------


def test_health_follows_the_device_and_asks_no_lock():
    turns = Turns()
    health = Health(turns, "CPU")
    assert json.loads(json.dumps(health())) == health() | {"uptime": health()["uptime"]}
    with turns._free, turns._free:  # held by this very thread: another's would wait
        seen: list[dict] = []
        asker = threading.Thread(target=lambda: seen.append(dict(health())), daemon=True)
        asker.start()
        asker.join(5)
    assert seen and seen[0]["ok"] and seen[0]["queue"] == 0


def test_what_gradio_keeps_of_a_page_goes_with_it(monkeypatch):
    now = 0.0
    monkeypatch.setattr("restore_core.ui.desk.time.monotonic", lambda: now)
    holder = SimpleNamespace(session_data={"a": 1, "b": 2}, time_last_used={"a": 1}, lock=threading.Lock())
    leave = Departures(SimpleNamespace(state_holder=holder))
    leave(SimpleNamespace(session_hash="a"))
    assert holder.session_data == {"b": 2} and holder.time_last_used == {}
    holder.session_data["a"] = 3  # an event that was under way brought it back
    now = SETTLED + 1
    leave(SimpleNamespace(session_hash="c"))
    assert holder.session_data == {"b": 2} and set(leave._left) == {"c"}
    Departures(SimpleNamespace())(SimpleNamespace(session_hash=None))


HEAPS = """
import ctypes, re, sys, threading
from pathlib import Path
from restore_core.ui.serving import few_heaps

def heaps():
    # a thread that allocates for the first time is given a heap: 64 MB of addresses each
    wait = threading.Barrier(25)
    def work():
        kept = [bytes(2000) for _ in range(2000)]
        wait.wait(); wait.wait()
    threads = [threading.Thread(target=work) for _ in range(24)]
    for thread in threads: thread.start()
    wait.wait()
    told = Path("/proc/self/maps").read_text()
    wait.wait()
    for thread in threads: thread.join()
    return len(re.findall(r"^[0-9a-f]+000000-", told, re.M))

if sys.argv[1] == "few":
    assert few_heaps()
print(heaps())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_threads_share_two_heaps():
    if not serving.few_heaps():
        pytest.skip("another C library")
    many, few = (
        int(subprocess.run([sys.executable, "-c", HEAPS, kind], cwd=ROOT, capture_output=True, check=True).stdout)
        for kind in ("many", "few")
    )
    assert few < many - 4


# --- doctor -----------------------------------------------------------------------------------------------------


def run(*words: str) -> int:
    from restore_core import cli

    return cli.main([str(word) for word in words])


def test_doctor_looks_at_everything_and_ends_with_a_verdict(capsys):
    assert info in commands.COMMANDS
    assert run("doctor", "--device", "cpu") == 0
    told = capsys.readouterr().out
    for what in ("device:", "memory:", "disk of the weights:", "weights:", "network:", "torch:"):
        assert what in told
    assert told.strip().splitlines()[-1].startswith("Ready to restore photos")
    assert run("doctor", "--json", "--device", "cpu") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"].startswith("Ready") and all(f["found"] for f in found["findings"])


def test_doctor_tells_what_is_wrong_and_what_to_do(tmp_path: Path, monkeypatch, capsys):
    shipped = ROOT / "weights" / "compact"
    (tmp_path / "compact").mkdir()
    one = sorted(shipped.glob("*.safetensors"))[0]
    shutil.copy(one, tmp_path / "compact")
    broken = tmp_path / "compact" / sorted(shipped.glob("*.safetensors"))[1].name
    broken.write_bytes(b"not weights" * 100)
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("STEPBACK_OFFLINE", "1")
    assert run("doctor", "--device", "cpu") == 0
    told = capsys.readouterr().out
    assert "not usable" in told and "missing" in told and "set offline" in told and "1 file here and whole" in told
    assert "to look at" in told.strip().splitlines()[-1]


def test_doctor_without_weights_or_device_is_grave(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path))
    assert run("doctor", "--device", "cpu") == 1
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith("Not in order: weights")

    def silent(device: object) -> float:
        raise MemoryError

    monkeypatch.setattr(info, "probe", silent)
    assert "MemoryError" in next(f for f in info.examine(Library("cpu")) if f.what == "device").advice

    def broken(device: object) -> float:
        raise RuntimeError("no kernel image is available\nfor this device")

    monkeypatch.setattr(info, "probe", broken)
    found = {f.what: f for f in info.examine(Library("cpu"))}
    assert found["device"].grave and "no kernel image" in found["device"].advice and "\n" not in found["device"].advice
    monkeypatch.setattr(info, "_version", lambda name: None if name == "numpy" else "1.0")
    found = {f.what: f for f in info.examine(Library("cpu"))}
    assert found["numpy"].grave and "requirements.txt" in found["torch"].advice


# --- with a server ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[SimpleNamespace]:
    """An app of its own on a free port."""
    with soak.server() as (address, _, folder):
        yield SimpleNamespace(
            address=address, folder=folder, layout=Layout.read(address), kept=folder / "kept",
            jobs=lambda: [json.loads(line) for line in (folder / "jobs.jsonl").read_text().splitlines()],
            health=lambda: httpx.get(f"{address}/healthz", timeout=30).json(),
        )  # fmt: skip


def photo(seed: int, side: int = 64) -> tuple[np.ndarray, bytes]:
    colours = np.random.default_rng(seed).random((soak.BLOCKS, soak.BLOCKS, 3))
    return colours, soak.picture(colours, side)


@pytest.mark.slow
def test_the_first_page_and_its_headers(server: SimpleNamespace):
    told = httpx.get(server.address, timeout=60)
    assert told.status_code == 200 and {key: told.headers.get(key) for key in HEADERS} == dict(HEADERS)
    assert server.health().keys() == {"ok", "version", "device", "busy", "queue", "done", "uptime"}


@pytest.mark.slow
def test_two_tabs_at_once_get_the_same_from_one_photo(server: SimpleNamespace):
    colours, data = photo(1)
    results: dict[int, bytes] = {}

    def visit(number: int) -> None:
        with Page(server.address, server.layout) as page:
            path = page.upload("same.png", data)
            page.look(path)
            shown = list(page.restore(path, task="denoise", steps=6))[-1]
            results[number] = page.fetch(shown["download-png"])

    tabs = [threading.Thread(target=visit, args=(number,)) for number in range(2)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join(120)
    pictures = [np.asarray(Image.open(io.BytesIO(results[number]))) for number in range(2)]
    assert (pictures[0] == pictures[1]).all() and soak.differs(results[0], colours) < soak.ALIKE


@pytest.mark.slow
def test_a_page_closed_in_the_middle_frees_the_device_and_its_files(server: SimpleNamespace):
    done = server.health()["done"]
    with Page(server.address, server.layout) as page:
        path = page.upload("long.png", photo(2, 256)[1])
        page.look(path)
        running = page.restore(path, task="denoise", steps=400)  # kept: let go of, it would end by itself
        for shown in running:
            if str(shown["film"].get("caption", "")).startswith("Step 3"):
                break
        assert server.health()["busy"] and list(server.kept.glob("stepback-*"))
    until(lambda: not server.health()["busy"] and not list(server.kept.glob("stepback-*")), 20)
    assert server.health()["done"] == done + 1
    until(lambda: server.jobs()[-1]["outcome"] == "stopped", 5)  # written when the device is free already


@pytest.mark.slow
def test_a_page_that_waits_is_told_its_place_and_gets_its_own_picture(server: SimpleNamespace):
    captions: list[str] = []
    with Page(server.address, server.layout) as first, Page(server.address, server.layout) as second:
        slow = first.upload("slow.png", photo(3, 256)[1])
        first.look(slow)
        running = first.restore(slow, task="denoise", steps=150)
        for shown in running:
            if str(shown["film"].get("caption", "")).startswith("Step 2"):
                break
        colours, data = photo(4)
        path = second.upload("quick.png", data)
        second.look(path)
        for shown in second.restore(path, task="denoise", steps=4):
            captions.append(str(shown["film"].get("caption", "")))
            if captions[-1].startswith("Waiting"):
                first.stop()
        assert soak.differs(second.fetch(shown["download-png"]), colours) < soak.ALIKE
        assert list(running)[-1]["film"]["caption"].startswith("Stopped")
    assert any(caption.startswith("Waiting · you are next") for caption in captions)


@pytest.mark.slow
def test_others_files_and_addresses_are_refused_by_a_running_server(server: SimpleNamespace):
    private = server.folder / "private.png"
    private.write_bytes(photo(5)[1])
    with Page(server.address, server.layout) as page:
        for path in (str(private), "/etc/passwd", "http://127.0.0.1:1/x.png"):
            with pytest.raises(Broken, match=r"500|403") as error:
                page.look(path)
            assert "pixels" not in str(error.value)


@pytest.mark.slow
def test_six_visitors_for_half_a_minute():
    """python -m benchmarks.soak in short."""
    found = soak.soak(6, 30, seed=1)
    told = soak.report(found)
    assert not found["faults"] and not found["mixed"] and not found["left"] and not found["tracebacks"], told
    assert found["ends"]["done"] > 3 and found["places"] > 0, told
    assert sum(found["logged"].values()) >= found["ends"]["done"], told


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="ends by signal")
def test_a_polite_end_removes_what_was_kept(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    port = hosting.free_port()
    command = [sys.executable, "app.py", "--port", str(port), "--no-browser", "--device", "cpu", "--offline"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        address = f"http://127.0.0.1:{port}"
        hosting.until_it_answers(address, child, tmp_path / "none")
        with Page(address, Layout.read(address)) as page:
            page.upload("kept.png", photo(6)[1])
            assert list(tmp_path.glob("stepback-page-*/*/kept.png"))
            child.send_signal(signal.SIGTERM)
        said, _ = child.communicate(timeout=60)
    assert "Traceback" not in said and not list(tmp_path.glob("stepback-page-*"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="ends by signal")
def test_an_end_in_the_midst_of_a_run_waits_for_no_page(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with hosting.served(tmp_path, "--device", "cpu", environment={"GRADIO_TEMP_DIR": None}) as served:
        with suppress(httpx.HTTPError), Page(served.address, Layout.read(served.address)) as page:
            path = page.upload("long.png", photo(7, 256)[1])
            page.look(path)
            running = page.restore(path, task="denoise", steps=900)  # kept: let go of, it would end by itself
            for shown in running:
                if str(shown["film"].get("caption", "")).startswith("Step 3"):
                    break
            served.process.send_signal(signal.SIGTERM)
            assert served.process.wait(9) == 0  # who asks, as Docker does, kills after ten seconds
        said = served.said.read_text()
    assert "Traceback" not in said and "terminate" not in said and not list(tmp_path.glob("stepback-page-*"))


SLOW = """
import sys, time, torch
from restore_core import library

def measured(rehearse, sides):
    print("MEASURING", flush=True)
    a, end = torch.rand(1000, 1000), time.monotonic() + 60
    while time.monotonic() < end:
        a = torch.tanh(a @ a)

library.measured = measured
import app
sys.exit(app.main())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="ends by signal")
def test_an_end_in_the_midst_of_an_estimate_is_none_of_the_readers_business(tmp_path: Path, monkeypatch):
    """The answer is cut off while its thread is inside PyTorch: no traceback, no abort, and nothing is left."""

    def ask(page: Page) -> None:
        with suppress(Broken, httpx.HTTPError):
            page.foresee()

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    port, said = hosting.free_port(), tmp_path / "said.txt"
    command = [sys.executable, "-c", SLOW, "--port", str(port), "--no-browser", "--device", "cpu", "--offline"]
    with said.open("w") as out:
        child = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        hosting.until_it_answers(address, child, said)
        with Page(address, Layout.read(address)) as page:
            page.look(page.upload("photo.png", photo(8)[1]))
            threading.Thread(target=ask, args=(page,), daemon=True).start()
            until(lambda: "MEASURING" in said.read_text())
            child.send_signal(signal.SIGTERM)
            assert child.wait(9) == 0
    finally:
        hosting.end(child)
    told = said.read_text()
    assert "Traceback" not in told and "terminate" not in told and not list(tmp_path.glob("stepback-page-*")), told


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(tmp_path: Path):
    with pytest.raises(RuntimeError, match=r"ended\. It said: .*nonsense"):
        with hosting.served(tmp_path, "--device", "nonsense"):
            pytest.fail("It is served.")


def test_gradio_still_keeps_page_states_where_they_are_looked_for():
    """The names that Departures relies on."""
    holder = gr.state_holder.StateHolder()
    assert holder.session_data == {} and holder.time_last_used == {} and holder.lock
