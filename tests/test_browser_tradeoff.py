"""The Trade-off tab in a real browser: a growing map, clicks and keys, table and file, small screens."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_browser import ROOT, Watched, address, chromium, desktop  # noqa: F401  fixtures

from restore_core import export

pytestmark = pytest.mark.browser

CLEAN = ROOT / "restore_core" / "ui" / "examples" / "clean"
MARKS = "document.querySelectorAll('#tradeoff-map .mark').length"
SHOWN = "[...document.querySelectorAll('#tradeoff-map .mark')].map(m => m.getAttribute('aria-label'))"
ROWS = (
    "[...document.querySelectorAll('#tradeoff-map tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
)
WIDTH = "document.documentElement.scrollWidth"  # a phone's innerWidth grows with what is too wide
CUT = """root => [...document.querySelectorAll(`${root} *`)].filter((one) =>
  getComputedStyle(one).textOverflow === "ellipsis" && one.scrollWidth > one.clientWidth).map((one) => one.innerText)"""
LEFT = """(() => {  // of the frame, beside the last answer's button
  const frame = document.querySelector("#tradeoff-have .wrap:has(label)");
  const last = frame.querySelector("label:last-of-type");
  return Math.round(frame.getBoundingClientRect().right - last.getBoundingClientRect().right);
})()"""
POINTS = """[...document.querySelectorAll('#tradeoff-map .mark')].map(m => {
  const [x, y] = m.getAttribute('transform').match(/[\\d.]+/g).map(Number);
  return [m.dataset.id, x, y];
})"""


@pytest.fixture(scope="module", autouse=True)
def sweeps(tmp_path_factory) -> Iterator[None]:
    """Points are kept in a folder of this test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEPBACK_SWEEPS", str(tmp_path_factory.mktemp("sweeps")))
        yield


def opened(watched: Watched, photo: str, steps: str = "1, 2, 4") -> Any:
    """The tab with a clean photo and a small sweep asked for."""
    page = watched.page
    if page.is_visible("#tabs > .tab-wrapper .overflow-menu > button"):
        page.click("#tabs > .tab-wrapper .overflow-menu > button")
    page.locator("#tabs > .tab-wrapper button:visible", has_text="Trade-off").last.click()
    page.set_input_files("#tradeoff-photo input[type=file]", CLEAN / f"{photo}.jpg")
    watched.say("#tradeoff-estimate", "points")
    for _ in range(10):  # an answer to the photo may still come and set what was set before: no hand is as fast
        page.uncheck("#tradeoff-over label:has-text('Randomness') input")
        page.uncheck("#tradeoff-positions input")
        page.fill("#tradeoff-steps textarea, #tradeoff-steps input", steps)
        page.keyboard.press("Tab")
        page.wait_for_timeout(1500)
        if f"{len(steps.split(','))} points" in page.inner_text("#tradeoff-estimate"):
            return page
    pytest.fail(f"The estimate does not follow the settings: {page.inner_text('#tradeoff-estimate')}")


def swept(watched: Watched, photo: str, steps: str = "1, 2, 4") -> Any:
    page = opened(watched, photo, steps)
    page.click("#tradeoff-run")
    watched.say("#tradeoff-progress", "Finished")
    return page


def test_no_word_is_cut_where_pictures_are_brought_and_chosen(desktop: Watched):  # noqa: F811
    page = desktop.page
    page.get_by_role("tab", name="Trade-off", exact=True).click()
    page.click("#tradeoff-have label:has-text('Both')")
    page.wait_for_selector("#tradeoff-clean", state="visible")
    assert page.evaluate(CUT, "#tradeoff-asking") == []
    page.click("#tradeoff-have label:has-text('clean')")  # in bold it is wider
    page.wait_for_selector("#tradeoff-have label.selected:has-text('clean')")
    assert 0 <= page.evaluate(LEFT) <= 1
    page.get_by_role("tab", name="Compare", exact=True).click()
    page.click("#compare-truth > button")
    page.wait_for_selector("#compare-clean .source-selection", state="visible")
    assert page.evaluate(CUT, "#compare-asking") == []


def test_the_map_grows_and_a_click_opens_the_run(desktop: Watched, tmp_path: Path):  # noqa: F811
    page = opened(desktop, "astronaut")
    page.evaluate(
        """() => {
          window.grown = [];
          const look = () => grown.push(document.querySelectorAll('#tradeoff-map .mark').length);
          new MutationObserver(look).observe(document.querySelector('#tradeoff-map svg'), { childList: true });
        }"""
    )
    page.click("#tradeoff-run")
    desktop.say("#tradeoff-progress", "Finished")
    assert page.evaluate("[1, 2, 3].every(n => grown.includes(n))")
    mark = page.locator("#tradeoff-map .mark", has=page.locator("path")).nth(1)
    label = mark.get_attribute("aria-label")
    box = mark.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    steps = label.split(" ")[0]
    desktop.say("#tradeoff-open", f"Steps\\s+{steps}\\s")
    assert page.locator("#tradeoff-map .mark[aria-pressed=true]").get_attribute("aria-label") == label
    with page.expect_download() as download:
        page.click("#tradeoff-keep")
    download.value.save_as(tmp_path / "point.png")
    assert export.read_settings(tmp_path / "point.png")["settings"]["steps"] == int(steps)


