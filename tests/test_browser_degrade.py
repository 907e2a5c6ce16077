"""The Degrade tab in a real browser: live preview, the chain's cards, units, downloads, ways on, small screens."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from test_browser import NARROW_ENOUGH, ROOT, Watched, address, chromium, desktop  # noqa: F401  fixtures

from restore_core import export, images
from restore_core.degradations import Chain
from restore_core.degradations.noise import poisson_gaussian

pytestmark = pytest.mark.browser

CLEAN = ROOT / "restore_core" / "ui" / "examples" / "clean" / "cat.jpg"
NUMBER = "document.querySelector('#degrade-view .lens').dataset.number"
FILLED = "#degrade-view .lens[data-state=filled]"
ARROWS = """[...document.querySelectorAll('#degrade select')]
  .every((menu) => getComputedStyle(menu).backgroundImage.includes('gradient'))"""
DRAG = """(slider, places) => { for (const place of places) {
  slider.value = place;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
} }"""


def opened(watched: Watched, photo: Path = CLEAN) -> Any:
    page = watched.page
    page.get_by_role("tab", name="Degrade", exact=True).click()
    page.wait_for_selector("#degrade-chain .steps li")
    page.set_input_files("#degrade-photo input[type=file]", photo)
    page.wait_for_selector(FILLED)
    return page


def after(page: Any, act: Any) -> float:
    """Do something that changes the preview; the seconds until the page shows it."""
    before, began = page.evaluate(NUMBER), time.monotonic()
    act()
    page.wait_for_function(f"(n) => {NUMBER} !== n", arg=before)
    return time.monotonic() - began


def chain(page: Any) -> Chain:
    """What stands in the text, once it has come to rest."""
    if not page.is_visible("#degrade-json textarea"):
        page.click("#degrade-text > button")
        page.wait_for_selector("#degrade-json textarea")
    text = None
    while text != (text := page.input_value("#degrade-json textarea")):
        page.wait_for_timeout(700)
    return Chain.from_text(text)


def test_sliders_move_the_picture_at_once_and_the_last_place_counts(desktop: Watched, tmp_path: Path):  # noqa: F811
    square = tmp_path / "square.png"
    export.save(images.resize(images.load(CLEAN).rgb, (512, 512)).clamp(0, 1), square)
    page = opened(desktop, square)
    iso = page.locator("#degrade-chain .field input[type=range]").first
    times = [after(page, lambda p=place: iso.evaluate(DRAG, [p])) for place in (0.2, 0.6, 0.4, 0.8)]
    assert min(times) < 3, times  # below 0.5 s on a free core
    iso.evaluate(DRAG, [0.1, 0.9, 0.3, 0.7, 0.5])
    found = chain(page).steps[0].values["iso"]
    assert found == pytest.approx(100 * 2048**0.5, rel=0.03)
    assert f"×{found / 100:.2f}".rstrip("0").rstrip(".") in page.inner_text("#degrade-chain .told")


def test_steps_are_added_moved_and_removed_by_keyboard_too(desktop: Watched):  # noqa: F811
    page = opened(desktop)
    after(page, lambda: page.select_option("#degrade-chain .add select", "jpeg"))
    after(page, lambda: page.select_option("#degrade-chain .add select", "blur"))
    assert [s.key for s in chain(page).steps] == ["noise", "jpeg", "blur"]
    page.focus("#degrade-chain li:nth-child(3) .up")
    after(page, lambda: page.keyboard.press("Enter"))
    assert page.evaluate("document.activeElement.ariaLabel") == "Earlier: Blur (Gaussian)"
    assert [s.key for s in chain(page).steps] == ["noise", "blur", "jpeg"]
    after(page, lambda: page.click("#degrade-chain li:nth-child(1) .remove"))
    after(page, lambda: page.uncheck("#degrade-chain input[type=checkbox]"))
    found = chain(page)
    assert [s.key for s in found.steps] == ["blur", "jpeg"] and found.steps[1].values["chroma"] is False
    after(page, lambda: page.click("#degrade-chain .dice"))
    assert chain(page).seed != found.seed


def test_a_random_chain_shows_its_numbers_and_bad_text_its_fault(desktop: Watched):  # noqa: F811
    page = opened(desktop)
    page.click("#degrade-begin input")
    after(page, lambda: page.get_by_role("option", name="Random: two stages (", exact=False).click())
    page.wait_for_selector("#degrade-chain li:has-text('Resized to a share')")
    first = chain(page)
    assert page.locator("#degrade-chain .steps li").count() == len(first.steps) >= 8
    after(page, lambda: page.click("#degrade-again"))
    assert chain(page) != first
    page.fill("#degrade-json textarea", '{"steps": [{"operator": "blurr"}]}')
    page.click("#degrade-apply")
    desktop.say("#degrade-message", "Choose one of blur")
    page.fill("#degrade-json textarea", json.dumps({"seed": 2, "steps": [{"operator": "haze", "beta": 2}]}))
    after(page, lambda: page.click("#degrade-apply"))
    page.wait_for_selector("#degrade-chain li:has-text('Haze')")
    assert page.input_value("#degrade-chain .field input[type=number]") == "2"


def test_iso_decibels_and_electrons_convert(desktop: Watched):  # noqa: F811
    page = desktop.page
    page.get_by_role("tab", name="Degrade", exact=True).click()
    page.click("#degrade-chain summary")
    value = lambda unit: float(page.input_value(f"#degrade-chain [data-unit={unit}]"))  # noqa: E731
    page.fill("#degrade-chain [data-unit=iso]", "6400")
    assert (value("factor"), round(value("decibels"), 2), value("white")) == (64, 36.12, 234.375)
    page.fill("#degrade-chain [data-unit=decibels]", "20")
    assert value("iso") == 1000 and value("factor") == 10
    page.fill("#degrade-chain [data-unit=white]", "3000")
    assert value("well") == 30000 and round(value("ratio"), 2) == 34.77


def test_the_picture_is_made_downloaded_and_sent_on(desktop: Watched, tmp_path: Path):  # noqa: F811
    page = opened(desktop)
    page.click("#degrade-make")
    page.wait_for_selector("#degrade-png", state="visible")
    wanted = chain(page)
    for button, name in (("#degrade-png", "made.png"), ("#degrade-file", "chain.json")):
        with page.expect_download() as download:
            page.click(button)
        download.value.save_as(tmp_path / name)
    assert Chain.from_text((tmp_path / "chain.json").read_text()) == wanted
    made = images.load(tmp_path / "made.png").rgb
    assert torch.equal(made, wanted(images.load(CLEAN).rgb))
    page.click("#degrade-to-restore")
    page.wait_for_selector("#run", state="visible")
    assert "320 × 280" in desktop.say("#photo-facts", "pixels")
    desktop.say("#estimate", "noisy")
    page.get_by_role("tab", name="Degrade", exact=True).click()
    page.click("#degrade-to-compare")
    assert "320 × 280" in desktop.say("#compare-facts", "noisy")
    page.click("#compare-truth > button")
    page.wait_for_selector("#compare-clean img")  # the clean one came along
    page.get_by_role("tab", name="Degrade", exact=True).click()
    after(page, lambda: page.select_option("#degrade-chain .add select", "rain"))
    page.wait_for_selector("#degrade-png", state="hidden")  # what was made no longer fits


def test_a_burst_is_measured_and_its_noise_used(desktop: Watched, tmp_path: Path):  # noqa: F811
    page, generator = opened(desktop), torch.Generator().manual_seed(0)
    scene = torch.linspace(0.1, 0.8, 200).expand(1, 3, 200, 200)
    for k in range(3):
        export.save(poisson_gaussian(scene, 3e-3, 0.01, generator).clamp(0, 1), tmp_path / f"{k}.png")
    page.click("#degrade-calibrate > button")
    page.wait_for_selector("#degrade-files input[type=file]", state="attached")
    page.set_input_files("#degrade-files input[type=file]", [tmp_path / f"{k}.png" for k in range(3)])
    page.wait_for_function("document.querySelectorAll('#degrade-files tr.file').length === 3")
    page.click("#degrade-measure")
    assert "Burst, 3 frames" in desktop.say("#degrade-plot", "electrons in white")
    page.wait_for_selector("#degrade-plot svg")
    after(page, lambda: page.click("#degrade-use"))
    step = chain(page).steps[-1]
    assert step.key == "sensor" and step.values["k_g"] == pytest.approx(3e-3, rel=0.1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_nothing_is_wider_than_the_screen_and_the_picture_stays_in_sight(
    chromium, address, tmp_path, width: int, height: int, scheme: str  # noqa: F811
):
    phone = width < 600
    watched = Watched(
        chromium, f"{address}/?__theme={scheme}", viewport={"width": width, "height": height}, is_mobile=phone,
        has_touch=phone, color_scheme=scheme,
    )  # fmt: skip
    page = watched.page
    if phone and not page.get_by_role("tab", name="Degrade", exact=True).is_visible():
        page.locator("#tabs .overflow-menu > button").click()
        page.locator("#tabs .overflow-dropdown button:has-text('Degrade')").click()
        page.wait_for_selector("#degrade-chain .steps li")
        page.set_input_files("#degrade-photo input[type=file]", CLEAN)
        page.wait_for_selector(FILLED)
    else:
        opened(watched)
    assert page.evaluate(NARROW_ENOUGH)
    assert page.evaluate(ARROWS), "a menu looks like a field to type in"
    page.select_option("#degrade-chain .add select", "rain")
    page.wait_for_selector("#degrade-chain li:has-text('Rain')")
    page.locator("#degrade-chain li:has-text('Rain') input[type=range]").last.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    box = page.locator("#degrade-view .stage").bounding_box()
    assert box["y"] > -2 and box["y"] + box["height"] <= height
    page.screenshot(path=tmp_path / f"degrade-{width}-{scheme}.png", full_page=True)
    assert page.evaluate(NARROW_ENOUGH)
    watched.context.close()
    assert watched.faults == []
