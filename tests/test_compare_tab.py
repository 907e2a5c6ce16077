"""The Compare tab's handlers without a server: order of the runs, stop, sentences, settings from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch

from restore_core import comparison, export, images
from restore_core.diagnosis import diagnose
from restore_core.engine import Frame
from restore_core.errors import SettingsError
from restore_core.library import Library, card
from restore_core.samplers import SAMPLERS
from restore_core.timing import Line, Timing
from restore_core.ui import cards, compare, comparing
from restore_core.ui.cards import FIELDS
from restore_core.ui.comparing import Message, compared
from restore_core.ui.desk import Desk
from restore_core.ui.foreseeing import LATER
from restore_core.ui.sessions import SessionStore

pytestmark = pytest.mark.usefixtures("loops")

WISHES = [
    {"method": "dvsr", "variant": "compact-denoise", "steps": 3, "seed": 1},
    {"method": "irsde", "variant": "compact-denoise", "steps": 3, "seed": 1},
]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    library = Library("cpu")
    if not library.has("dvsr", "compact-denoise"):
        pytest.skip("The compact weights are not here.")
    return Desk(library, SessionStore(tmp_path / "store"))


@pytest.fixture
def photo(tmp_path: Path) -> str:
    picture = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    export.save(images.resize(picture, (96, 120)).clamp(0, 1), tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def merged(messages: list[Message], letter: str) -> dict:
    films = [m.films[letter] for m in messages if letter in m.films]
    return {key: value for film in films for key, value in film.items()}


def test_the_runs_follow_each_other_and_end_with_table_pictures_and_files(desk: Desk, photo: str):
    messages = list(compared(desk, "s", photo, WISHES, task="denoise"))
    assert not any(m.failed for m in messages), messages[-1].text
    ids = {letter: merged(messages, letter)["run"] for letter in "AB"}
    assert len(set(ids.values())) == 2
    last = [merged(messages, letter) for letter in "AB"]
    assert all(film["done"] and film["caption"] == "Finished" for film in last)
    live = [letter for m in messages for letter, value in m.films.items() if "src_xt" in value]
    assert live == sorted(live) and set(live) == {"A", "B"}
    levels = [t["level"] for t in merged(messages, "B")["all"]]
    assert levels[0] == 1 and levels[-1] == 0 and levels == sorted(levels, reverse=True)
    shown = [m.pictures["pictures"] for m in messages if m.pictures]
    assert [[p["key"] for p in pictures] for pictures in shown] == [["photo", "A"], ["photo", "A", "B"]]
    assert all(p["src"].startswith("gradio_api/file=") for p in shown[-1])
    tables = [m.table for m in messages if m.table]
    assert tables[-1].count("<tr>") == 3 and "the same starting noise" in tables[-1]
    kept = messages[-1].kept
    assert json.loads(kept.settings.read_text())["settings"]["B"]["method"] == "irsde"
    assert "https://" not in kept.report.read_text() and kept.sheet.read_bytes().startswith(b"\x89PNG")


def test_stop_keeps_the_guess_and_leaves_the_others_out(desk: Desk, photo: str):
    messages = []
    for message in compared(desk, "s", photo, [{**WISHES[0], "steps": 500}, WISHES[1]], task="denoise"):
        messages.append(message)
        if "src_xt" in message.films.get("A", {}):
            desk.store.stop("s")
    assert re.match(r"Stopped · Step \d+ of 500", merged(messages, "A")["caption"])
    assert merged(messages, "B")["caption"] == "Not run" and merged(messages, "B")["done"]
    assert any("Stopped at A" in m.text for m in messages)
    assert [p["key"] for m in messages if m.pictures for p in m.pictures["pictures"]] == ["photo", "A"]
    assert not desk.turns.busy


@pytest.mark.parametrize(
    ("path", "wishes", "words"),
    [
        (None, WISHES, "no photo yet"),
        ("photo", [WISHES[0], {"method": "dvsr", "variant": "compact-sr4"}], "enlarge alike"),
        ("photo", [WISHES[0], {"method": "resshift", "variant": "realsr-x4-v2"}], "enlarge alike"),
        ("photo", [WISHES[0], {**WISHES[1], "steps": 0}], "Steps"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(desk: Desk, photo: str, path, wishes, words: str):
    *_, last = compared(desk, "s", photo if path else None, wishes)
    assert last.failed and words in last.text
    assert set(last.films) == {"A", "B"} and all(value["error"] for value in last.films.values())


def test_missing_weights_are_told(desk: Desk, photo: str, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path))
    other = Desk(Library("cpu"), desk.store)
    *_, last = compared(other, "s", photo, WISHES)
    assert last.failed and "compact" in last.text


def test_an_unknown_fault_gets_a_code_not_a_traceback(desk: Desk, photo: str, monkeypatch):
    def broken(*_: object, **__: object) -> Iterator[Frame]:
        raise ZeroDivisionError("a secret")
        yield

    monkeypatch.setattr(comparing, "run", broken)
    *_, last = compared(desk, "s", photo, WISHES, task="denoise")
    assert last.failed and re.search(r"code [0-9a-f]{6}", last.text) and "secret" not in last.text


# --- cards -----------------------------------------------------------------------------------------------------


def values_of(method: str = "dvsr", task: str = "deblur") -> dict:
    return cards.shown(card(method).settings(card(method).variant_for(task).key))


def test_a_card_asks_for_what_it_shows():
    asked = cards.wish(values_of("irsde") | {"steps": 7, "eta": 0.5})
    made = card("irsde").settings(**{k: v for k, v in asked.items() if k != "method"})
    assert (made.steps, made.options["eta"], made.seed) == (7, 0.5, 0)
    assert "eta" not in cards.wish(values_of() | {"sampler": "heun"})
    assert "steps" not in cards.wish(values_of() | {"steps": None})


def test_another_method_keeps_the_task_and_takes_its_own_defaults():
    moved = cards.moved(values_of("dvsr", "denoise") | {"method": "resshift"}, "method")
    assert moved["variant"] == "compact-denoise"
    assert moved["steps"] == card("resshift").settings("compact-denoise").steps
    stepped = cards.moved(values_of() | {"sampler": "heun", "eta": 0.0, "spacing": "uniform"}, "sampler")
    assert stepped["spacing"] == SAMPLERS["heun"].spacing and stepped["eta"] == 0
    assert cards.moved(stepped | {"sampler": "ddim"}, "sampler")["eta"] == 1


def test_weights_follow_the_task_unless_they_undo_it_already(desk: Desk):
    assert cards.for_task(values_of(), "sr4")["variant"] == "compact-sr4"
    own = values_of() | {"steps": 99}
    assert cards.for_task(own, "deblur") == own and cards.for_task(own, "no such task") == own


def test_no_control_gets_other_limits_for_an_event_that_crosses_holds_a_value_of_the_old(desk: Desk):
    for method, told in (("dvsr", "0.001 to 0.9."), ("irsde", "1 to 100."), ("ddnm", None)):
        updates = dict(zip(FIELDS, cards.adjusted(values_of(method), desk.library), strict=True))
        assert not any({"minimum", "maximum"} & update.keys() for update in updates.values())
        assert told is None or updates["noise"]["info"] == told


def test_blur_is_asked_for_where_it_must_be_known(desk: Desk):
    known = values_of("ddnm") | {"blur": 3.0}
    assert cards.wish(known)["blur"] == 3 and "blur" not in cards.wish(values_of() | {"blur": 3.0})
    for values, seen in ((known, True), (values_of(), False)):
        assert dict(zip(FIELDS, cards.adjusted(values, desk.library), strict=True))["blur"]["visible"] is seen


def test_what_the_weights_fix_is_greyed_and_left_out(desk: Desk):
    variant = next(v for v in card("resshift").variants if "steps" in v.fixed)
    shown = cards.shown(card("resshift").settings(variant.key))
    updates = dict(zip(FIELDS, cards.adjusted(shown, desk.library), strict=True))
    assert not updates["steps"]["interactive"] and not updates["noise"]["interactive"]
    assert "steps" not in cards.wish(shown | {"steps": 50})


@pytest.fixture
def tab(desk: Desk) -> compare.Tab:
    with gr.Blocks():
        return compare.fill(desk)


def flat(*values: dict) -> list:
    return [one[key] for one in values for key in FIELDS]


def four() -> list[dict]:
    return [values_of() | {"steps": steps} for steps in (11, 12, 13, 14)]


def steps_of(tab: compare.Tab, updates: dict) -> list:
    return [updates[c.controls["steps"]]["value"] for c in tab.cards if c.controls["steps"] in updates]


def test_opening_the_tab_changes_nothing_but_the_menus(tab: compare.Tab):
    handler, inputs, outputs = tab.entered
    updates = handler(*flat(*four()))
    assert inputs == tab.listed and list(updates) == outputs
    assert all("choices" in update and "value" not in update for update in updates.values())


def test_swap_and_copy(tab: compare.Tab):
    assert steps_of(tab, tab.hand_over(*flat(*four()), swap=True)) == [12, 11]
    assert steps_of(tab, tab.hand_over(*flat(*four()), swap=False)) == [11]


def test_settings_from_another_tab_become_a(tab: compare.Tab):
    sent = card("sr3").settings("compact-sr4", steps=7)
    updates = tab.receive(json.dumps(sent.to_json()), "auto", *flat(*four()))
    assert updates[tab.cards[0].controls["method"]]["value"] == "sr3" and updates[tab.incoming] is None
    assert steps_of(tab, updates)[0] == 7
    variants = {updates[c.controls["variant"]]["value"] for c in tab.cards}
    assert variants == {"compact-sr4"}  # all enlarge alike


def test_a_whole_comparison_comes_back(tab: compare.Tab, desk: Desk, photo: str):
    asked = comparison.prepare(images.load(photo), [*WISHES, WISHES[0]], desk.library)
    updates = tab.receive(json.dumps(asked.record()), "auto", *flat(*four()))
    assert updates[tab.count] == 3 and steps_of(tab, updates)[:3] == [3, 3, 3]


UNKNOWN = json.dumps({"method": "nothing", "variant": "a", "sampler": "b", "steps": 1})


@pytest.mark.parametrize("sent", ["7", "{}", "no json", UNKNOWN])
def test_settings_that_are_none_are_told(tab: compare.Tab, sent: str):
    updates = tab.receive(sent, "auto", *flat(*four()))
    assert "error" in updates[tab.message] and steps_of(tab, updates) == [11, 12, 13, 14]


def test_a_photo_decides_the_weights_unless_the_task_is_told(tab: compare.Tab, tmp_path: Path):
    grain = 0.5 + 0.1 * torch.randn(1, 3, 96, 120, generator=torch.Generator().manual_seed(0))
    export.save(grain.clamp(0, 1), tmp_path / "grainy.png")
    photo = str(tmp_path / "grainy.png")
    seen = tab.look(photo)
    assert "120 × 96" in seen[tab.facts]
    wanted = tab.follow("auto", seen[tab.seen], *flat(*four()))
    task = diagnose(images.load(photo).rgb).task
    assert task != "deblur"
    for c in tab.cards:
        method, variant = (wanted[c.controls[key]]["value"] for key in ("method", "variant"))
        assert card(method).variant(variant).task == task
    assert tab.follow("deblur", seen[tab.seen], *flat(*four())).keys() == {tab.seen}  # the cards undo blur already


def test_settings_that_were_sent_stay_when_the_photo_is_looked_at(tab: compare.Tab):
    """A photo and settings may be sent together, whatever the photo seems to need."""
    sent = tab.receive(json.dumps(card("sr3").settings("compact-sr4", steps=7).to_json()), "auto", *flat(*four()))
    shown = [key for key in FIELDS if key != "seed"]
    values = [{key: sent[c.controls[key]]["value"] for key in shown} | {"seed": 1} for c in tab.cards]
    assert tab.follow(sent[tab.task], "denoise", *flat(*values)).keys() == {tab.seen}


def test_how_long_it_takes_is_told_before_the_button_is_pressed(tab: compare.Tab, photo: str, monkeypatch):
    page, library = SimpleNamespace(session_hash="s"), tab.desk.library
    monkeypatch.setattr(library, "_measured", lambda settings: Timing(Line(0.0, 0.0), Line(1.0, 0.0)))  # 1 s a call
    told = tab.foresee(page, photo, "deblur", 2, *flat(*four()))
    assert "Takes about 25 s (A about 11 s, B about 12 s): 23 network calls." in told[tab.estimate]
    assert "C about 13 s" in tab.foresee(page, photo, "deblur", 3, *flat(*four()))[tab.estimate]
    assert tab.foresee(page, photo, "", 2, *flat(*four()))[tab.estimate] == ""  # it could not be read
    wrong = [values_of() | {"steps": 0}, *four()[1:]]
    assert "Steps is 0" in tab.foresee(page, photo, "deblur", 2, *flat(*wrong))[tab.estimate]
    with tab.desk.turns.turn(lambda: False):
        known = tab.foresee(page, photo, "deblur", 2, *flat(*four()))
        busy = tab.foresee(page, photo, "deblur", 2, *flat(*[values_of("irsde")] * 4))
    assert "Takes about 25 s" in known[tab.estimate] and not known[tab.later].active
    assert LATER in busy[tab.estimate] and busy[tab.later].active
    absent = tab.foresee(page, photo, "sr4", 2, *flat(*[values_of("sr3") | {"variant": "faces-16-128"}] * 4))
    assert "of A and B are not here yet" in absent[tab.estimate]


def test_cards_come_and_go_between_two_and_four(tab: compare.Tab):
    boxes = [card.box for card in tab.cards]
    grown = tab.arrange(3, 1)
    assert [grown[box]["visible"] for box in boxes] == [True] * 4 and not grown[tab.more]["interactive"]
    assert tab.arrange(2, -1)[tab.count] == 2


def test_one_number_for_all_or_each_its_own(tab: compare.Tab):
    values = [values_of() | {"seed": k} for k in range(2)]
    assert [w["seed"] for w in tab.wishes(values, 5)] == [5, 5]
    assert [w["seed"] for w in tab.wishes(values, None)] == [0, 1]


# --- holes -----------------------------------------------------------------------------------------------------


def drawn(rows: slice, height: int = 48, width: int = 60) -> dict:
    """A canvas half the photo's size with a stroke over some rows."""
    layer = np.zeros((height, width, 4), np.uint8)
    layer[rows, :, 3] = 255
    return {"background": None, "layers": [layer], "composite": None}


