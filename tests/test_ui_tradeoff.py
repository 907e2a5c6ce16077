"""The Trade-off tab without a browser: its sweep as a generator, what the map is told, what a click opens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch

from restore_core import export
from restore_core.errors import SettingsError
from restore_core.images import resize
from restore_core.library import Library, card
from restore_core.metrics import METRICS
from restore_core.tradeoff import Estimate, Plane, Point, frontier
from restore_core.ui import planning, tradeoff
from restore_core.ui import sweeping as ui_sweeping
from restore_core.ui.desk import Desk
from restore_core.ui.map import map_value, picked_id
from restore_core.ui.picked import opened
from restore_core.ui.planning import LATER, Ask, Foresight, board, foreseen, forget, parsed
from restore_core.ui.sessions import SessionStore
from restore_core.ui.sweeping import sweeping
from restore_core.ui.tradeoff import task_between

PLANE = Plane(METRICS["psnr"], METRICS["lpips"], "note")


@pytest.fixture(scope="module")
def library() -> Library:
    return Library("cpu")


@pytest.fixture
def desk(tmp_path, library: Library, monkeypatch) -> Iterator[Desk]:
    monkeypatch.setenv("STEPBACK_SWEEPS", str(tmp_path / "sweeps"))
    yield Desk(library, store=SessionStore(tmp_path / "store"))
    assert not [t for t in threading.enumerate() if t.name == "stepback-sweep"]


@pytest.fixture
def ask(tmp_path) -> Ask:
    generator = torch.Generator().manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 12, generator=generator), size=(96, 96))
    export.save(picture, tmp_path / "photo.png")
    return Ask(
        str(tmp_path / "photo.png"), over=("steps",), values={"steps": "1, 2 3"}, positions=False, side=80
    )


def test_typed_values():
    assert parsed("steps", "4, 10 20,") == (4, 10, 20) and parsed("eta", "0 .5 1") == (0, 0.5, 1)
    assert parsed("method", "dvsr, sr3") == ("dvsr", "sr3")
    with pytest.raises(SettingsError, match="'ten' is not a number"):
        parsed("steps", "ten")
    with pytest.raises(SettingsError, match="no values"):
        parsed("steps", " , ")


def test_points_come_one_by_one_and_are_there_the_next_time(desk: Desk, ask: Ask):
    messages = list(sweeping(desk, "s", ask))
    assert [m.failed for m in messages] == [False] * len(messages)
    assert messages[-1].caption == "Finished · 3 points" and messages[-1].share == 1
    assert [m.share for m in messages] == sorted(m.share for m in messages)
    found = board(desk, ask)
    assert [p.settings["steps"] for p in found.points] == [1, 2, 3]
    assert foreseen(desk, ask).sentence == "All 3 points are measured already."
    again = list(sweeping(desk, "other session", ask))
    assert again[-1].caption == "Finished · 3 points" and len(board(desk, ask).points) == 3
    forget(desk, ask)
    assert board(desk, ask).points == ()


def test_stop_keeps_what_is_done_and_frees_the_device(desk: Desk, ask: Ask):
    long = Ask(**{**vars(ask), "values": {"steps": "1, 500"}})
    texts, captions = [], []
    for message in sweeping(desk, "s", long):
        texts.append(message.text)
        captions.append(message.caption)
        if message.board is not None and message.board.points:
            desk.store.stop("s")
    assert "Stopped with 1 of 2 points" in texts[-1] and not desk.turns.busy
    assert all(caption.startswith("Stop") for caption in captions[-2:])
    assert len(board(desk, long).points) == 1


def test_closing_the_page_ends_the_run(desk: Desk, ask: Ask):
    messages = sweeping(desk, "s", Ask(**{**vars(ask), "values": {"steps": "900"}}))
    while "step" not in next(messages).caption:
        pass
    began = time.monotonic()
    messages.close()
    assert not desk.turns.busy and time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"photo": None}, "There is no photo yet"),
        ({"over": ()}, "Nothing is chosen to sweep"),
        ({"have": "both"}, "The clean picture is missing"),
        ({"values": {"steps": ""}}, "no values are named"),
        ({"values": {"steps": "0"}}, "Steps is 0"),
    ],
)
def test_what_cannot_be_swept_gets_a_sentence(desk: Desk, ask: Ask, changes, words):
    last = list(sweeping(desk, "s", Ask(**{**vars(ask), **changes})))[-1]
    assert last.failed and words in last.text


def test_ten_thousand_points_need_a_second_word(desk: Desk, ask: Ask):
    many = {"steps": " ".join(map(str, range(1, 1001))), "eta": "0 .1 .2 .3 .4 .5 .6 .7 .8 .9"}
    last = list(sweeping(desk, "s", Ask(**{**vars(ask), "over": ("steps", "eta"), "values": many})))[-1]
    assert last.failed and last.text.startswith("10,000 points: about") and "begin all the same" in last.text
    assert last.board is not None and last.board.points == ()


def test_beside_another_run_calls_are_told_at_once_and_nothing_is_measured(desk: Desk, ask: Ask, monkeypatch):
    monkeypatch.setattr(desk.library, "is_measured", lambda settings: False)
    monkeypatch.setattr(desk.library, "timing", lambda settings: pytest.fail("measured beside a run"))
    with desk.turns.turn(lambda: False):
        found = foreseen(desk, ask)
        many = foreseen(desk, Ask(**{**vars(ask), "values": {"steps": " ".join(map(str, range(1, 300)))}}))
    assert found.sentence == f"3 points, 6 network calls. {LATER}" and found.pending and not found.large
    assert many.large and many.pending


def test_a_sweep_tells_its_place_and_weighs_itself_when_its_turn_has_come(desk: Desk, ask: Ask, monkeypatch):
    busy = []  # while what is measured
    timing = desk.library.timing
    monkeypatch.setattr(desk.library, "is_measured", lambda settings: False)
    monkeypatch.setattr(desk.library, "timing", lambda s: busy.append(desk.turns.queue) or timing(s))
    with desk.turns.turn(lambda: False):
        messages = sweeping(desk, "s", ask)
        waits = next(m for m in messages if m.caption.startswith("Waiting"))
        assert waits.caption == "Waiting · you are next" and not busy
    assert list(messages)[-1].caption == "Finished · 3 points" and busy
    monkeypatch.setattr(planning, "estimate", lambda *_: Estimate(3, 3, 1e6))
    forget(desk, ask)
    with desk.turns.turn(lambda: False):
        messages = sweeping(desk, "s", ask)
        assert next(m for m in messages if m.caption.startswith("Waiting"))
    last = list(messages)[-1]
    assert last.failed and last.caption == "Not begun" and "begin all the same" in last.text
    assert not desk.turns.busy and not board(desk, ask).points


@pytest.mark.usefixtures("loops")
def test_the_box_that_agrees_keeps_its_tick_while_nothing_is_changed(desk: Desk, ask: Ask, monkeypatch):
    with gr.Blocks():
        tab = tradeoff.fill(desk)
    monkeypatch.setattr(tradeoff.Tab, "ask", lambda self, *read: ask)
    monkeypatch.setattr(tradeoff, "foreseen", lambda *_: Foresight("Long.", large=True, pending=True))
    page = SimpleNamespace(session_hash="s")
    assert tab.foresee(page)[tab.agreed]["value"] is False and tab.foresee(page)[tab.agreed]["visible"]
    told = tab.foresee_later(page)
    assert "value" not in told[tab.agreed] and told[tab.later].active and "Long." in told[tab.estimate]


def test_watching_costs_the_sampler_next_to_nothing(desk: Desk, ask: Ask):
    """The worker's own addition to each step, against the step."""
    found = board(desk, ask)
    work = ui_sweeping.Sweeping(desk, found, ask.plan(desk.library.precision))
    frame, settings = SimpleNamespace(done=False, share=0.3), card("dvsr").settings("compact-deblur", steps=3)
    began = time.perf_counter()
    for _ in range(1000):
        work._watch(settings, frame)
    assert (time.perf_counter() - began) / 1000 < 0.0005  # a step of 80 px takes 10 ms and more


