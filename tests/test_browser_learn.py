"""The Learn tab in a real browser: each control answers, t moves curve and picture, nothing foreign is asked for."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_browser import NARROW_ENOUGH, ROOT, Watched, address, chromium  # noqa: F401  fixtures

from restore_core.engine import Noise
from restore_core.library import Library
from restore_core.methods.compact import to_image, to_signed
from restore_core.teaching import forward
from restore_core.teaching.scenes import pose, settings_of
from restore_core.ui.desk import Desk
from restore_core.ui.learn import pictures
from restore_core.ui.learn.forward import NOISE_SEED
from restore_core.ui.learn.stage import Stage

pytestmark = pytest.mark.browser

CAT = ROOT / "tests" / "data" / "cat.jpg"
LIMIT = 5.0  # seconds for any control; the test allows for a busy machine
PATIENCE = 4
SET = """([selector, value]) => {
  const input = document.querySelector(selector);
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}"""
READ = """([selector, attribute]) => {
  const found = document.querySelector(selector);
  return attribute === "text" ? found.textContent : found.getAttribute(attribute);
}"""
PIXELS = """() => Array.from(document.querySelector("#learn-forward .term.x canvas").getContext("2d")
  .getImageData(0, 0, 128, 128).data)"""
SILENT = """[...document.querySelectorAll("[id^=learn-] img")]
  .filter((img) => img.offsetParent && !img.hasAttribute("alt")).length"""
RINGED = "document.querySelector('#learn-choice label:has(:checked)').title"
CHAPTERS = {
    "1 Forward": "#learn-forward .learn-choice label",
    "2 Going back": "#learn-back .film-strip button",
    "3 Chance and steps": "#learn-steps tbody tr",
    "4 Not both": "#learn-both .point",
    "5 The network": "#learn-levels .here",
}


class Lesson(Watched):
    """A page with the Learn tab open."""

    def __init__(self, browser: Any, where: str, **context: Any):
        super().__init__(browser, where, **context)
        self.press_tab("#tabs", "Learn")
        self.page.wait_for_selector(CHAPTERS["1 Forward"])

    def press_tab(self, tabs: str, name: str) -> None:
        """Open a tab, which on a phone may be in the menu."""
        shown = self.page.locator(f"{tabs} > .tab-wrapper [role=tab]:visible", has_text=name)
        if shown.count() == 0:
            self.page.click(f"{tabs} > .tab-wrapper .overflow-menu > button")
            shown = self.page.locator(f"{tabs} > .tab-wrapper .overflow-dropdown button", has_text=name)
        shown.first.click()

    def chapter(self, name: str) -> None:
        """Open a chapter and wait for what it shows."""
        self.press_tab("#learn-chapters", name)
        self.page.wait_for_selector(CHAPTERS[name], state="attached")

    def upload(self, path: Path | dict[str, Any]) -> None:
        """A photo of one's own."""
        with self.page.expect_file_chooser() as chooser:
            self.page.click("#learn-upload")
        chooser.value.set_files(path)

    def answers(self, act: Any, what: str, arg: Any = None) -> float:
        """Seconds until `what` (a script) is true after `act`."""
        began = time.monotonic()
        act()
        self.page.wait_for_function(what, arg=arg)
        took = time.monotonic() - began
        assert took < PATIENCE * LIMIT
        return took

    def changes(self, act: Any, selector: str, attribute: str) -> float:
        """Seconds until the attribute (or text) of an element is another one after `act`."""
        before = self.page.evaluate(READ, [selector, attribute])
        return self.answers(act, f"([s, a, b]) => ({READ})([s, a]) !== b", [selector, attribute, before])


@pytest.fixture
def lesson(chromium, address) -> Iterator[Lesson]:  # noqa: F811
    opened = Lesson(chromium, address, viewport={"width": 1280, "height": 900})
    yield opened
    opened.context.close()
    assert opened.faults == []


def expected(family: str, t: float) -> np.ndarray:
    """x_t as the process itself mixes it, (128, 128, 3) uint8 as a float array."""
    stage = Stage(Desk(Library("cpu")))
    scene = stage.set_up("cat", "sr4")
    x0, eps = to_signed(scene.clean), pictures.quantised(Noise(NOISE_SEED)(scene.clean))
    if family == "ddpm":
        process, anchor = forward.ddpm(), torch.zeros_like(x0)
    else:
        problem = pose(scene, stage.desk.library, settings_of(scene, stage.desk.library, family))
        process, anchor = problem.process, problem.anchor
    state = to_image(process.diffuse(x0, anchor, torch.tensor(t, dtype=torch.float64), eps))
    return state[0].permute(1, 2, 0).numpy() * 255