def test_the_keyboard_opens_runs_too(desktop: Watched):  # noqa: F811
    page = swept(desktop, "cat")
    page.focus("#tradeoff-map .mark")
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowRight")
    second = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert first != second
    for key, label in (("Enter", second), ("Space", first)):
        if key == "Space":
            page.keyboard.press("ArrowLeft")
        page.keyboard.press(key)
        desktop.say("#tradeoff-open", f"Steps\\s+{label.split(' ')[0]}\\s")
    page.click("#tradeoff-open label:has-text('Clean')")
    assert page.is_visible("#tradeoff-open img.truth") and not page.is_visible("#tradeoff-open img.result")


def test_table_marks_and_file_are_the_same_points(desktop: Watched, tmp_path: Path):  # noqa: F811
    page = swept(desktop, "rocket", "1, 2, 3, 5")
    page.click("#tradeoff-map summary")
    rows, labels = page.evaluate(ROWS), page.evaluate(SHOWN)
    assert len(rows) == len(labels) == 4
    assert {f"{r[0]}: PSNR {r[1]} dB, LPIPS (AlexNet) {r[3]}. Open." for r in rows} == set(labels)
    page.wait_for_selector("#tradeoff-csv:not([disabled])")
    with page.expect_download() as download:
        page.click("#tradeoff-csv")
    download.value.save_as(tmp_path / "points.csv")
    kept = list(csv.DictReader((tmp_path / "points.csv").read_text().splitlines()))
    assert [
        (f"{p['steps']} step{'s' if p['steps'] != '1' else ''}", f"{float(p['psnr']):.2f}") for p in kept
    ] == [(r[0], r[1]) for r in rows]
    places = {key: (x, y) for key, x, y in page.evaluate(POINTS)}
    by_truth = sorted(kept, key=lambda p: float(p["psnr"]))
    by_looks = sorted(kept, key=lambda p: -float(p["lpips"]))
    assert [p["key"] for p in by_truth] == sorted(places, key=lambda key: places[key][0])
    assert [p["key"] for p in by_looks] == sorted(places, key=lambda key: -places[key][1])
    page.click("#tradeoff-map tbody tr:nth-child(3) button")
    desktop.say("#tradeoff-open", "Steps\\s+3\\s")


def test_a_sweep_is_stopped_and_goes_on_after_a_reload(desktop: Watched):  # noqa: F811
    page = opened(desktop, "astronaut", "1, 7, 800")
    if page.is_enabled("#tradeoff-anew"):  # what another test measured
        page.click("#tradeoff-anew")
        page.wait_for_function(f"{MARKS} === 0")
    page.click("#tradeoff-run")
    page.wait_for_function(f"{MARKS} >= 2")
    page.click("#tradeoff-stop")
    desktop.say("#tradeoff-message", "Stopped with 2 of 3 points")
    page.wait_for_selector("#tradeoff-run:not([disabled])")
    page.reload()
    page.wait_for_selector("#run")
    page = opened(desktop, "astronaut", "1, 7, 9")
    assert page.evaluate(MARKS) >= 2
    desktop.say("#tradeoff-estimate", "2 of them measured already")
    page.click("#tradeoff-run")
    desktop.say("#tradeoff-progress", "Finished · 3 points")
    page.click("#tradeoff-anew")
    page.wait_for_function(f"{MARKS} === 0")


def test_a_point_is_opened_in_compare(desktop: Watched):  # noqa: F811
    page = swept(desktop, "cat", "1, 3")
    page.focus("#tradeoff-map .mark")
    page.keyboard.press("Enter")
    steps = re.search(r"Steps\s+(\d+)", desktop.say("#tradeoff-open", "Network calls"))[1]
    page.click("#tradeoff-compare")
    desktop.say("#compare-facts", "pixels")
    page.wait_for_function("n => document.querySelector('#compare-steps-a input').value === n", arg=steps)
    assert page.get_by_role("tab", name="Compare", exact=True).get_attribute("aria-selected") == "true"


def test_ten_thousand_points_are_asked_about(desktop: Watched):  # noqa: F811
    page = opened(desktop, "cat", ", ".join(map(str, range(1, 301))))
    page.click("#tradeoff-run")
    desktop.say("#tradeoff-message", "That is long")
    assert page.is_visible("#tradeoff-agreed") and page.evaluate(MARKS) <= 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_nothing_is_wider_than_the_screen(chromium, address, tmp_path, width, height, scheme):  # noqa: F811
    phone = width < 600
    size = {"width": width, "height": height}
    watched = Watched(
        chromium,
        f"{address}/?__theme={scheme}",
        viewport=size,
        is_mobile=phone,
        has_touch=phone,
        color_scheme=scheme,
    )
    page = watched.page
    opened(watched, "rocket", "1, 2, 3, 5")
    assert page.evaluate(WIDTH) <= width
    page.wait_for_function("document.querySelector('#tradeoff-estimate')?.innerText.includes('point')")
    if not page.evaluate(MARKS):
        page.click("#tradeoff-run")
    page.wait_for_function(f"{MARKS} >= 2")
    page.locator("#tradeoff-map .mark").first.focus()
    page.keyboard.press("Enter")
    watched.say("#tradeoff-open", "Network calls")
    page.click("#tradeoff-map summary")
    assert page.evaluate(WIDTH) <= width
    page.screenshot(path=tmp_path / f"tradeoff-{width}-{scheme}.png", full_page=True)
    watched.context.close()
    assert watched.faults == []
