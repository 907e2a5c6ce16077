"""The Batch tab without a server: photos that come and go, their run, the zip, limits, what a browser may not do."""

from __future__ import annotations

import json
import random
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
import torch

from restore_core import export, images, job
from restore_core.engine import finish
from restore_core.errors import SettingsError
from restore_core.library import Library
from restore_core.timing import Line, Timing
from restore_core.ui import batch as batch_tab
from restore_core.ui.asking import Ask
from restore_core.ui.batch.batch import Batch
from restore_core.ui.batch.batches import Batches, Limits
from restore_core.ui.batch.entries import Entries
from restore_core.ui.batch.names import distinct, shown_name, stem_of, suffix_of
from restore_core.ui.batch.pace import Pace
from restore_core.ui.batch.packing import TABLE
from restore_core.ui.desk import Desk
from restore_core.ui.joblog import JobLog
from restore_core.ui.sessions import SessionStore
from restore_core.ui.widgets import AWAY

pytestmark = pytest.mark.usefixtures("loops")
ASKED = ("png", "denoise", 2, "irsde", 1, False)  # format, task, preset, method, seed, smaller copies


@pytest.fixture(scope="module")
def library() -> Library:
    """The networks, loaded once."""
    return Library("cpu")


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of uploads, with three photos and a broken one."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "abc"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for name in ("a.png", "b.jpg", "c.png"):
        export.save(torch.rand(1, 3, 20, 24, generator=generator), folder / name)
    (folder / "broken.jpg").write_bytes((folder / "b.jpg").read_bytes()[:200])
    return folder


@pytest.fixture
def tab(uploads: Path, library: Library) -> Iterator[batch_tab.Tab]:
    with gr.Blocks():
        made = batch_tab.fill(Desk(library, SessionStore(uploads.parent)))
    yield made
    batches = [batch for batch, _ in made.listing.batches._batches.values()]
    made.listing.batches.close()
    assert all(batch.join(20) and not batch.run.folder.exists() for batch in batches)


def drop(tab: batch_tab.Tab, uploads: Path, *names: str, id: str | None = None) -> str:
    """Upload photos, as the browser does; the batch's id. "a.png as x.png" comes under another name."""
    for told in names:
        file, _, name = told.partition(" as ")
        answer = tab.listing.take({"id": id, "path": str(uploads / file), "name": name or file})
        assert "said" not in answer, answer
        id = answer["id"]
    return id


def event(**data: Any) -> Any:
    """What the browser's trigger brings."""
    return SimpleNamespace(_data=data)


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    for _ in range(int(seconds / 0.01)):
        if true():
            return
        time.sleep(0.01)
    pytest.fail(f"It did not come to pass within {seconds:.0f} seconds.")


def states(tab: batch_tab.Tab, id: str) -> dict[str, str]:
    return {row["name"]: row["state"] for row in tab.listing.look({"id": id, "since": 0})["rows"]}


def seen(tab: batch_tab.Tab, id: str) -> None:
    """Wait until all photos have been looked at."""
    until(lambda: not tab.listing.look({"id": id, "since": 0})["head"]["looking"])


def restored(tab: batch_tab.Tab, id: str, *asked: Any) -> dict[str, Any]:
    """Start, and wait for the end; how things stand then."""
    assert tab.start(event(id=id), *(asked or ASKED)) == ""
    assert tab.listing.batches.of(id).runner.join(60)
    return tab.listing.look({"id": id, "since": 0})


def opened(tab: batch_tab.Tab, id: str) -> zipfile.ZipFile:
    address = tab.listing.act({"id": id, "do": "zip"})["address"]
    return zipfile.ZipFile(address.removeprefix("gradio_api/file=").replace("%20", " "))


# --- states ----------------------------------------------------------------------------------------------------


def test_photos_are_looked_at_and_restored_and_a_bad_one_holds_nobody_up(tab, uploads: Path):
    id = drop(tab, uploads, "a.png", "broken.jpg", "b.jpg")
    seen(tab, id)
    rows = {row["name"]: row for row in tab.listing.look({"id": id, "since": 0})["rows"]}
    assert rows["a.png"]["size"] == "24 × 20" and rows["a.png"]["thumbnail"].startswith("data:image/jpeg")
    assert rows["a.png"]["seen"].endswith(".") and rows["a.png"]["state"] == "waiting"
    assert rows["broken.jpg"]["state"] == "failed" and "ends too early" in rows["broken.jpg"]["said"]
    told = restored(tab, id)
    assert states(tab, id) == {"a.png": "done", "broken.jpg": "failed", "b.jpg": "done"}
    assert told["head"]["share"] == 1.0 and told["head"]["counts"]["done"] == 2 and not told["head"]["running"]