def seen(lesson: Lesson) -> np.ndarray:
    return np.array(lesson.page.evaluate(PIXELS)).reshape(128, 128, 4)[..., :3]


def test_t_moves_curve_picture_and_histogram_at_once(lesson: Lesson):
    page = lesson.page
    for t in (0, 50, 100, 500, 999):
        page.click(f"#learn-forward .marks button:text-is('t = {t}')")
        assert page.inner_text("#learn-forward .dial output") == f"{t} of 1000"
        assert np.abs(seen(lesson) - expected("ddpm", t)).max() < 1.5  # rounding, and the noise's 8 bits
    assert int(page.evaluate(BELL)) >= 97
    page.focus("#learn-forward input.t")
    page.keyboard.press("Home")
    start = page.evaluate(CURSOR)
    calm = seen(lesson)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.evaluate(CURSOR) > start and np.abs(seen(lesson) - calm).max() > 2
    took = page.evaluate(DRAG)
    assert took < 100, f"a move of the slider took {took:.0f} ms"
    assert page.evaluate(APART), "what an axis is called lies on its highest number"


APART = """[...document.querySelectorAll("#learn-forward svg")].every((svg) => {
  const end = svg.querySelector(".axis").getBoundingClientRect().bottom - 1;
  return [...svg.querySelectorAll(".tick")].every((tick) => tick.getBoundingClientRect().top >= end);
})"""
BELL = "document.querySelector('#learn-forward .learn-lab').closest('[data-bell]')?.dataset.bell"
CURSOR = "Number(document.querySelector('#learn-forward .coefficients .cursor').getAttribute('x1'))"
DRAG = """() => {
  const input = document.querySelector("#learn-forward input.t"), began = performance.now();
  for (let k = 0; k < 20; k++) { input.value = 40 * k; input.dispatchEvent(new Event("input", { bubbles: true })); }
  return (performance.now() - began) / 20;
}"""


def test_each_family_shows_its_own_mixture(lesson: Lesson):
    page = lesson.page
    for family, title in (("dvsr", "DvSR"), ("resshift", "ResShift"), ("irsde", "IR-SDE"), ("sr3", "SR3")):
        page.click(f"#learn-forward .learn-choice label:has-text('{title}')")
        page.wait_for_selector(f"#learn-law-{family}.now .katex")
        page.locator("#learn-forward .marks button").last.click()
        steps = float(page.inner_text("#learn-forward .dial output").split(" of ")[1])
        assert np.abs(seen(lesson) - expected(family, steps)).max() < 2.5
    page.click("#learn-forward .learn-choice label:has-text('ResShift')")
    page.wait_for_selector("#learn-forward .option:not([hidden])")
    page.locator("#learn-forward .marks button").last.click()
    strength = "#learn-forward .term.s b"
    lesson.changes(lambda: page.evaluate(SET, ["#learn-forward .option input", "1.5"]), strength, "text")
    assert page.inner_text(strength).startswith("1.4")


def test_a_run_is_walked_step_by_step(lesson: Lesson):
    page = lesson.page
    lesson.chapter("2 Going back")
    page.wait_for_selector("#learn-back-law .katex-display.now")
    assert page.locator("#learn-back-law .katex-display.now").count() == 2
    first = page.inner_text("#learn-back-law .katex-display.now >> nth=1")
    lesson.changes(lambda: page.click("#learn-back .on"), "#learn-back .words", "text")
    assert page.inner_text("#learn-back-law .katex-display.now >> nth=1") != first
    page.focus("#learn-back input.t")
    page.keyboard.press("End")
    assert "the last" in page.inner_text("#learn-back .words")
    count = "(n) => document.querySelectorAll('#learn-back .film-strip button').length === n"
    for box, value in (("#learn-back-steps", 5),):
        page.locator(f"{box} input[type=number]").fill(str(value))
        lesson.answers(lambda: page.keyboard.press("Tab"), count, value)
    lesson.changes(lambda: page.click("#learn-back-method label:has-text('SR3')"), "#learn-back .now", "src")
    page.evaluate(SET, ["#learn-back input.t", "0"])
    page.click("#learn-back-sampler input")
    law = "#learn-back-law .katex-display.now"
    lesson.changes(lambda: page.click("li[role=option]:has-text('Reverse SDE')"), law, "text")


def test_chance_and_steps_answer(lesson: Lesson):
    page = lesson.page
    lesson.chapter("3 Chance and steps")
    page.wait_for_selector("#learn-randomness .run")
    assert "0.0" in page.inner_text("#learn-randomness figure >> nth=0")
    picture = "#learn-randomness figure:nth-child(3) .run"
    lesson.changes(lambda: page.evaluate(SET, ["#learn-randomness input.t", "2"]), picture, "src")
    first = "#learn-randomness figure figcaption"
    lesson.changes(lambda: page.click("#learn-chance-start label:has-text('Each its own')"), first, "text")
    lesson.changes(
        lambda: page.click("#learn-steps-method label:has-text('ResShift')"), "#learn-steps tbody", "text"
    )
    assert page.locator("#learn-steps tbody tr").count() == 9