def test_what_was_painted_becomes_transparent_and_is_filled(tab: compare.Tab, photo: str):
    updates = tab.mark(SimpleNamespace(session_hash="s"), photo, drawn(slice(10, 20)))
    holed = images.load(updates[tab.photo])
    assert holed.size == (96, 120) and torch.equal(holed.rgb, images.load(photo).rgb)
    assert holed.alpha[..., 22:38, :].max() == 0 and holed.alpha[..., :18, :].min() == 1
    seen = tab.look(updates[tab.photo])
    assert "transparent parts are filled" in seen[tab.facts]
    arrived = tab.follow("auto", seen[tab.seen], *flat(*four()))
    assert [arrived[c.controls["method"]]["value"] for c in tab.cards][:3] == ["ddnm", "ddrm", "dps"]
    assert {arrived[c.controls["variant"]]["value"] for c in tab.cards} == {"known-holes"}


def test_after_a_photo_with_holes_the_next_one_without_can_be_compared(tab: compare.Tab):
    filling = [values_of("ddnm", "inpaint"), values_of("ddrm", "inpaint"), *four()[2:]]
    arrived = tab.follow("auto", "denoise", *flat(*filling))
    assert [arrived[c.controls["method"]]["value"] for c in tab.cards[:2]] == ["dvsr", "sr3"]
    assert {arrived[c.controls["variant"]]["value"] for c in tab.cards} == {"compact-denoise"}
    enlarging = tab.follow("auto", "sr4", *flat(*filling))  # they can do that too
    assert [enlarging[c.controls["method"]]["value"] for c in tab.cards[:2]] == ["ddnm", "ddrm"]
    assert tab.follow("told", "denoise", *flat(*filling)).keys() == {tab.seen}
    assert tab.follow("auto", "", *flat(*filling)).keys() == {tab.seen}  # the photo went


