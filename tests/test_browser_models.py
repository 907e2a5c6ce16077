"""Weights through the page, end to end: fetched, refused, brought, put there, missing, and run. No outside server.

Release pages are a server of this test's; the files are small networks with the published key layout.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import published
import pytest
import torch
from test_browser import NARROW_ENOUGH, ROOT, Watched, chromium  # noqa: F401  chromium: fixture

from benchmarks.hosting import served
from restore_core import export

pytestmark = pytest.mark.browser

V2, V3, V1 = (f"resshift_realsrx4_s{n}.pth" for n in ("15_v2", "4_v3", "15_v1"))


@dataclass(frozen=True)
class Place:
    """A server of the app, and what it works with. `gate`: while closed, downloads stop half way."""

    address: str
    weights: Path
    gate: threading.Event


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("models")
    weights, gate = root / "weights", threading.Event()
    weights.mkdir()
    for name in ("compact", "metrics"):
        shutil.copytree(ROOT / "weights" / name, weights / name)
    releases = _releases({V2: published.write("resshift", root / V2).read_bytes(), V3: bytes(200_000)}, gate)
    environment = {
        "OMP_NUM_THREADS": "1", "STEPBACK_WEIGHTS": str(weights), "HF_HUB_OFFLINE": None,
        "STEPBACK_RELEASES": f"http://127.0.0.1:{releases.server_port}",
    }  # fmt: skip
    try:
        with served(root, "--device", "cpu", environment=environment) as app:
            yield Place(app.address, weights, gate)
    finally:
        releases.shutdown()
        releases.server_close()
    assert "Traceback" not in app.said.read_text(), app.said.read_text()


def _releases(files: dict[str, bytes], gate: threading.Event) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            data = files.get(self.path.rpartition("/")[2])
            if data is None:
                self.send_error(404)
                return
            asked = self.headers.get("Range")
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.send_header("ETag", f'"{len(data)}"')
            self.end_headers()
            try:
                for at in range(start, len(data), 1 << 18):
                    if at > len(data) // 2:
                        gate.wait(60)
                    self.wfile.write(data[at : at + (1 << 18)])
            except OSError:
                return  # the reader left

        def log_message(self, *words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Models(Watched):
    """A page with the Models tab open."""

    def open_tab(self, name: str) -> None:
        tab = self.page.locator(f"#tabs > .tab-wrapper [role=tab]:has-text('{name}')")
        if not tab.first.is_visible():
            self.page.click("#tabs .overflow-menu > button")
            self.page.click(f"#tabs .overflow-dropdown button:has-text('{name}')")
        else:
            tab.first.click()

    def look(self) -> Models:
        self.page.set_default_timeout(60_000)
        self.open_tab("Models")
        self.page.wait_for_selector("#models-list .group")
        return self

    def row(self, key: str) -> str:
        selector = f'#models-list .row[data-id="{key}"]'
        self.page.locator(selector).evaluate("(row) => { row.closest('details').open = true; }")
        return selector

    def press(self, key: str, words: str) -> None:
        self.page.click(f"{self.row(key)} button:has-text('{words}')")

    def shot(self, name: str) -> None:
        folder = os.environ.get("STEPBACK_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture
def models(chromium, place) -> Iterator[Models]:  # noqa: F811
    watched = Models(chromium, place.address, viewport={"width": 1280, "height": 900})
    yield watched.look()
    watched.context.close()
    assert watched.faults == []


def test_a_file_is_fetched_stopped_taken_up_again_and_removed(models: Models, place: Place):
    key = "resshift/realsr-x4-v2"
    row = models.row(key)
    models.say(row, "not here")
    assert "Non-commercial" in models.page.inner_text(row) and "478 MB" in models.page.inner_text(row)
    place.gate.clear()
    models.press(key, "Get")
    models.say(row, "[0-9]+ MB of 30 MB")
    models.shot("fetching")
    models.press(key, "Cancel")
    place.gate.set()
    assert "What came so far is kept" in models.say(row, "was stopped")
    models.press(key, "OK")
    models.press(key, "Go on")
    models.say(row, "here · no checksum published")
    models.press(key, "Check")
    models.say(row, "all numbers finite")
    models.shot("here")
    models.press(key, "Remove")
    models.say(row, "Really remove")
    models.press(key, "Really remove")
    models.say(row, "not here")
    assert not list((place.weights / "resshift").glob("resshift*"))


def test_a_wrong_checksum_and_a_lost_page_are_told_in_the_row(models: Models, place: Place):
    place.gate.set()
    models.press("resshift/realsr-x4-v3", "Get")
    told = models.say(models.row("resshift/realsr-x4-v3"), "not the published file")
    assert "It was deleted" in told
    models.press("resshift/realsr-x4-v1", "Get")
    assert "has no file" in models.say(models.row("resshift/realsr-x4-v1"), "answer 404")
    models.shot("wrong")
    assert not list((place.weights / "resshift").glob("*.part"))


def test_a_dropped_file_is_named_asked_about_and_run_both_ways(models: Models, place: Place, tmp_path: Path):
    page = models.page
    models.page.set_input_files("#models-drop input[type=file]", published.write("irsde", tmp_path / "mine.pth"))
    models.say("#models-said", "fits 5 published files")
    models.shot("which")
    page.click("#models-which label:has-text('Motion blur')")
    page.click("#models-use")
    models.say("#models-said", "Added as Motion blur")
    models.say(models.row("irsde/deblur-gopro"), "here")
    assert (place.weights / "irsde" / "irsde-deblur-gopro.pth").is_file()

    models.open_tab("Restore")
    export.save(torch.linspace(0, 1, 48).expand(1, 3, 40, 48), tmp_path / "ramp.png")
    models.upload(tmp_path / "ramp.png")
    page.click("#method-tabs [role=tab]:has-text('IR-SDE')")
    page.click("#variant input")
    page.click("#variant [role=option]:has-text('Motion blur') >> nth=0")
    models.say("#pace", "As published: 100 network calls")
    models.say("#estimate", "Takes .* network calls. As published")
    page.click("#run")
    page.wait_for_selector("#result img", state="visible")
    models.say("#film .badge", "Finished")
    assert "10" in page.inner_text("#facts")
    page.click("#pace label:has-text('As published')")
    models.say("#preset-word", "As published")
    models.say("#estimate", "100 network calls")
    page.click("#run")
    page.wait_for_function("document.querySelector('#facts')?.innerText.includes('100')")
    page.click("#more > button")
    assert page.is_disabled("#noise-level input[type=number]")
    assert "knows no other" in page.inner_text("#noise-level")
    assert page.is_visible("#own-reading") and not page.is_visible("#own-lens")


def test_missing_weights_lead_here_and_files_put_there_are_seen_at_once(models: Models, place: Place, tmp_path: Path):
    page = models.page
    models.open_tab("Restore")
    page.click("#method-tabs [role=tab]:has-text('ResShift')")
    page.click("#task label:has-text('Small')")
    page.click("#variant input")
    page.click("#variant [role=option]:has-text('v2, 15 steps')")
    assert "S-Lab" in models.say("#estimate", "needs 2 files that are not here")
    page.click("#get-weights")
    models.say("#models-list .needed", "needs what is marked below")
    page.wait_for_selector("#models-list .row.wanted >> nth=1")
    assert page.locator("#models-list .row.wanted").count() == 2
    models.shot("needed")

    published.write("resshift", place.weights / "resshift" / "resshift_realsrx4_s15_v2.pth")
    models.say(models.row("resshift/realsr-x4-v2"), "here")
    published.write("vq", place.weights / "found somewhere.safetensors")
    stray = models.row("stray-found somewhere.safetensors")
    models.say(stray, "which is it")
    models.shot("stray")
    page.select_option(f"{stray} select", "resshift/vq-f4")
    page.click(f"{stray} button")
    models.say(models.row("resshift/vq-f4"), "here · converted")
    page.wait_for_selector(stray, state="detached")
    page.wait_for_selector("#models-list .needed", state="hidden")

    models.open_tab("Restore")
    page.wait_for_selector("#get-weights", state="hidden")
    export.save(torch.linspace(0, 1, 24).expand(1, 3, 16, 24), tmp_path / "ramp.png")
    models.upload(tmp_path / "ramp.png")
    page.click("#run")
    page.wait_for_selector("#result img", state="visible")
    assert "96 × 64" in models.say("#facts", "96")


def test_a_file_that_is_no_weights_gets_a_sentence(models: Models):
    for name, data, told in (
        ("letter.pth", b"Dear Sir or Madam", "neither a safetensors nor a PyTorch file"),
        ("empty.ckpt", b"", "is empty"),
        ("page.safetensors", b"<!DOCTYPE html>", "a web page"),
    ):
        models.page.set_input_files(
            "#models-drop input[type=file]", {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        )
        models.say("#models-said", told)
        time.sleep(0.3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_list_fits_the_screen(chromium, place, width: int, height: int, scheme: str):  # noqa: F811
    phone = width < 600
    size = {"width": width, "height": height}
    watched = Models(
        chromium, f"{place.address}/?__theme={scheme}", viewport=size, is_mobile=phone, has_touch=phone,
        color_scheme=scheme,
    )  # fmt: skip
    watched.look()
    watched.row("resshift/realsr-x4-v3")
    watched.page.locator("#models-list .group[open] .row details").first.evaluate("(d) => { d.open = true; }")
    watched.page.wait_for_timeout(300)
    assert watched.page.evaluate(NARROW_ENOUGH) and watched.page.evaluate("innerWidth") == width
    watched.shot(f"list-{width}-{scheme}")
    watched.context.close()
    assert watched.faults == []