def test_the_plane_is_walked_by_click_and_keyboard(lesson: Lesson):
    page = lesson.page
    lesson.chapter("4 Not both")
    caption = "#learn-both .picked figcaption"
    lesson.changes(lambda: page.evaluate(SET, ["#learn-both input.t", "12"]), caption, "text")
    assert "Mean of 12" in page.inner_text(caption) and "theory" in page.inner_text("#learn-both .words")
    page.click("#learn-both .point.predictor")
    assert "Predictor" in page.inner_text(caption)
    page.focus("#learn-both .point.sample >> nth=2")
    page.keyboard.press("Enter")
    assert "Sample 3" in page.inner_text(caption)
    lesson.changes(
        lambda: page.evaluate(SET, ["#learn-both input.row", "20"]),
        "#learn-both .profile .line.mean",
        "points",
    )
    lesson.changes(
        lambda: page.click("#learn-both-method label:has-text('IR-SDE')"), "#learn-both img.single", "src"
    )


def test_the_network_shows_its_parts_and_its_levels(lesson: Lesson):
    page = lesson.page
    lesson.chapter("5 The network")
    page.wait_for_selector("#learn-anatomy .box[data-k='5']")
    text = page.text_content("#learn-anatomy .unet")
    assert "9 × 128 × 128" in text and "3 × 128 × 128" in text
    for k in (0, 3, 5):
        box = page.locator(f"#learn-anatomy .box[data-k='{k}']")
        channels, height, width = re.search(r"(\d+) × (\d+) × (\d+)", box.get_attribute("aria-label")).groups()
        box.focus()
        assert f"{channels} channels of {height} × {width}" in page.inner_text("#learn-anatomy .part p")
    lesson.changes(
        lambda: page.click("#learn-network-which label:has-text('predictor')"),
        "#learn-anatomy .words",
        "text",
    )
    lesson.changes(
        lambda: page.evaluate(SET, ["#learn-levels input.told", "1"]), "#learn-levels .answer", "src"
    )
    assert "too little" in page.inner_text("#learn-levels .words")
    page.click("#learn-levels .same")
    assert "trained for" in page.inner_text("#learn-levels .words")


def test_another_picture_and_another_damage_reach_the_open_chapter(lesson: Lesson):
    page = lesson.page
    lesson.changes(
        lambda: page.click("#learn-choice label[title='Cup']"), "#learn-forward .bell-says", "text"
    )
    lesson.chapter("5 The network")
    lesson.changes(
        lambda: page.click("#learn-damage label:has-text('Blurred')"), "#learn-levels .answer", "src"
    )
    lesson.changes(lambda: lesson.upload(CAT), "#learn-levels .clean", "src")
    assert "Your photo" in lesson.say("#learn-message", "Your photo")
    assert page.evaluate(RINGED) == "Your photo"
    for name in ("Cup", "Your photo", "Cat"):
        lesson.changes(
            lambda name=name: page.click(f"#learn-choice label[title='{name}']"), "#learn-levels .clean", "src"
        )
        assert page.evaluate(RINGED) == name
    lesson.changes(lambda: lesson.upload(CAT), "#learn-levels .clean", "src")
    page.wait_for_function(f"({RINGED}) === 'Your photo'")
    lesson.upload({"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear Sir or Madam"})
    lesson.say("#learn-message", "letter.png")
    lesson.faults[:] = [f for f in lesson.faults if "letter.png" not in f]
    page.click("#learn-go")
    lesson.say("#photo-facts", "128 × 128 pixels, PNG")
    lesson.say("#estimate", "Takes about")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_no_chapter_is_too_wide(chromium, address, tmp_path, width: int, height: int, scheme: str):  # noqa: F811
    phone, size = width < 600, {"width": width, "height": height}
    address = f"{address}/?__theme={scheme}"
    opened = Lesson(chromium, address, viewport=size, is_mobile=phone, has_touch=phone, color_scheme=scheme)
    for k, name in enumerate(CHAPTERS):
        opened.chapter(name)
        opened.page.wait_for_timeout(300)
        opened.page.screenshot(path=tmp_path / f"{k + 1}-{width}-{scheme}.png", full_page=True)
        assert opened.page.evaluate(NARROW_ENOUGH), name
        assert opened.page.evaluate(SILENT) == 0
    opened.context.close()
    assert opened.faults == []