@pytest.mark.parametrize(("scale", "task"), [(4, "sr4"), (1, "deblur"), (3, None)])
def test_a_clean_picture_that_comes_along_tells_the_task(tmp_path, scale: int, task: str | None):
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, 16, 16, generator=generator)
    clean = torch.nn.functional.interpolate(coarse, size=(96, 96), mode="bicubic").clamp(0, 1)
    export.save(clean, tmp_path / "clean.png")
    export.save(resize(clean, (96 // scale, 96 // scale)).clamp(0, 1), tmp_path / "small.png")
    paths = str(tmp_path / "small.png"), str(tmp_path / "clean.png")
    assert task_between(*paths, ["denoise", "deblur", "sr4"], 10**6) == task
    assert task_between("nowhere.png", paths[1], ["deblur"], 10**6) is None


# --- the map ---------------------------------------------------------------------------------------------------


def point(key: str, psnr: float, lpips: float, **changes: object) -> Point:
    settings = card("dvsr").settings("compact-deblur", **changes).to_json()
    return Point(key, settings, {"psnr": psnr, "lpips": lpips, "mse": 0.1}, 2.0, 5, f"pictures/{key}.png")


def test_the_map_says_what_was_measured():
    points = [
        point(f"{steps}-{eta}", 30 - steps / 10, 0.2 - eta / 10, steps=steps, eta=eta)
        for steps in (4, 10, 20)
        for eta in (0.0, 1.0)
    ] + [point("mean", 31, 0.3, steps=4, eta=1.0, samples=8)]
    value = map_value(points, PLANE, {"mean": 0, "20-1.0": 2}, "run")
    by_id = {p["id"]: p for p in value["points"]}
    assert [(p["x"], p["y"]) for p in value["points"]] == [
        (p.measures["psnr"], p.measures["lpips"]) for p in points
    ]
    assert value["series"] == ["eta 0", "eta 1", "eta 1, mean of 8"]
    assert (
        by_id["10-0.0"]["label"] == "10 steps, eta 0"
        and by_id["mean"]["label"] == "4 steps, eta 1, mean of 8"
    )
    assert (
        by_id["10-0.0"]["told"] == "PSNR 29.00 dB, LPIPS (AlexNet) 0.2000" and by_id["10-0.0"]["order"] == 10
    )
    assert by_id["mean"]["order"] is None
    assert value["frontier"] == list(frontier(points, PLANE)) and value["walk"] == ["mean", "20-1.0"]
    assert value["columns"] == ["Run", "PSNR dB", "LPIPS", "calls", "s"]
    assert all(len(p["cells"]) == len(value["columns"]) for p in value["points"])


def test_methods_are_told_apart_first_and_marks_never_run_out():
    points = [
        Point(
            f"{m}{s}",
            card(m).settings("compact-deblur", seed=s).to_json(),
            {"psnr": s, "lpips": 0.1},
            1,
            1,
            "",
        )
        for m in ("dvsr", "sr3")
        for s in (1, 2)
    ]
    value = map_value(points, PLANE, {})
    assert value["series"] == ["DvSR", "SR3"] and {p["label"] for p in value["points"]} == {"DvSR", "SR3"}
    many = [point(f"{k}", k, 0.1, steps=k // 12 + 1, eta=k % 12 / 12) for k in range(60)]
    assert len(map_value(many, PLANE, {})["series"]) <= 8


@pytest.mark.parametrize("data", [None, {}, {"id": 3}, {"id": "x" * 99}, "id"])
def test_what_a_browser_sends_is_checked(data):
    assert picked_id(data) is None


def test_the_opened_point_shows_its_picture_and_its_settings(desk: Desk, ask: Ask):
    list(sweeping(desk, "s", ask))
    found = board(desk, ask)
    best = frontier(found.points, found.plane)
    for point in found.points:
        page = opened(found, point)
        assert page.count("data:image/jpeg;base64,") == 3 and ("On the frontier" in page) == (point.key in best)
        assert f"<dt>Steps</dt><dd>{point.settings['steps']}</dd>" in page
        assert f"{point.measures['psnr']:.2f} dB" in page
    assert str(Path(found.journal.folder)) not in page
