"""The pictures of these pages, taken from the running app: python -m docs.pictures [--only NAME]

Starts the app in a process of its own, drives it by Playwright with the system's Chromium, and writes WebP files into
docs/pictures, and the README's PNG beside it. Shows only pictures that ship with the project, restore_core/ui/examples,
damaged by the project itself.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.hosting import ROOT, served

EXAMPLES = ROOT / "restore_core" / "ui" / "examples"
PICTURES = Path(__file__).with_name("pictures")
FRONT = Path(__file__).with_name("screenshot.png")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
PATIENCE = 120_000  # ms for any answer of the page
DONE = "document.querySelectorAll('#batch-list tr[data-state=done]').length === 3"
MOST = 150_000  # bytes of a picture


def says(page: Any, selector: str, words: str) -> None:
    """Wait until the element says `words`."""
    script = "([s, w]) => document.querySelector(s)?.innerText.includes(w)"
    page.wait_for_function(script, arg=[selector, words])


def tab(page: Any, name: str) -> None:
    """Open one of the tabs at the top, which may be in the menu behind them."""
    shown = page.locator("#tabs > .tab-wrapper [role=tab]:visible", has_text=name)
    if shown.count() == 0:
        page.click("#tabs > .tab-wrapper .overflow-menu > button")
        shown = page.locator("#tabs > .tab-wrapper .overflow-dropdown button", has_text=name)
    shown.first.click()


def seen(page: Any, selector: str | None = None) -> Image.Image:
    """An element, or the window, as it is seen."""
    page.mouse.move(2, 2)
    page.wait_for_timeout(900)  # pictures fade in
    shot = page.locator(selector).first.screenshot() if selector else page.screenshot()
    return Image.open(io.BytesIO(shot)).convert("RGB")


def keep(page: Any, name: str, selector: str | None = None, *, height: int | None = None) -> None:
    """Write what is seen as WebP, at most `height` pixels of it from above."""
    picture = seen(page, selector)
    if height is not None:
        picture = picture.crop((0, 0, picture.width, min(height, picture.height)))
    for quality in (82, 74, 66, 58, 50):
        kept = io.BytesIO()
        picture.save(kept, "WEBP", quality=quality, method=6)
        if kept.tell() < MOST:
            break
    (PICTURES / f"{name}.webp").write_bytes(kept.getvalue())
    sys.stdout.write(f"{name}.webp: {picture.width} x {picture.height}, {kept.tell() // 1000} kB\n")


def restored(page: Any, photo: str, *, preset: int = 2) -> None:
    """A run on the Restore tab, to its end."""
    page.set_input_files("#photo-in input[type=file]", EXAMPLES / photo)
    says(page, "#estimate", "Takes")
    if preset != 2:
        page.focus("#preset input[type=range]")
        for _ in range(abs(preset - 2)):
            page.keyboard.press("ArrowRight" if preset > 2 else "ArrowLeft")
        page.wait_for_timeout(1500)
    page.click("#run")
    page.wait_for_selector("#result img", state="visible")
    page.wait_for_selector("#run:not([disabled])")


def front(page: Any) -> None:
    """The README's picture of the page, as PNG of 256 colours, which every reader of a README shows."""
    restored(page, "noisy-coffee.jpg")
    page.evaluate("scrollTo(0, 0)")
    seen(page).quantize(256, dither=Image.Dither.NONE).save(FRONT, optimize=True)
    sys.stdout.write(f"{FRONT.name}: {FRONT.stat().st_size // 1000} kB\n")


def restore(page: Any) -> None:
    """A photo, what was found in it, and its result."""
    restored(page, "blurry-cat.png")
    page.evaluate("scrollTo(0, 0)")
    keep(page, "restore")


def film(page: Any) -> None:
    """The film, resting in the middle."""
    restored(page, "blurry-cat.png")
    page.click("#film .strip button:nth-child(8)")
    keep(page, "film", "#film")