@pytest.mark.parametrize(
    ("canvas", "words"),
    [(None, "Nothing was"), (drawn(slice(0, 0)), "Nothing was"), (drawn(slice(0, 48)), "Everything was")],
)
def test_no_stroke_and_nothing_but_stroke_are_told(tab: compare.Tab, photo: str, canvas: dict | None, words: str):
    updates = tab.mark(SimpleNamespace(session_hash="s"), photo, canvas)
    assert words in updates[tab.message] and tab.photo not in updates
    assert "no photo yet" in tab.mark(SimpleNamespace(session_hash="s"), None, canvas)[tab.message]


def test_holes_are_filled_side_by_side(desk: Desk, tab: compare.Tab, photo: str):
    holed = tab.mark(SimpleNamespace(session_hash="s"), photo, drawn(slice(10, 20)))[tab.photo]
    wishes = [{"method": key, "variant": "known-holes", "steps": 2, "seed": 1} for key in ("ddnm", "dps")]
    *_, last = compared(desk, "s", holed, wishes)
    assert not last.failed and last.kept is not None, last.text


def test_weights_of_another_method_are_set_right(tab: compare.Tab):
    """Two events may cross on their way from the browser."""
    crossed = values_of("dvsr", "denoise") | {"method": "ddnm"}
    assert cards.consistent(crossed)["variant"] in {v.key for v in card("ddnm").variants}
    with pytest.raises(SettingsError, match="no method called"):
        cards.consistent(crossed | {"method": "nothing"})