def test_what_the_page_knows_is_not_told_again(tab, uploads: Path):
    id = drop(tab, uploads, "a.png", "b.jpg")
    seen(tab, id)
    first = tab.listing.look({"id": id, "since": 0})
    assert first["fresh"] and [row["n"] for row in first["rows"]] == [1, 2]
    assert tab.listing.look({"id": id, "since": first["version"]})["rows"] == []
    drop(tab, uploads, "c.png", id=id)
    seen(tab, id)
    news = tab.listing.look({"id": id, "since": first["version"]})
    assert [row["n"] for row in news["rows"]] == [3] and news["rows"][0]["thumbnail"] and not news["fresh"]
    tab.listing.act({"id": id, "do": "retry", "n": 3})  # nothing failed: nothing changes
    tab.listing.act({"id": id, "do": "remove", "n": 2})
    after = tab.listing.look({"id": id, "since": news["version"]})
    assert after["gone"] == [2] and after["rows"] == [] and not after["fresh"]
    again = tab.listing.look({"id": id, "since": 10**6})  # of another life of the server
    assert again["fresh"] and [row["n"] for row in again["rows"]] == [1, 3]


def test_each_photo_is_judged_by_itself_where_nobody_is_sure(tab, uploads: Path, tmp_path: Path):
    flat = torch.full((1, 3, 64, 80), 0.5)
    export.save(flat, uploads / "small.png")
    id = drop(tab, uploads, "a.png", "small.png")
    restored(tab, id, "png", "auto", 0, "auto", 3, False)
    results = tab.listing.batches.of(id).run.folder / "results"
    records = [export.read_settings(results / name) for name in ("a.png", "small.png")]
    assert records[0]["task"] != records[1]["task"] and {r["settings"]["seed"] for r in records} == {3}


def test_large_photos_are_reduced_where_that_is_asked(tab, uploads: Path, monkeypatch):
    monkeypatch.setattr(images.reduction, "__defaults__", (120,))
    id = drop(tab, uploads, "a.png")
    told = restored(tab, id, *ASKED[:-1], True)
    result = images.inspect(tab.listing.batches.of(id).run.folder / "results" / "a.png")
    assert result.size == (10, 12) and "smaller copy of 12 × 10" in told["rows"][0]["seen"]


def test_photos_dropped_while_it_runs_are_restored_too(tab, uploads: Path):
    id = drop(tab, uploads, "a.png", "b.jpg")
    assert tab.start(event(id=id), *ASKED) == ""
    drop(tab, uploads, "c.png", "a.png as d.png", id=id)
    assert tab.listing.batches.of(id).runner.join(60)
    assert set(states(tab, id).values()) == {"done"} and len(states(tab, id)) == 4


def test_stopped_nothing_is_half_and_go_on_does_only_what_is_missing(tab, uploads: Path):
    id = drop(tab, uploads, *(f"a.png as {k}.png" for k in range(5)))
    seen(tab, id)
    batch = tab.listing.batches.of(id)
    assert tab.start(event(id=id), *ASKED) == ""
    until(lambda: list(states(tab, id).values()).count("done") == 2)
    until(lambda: any(0 < e.share < 0.8 for e in batch.entries if e.state == "working"))
    tab.listing.act({"id": id, "do": "stop"})
    assert batch.runner.join(20)
    counts = tab.listing.look({"id": id, "since": 0})["head"]["counts"]
    assert counts["working"] == 0 and counts["done"] in (2, 3) and counts["waiting"] == 5 - counts["done"]
    made = {p: p.stat().st_mtime_ns for p in (batch.run.folder / "results").iterdir()}
    assert len(made) == counts["done"]
    restored(tab, id)
    assert set(states(tab, id).values()) == {"done"}
    assert made.items() <= {p: p.stat().st_mtime_ns for p in (batch.run.folder / "results").iterdir()}.items()


