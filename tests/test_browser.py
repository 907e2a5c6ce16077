"""The page in a real browser: python -m pytest -m browser. Needs Playwright, Chromium and the shipped weights.

Where one of them is missing the tests are skipped, and fail when CI=true.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.hosting import served
from restore_core import export
from restore_core.library import Library
from restore_core.methods import METHODS
from restore_core.ui import TABS

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[1]
CAT = ROOT / "restore_core" / "ui" / "examples" / "blurry-cat.png"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
COUNT_FRAMES = """() => {
  const img = document.querySelector("#film .noisy img");
  window.frames_seen = new Set();
  new MutationObserver(() => { if (img.src.startsWith("data:")) frames_seen.add(img.src); })
    .observe(img, { attributes: true, attributeFilter: ["src"] });
}"""
LAST_ROW = """() => {  // [right edge of the task's last button, of the first]
  const labels = [...document.querySelectorAll("#task label")];
  const top = labels[0].getBoundingClientRect().top, row = labels.filter((l) => l.getBoundingClientRect().top === top);
  return [labels.at(-1), row.at(-1)].map((l) => Math.round(l.getBoundingClientRect().right));
}"""
NARROW_ENOUGH = "document.documentElement.scrollWidth <= screen.width"  # innerWidth grows with the page


def lack(what: str) -> None:
    """Skip at home, fail where everything is promised to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI=true promises it.")
    pytest.skip(f"{what} is missing.")


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """The app as a user starts it, in a process of its own."""
    library = Library("cpu")
    if not all(library.has(key, v.key) for key, method in METHODS.items() for v in method.card.variants[:3]):
        lack("A file in weights/compact")
    folder = tmp_path_factory.mktemp("app")
    with served(folder, "--device", "cpu", "--offline", environment={"OMP_NUM_THREADS": "1"}) as app:
        yield app.address
    assert "Traceback" not in app.said.read_text(), app.said.read_text()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lack("Playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        lack("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def contrast_of_thumb(page: Any) -> float:
    """Of the preset's thumb, in the middle of its slider, against what it lies on (WCAG 1.4.11 asks for 3)."""
    slider = page.locator("#preset input[type=range]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    above = {"x": box["x"] + box["width"] / 2 - 2, "y": box["y"] - 8, "width": 4, "height": 8}  # of the track
    with Image.open(io.BytesIO(page.screenshot(clip=above))) as shown:
        parts = np.asarray(shown.convert("RGB")) / 255
    light = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
    return (light.max() + 0.05) / (light.min() + 0.05)


class Watched:
    """A page with all that must not happen in it."""

    def __init__(self, browser: Any, address: str, **context: Any):
        self.context = browser.new_context(**context)
        self.page, self.faults = self.context.new_page(), []
        self.page.set_default_timeout(180_000)
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.host = "/".join(address.split("/")[:3])
        self.page.on("request", lambda r: self._foreign(r.url))
        self.page.goto(address)
        self.page.wait_for_selector("#run")

    def _foreign(self, url: str) -> None:
        if not url.startswith((self.host, "data:", "blob:")):
            self.faults.append(f"request to {url}")

    def upload(self, path: Path | dict[str, Any]) -> None:
        self.page.set_input_files("#photo-in input[type=file]", path)

    def say(self, selector: str, words: str) -> str:
        """Wait until the element says `words` (a regular expression); its text."""
        script = "([s, w]) => new RegExp(w).test(document.querySelector(s)?.innerText)"
        self.page.wait_for_function(script, arg=[selector, words])
        return self.page.inner_text(selector)

    def settle(self, selector: str, value: int) -> None:
        """Set a number in More settings by hand.

        A slider that was just unfolded takes its old value for some 50 ms more: no hand is as fast as a program.
        """
        if not self.page.is_visible(selector):
            self.page.click("#more > button")
        box = self.page.locator(f"{selector} input[type=number]")
        for _ in range(20):
            box.fill(str(value))
            self.page.keyboard.press("Tab")
            self.page.wait_for_timeout(250)
            if box.input_value() == str(value):
                return
        pytest.fail(f"{selector} does not keep {value}: it says {box.input_value()}.")


@pytest.fixture
def desktop(chromium, address) -> Iterator[Watched]:
    watched = Watched(chromium, address, viewport={"width": 1280, "height": 900})
    yield watched
    watched.context.close()
    assert watched.faults == []


def test_a_photo_is_restored_live_and_a_second_run_is_stopped(desktop: Watched, tmp_path: Path):
    page = desktop.page
    desktop.upload(CAT)
    desktop.say("#estimate", "Takes about")
    page.evaluate(COUNT_FRAMES)
    page.click("#run")
    page.wait_for_function("document.title.includes(' % ')")  # for who looks at another window
    page.wait_for_selector("#result img", state="visible")
    assert page.evaluate("frames_seen.size") >= 8
    page.wait_for_function("document.title === 'Stepback'")
    assert page.evaluate("[...document.querySelectorAll('#result img')].every((img) => img.src)")
    with page.expect_download() as download:
        page.click("#download-png")
    download.value.save_as(tmp_path / "result.png")
    assert export.read_settings(tmp_path / "result.png")["settings"]["seed"] == 1
    page.click("#film .strip button:nth-child(3)")
    assert "Step 3" in desktop.say("#film .badge", "Step 3")
    page.keyboard.press("End")
    desktop.say("#film .badge", "Finished")

    desktop.settle("#steps", 900)
    assert "Custom" in desktop.say("#preset-word", "Custom")
    page.evaluate(COUNT_FRAMES)
    page.click("#run")
    page.wait_for_function("frames_seen.size >= 8")
    page.click("#stop")
    told = desktop.say("#message", r"Stopped at step \d+ of 9\d\d")
    assert int(re.search(r"step (\d+)", told)[1]) < 900
    page.wait_for_selector("#result img", state="visible")
    page.wait_for_selector("#run:not([disabled])")


def test_five_hundred_steps_stream(desktop: Watched, tmp_path: Path):
    page = desktop.page
    ramp = torch.linspace(0, 1, 200).expand(1, 3, 200, 200)
    export.save(ramp, tmp_path / "ramp.png")
    desktop.upload(tmp_path / "ramp.png")
    desktop.say("#photo-facts", "200")
    page.click("#task label:has-text('Noisy')")
    desktop.settle("#steps", 500)
    desktop.say("#estimate", "Takes about")
    page.evaluate(COUNT_FRAMES)
    page.click("#run")
    page.wait_for_selector("#result img", state="visible")
    assert page.evaluate("frames_seen.size") >= 80
    assert 20 <= page.locator("#film .strip button").count() <= 24


DROP = """(bytes) => {
  const data = new DataTransfer(), place = document.querySelector("#seeing");
  data.items.add(new File([new Uint8Array(bytes)], "cat.png", { type: "image/png" }));
  const send = (kind) => new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data });
  return ["dragover", "drop"].map((kind) => !place.dispatchEvent(send(kind))).every(Boolean);
}"""


def test_a_bad_file_gets_a_sentence_and_the_next_one_works(desktop: Watched):
    page = desktop.page
    desktop.upload({"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear Sir or Madam"})
    desktop.say("#message", "letter.png holds text")
    page.wait_for_selector("#photo-in .image-frame.unseen")
    assert not page.is_visible("#photo-in .image-frame img")  # a broken image
    page.click("#run")
    page.wait_for_selector("#run:not([disabled])")
    desktop.say("#message", "letter.png holds text")
    page.click("#photo-in button[aria-label='Remove Image']")
    page.evaluate("dispatchEvent(new DragEvent('dragstart'))")  # a picture of the page's own stays where it is
    assert not page.evaluate(DROP, list(CAT.read_bytes()))
    page.evaluate("dispatchEvent(new DragEvent('dragend'))")
    assert page.evaluate(DROP, list(CAT.read_bytes()))  # beside the frame, where the browser would leave the page
    desktop.say("#estimate", "Takes about")
    assert page.is_visible("#photo-in .image-frame img")
    desktop.settle("#steps", 2)
    page.click("#run")
    page.wait_for_selector("#result img", state="visible")
    page.click("#photo-in button[aria-label='Remove Image']")
    page.wait_for_selector("#photo-in .image-frame", state="detached")
    page.click("#take-result")
    page.wait_for_selector("#photo-in .image-frame img", state="visible")
    desktop.say("#estimate", "Takes about")
    desktop.faults[:] = [f for f in desktop.faults if "letter.png" not in f]


def test_the_preset_moves_by_keyboard_and_the_dice_draws_a_number(desktop: Watched):
    page = desktop.page
    page.focus("#preset input[type=range]")
    page.keyboard.press("End")
    desktop.say("#preset-word", "Most vivid")
    heard = "document.querySelector('#preset input[type=range]').ariaValueText === 'Most vivid'"
    page.wait_for_function(heard)  # and not "4"
    desktop.settle("#steps", 37)
    desktop.say("#preset-word", "Custom")
    page.click("#method-tabs [role=tab]:has-text('SR3')")
    desktop.say("#noise-level", re.escape("beta_T"))
    before = page.input_value("#seed input")
    page.click("#dice")
    page.wait_for_function("(b) => document.querySelector('#seed input').value !== b", arg=before)


def test_a_question_is_one_stop_and_answered_by_arrows_and_examples_have_names(desktop: Watched):
    page = desktop.page
    page.wait_for_selector("#examples .gallery-item[aria-label='blurry cat']")
    page.focus("#examples .gallery-item >> nth=-1")
    page.keyboard.press("Tab")
    for task in ("deblur", "sr4", "sr2"):  # Gradio names a button anew when it is chosen: the group has to hold
        page.keyboard.press("ArrowDown")
        page.wait_for_function("t => document.querySelector('#task input:checked').value === t", arg=task)
        page.wait_for_function("document.querySelector('#task label.selected input') === document.activeElement")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#task') === null")


def test_a_number_typed_beyond_a_slider_is_brought_to_its_end_and_the_estimate_tells_of_it(desktop: Watched):
    page = desktop.page
    desktop.upload(CAT)
    desktop.say("#estimate", "Takes about")
    desktop.settle("#steps", 1)
    each = int(re.search(r": (\d) network", desktop.say("#estimate", r": \d network call"))[1])
    for typed, kept in (("-3", "0"), ("99999999999", "2147483647"), ("7", "7"), ("", "")):
        page.fill("#seed input", typed)
        page.keyboard.press("Tab")
        assert page.input_value("#seed input") == kept
    box = page.locator("#steps input[type=number]")
    for typed, kept in (("5000", 2000), ("-3", 1), ("7", 7), ("0", 1), ("7", 7), ("", 7)):
        box.fill(typed)
        page.keyboard.press("Tab")
        assert box.input_value() == str(kept)
        desktop.say("#estimate", rf"\b{kept * each:,} network call")


TABS_ARE_WHOLE = """
  [...document.querySelectorAll("#tabs > .tab-wrapper .tab-container:not(.visually-hidden) [role=tab]")]
  .every((tab) => tab.scrollWidth <= tab.clientWidth + 1)"""  # their words are not cut


IN_SIGHT = """selector => {
  const { top, bottom } = document.querySelector(selector).getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight + 1 && bottom > top;
}"""


@pytest.fixture
def phone(chromium, address) -> Iterator[Watched]:
    size = {"width": 390, "height": 844}
    watched = Watched(chromium, address, viewport=size, is_mobile=True, has_touch=True, reduced_motion="reduce")
    yield watched
    watched.context.close()
    assert watched.faults == []


def test_on_a_phone_the_film_comes_into_sight_and_then_the_whole_result(phone: Watched):
    page = phone.page
    phone.upload(CAT)
    phone.say("#estimate", "Takes about")
    page.tap("#run")
    page.wait_for_function("document.querySelectorAll('#film .strip button').length >= 2")
    assert page.evaluate(IN_SIGHT, "#film .stage")
    page.wait_for_selector("#result img", state="visible")
    page.wait_for_function(f"({IN_SIGHT})('#result') && ({IN_SIGHT})('#keep')")
    assert not page.is_visible("#film .stage")  # the result is in its place


HEAD = """() => ["h1", "#tabs > .tab-wrapper"].map((head) => {
  const box = document.querySelector(head).getBoundingClientRect();
  return [Math.round(box.left), Math.round(box.top), Math.round(box.width)];
})"""


def test_the_head_stands_still_whatever_tab_is_open(desktop: Watched):
    page = desktop.page
    places = set()
    for _, title, _ in TABS:
        page.get_by_role("tab", name=title, exact=True).click()
        page.wait_for_timeout(500)
        page.evaluate("scrollTo(0, 0)")
        places.add(str(page.evaluate(HEAD)))
    assert len(places) == 1, places
    narrow = page.evaluate(HEAD)[1][2]
    page.set_viewport_size({"width": 1920, "height": 1080})
    assert page.evaluate(HEAD)[1][2] > 1.25 * narrow, "a projector shows margins"
    assert page.inner_text("footer").strip() == "Settings"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_nothing_is_wider_than_the_screen(chromium, address, tmp_path, width: int, height: int, scheme: str):
    phone = width < 600
    size = {"width": width, "height": height}
    watched = Watched(
        chromium, f"{address}/?__theme={scheme}", viewport=size, is_mobile=phone, has_touch=phone, color_scheme=scheme
    )
    page = watched.page
    assert page.evaluate(NARROW_ENOUGH)
    assert page.evaluate(HEAD)[0][0] == (14 if phone else 28)
    last, first = page.evaluate(LAST_ROW)
    assert last == first, "the last row of the tasks is not full"
    assert contrast_of_thumb(page) >= 3
    page.wait_for_function(TABS_ARE_WHOLE)
    watched.upload(CAT)
    watched.say("#estimate", "Takes about")
    page.click("#run")
    page.wait_for_function("document.querySelectorAll('#film .strip button').length >= 4")
    page.screenshot(path=tmp_path / f"during-{width}-{scheme}.png")
    assert page.evaluate(NARROW_ENOUGH)
    page.wait_for_selector("#result img", state="visible")
    page.screenshot(path=tmp_path / f"after-{width}-{scheme}.png", full_page=True)
    assert page.evaluate(NARROW_ENOUGH)
    watched.context.close()
    assert watched.faults == []
