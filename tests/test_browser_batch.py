"""The Batch tab in a real browser: photos dropped, stopped, gone on with, looked at, downloaded; a small screen."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_browser import NARROW_ENOUGH, Watched, address, chromium  # noqa: F401  fixtures

from restore_core import export, images
from restore_core.ui.restore import EXAMPLES

pytestmark = pytest.mark.browser

FOCUS = "[document.activeElement.tagName, document.activeElement.innerText, document.activeElement.ariaLabel].join(' ')"


class Many(Watched):
    """A page with the Batch tab open."""

    def open_tab(self) -> Many:
        shown = self.page.locator("#tabs > .tab-wrapper [role=tab]:visible", has_text="Batch")
        if shown.count():
            shown.first.click()
        else:
            self.page.click("#tabs .overflow-menu > button")
            self.page.click("#tabs .overflow-dropdown button:has-text('Batch')")
        self.page.wait_for_selector("#batch-list .batch-list")
        return self

    def drop(self, *paths: Path) -> None:
        self.page.set_input_files("#batch-drop input[type=file]", [str(path) for path in paths])

    def press(self, deed: str) -> None:
        self.page.click(f"#batch [data-do={deed}]:visible >> nth=0")

    def rows(self) -> list[tuple[str, str]]:
        """(name, how it stands) of each row."""
        script = """() => [...document.querySelectorAll('#batch-list tbody tr')].map(
            (row) => [row.querySelector('.name').textContent, row.dataset.state])"""
        return [tuple(row) for row in self.page.evaluate(script)]

    def shot(self, name: str) -> None:
        folder = os.environ.get("STEPBACK_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Ten small photos: eight of three kinds, one whose name another has, one that is broken."""
    made = []
    (tmp_path / "other").mkdir()
    for k in range(8):
        example = sorted(path for path in EXAMPLES.glob("*.*") if path.suffix in (".png", ".jpg"))[k % 3]
        part = images.load(example).rgb[..., 10 * k : 10 * k + 72, 20 : 20 + 90].clone()
        made.append(tmp_path / f"{example.stem}-{k}.{'png' if k % 2 else 'jpg'}")
        export.save(part, made[-1])
    same, broken = tmp_path / "other" / made[0].name, tmp_path / "<b>broken.jpg"
    same.write_bytes(made[6].read_bytes())
    broken.write_bytes(made[2].read_bytes()[:700])
    return [*made[:4], broken, *made[4:], same]


@pytest.fixture(params=["wide", "phone"])
def many(request, chromium, address) -> Iterator[Many]:  # noqa: F811
    small = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    context = small if request.param == "phone" else {"viewport": {"width": 1280, "height": 900}}
    watched = Many(chromium, address, **context)
    yield watched.open_tab()
    watched.context.close()
    assert watched.faults == []


def test_ten_photos_are_dropped_stopped_gone_on_with_and_downloaded(many: Many, photos: list[Path], tmp_path: Path):
    page = many.page
    many.drop(*photos[:6])
    many.say("#batch-head", r"1 failed, 5 waiting\. That takes about")
    many.drop(*photos[6:])  # more, later
    many.say("#batch-head", r"0 of 10 done, 1 failed, 9 waiting")
    assert [name for name, _ in many.rows()] == [path.name for path in photos]
    assert "ends too early" in page.inner_text("#batch-list tr[data-state=failed] .seen")
    assert page.locator("#batch-list tr[data-state=failed] b").count() == 0  # a name is no HTML
    many.say("#batch-head [data-do=start]", "Restore 9 photos")
    many.press("start")
    many.say("#batch-head", r"[1-3] of 10 done")
    many.press("stop")
    many.say("#batch-head [data-do=start]", "Go on: [1-8] left")
    done = [row for row in many.rows() if row[1] == "done"]
    assert 1 <= len(done) <= 5 and {state for _, state in many.rows()} == {"done", "waiting", "failed"}
    many.shot(f"batch-stopped-{page.viewport_size['width']}")
    times = page.locator("#batch-list tr[data-state=done] .word").all_inner_texts()
    many.press("start")
    many.say("#batch-head", r"9 of 10 done, 1 failed\.$")
    assert page.locator("#batch-list tr[data-state=done] .word").all_inner_texts()[: len(times)] == times
    assert page.get_attribute("#batch-head .bar", "aria-valuenow") == "100"
    many.say("#batch-head .heard", "9 of 10 done, 1 failed")
    with page.expect_download() as download:
        many.press("zip")
    assert download.value.suggested_filename == "stepback-photos.zip"
    check_zip(Path(download.value.path()), photos, tmp_path)
    assert page.evaluate(NARROW_ENOUGH)
    many.shot(f"batch-done-{page.viewport_size['width']}")