def test_again_with_other_settings_and_another_format(tab, uploads: Path):
    id = drop(tab, uploads, "a.png")
    restored(tab, id)
    assert "no photo waiting" in tab.start(event(id=id), *ASKED)
    tab.listing.act({"id": id, "do": "anew"})
    assert states(tab, id) == {"a.png": "waiting"}
    restored(tab, id, "webp", "deblur", 1, "dvsr", 7, False)
    (path,) = (tab.listing.batches.of(id).run.folder / "results").iterdir()
    record = export.read_settings(path)
    assert path.name == "a.webp" and record["task"] == "deblur" and record["settings"]["method"] == "dvsr"


def test_a_single_run_comes_in_between_two_photos(tab, uploads: Path):
    id = drop(tab, uploads, *(f"a.png as {k}.png" for k in range(6)))
    seen(tab, id)
    done = lambda: list(states(tab, id).values()).count("done")  # noqa: E731
    assert tab.start(event(id=id), *ASKED) == ""
    until(lambda: done() >= 1)
    before = done()
    with tab.desk.turns.turn(lambda: False, session="somebody else"):
        between = done()
        until(lambda: tab.listing.look({"id": id, "since": 0})["head"]["queued"], 2)
        time.sleep(0.3)
        assert done() == between
    assert between - before <= 2 < 6 - between
    assert tab.listing.batches.of(id).runner.join(60)
    assert set(states(tab, id).values()) == {"done"}


def test_a_single_run_comes_in_between_two_steps_of_a_long_photo(tab, uploads: Path):
    tab.desk.turns.slice = 0.0  # every photo is long
    id = drop(tab, uploads, "a.png", "b.jpg")
    seen(tab, id)
    batch = tab.listing.batches.of(id)
    shares = lambda: [e.share for e in batch.entries if e.state == "working"]  # noqa: E731
    assert tab.start(event(id=id), *ASKED) == ""
    until(lambda: any(0 < share < 0.7 for share in shares()))
    with tab.desk.turns.turn(lambda: False, session="somebody else"):
        paused = shares()
        time.sleep(0.2)
        assert paused == shares() and 0 < paused[0] < 1
        assert tab.listing.look({"id": id, "since": 0})["head"]["queued"]
    assert batch.runner.join(60) and set(states(tab, id).values()) == {"done"}


def test_a_full_queue_is_waited_for(tab, uploads: Path):
    id = drop(tab, uploads, "a.png")
    tab.desk.turns.places = 0
    assert tab.start(event(id=id), *ASKED) == ""
    time.sleep(0.1)
    assert tab.listing.look({"id": id, "since": 0})["head"]["queued"]
    tab.desk.turns.places = 8
    assert tab.listing.batches.of(id).runner.join(30)
    assert states(tab, id) == {"a.png": "done"}


def test_the_log_tells_which_photos_failed_and_which_were_stopped(tab, uploads: Path, tmp_path: Path, monkeypatch):
    tab.desk.turns.note = JobLog(tmp_path / "log.jsonl")
    told = lambda: [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]  # noqa: E731
    id = drop(tab, uploads, "a.png", "b.jpg")
    seen(tab, id)
    batch = tab.listing.batches.of(id)
    next(iter(batch.entries)).source.unlink()
    restored(tab, id)
    assert states(tab, id) == {"a.png": "failed", "b.jpg": "done"}
    assert [(run["tab"], run["outcome"], run.get("size")) for run in told()] == [
        ("batch", "failed", None), ("batch", "done", [20, 24]),
    ]  # fmt: skip
    monkeypatch.setattr(batch.runner, "_hear", lambda item, work, frame: batch.runner.stop())
    drop(tab, uploads, "c.png", id=id)
    restored(tab, id)
    assert states(tab, id)["c.png"] == "waiting" and [run["outcome"] for run in told()[2:]] == ["stopped"]


# --- the zip ---------------------------------------------------------------------------------------------------


