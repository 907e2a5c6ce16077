"""After a restoration, in a real browser: downloads on demand, what may be invented, and on to Compare."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from test_browser import CAT, NARROW_ENOUGH, Watched, address, chromium, desktop  # noqa: F401  fixtures

pytestmark = pytest.mark.browser

STEPS = 3
MAP_SEEN = "document.querySelector('#invented-map .over').naturalWidth > 0"


def restored(watched: Watched) -> None:
    watched.upload(CAT)
    watched.say("#estimate", "Takes about")
    watched.settle("#steps", STEPS)
    watched.page.click("#run")
    watched.page.wait_for_selector("#result img", state="visible")


def fetched(watched: Watched, selector: str, path: Path) -> Path:
    with watched.page.expect_download() as download:
        watched.page.click(selector)
    download.value.save_as(path)
    return path


def test_downloads_are_made_when_they_are_asked_for(desktop: Watched, tmp_path: Path):  # noqa: F811
    restored(desktop)
    desktop.page.click("#more-downloads > button")
    assert "Noisy xₜ" in desktop.page.inner_text("#film-shows")
    uncut = desktop.page.evaluate("getComputedStyle(document.querySelector('#film-shows')).overflowX")
    assert uncut == "visible"  # its round corner would cut the first letter
    desktop.page.click("#film-shows label:has-text('Current guess')")
    with Image.open(fetched(desktop, "#download-gif", tmp_path / "film.gif")) as film:
        assert film.n_frames == STEPS  # the last guess is the result, which a GIF holds once
        assert film.size == (392, 264)
    assert fetched(desktop, "#download-mp4", tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"
    with zipfile.ZipFile(fetched(desktop, "#download-zip", tmp_path / "frames.zip")) as archive:
        assert len(archive.namelist()) == 2 * (STEPS + 1)
    assert json.loads(fetched(desktop, "#download-json", tmp_path / "s.json").read_text())["settings"]["steps"] == STEPS
    report = fetched(desktop, "#download-report", tmp_path / "report.html")
    page = desktop.context.new_page()
    page.goto(report.as_uri())
    assert page.locator("figure:visible").count() == 3  # before, after, one moment of the film
    page.locator(".film input").fill("0")
    assert "Step 1 of 3" in page.inner_text(".film")


def test_samples_show_what_may_be_invented(desktop: Watched):  # noqa: F811
    restored(desktop)
    page = desktop.page
    page.click("#invented > button")
    page.click("#invented-run")
    desktop.say("#invented-map .says", r"of 8 samples: |of the picture comes out")
    page.wait_for_selector("#invented-spread", state="visible")
    desktop.say("#invented-map .says", "8 samples")
    assert page.evaluate(MAP_SEEN)
    page.click("#invented-map label:has-text('Map')")
    assert not page.is_visible("#invented-map .over")
    page.locator("#invented-count input[type=number]").fill("16")
    page.keyboard.press("Tab")
    page.wait_for_timeout(300)
    page.click("#invented-run")
    desktop.say("#invented-map .says", "After [2-9] of 16")
    page.click("#invented-stop")
    page.wait_for_selector("#invented-run:not([disabled])")
    assert page.evaluate(NARROW_ENOUGH)


def test_the_photo_goes_on_to_the_lessons_as_often_as_it_is_sent(desktop: Watched):  # noqa: F811
    restored(desktop)
    page, told = desktop.page, "Your photo: the middle of it"
    for example in ("Cup", "Cat"):
        page.click("#tabs [role=tab]:has-text('Restore')")
        page.click("#learn-this")
        desktop.say("#learn-message", told)
        page.wait_for_selector("#learn-forward .learn-choice label")
        page.click(f"#learn-choice label[title='{example}']")
        page.wait_for_function("w => !document.querySelector('#learn-message').innerText.includes(w)", arg=told)


def test_photo_and_settings_go_on_to_compare(desktop: Watched):  # noqa: F811
    restored(desktop)
    page = desktop.page
    page.click("#compare-this")
    desktop.say("#compare-facts", "392 × 264")
    page.wait_for_function(f"document.querySelector('#compare-steps-a input').value === '{STEPS}'")
    page.locator("#compare-steps-a input").fill("3")
    page.keyboard.press("Tab")
    page.click("#tabs [role=tab]:has-text('Restore')")
    page.click("#compare-this")  # as often as one likes
    page.wait_for_function(f"document.querySelector('#compare-steps-a input').value === '{STEPS}'")
    page.locator("#compare-steps-b input").fill("2")
    page.keyboard.press("Tab")
    page.click("#compare-run")
    page.wait_for_selector("#compare-sheet", state="visible")
    assert page.locator("#compare-table tbody tr").count() == 2
