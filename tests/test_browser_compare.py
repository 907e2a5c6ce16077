"""The Compare tab in a real browser: linked films, the viewer, cards, table, downloads, small screens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_browser import (  # noqa: F401  fixtures
    CAT,
    IN_SIGHT,
    NARROW_ENOUGH,
    Watched,
    address,
    chromium,
    desktop,
    phone,
)

from restore_core import export, images

pytestmark = pytest.mark.browser

STRIP = "document.querySelectorAll('#compare-film-{} .strip button').length"
RESTING = "[...document.querySelectorAll('#compare-film-{} .strip button')].findIndex(b => b.ariaCurrent === 'true')"
DONE = "['a', 'b'].every(l => document.querySelector(`#compare-film-${l} .film`).dataset.state === 'done')"
SPLIT = "getComputedStyle(document.querySelector('#compare-viewer .over')).clipPath"
BRIGHTNESS = """() => {
  const canvas = document.querySelector("#compare-viewer canvas"), context = canvas.getContext("2d");
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let i = 0; i < data.length; i++) if (i % 4 < 3) sum += data[i];
  return sum / (canvas.width * canvas.height);
}"""
PICTURES = "[...document.querySelectorAll('#compare-viewer img')].every(i => i.complete && i.naturalWidth === 392)"


def opened(watched: Watched, photo: Path = CAT) -> Any:
    page = watched.page
    page.get_by_role("tab", name="Compare", exact=True).click()
    page.set_input_files("#compare-photo input[type=file]", photo)
    watched.say("#compare-facts", "pixels")
    return page


def test_the_button_is_in_sight_with_a_photo_in(desktop: Watched):  # noqa: F811
    page = opened(desktop)
    desktop.say("#compare-estimate", "Takes about")
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#compare-run").bounding_box()
    assert box["y"] + box["height"] <= 900
    ends = "s => document.querySelector(`#compare-weights-a ${s}`).getBoundingClientRect()"
    assert page.evaluate(f"({ends})('input').right <= ({ends})('.icon-wrap').left + 2")  # no word beneath the arrow
    words = lambda task: [word.strip() for word in page.locator(f"{task} label").all_text_contents()]  # noqa: E731
    assert words("#compare-task")[:-1] == words("#task")  # and then: as the settings say


def test_on_a_phone_the_films_come_into_sight_but_a_refusal_leaves_the_page_where_it_is(phone: Watched):  # noqa: F811
    page = phone.page
    page.locator("#tabs > .tab-wrapper button:visible", has_text="Compare").last.click()
    page.tap("#compare-run")
    assert "no photo" in phone.say("#compare-message", "no photo")
    assert page.evaluate(IN_SIGHT, "#compare-message")
    page.set_input_files("#compare-photo input[type=file]", CAT)
    phone.say("#compare-estimate", "Takes about")
    page.tap("#compare-run")
    page.wait_for_function(f"{STRIP.format('a')} >= 2")
    assert page.evaluate(IN_SIGHT, "#compare-film-a .stage")


def number(page: Any, elem_id: str, value: int) -> None:
    page.locator(f"{elem_id} input").fill(str(value))
    page.keyboard.press("Tab")


def compare(page: Any, a: int = 4, b: int = 6) -> None:
    number(page, "#compare-steps-a", a)
    number(page, "#compare-steps-b", b)
    page.click("#compare-run")
    page.wait_for_selector("#compare-sheet", state="visible")
    assert page.evaluate(DONE)


def view(page: Any, name: str) -> None:
    page.click(f"#compare-viewer label:has-text('{name}')")


def test_films_are_linked_by_noise_level(desktop: Watched):  # noqa: F811
    page = opened(desktop)
    compare(page)
    assert page.evaluate(STRIP.format("a")) == 5 and page.evaluate(STRIP.format("b")) == 7
    page.click("#compare-film-a .strip button:nth-child(1)")
    assert page.evaluate(RESTING.format("b")) == 0
    desktop.say("#compare-film-b .badge", "noise 100 %")
    page.keyboard.press("End")
    assert page.evaluate(RESTING.format("b")) == 6
    page.click("#compare-film-b label:has-text('Current guess')")
    views = "[...document.querySelectorAll('#compare-films .film')].map(f => f.dataset.view).slice(0, 2)"
    assert page.evaluate(views) == ["guess", "guess"]
    page.click("#compare-film-a .link input")
    page.click("#compare-film-a .strip button:nth-child(2)")
    assert page.evaluate(RESTING.format("a")) == 1 and page.evaluate(RESTING.format("b")) == 6
    assert not page.is_checked("#compare-film-b .link input")


def test_the_viewer_holds_results_against_each_other(desktop: Watched):  # noqa: F811
    page = opened(desktop)
    compare(page, 2, 6)
    page.wait_for_function(PICTURES)
    page.focus("#compare-viewer .split input")
    page.keyboard.press("Home")
    assert page.evaluate(SPLIT) == "inset(0px 100% 0px 0px)"
    view(page, "Side by side")
    assert page.locator("#compare-viewer figure").count() == 2
    view(page, "Against your photo")
    page.wait_for_function(PICTURES)
    assert page.locator("#compare-viewer .over").count() == 2
    view(page, "Difference")
    page.wait_for_function(f"({BRIGHTNESS})() > 0")
    four = page.evaluate(BRIGHTNESS)
    page.locator("#compare-viewer .times input").fill("8")
    page.wait_for_function(f"Math.abs(({BRIGHTNESS})() / {four} - 2) < 0.2")
    page.select_option("#compare-viewer .right", "A")
    page.wait_for_function(f"({BRIGHTNESS})() === 0")  # a picture does not differ from itself
    page.select_option("#compare-viewer .zoom select", "2")
    page.wait_for_function("document.querySelector('#compare-viewer .sheet').getBoundingClientRect().width === 784")


def test_the_table_equals_the_record_and_the_downloads_are_whole(desktop: Watched, tmp_path: Path):  # noqa: F811
    page = opened(desktop)
    compare(page)
    with page.expect_download() as download:
        page.click("#compare-json")
    download.value.save_as(tmp_path / "settings.json")
    record = json.loads((tmp_path / "settings.json").read_text())
    assert record["settings"]["A"]["steps"] == 4 and record["settings"]["B"]["steps"] == 6
    assert record["settings"]["A"]["seed"] == record["settings"]["B"]["seed"] == 1
    for place, row in enumerate(record["numbers"].values(), 1):
        told = page.inner_text(f"#compare-table tbody tr:nth-child({place})")
        assert f"{row['consistency']:.1f} dB" in told and f"{row['niqe']:.2f}" in told
    with page.expect_download() as download:
        page.click("#compare-sheet")
    download.value.save_as(tmp_path / "sheet.png")
    assert images.load(tmp_path / "sheet.png").size[1] > 3 * 392
    with page.expect_download() as download:
        page.click("#compare-report")
    download.value.save_as(tmp_path / "report.html")
    assert "<table>" in (tmp_path / "report.html").read_text()


def test_cards_swap_copy_and_grow_and_four_run(desktop: Watched):  # noqa: F811
    page = opened(desktop)
    first = page.input_value("#compare-method-a input")
    page.click("#compare-swap")
    page.wait_for_function("(v) => document.querySelector('#compare-method-b input').value === v", arg=first)
    page.click("#compare-copy")
    page.wait_for_function("(v) => document.querySelector('#compare-method-b input').value !== v", arg=first)
    assert page.input_value("#compare-method-a input") == page.input_value("#compare-method-b input")
    page.click("#compare-more")
    page.wait_for_selector("#compare-card-c", state="visible")
    page.click("#compare-more")
    page.wait_for_selector("#compare-card-d", state="visible")
    assert page.is_disabled("#compare-more")
    for letter in "cd":
        number(page, f"#compare-steps-{letter}", 2)
    compare(page, 2, 2)
    assert page.locator("#compare-table tbody tr").count() == 4
    assert page.evaluate(STRIP.format("d")) == 3


def test_a_clean_picture_is_measured_against_and_a_wrong_one_is_told(desktop: Watched, tmp_path: Path):  # noqa: F811
    page = opened(desktop)
    page.click("#compare-truth > button")
    page.set_input_files("#compare-clean input[type=file]", CAT)
    compare(page)
    assert "PSNR" in page.inner_text("#compare-table thead")
    page.click("#compare-clean button[aria-label='Remove Image']")
    export.save(images.load(CAT).rgb[..., :100, :100], tmp_path / "other.png")
    page.set_input_files("#compare-clean input[type=file]", tmp_path / "other.png")
    page.wait_for_selector("#compare-clean img")
    page.click("#compare-run")
    desktop.say("#compare-message", "The clean picture is 100 × 100")
    page.wait_for_selector("#compare-run:not([disabled])")


def test_stop_leaves_what_was_made(desktop: Watched):  # noqa: F811
    page = opened(desktop)
    number(page, "#compare-steps-a", 900)
    page.click("#compare-run")
    desktop.say("#compare-film-a .badge", r"Step \d")
    page.click("#compare-stop")
    desktop.say("#compare-message", "Stopped at A")
    desktop.say("#compare-film-b .badge", "Not run")
    page.wait_for_selector("#compare-run:not([disabled])")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_nothing_is_wider_than_the_screen(chromium, address, tmp_path, width: int, height: int, scheme: str):  # noqa: F811
    small = width < 600
    watched = Watched(
        chromium, f"{address}/?__theme={scheme}", viewport={"width": width, "height": height}, is_mobile=small,
        has_touch=small, color_scheme=scheme,
    )  # fmt: skip
    page = opened(watched)
    assert page.evaluate(NARROW_ENOUGH)
    compare(page, 2, 2)
    page.wait_for_function(PICTURES)
    for name in ("Side by side", "Difference", "Against your photo", "Slider"):
        view(page, name)
        assert page.evaluate(NARROW_ENOUGH), name
    page.screenshot(path=tmp_path / f"compare-{width}-{scheme}.png", full_page=True)
    watched.context.close()
    assert watched.faults == []