def test_the_zip_holds_every_result_under_its_name_and_a_table(tab, uploads: Path):
    id = drop(tab, uploads, "a.png", "b.jpg", "broken.jpg", "c.png as a.png", "c.png as A.JPG")
    restored(tab, id)
    archive = opened(tab, id)
    assert archive.testzip() is None
    assert archive.namelist() == ["a.png", "b.png", "a (2).png", "A (3).png", f"{TABLE}.csv", f"{TABLE}.json"]
    lines = archive.read(f"{TABLE}.csv").decode().splitlines()
    assert lines[0].startswith("source,target,state") and "a.png,a (2).png,done" in lines[4]
    assert lines[3].startswith("broken.jpg,,failed") and "ends too early" in lines[3]
    photos = json.loads(archive.read(f"{TABLE}.json"))["photos"]
    assert [p["state"] for p in photos] == ["done", "done", "failed", "done", "done"]
    assert "cache" not in archive.read(f"{TABLE}.json").decode()  # no path of the server's


def test_a_result_says_how_to_make_it_again(tab, uploads: Path):
    id = drop(tab, uploads, "a.png")
    restored(tab, id)
    path = tab.listing.batches.of(id).run.folder / "results" / "a.png"
    photo, record = images.load(uploads / "a.png"), export.read_settings(path)
    again = finish(job.run(job.again(photo, record), tab.desk.library)).result
    assert record["input"]["name"] == "a" and torch.equal(images.to_8bit(again), images.load(path).rgb)


def test_there_is_no_zip_of_nothing(tab, uploads: Path):
    id = drop(tab, uploads, "a.png")
    assert "No photo is done yet" in tab.listing.act({"id": id, "do": "zip"})["said"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../etc/passwd.png", "passwd"), ("..\\..\\boot.ini.jpg", "boot.ini"), ("/abs/olute.png", "olute"),
        ("C:\\photos\\con.png", "con_"), ("NUL", "NUL_"), ("..", "photo"), (".hidden.png", "hidden"), ("", "photo"),
        ("a\x00b\u202egnp.exe.png", "abgnp.exe"), ('q"u<o>t|e?*.png', "q_u_o_t_e__"), (" end. .png", "end"),
        ("Fête à la plage (3).JPEG", "Fête à la plage (3)"), ("写真.png", "写真"), ("a" * 300 + ".png", "a" * 80),
    ],
)  # fmt: skip
def test_names_lead_nowhere_and_suit_every_system(name: str, stem: str):
    assert stem_of(name) == stem
    assert "/" not in shown_name(name) and "\\" not in shown_name(name)


def test_suffixes_are_letters():
    assert [suffix_of(n) for n in ("a.PNG", "a", "a.p/../g", "a.p n;g")] == [".PNG", "", "", ".png"]


def test_same_names_are_kept_apart_on_every_system():
    assert distinct("A", ["b"]) == "A" and distinct("A", ["a", "a (2)"]) == "A (3)"


def test_a_name_is_text_wherever_it_is_shown(tab, uploads: Path):
    id = drop(tab, uploads, "a.png as <img src=x onerror=alert(1)>.png")
    told = restored(tab, id)
    assert told["rows"][0]["name"] == "<img src=x onerror=alert(1)>.png"  # the list sets it as text
    updates = tab.open(event(id=id, n=1))
    assert updates[tab.title] == "<h2>&lt;img src=x onerror=alert(1)&gt;.png</h2>"


# --- before and after --------------------------------------------------------------------------------------------


def test_before_and_after_of_one_photo(tab, uploads: Path):
    id = drop(tab, uploads, "a.png", "b.jpg")
    restored(tab, id, "jpg", "sr4", 2, "auto", 1, False)
    updates = tab.open(event(id=id, n=1))
    pictures = updates[tab.viewer]["pictures"]
    paths = [Path(p["src"].removeprefix("gradio_api/file=")) for p in pictures]
    assert [images.inspect(path).size for path in paths] == [(80, 96), (80, 96)]
    tab.open(event(id=id, n=2))
    assert not any(path.exists() for path in paths)  # one pair is kept
    for n in (None, 9, "x"):
        assert tab.open(event(id=id, n=n))[tab.viewer]["pictures"] == []
    assert tab.open(event(id=id, n=None))[tab.opened]["elem_classes"] == AWAY


# --- settings ----------------------------------------------------------------------------------------------------


