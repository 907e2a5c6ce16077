"""What is told before a run: while the device is free, while it is busy, and of published weights."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from restore_core.library import Library
from restore_core.timing import Line, Timing
from restore_core.ui import restore, restoring
from restore_core.ui.asking import Ask
from restore_core.ui.desk import Desk
from restore_core.ui.foreseeing import LATER, Foresight, foreseen
from restore_core.ui.newest import PAGES, Newest
from restore_core.ui.sessions import SessionStore
from restore_core.ui.weighing import get_button, name_of, picker

pytestmark = pytest.mark.usefixtures("loops")
ABOUT = {"size": [48, 64], "task": "denoise", "sentence": "It is noisy."}
ASK = Ask(task="denoise", method="dvsr")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    library = Library("cpu")
    if not library.has("dvsr", "compact-denoise"):
        pytest.skip("The compact weights are not here.")
    return Desk(library, SessionStore(tmp_path))


def never() -> bool:
    return False


def steady(each: float) -> Timing:
    """So many seconds a pixel and call, and nothing else."""
    return Timing(Line(0.0, 0.0), Line(0.0, each))


def test_while_the_device_is_busy_calls_are_told_and_nothing_is_measured(desk: Desk, monkeypatch):
    monkeypatch.setattr(desk.library, "_measured", lambda settings: pytest.fail("measured beside a run"))
    with desk.turns.turn(never):
        found = foreseen(ASK, ABOUT, desk)
    assert found.pending and "20 network calls" in found.html and LATER in found.html


def test_what_was_measured_before_is_told_while_the_device_is_busy(desk: Desk, monkeypatch):
    monkeypatch.setattr(desk.library, "_measured", lambda settings: steady(1e-3))
    free = foreseen(ASK, ABOUT, desk)
    with desk.turns.turn(never):
        busy = foreseen(ASK, ABOUT, desk)
        other = foreseen(Ask(task="denoise", method="irsde"), ABOUT, desk)
    assert free == busy and not busy.pending and "Takes about 60 s: 20 network calls" in busy.html
    assert other.pending


def test_without_a_photo_nothing_is_promised(desk: Desk):
    with desk.turns.turn(never):
        assert foreseen(ASK, {}, desk) == Foresight("")


@pytest.mark.parametrize(
    ("variant", "preset", "names"),
    [("v2-1-photo", 2, ["By the slider", "As published"]), ("v2-1-photo", 3, ["By the slider: 25", "As published: 10"]),
     ("v2-photo", 2, ["Fast: 20", "As published: 50"])],
)  # fmt: skip
def test_equal_numbers_are_told_once_and_what_is_no_faster_is_not_called_so(desk: Desk, variant, preset, names):
    ask = Ask(task="blind", method="diffbir", variant=variant, preset=preset)
    with gr.Blocks():
        chooser = picker(get_button())
    pace = chooser.shown(ask, desk.library)[chooser.pace]
    assert [told.removesuffix(" network calls") for told, _ in pace["choices"]] == names
    assert pace["label"] == "How to run it" + (", 10 network calls either way" if ":" not in names[0] else "")
    assert name_of(ask) == names[0].split(":")[0]


def test_the_estimate_tells_no_second_time_that_is_the_first(desk: Desk, monkeypatch):
    monkeypatch.setattr(desk.library, "missing", lambda method, variant: ())
    monkeypatch.setattr(desk.library, "_measured", lambda settings: steady(1e-6))
    told = [
        foreseen(Ask(task="blind", method="diffbir", variant="v2-1-photo", preset=preset), ABOUT, desk).html
        for preset in (2, 3)
    ]
    assert "As published" not in told[0] and "10 network calls" in told[0]
    assert "As published: about" in told[1] and "25 network calls" in told[1]


def test_an_answer_that_comes_late_does_not_stand_in_the_place_of_a_newer_one(desk: Desk, monkeypatch):
    with gr.Blocks():
        tab = restore.fill(desk)
    first, second = [object(), *[None] * 4, ABOUT], [object(), *[None] * 4, ABOUT]
    begun, measured = threading.Event(), threading.Event()

    def slowly(ask: list[object], about: object, desk: Desk) -> Foresight:
        if ask is first:
            begun.set()
            assert measured.wait(10)
        return Foresight("old" if ask is first else "new", pending=ask is first)

    monkeypatch.setattr(restore.Tab, "ask", lambda self, *read: first if read[0] is first[0] else second)
    monkeypatch.setattr(restoring, "foreseen", slowly)
    mine, other = SimpleNamespace(session_hash="mine"), SimpleNamespace(session_hash="other")
    with ThreadPoolExecutor() as pool:
        late = pool.submit(tab.foresee, mine, *first)
        assert begun.wait(10)
        assert tab.foresee(mine, *second)[tab.estimate] == "new"
        assert tab.foresee(other, *second)[tab.estimate] == "new"
        measured.set()
        assert list(late.result(10).values()) == [gr.skip(), gr.skip()]
    assert tab.foresee(mine, *first)[tab.estimate] == "old"  # asked anew, it is the newest


def test_pages_that_are_silent_are_forgotten_and_their_answers_still_stand():
    newest = Newest()
    stands = newest.ask("first")
    for page in range(PAGES):
        newest.ask(str(page))
    assert stands() and len(newest._asked) == PAGES