def invented(page: Any) -> None:
    """Where the samples differ."""
    restored(page, "small-dandelion.png")
    page.click("#invented > button")
    page.click("#invented-run")
    page.wait_for_selector("#invented-keep", state="visible")
    keep(page, "invented", "#invented-map")


def compare(page: Any) -> None:
    """Two settings, their films and table."""
    tab(page, "Compare")
    page.set_input_files("#compare-photo input[type=file]", EXAMPLES / "small-dandelion.png")
    says(page, "#compare-facts", "pixels")
    page.click("#compare-run")
    page.wait_for_selector("#compare-sheet", state="visible")
    keep(page, "compare", "#compare-seeing", height=1500)


def batch(page: Any) -> None:
    """A table of photos, all done."""
    tab(page, "Batch")
    page.wait_for_selector("#batch-list .batch-list")
    photos = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".png", ".jpg"))
    page.set_input_files("#batch-drop input[type=file]", [str(path) for path in photos])
    says(page, "#batch-head", "Restore 3 photos")
    page.click("#batch [data-do=start]:visible >> nth=0")
    page.wait_for_function(DONE)
    page.evaluate("scrollTo(0, 0)")
    keep(page, "batch", height=800)


def tradeoff(page: Any) -> None:
    """The map of a small sweep with one point opened."""
    tab(page, "Trade-off")
    page.set_input_files("#tradeoff-photo input[type=file]", EXAMPLES / "clean" / "cat.jpg")
    says(page, "#tradeoff-estimate", "points")
    page.wait_for_timeout(2000)
    page.uncheck("#tradeoff-over label:has-text('Randomness') input")
    page.uncheck("#tradeoff-positions input")
    page.fill("#tradeoff-steps textarea, #tradeoff-steps input", "2, 4, 8, 16, 32")
    page.keyboard.press("Tab")
    page.wait_for_timeout(3000)
    page.click("#tradeoff-run")
    says(page, "#tradeoff-progress", "Finished")
    page.focus("#tradeoff-map .mark")
    page.keyboard.press("Enter")
    page.wait_for_selector("#tradeoff-keep", state="visible")
    page.evaluate("document.activeElement.blur()")
    page.evaluate("scrollTo(0, 0)")
    keep(page, "tradeoff", "#tradeoff-seeing", height=900)


def learn(page: Any) -> None:
    """A step with the numbers in its formula."""
    tab(page, "Learn")
    page.locator("#learn-chapters > .tab-wrapper [role=tab]:visible", has_text="2 Going back").first.click()
    page.wait_for_selector("#learn-back .film-strip button")
    page.click("#learn-back .on")
    page.wait_for_timeout(1500)
    keep(page, "learn", "#learn-back")


def degrade(page: Any) -> None:
    """A chain of damage and what it does."""
    tab(page, "Degrade")
    page.set_input_files("#degrade-photo input[type=file]", EXAMPLES / "clean" / "rocket.jpg")
    page.wait_for_timeout(5000)
    page.evaluate("scrollTo(0, 0)")
    keep(page, "degrade", height=860)


TAKEN: Mapping[str, Callable[[Any], None]] = {
    take.__name__: take for take in (front, restore, film, invented, compare, batch, tradeoff, learn, degrade)
}


def main() -> int:
    """Take all pictures, or some; the exit code."""
    parser = argparse.ArgumentParser(description="Take the pictures of these pages.")
    parser.add_argument("--only", choices=list(TAKEN), action="append", help="only this one; repeatable")
    asked = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    PICTURES.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        sweeps = {"STEPBACK_SWEEPS": f"{folder}/sweeps"}
        app = stack.enter_context(served(Path(folder), "--device", "cpu", "--offline", environment=sweeps))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        for name in asked.only or TAKEN:
            context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(app.address)
            page.wait_for_selector("#run")
            TAKEN[name](page)
            context.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