def test_the_time_is_told_before_the_start_and_follows_the_settings(tab, uploads: Path, monkeypatch):
    monkeypatch.setattr(tab.desk.library, "timing", lambda settings: Timing(Line(0.0, 1e-5), Line(0.0, 1e-5)))
    id = drop(tab, uploads, "a.png", "b.jpg")
    seen(tab, id)
    cost = lambda: sum(e.cost or 0 for e in tab.listing.batches.of(id).entries)  # noqa: E731
    until(lambda: all(e.cost for e in tab.listing.batches.of(id).entries))
    assert tab.listing.look({"id": id, "since": 0})["head"]["left"].startswith("about")
    for preset in (2, 4):
        calls = Ask("denoise", "sr3", preset=preset).settings().steps
        tab.expect(id, "denoise", preset, "sr3", 1, False)
        until(lambda: cost() == pytest.approx(2 * 20 * 24 * 1e-5 * (1 + calls)))  # noqa: B023
    tab.expect(id, "no such task", 2, "auto", 1, False)  # told at the start
    assert "no task called" in tab.start(event(id=id), "png", "no such task", 2, "auto", 1, False)


def test_missing_weights_are_told_before_the_start(tab, uploads: Path, tmp_path: Path, monkeypatch):
    id = drop(tab, uploads, "a.png")
    seen(tab, id)
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("restore_core.ui.weighing.Library.missing", lambda *asked: ("compact/denoise",), raising=False)
    said = tab.start(event(id=id), *ASKED)
    assert "not here yet" in said and "Models tab" in said and states(tab, id) == {"a.png": "waiting"}


# --- limits ------------------------------------------------------------------------------------------------------


def limited(tab: batch_tab.Tab, **limits: Any) -> batch_tab.Listing:
    now = [0.0]
    made = Batches(tab.desk, replace(Limits(), **limits), clock=lambda: now[0])
    made.now = now
    return batch_tab.Listing(made)


def take(listing: batch_tab.Listing, path: Path, id: str | None = None) -> dict[str, Any]:
    return listing.take({"id": id, "path": str(path), "name": path.name})


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"photos": 1}, "more it does not hold"),
        ({"bytes": 3000}, "all it may hold"),
        ({"total": 3000}, "disk is full"),
        ({"spare": 10**18}, "disk is full"),
    ],
)
def test_photos_and_bytes_are_bounded(tab, uploads: Path, limits: dict[str, int], words: str):
    listing = limited(tab, **limits)
    answers = [take(listing, uploads / "a.png")]
    answers += [take(listing, uploads / "c.png", answers[0].get("id")) for _ in range(2)]
    assert words in answers[-1]["said"] and answers[-1]["full"]


def test_a_run_ends_with_a_sentence_where_results_fill_its_room(tab, uploads: Path):
    id = drop(tab, uploads, "a.png", "b.jpg", "c.png")
    seen(tab, id)
    batch = tab.listing.batches.of(id)
    tab.listing.batches.limits = replace(Limits(), bytes=batch.bytes + 2000)
    told = restored(tab, id)
    assert "all it may hold" in told["head"]["said"] and told["head"]["counts"]["waiting"] >= 1
    assert told["head"]["counts"]["failed"] == 0


def test_a_batch_without_its_page_is_stopped_and_then_removed(tab, uploads: Path):
    listing = limited(tab, runs_on=100.0, kept=1000.0)
    id = take(listing, uploads / "a.png")["id"]
    batch = listing.batches.of(id)
    folder, batch.runner._thread = batch.run.folder, threading.current_thread()  # as if it ran
    listing.batches.now[0] = 99.0
    listing.batches.sweep()
    assert not batch.runner.stopping
    listing.batches.now[0] = 101.0
    listing.batches.sweep()
    assert batch.runner.stopping and "Go on" in batch.runner.said
    batch.runner._thread = None
    assert listing.look({"id": id, "since": 0})["rows"]  # back again
    listing.batches.now[0] = 1102.0
    listing.batches.sweep()
    assert not folder.exists() and "removed from the server" in listing.look({"id": id, "since": 0})["lost"]


def test_the_batch_that_was_left_longest_makes_room(tab, uploads: Path):
    listing = limited(tab, batches=2, runs_on=100.0)
    first, second = (take(listing, uploads / "a.png")["id"] for _ in range(2))
    assert "Try again later" in take(listing, uploads / "a.png")["said"]
    listing.batches.now[0] = 200.0
    listing.look({"id": second, "since": 0})
    third = take(listing, uploads / "a.png")["id"]
    there = [listing.batches.of(id) is not None for id in (first, second, third)]
    assert there == [False, True, True]
    for id in (second, third):
        listing.batches.drop(listing.batches.of(id))