def check_zip(path: Path, photos: list[Path], folder: Path) -> None:
    stems = [photo.stem for photo in photos[:-1] if "broken" not in photo.name] + [f"{photos[0].stem} (2)"]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [*(f"{stem}.png" for stem in stems), "stepback-batch.csv", "stepback-batch.json"]
        lines = archive.read("stepback-batch.csv").decode().splitlines()
        archive.extractall(folder / "results")
    assert sum(",done," in line for line in lines) == 9 and sum(",failed," in line for line in lines) == 1
    record = export.read_settings(folder / "results" / f"{stems[0]}.png")
    assert record["input"]["name"] == stems[0] and record["settings"]["seed"] == 1


def test_a_page_loaded_anew_finds_its_photos_and_another_does_not(many: Many, photos: list[Path], chromium, address):  # noqa: F811
    page = many.page
    many.drop(*photos[:3])
    many.say("#batch-head", "3 photos waiting")
    many.press("start")
    many.say("#batch-head", "3 of 3 done")
    page.reload()
    page.wait_for_selector("#run")
    many.open_tab()
    many.say("#batch-head", "3 of 3 done")
    assert page.evaluate("document.querySelectorAll('#batch-list img[src^=data]').length") == 3
    other = Many(chromium, address).open_tab()
    other.page.wait_for_timeout(600)
    assert other.rows() == [] and "appear here" in other.page.inner_text("#batch-list")
    other.context.close()
    many.press("clear")
    many.say("#batch-list", "Really empty it")
    many.press("clear")
    many.say("#batch-list", "appear here")


def test_before_and_after_by_keyboard(many: Many, photos: list[Path]):
    page = many.page
    many.drop(*photos[:2])
    many.say("#batch-head", "2 photos waiting")
    page.focus("#batch-more > button")
    page.keyboard.press("Tab")
    assert re.match("BUTTON Restore 2 photos", page.evaluate(FOCUS))
    page.keyboard.press("Enter")
    many.say("#batch-head", "2 of 2 done")
    assert "Restore" in page.evaluate(FOCUS)  # the focus stays where it was
    page.focus("#batch-list [data-do=open] >> nth=1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#batch-viewer .viewer[data-state=filled] img")
    many.say("#batch-title", re.escape(photos[1].name))
    page.wait_for_function("document.activeElement.id === 'batch-close'")
    many.shot(f"batch-look-{page.viewport_size['width']}")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#batch-opened').classList.contains('away')")
    assert photos[1].name in page.evaluate(FOCUS)
    page.focus("#batch-list [data-do=remove] >> nth=0")
    page.keyboard.press("Enter")
    many.say("#batch-head", "1 of 1 done")
    assert f"Remove: {photos[1].name}" in page.evaluate(FOCUS)


DROP = """async ([name, bytes]) => {
  const at = document.querySelector("#batch-seeing"), dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
  const told = { dataTransfer, bubbles: true, cancelable: true };
  for (const kind of ["dragover", "drop"]) at.dispatchEvent(new DragEvent(kind, told));
}"""
FOLDER = """() => {  // what a browser hands over when a folder is dropped, which no script may make
  const file = (name) => ({ isFile: true, name, file: (done) => done(new File(["x"], name)) });
  const reader = (inner) => ({ readEntries: (done) => done(inner.splice(0, 2)) });
  const folder = (...inner) => ({ isFile: false, name: "f", createReader: () => reader(inner) });
  const entry = folder(file("b.jpg"), file("a.PNG"), file("notes.txt"), folder(file("c.webp")));
  const event = new Event("drop", { bubbles: true, cancelable: true });
  event.dataTransfer = { items: [{ kind: "file", webkitGetAsEntry: () => entry }] };
  document.querySelector("#batch-seeing").dispatchEvent(event);
}"""


def test_photos_and_folders_are_dropped_anywhere_on_the_tab(many: Many, photos: list[Path]):
    page = many.page
    page.evaluate(DROP, [photos[1].name, list(photos[1].read_bytes())])
    many.say("#batch-head", "1 photo waiting")
    assert not page.evaluate("document.querySelector('#batch').classList.contains('over')")
    page.evaluate(FOLDER)
    many.say("#batch-head", "0 of 4 done, 3 failed, 1 waiting")
    assert [name for name, _ in many.rows()] == [photos[1].name, "a.PNG", "b.jpg", "c.webp"]