def test_removing_frees_the_disk(tab, uploads: Path):
    id = drop(tab, uploads, "a.png", "b.jpg")
    restored(tab, id)
    opened(tab, id)
    batch = tab.listing.batches.of(id)
    files = lambda: [p for p in batch.run.folder.rglob("*") if p.is_file()]  # noqa: E731
    assert batch.bytes == sum(p.stat().st_size for p in files())
    tab.listing.act({"id": id, "do": "clear"})
    assert batch.bytes == 0 and files() == [] and (uploads / "a.png").exists()


# --- what a browser may not do -------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [None, [], "x", {"id": 3}, {"id": "guessed", "since": "x", "n": [], "do": "clear"}])
def test_whoever_knows_no_id_sees_and_does_nothing(tab, uploads: Path, asked: Any):
    id = drop(tab, uploads, "a.png")
    assert set(tab.listing.look(asked)) == {"lost"} == set(tab.listing.act(asked))
    assert "no photos yet" in tab.start(SimpleNamespace(_data=asked), *ASKED)
    assert len(states(tab, id)) == 1


def test_only_uploads_are_taken(tab, uploads: Path, tmp_path: Path):
    secret = tmp_path / "secret.png"
    export.save(torch.rand(1, 3, 20, 24), secret)
    (uploads / "link.png").symlink_to(secret)
    for path in (secret, uploads / "link.png", uploads / "../../secret.png", uploads, uploads / "none.png", None, 3):
        told = tab.listing.take({"id": None, "path": path if path in (None, 3) else str(path), "name": "x.png"})
        assert "did not arrive" in told["said"] and not told["full"]


def test_one_batch_knows_nothing_of_another(tab, uploads: Path):
    first, second = drop(tab, uploads, "a.png"), drop(tab, uploads, "b.jpg")
    assert first != second and list(states(tab, first)) == ["a.png"] and list(states(tab, second)) == ["b.jpg"]
    tab.listing.act({"id": second, "do": "clear"})
    assert list(states(tab, first)) == ["a.png"]


# --- time left -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0.3, 1.0, 4.0])
def test_time_left_stays_right(speed: float):
    """Photos of very unequal cost, foreseen wrongly by the same factor with some scatter."""
    now, chance = [0.0], random.Random(1)
    costs = [chance.uniform(1, 20) for _ in range(40)]
    true = [cost * speed * chance.uniform(0.9, 1.1) for cost in costs]
    pace, photo = Pace(lambda: now[0]), sum(costs) / len(costs)
    for k, (cost, takes) in enumerate(zip(costs, true, strict=True)):
        for share in (0.25, 0.75):
            now[0] = sum(true[:k]) + share * takes
            left = pace.left(sum(costs[k:]) - share * cost, under_way=share * cost, photo=photo)
            if k >= 4:
                assert left == pytest.approx(sum(true[k:]) - share * takes, rel=0.2, abs=1.0)
        now[0] = sum(true[: k + 1])
        pace.ended(cost)


def test_time_left_follows_a_change_of_pace():
    now = [0.0]
    pace = Pace(lambda: now[0])
    for k in range(100):
        now[0] += 1.0 if k < 50 else 3.0  # somebody else works on the machine
        pace.ended(1.0)
        if k == 49:
            assert pace.left(50.0) == pytest.approx(50.0, rel=0.05)
    assert pace.left(10.0) == pytest.approx(30.0, rel=0.05) and len(pace._marks) < 40


def test_time_left_is_what_was_foreseen_before_anything_was_measured():
    assert Pace(lambda: 5.0).left(60.0, photo=6.0) == 60.0


def test_entries_find_their_names_on_a_disk(tmp_path: Path):
    entry = Entries().add("../x.PNG", tmp_path, 3)
    assert entry.source == tmp_path / "1" / "x.PNG" and entry.name == "x.PNG"


def test_what_is_full_is_an_error_of_its_own(tab, uploads: Path):
    def full(batch: Batch, size: int) -> str:
        return "No room."

    batch = Batch(tab.desk, SessionStore(uploads.parent), "x", full)
    with pytest.raises(SettingsError, match="No room"):
        batch.add(uploads / "a.png", "a.png")
