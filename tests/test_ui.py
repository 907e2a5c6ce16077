"""The page's handlers as plain generators and functions: order, stop, clean-up, limits, sentences. No server runs."""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from PIL import Image

import app
from restore_core import bands, export, images
from restore_core.engine import Frame
from restore_core.engine import restore as sample
from restore_core.errors import SettingsError
from restore_core.library import Library, card
from restore_core.methods import METHODS
from restore_core.methods.base import PRESET_WORDS
from restore_core.moments import noise_share, spread_evenly
from restore_core.problem import Problem
from restore_core.processes import MeanReverting, Process, ResidualShifting, theta_schedule
from restore_core.settings import Settings
from restore_core.ui import build, film, restore, running, serving, streaming, widgets
from restore_core.ui.asking import CUSTOM, EXPERT, Ask, duration, fixed, own_options, word
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.running import Message, restoration
from restore_core.ui.sessions import SessionStore
from restore_core.ui.streaming import RATE, THUMBNAILS, Stream, Turns

pytestmark = pytest.mark.usefixtures("loops")
SETTINGS = Settings("irsde", "compact-denoise", "ddim", 40, spacing="uniform")


def problem(seconds: float = 0.0, broken: Callable[[], None] = lambda: None) -> Problem:
    """A picture that restores to itself; `seconds` a network call."""
    y = torch.linspace(-1, 1, 3 * 20 * 30).reshape(1, 3, 20, 30)

    def network(x, t, cond):
        broken()
        time.sleep(seconds)
        return y

    to_image = lambda x: ((x + 1) / 2).clamp(0, 1)  # noqa: E731
    process = MeanReverting(theta_schedule("cosine", 100), 0.2)
    return Problem(process, network, "x0", y, encode=lambda i: i * 2 - 1, decode=to_image)


def frames(posed: Problem, settings: Settings = SETTINGS) -> Callable[..., Iterator[Frame]]:
    return lambda stop, tile: sample(posed, settings, stop=stop)


def stream(posed: Problem, turns: Turns | None = None, settings: Settings = SETTINGS, **options) -> Stream:
    return Stream(frames(posed, settings), settings, turns or Turns(), **options)


def watch(run: Stream):
    """All shots and thumbnails of a run."""
    news = list(run.start().news())
    assert run.join(5)
    return [n.latest for n in news if n.latest], [t for n in news for t in n.thumbnails]


# --- streaming -------------------------------------------------------------------------------------------------


def test_pictures_come_in_order_with_thumbnails_at_both_ends():
    run = stream(problem(0.002))
    shots, thumbnails = watch(run)
    for seen in (shots, thumbnails):
        assert [s.index for s in seen] == sorted({s.index for s in seen})
    assert thumbnails[0].index == 0 and thumbnails[-1].index == 40 and 2 < len(thumbnails) <= THUMBNAILS
    assert shots[-1].index == 40 and shots[-1].caption == "Finished" and shots[-1].noise == 0
    assert thumbnails[0].noise == pytest.approx(1) and thumbnails[0].caption == "Step 1 of 40"
    assert run.error is None and not run.stopped and run.last.done


def test_thumbnails_are_even_in_noise_not_in_steps(process: Process):
    times = torch.linspace(float(process.steps), 0, 400, dtype=torch.float64) ** 1.0
    walk = [noise_share(process, t) for t in times]
    assert walk[0] == pytest.approx(1) and walk[-1] == 0
    chosen = spread_evenly(walk, 12)
    gaps = -torch.tensor([walk[i] for i in chosen]).diff()
    largest_step = -torch.tensor(walk).diff().min()
    assert chosen[0] == 0 and chosen[-1] == 399 and gaps.min() > 0
    assert gaps.max() <= 1 / 11 + largest_step


def test_no_more_pictures_a_second_than_the_rate():
    began = time.monotonic()
    settings = replace(SETTINGS, steps=300)
    shots, thumbnails = watch(stream(problem(0.001), settings=settings))
    assert len(shots) <= (time.monotonic() - began) * RATE + len(thumbnails) + 2


def test_switched_off_it_shows_the_last_picture_only():
    shots, thumbnails = watch(stream(problem(), rate=0))
    assert [s.index for s in shots] == [40] == [s.index for s in thumbnails]


def test_pictures_are_small_bytes_of_their_own():
    shots, thumbnails = watch(stream(problem(0.001), side=15))
    for shot in (*shots, *thumbnails):
        noisy, guess = shot.develop()
        assert noisy.shape == guess.shape == (10, 15, 3) and noisy.dtype == guess.dtype == "uint8"
    assert (noisy == guess).all() and not (shots[0].develop()[0] == shots[0].develop()[1]).all()


def test_a_late_reader_does_not_make_the_run_hold_whole_states():
    run = stream(problem(), settings=replace(SETTINGS, steps=20)).start()
    assert run.join(5)
    undeveloped = [shot for shot in run._thumbnails if shot._frame is not None]
    assert len(run._thumbnails) == 21 and len(undeveloped) <= 2


@pytest.mark.parametrize("large", [True, False])
def test_of_a_large_state_no_large_picture_is_made(large: bool, monkeypatch):
    posed, rows = problem(), []
    monkeypatch.setattr(streaming, "LARGE", 1 if large else 1 << 30)
    monkeypatch.setattr(images, "LARGE", 1)
    monkeypatch.setattr(bands, "LARGE", 1 << 30)
    decode = bands.Pointwise(lambda x: rows.append(x.shape[-2]) or posed.decode(x))
    shot = streaming.Shot(next(sample(replace(posed, decode=decode), SETTINGS)), 15)
    assert [picture.shape for picture in shot.develop()] == [(10, 15, 3)] * 2
    assert set(rows) == ({2} if large else {20})


@pytest.mark.parametrize(("height", "width"), [(1, 4000), (4000, 1), (33, 500), (3000, 4000)])
def test_previews_are_small_whatever_the_shape(height: int, width: int):
    image = torch.linspace(0, 1, height * width).reshape(1, 1, height, width).expand(1, 3, height, width)
    pixels = streaming.preview(image, 384)
    assert max(pixels.shape) <= 512 and min(pixels.shape) >= 1
    assert abs(pixels.mean() - 127.5) < 1


def test_stop_ends_within_one_call_keeps_the_guess_and_frees_the_device():
    turns, calls = Turns(), []
    run = stream(problem(0.01, lambda: calls.append(1)), turns, replace(SETTINGS, steps=1000)).start()
    next(run.news())
    run.stop()
    made = len(calls)
    assert run.join(2) and len(calls) <= made + 1
    assert run.stopped and not run.last.done and run.last.result.shape == (1, 3, 20, 30)
    assert not turns.busy


def test_a_second_run_waits_for_the_first_and_can_be_stopped_while_it_waits():
    turns = Turns()
    first = stream(problem(0.01), turns, replace(SETTINGS, steps=500)).start()
    next(first.news())
    second = stream(problem(), turns).start()
    assert next(second.news()).waiting and second.last is None
    second.stop()
    assert second.join(2) and second.stopped and second.last is None and turns.busy
    first.stop()
    assert first.join(2) and not turns.busy


def test_a_full_queue_is_refused_with_a_sentence():
    turns, gone = Turns(places=1), threading.Event()
    with turns.turn(lambda: False):
        waiting = stream(problem(), turns).start()
        next(waiting.news())
        refused = stream(problem(), turns).start()
        list(refused.news())
        gone.set()
        waiting.stop()
        assert waiting.join(2)
    assert isinstance(refused.error, SettingsError) and "queue is full" in str(refused.error)


def test_a_run_that_finds_no_memory_is_tried_in_smaller_pieces():
    tried = []

    def attempt(stop, way):
        tried.append(way.tile)
        if len(tried) < 3:
            raise MemoryError
        yield from sample(problem(), SETTINGS, stop=stop)

    run = Stream(attempt, SETTINGS, Turns()).start()
    notes = list(run.news())[-1].notes
    assert tried == [None, 384, 192] and run.error is None and run.last.done
    assert notes and all("pieces" in note for note in notes)


def test_a_deadline_ends_a_run_and_keeps_its_guess():
    run = stream(problem(0.01), settings=replace(SETTINGS, steps=1000), deadline=0.2).start()
    list(run.news())
    assert run.stopped and run.last is not None and not run.last.done


def test_averaged_samples_have_their_own_ends_in_the_film():
    settings = replace(SETTINGS, steps=4, samples=3)
    _, thumbnails = watch(stream(problem(), settings=settings))
    assert [t.index for t in thumbnails] == [0, 1, 2, 3, 4, 9, 14]
    assert thumbnails[1].caption == "Sample 1 of 3, step 2 of 4" and thumbnails[-1].caption == "Finished"


# --- what is kept ----------------------------------------------------------------------------------------------


def test_the_store_keeps_within_its_limits_and_drops_a_pages_newest_last(tmp_path: Path):
    store = SessionStore(tmp_path, runs=3, session_bytes=1000, total_bytes=1500)
    runs = [store.open("a") for _ in range(5)]
    assert [r.folder.exists() for r in runs] == [False, False, True, True, True]
    store.keep_moment("a", runs[3], (b"x" * 300, b"y" * 300))
    store.keep_file("a", runs[4], "r.png", lambda path: path.write_bytes(b"z" * 900))
    assert store.used("a") == 900 and not runs[3].folder.exists() and (runs[4].folder / "r.png").exists()
    other = store.open("b")
    store.keep_moment("b", other, (b"x" * 800, b""))
    assert other.folder.exists() and not runs[4].folder.exists() and store.used() == 800


def test_closing_the_page_stops_its_run_and_removes_its_files(tmp_path: Path):
    store, turns = SessionStore(tmp_path), Turns()
    kept = store.open("a")
    run = stream(problem(0.01), turns, replace(SETTINGS, steps=1000)).start()
    store.attach("a", run)
    next(run.news())
    store.drop("a")
    assert run.join(2) and run.stopped and not turns.busy and not kept.folder.exists() and store.used() == 0


@pytest.mark.parametrize(
    "asked", [("", 0), ("no such run", 0), (None, None), ("RUN", 5), ("RUN", -1), ("RUN", "0"), ("RUN", True)]
)
def test_moments_are_found_by_run_and_number_only(tmp_path: Path, asked):
    store = SessionStore(tmp_path)
    run = store.open("a")
    assert store.keep_moment("a", run, (b"x", b"y")) == 0 and store.moment(run.id, 0) == (b"x", b"y")
    assert store.moment(run.id if asked[0] == "RUN" else asked[0], asked[1]) is None


# --- what is asked ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", range(5))
def test_controls_left_alone_follow_the_preset(method: str, preset: int):
    ask = Ask(task="sr4", method=method, preset=preset, seed=7)
    shown = ask.defaults()
    assert tuple(shown) == (*EXPERT, *own_options())
    ask = replace(ask, values=dict(shown), shown=shown)
    assert ask.changes == {} and ask.settings() == card(method).settings("compact-sr4", preset, seed=7)


def test_a_control_moved_by_hand_is_told_and_makes_it_custom():
    shown = Ask(task="deblur").defaults()
    ask = Ask(task="deblur", values={**shown, "steps": 33, "tile": "256"}, shown=shown)
    assert ask.changes == {"steps": 33, "tile": 256}
    assert word(ask) == CUSTOM and ask.settings().steps == 33 and ask.settings().tile == 256
    assert word(replace(ask, values=shown)) == PRESET_WORDS[2]


def test_a_cleared_field_leaves_the_choice_to_the_preset():
    shown = Ask().defaults()
    assert Ask(values={**shown, "steps": None, "noise": ""}, shown=shown).changes == {}


def test_a_sampler_without_randomness_greys_it_and_says_why():
    shown = Ask(task="sr4").defaults()
    ask = Ask(task="sr4", values={**shown, "sampler": "multistep"}, shown=shown)
    assert "no fresh noise" in fixed(ask)["eta"] and "eta" not in fixed(replace(ask, values=shown))
    assert ask.settings().sampler == "multistep"


def test_a_noise_level_fixed_by_the_weights_is_greyed_with_its_sentence(monkeypatch):
    method = METHODS["irsde"]
    why = "Trained at one noise level."
    variants = tuple(replace(v, fixed={"noise": (30.0, why)}) for v in method.card.variants)
    monkeypatch.setattr(method, "card", replace(method.card, variants=variants))
    shown = Ask(task="denoise").defaults()
    ask = Ask(task="denoise", values={**shown, "noise": 99.0}, shown=shown)
    assert fixed(ask)["noise"] == why and "noise" not in ask.changes
    noise = widgets.adjusted(ask, shown)[EXPERT.index("noise")]
    assert noise["interactive"] is False and noise["info"] == why


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"steps": float("nan")}, "Steps"),
        ({"steps": 0}, "Steps"),
        ({"steps": 10**6}, "Steps"),
        ({"sampler": "x"}, "sampler"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_a_sentence(wrong, said):
    shown = Ask().defaults()
    with pytest.raises(SettingsError, match=said):
        Ask(values={**shown, **wrong}, shown=shown).settings()


def test_durations_read_as_estimates():
    told = [duration(s) for s in (0.2, 7.4, 48, 200, 9000)]
    assert told == ["about a second", "about 7 s", "about 50 s", "about 3 min", "about 2.5 hours"]


# --- one press of Restore --------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Library("cpu"), SessionStore(tmp_path / "kept"))


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "My <b>cat.png"
    Image.linear_gradient("L").resize((30, 20)).convert("RGB").save(path)
    return str(path)


@pytest.fixture
def engine(monkeypatch) -> SimpleNamespace:
    """The real engine on a network that needs no weights; `pause` seconds a call."""
    ways = SimpleNamespace(pause=0.0, broken=lambda: None)

    def run(work, library, *, stop, tell):
        return sample(problem(ways.pause, ways.broken), work.settings, stop=stop)

    monkeypatch.setattr(running, "run", run)
    return ways


ASK = Ask(task="denoise", method="irsde", seed=11)


def test_a_run_tells_its_film_and_ends_with_files(desk: Desk, photo: str, engine):
    messages = list(restoration(desk, "s", photo, ASK))
    films = [m.film for m in messages]
    assert len({f["run"] for f in films}) == 1 and films[0]["aspect"] == 1.5
    assert [f["p"] for f in films if "p" in f] == sorted(f["p"] for f in films if "p" in f)
    sent = [t["k"] for f in films for t in f.get("new", [])]
    assert sent == list(range(len(sent))) and [t["k"] for t in films[-1]["all"]] == sent
    assert all(f["src_xt"].startswith("data:image/jpeg;base64,") for f in films if "src_xt" in f)
    last = messages[-1]
    assert last.film["done"] and last.film["caption"] == "Finished" and not last.failed
    png = last.outcome.png
    assert export.read_settings(png)["settings"]["seed"] == 11 == int(dict(last.outcome.facts)["Variation"])
    assert re.fullmatch(r"[\w.-]+-irsde-balanced\.png", png.name) and last.outcome.jpeg.is_file()
    with Image.open(last.outcome.before) as before, Image.open(last.outcome.after) as after:
        assert before.size == after.size == (30, 20)
    assert desk.store.moment(films[0]["run"], sent[-1]) is not None and not desk.turns.busy


def test_stop_keeps_the_guess_of_that_moment(desk: Desk, photo: str, engine):
    engine.pause = 0.01
    shown = ASK.defaults()
    ask = replace(ASK, shown=shown, values={**shown, "steps": 500})
    run = restoration(desk, "s", photo, ask)
    for message in run:
        if message.film.get("i", 0) > 3:
            desk.store.stop("s")
            break
    last = list(run)[-1]
    assert last.text.startswith("Stopped at step ") and last.outcome.png.is_file()
    assert last.film["done"] and last.film["caption"].startswith("Stopped") and not last.failed and not desk.turns.busy


@pytest.mark.parametrize(
    ("call", "left", "samples"),
    [(5, "the guess at that moment", 4), (25, "the sample that had ended", 1),
     (45, "the mean of the 2 samples that had ended", 2)],
)  # fmt: skip
def test_stop_among_samples_says_what_is_kept_and_how_it_is_made_again(desk, photo, engine, call, left, samples):
    calls = itertools.count(1)
    engine.broken = lambda: desk.store.stop("s") if next(calls) == call else None  # of 20 a sample
    shown = ASK.defaults()
    run = restoration(desk, "s", photo, replace(ASK, shown=shown, values={**shown, "steps": 20, "samples": 4}))
    last = list(run)[-1]
    record = export.read_settings(last.outcome.png)
    assert f"This is {left}, and" in last.text and record["settings"]["samples"] == samples
    assert ("stopped" in record) == (samples == 4)  # else the settings make just this picture


def test_stop_before_the_first_step_says_so(desk: Desk, photo: str, engine):
    run = restoration(desk, "s", photo, ASK)
    next(run)
    with desk.turns.turn(lambda: False):
        assert "Waiting" in next(run).film["caption"]
        desk.store.stop("s")
        last = list(run)[-1]
    assert "before the first step" in last.text and last.outcome is None


def test_a_stop_that_takes_a_moment_is_told_at_once(desk: Desk, photo: str, engine):
    seen, go_on = [], threading.Event()
    engine.broken = lambda: go_on.wait(10)  # a network call that takes long
    for message in restoration(desk, "s", photo, ASK):
        seen.append(message.film["caption"])
        if seen[-1] == "A first look at the whole picture":
            desk.store.stop("s")
        if seen[-1].startswith("Stopping"):
            go_on.set()
    assert "Stopping" in seen and seen[-1].startswith("Stopped")


def test_closing_the_generator_ends_the_worker(desk: Desk, photo: str, engine):
    engine.pause = 0.01
    shown = ASK.defaults()
    run = restoration(desk, "s", photo, replace(ASK, shown=shown, values={**shown, "steps": 1000}))
    while "src_xt" not in next(run).film:
        pass
    run.close()
    assert not desk.turns.busy and not desk.store.stop("s")
    assert not [t for t in threading.enumerate() if t.name == "stepback-run"]


def bad_files(folder: Path, photo: str) -> dict[str, tuple[str | None, str]]:
    (folder / "text.png").write_text("Dear Sir or Madam")
    (folder / "short.jpg").write_bytes(b"")
    with Image.open(photo) as picture:
        picture.resize((300, 200)).save(folder / "whole.jpg")
        picture.save(folder / "small.jpg")
    (folder / "cut.jpg").write_bytes((folder / "small.jpg").read_bytes()[:-40])
    return {
        "none": (None, "no photo yet"),
        "text": (str(folder / "text.png"), "holds text"),
        "empty": (str(folder / "short.jpg"), "empty"),
        "cut": (str(folder / "cut.jpg"), "ends too early"),
        "gone": (str(folder / "gone.jpg"), "no file"),
        "large": (str(folder / "whole.jpg"), "million pixels"),
    }


@pytest.mark.parametrize("kind", ["none", "text", "empty", "cut", "gone", "large"])
def test_a_bad_photo_gets_a_sentence_and_the_page_goes_on(tmp_path: Path, photo: str, engine, kind: str):
    desk = Desk(Library("cpu"), SessionStore(tmp_path / "kept"), max_pixels=50_000)
    path, said = bad_files(tmp_path, photo)[kind]
    last = list(restoration(desk, "s", path, ASK))[-1]
    assert last.failed and said in last.text and "Traceback" not in last.text
    assert last.film["done"] and last.film["error"] and not desk.turns.busy
    assert list(restoration(desk, "s", photo, ASK))[-1].outcome is not None


def test_a_fault_of_ours_gets_a_code_and_a_log_entry(desk: Desk, photo: str, engine, caplog):
    def broken():
        raise ZeroDivisionError("secret path")

    engine.broken = broken
    last = list(restoration(desk, "s", photo, ASK))[-1]
    code = re.search(r"code (\w{6})", last.text)[1]
    assert last.failed and "secret" not in last.text and code in caplog.text


def test_missing_weights_are_told(tmp_path: Path, photo: str, monkeypatch):
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path))
    last = list(restoration(Desk(Library("cpu"), SessionStore(tmp_path / "kept")), "s", photo, ASK))[-1]
    assert last.failed and "compact/denoise" in last.text


def test_fifty_runs_leave_no_more_than_the_store_allows(tmp_path: Path, photo: str, engine):
    desk = Desk(Library("cpu"), SessionStore(tmp_path / "kept", runs=5))
    shown = ASK.defaults()
    ask = replace(ASK, shown=shown, values={**shown, "steps": 2})
    for _ in range(50):
        assert list(restoration(desk, "s", photo, ask))[-1].outcome is not None
    assert len(list((tmp_path / "kept").iterdir())) == 5


# --- the tab and the page --------------------------------------------------------------------------------------


@pytest.fixture
def tab(desk: Desk) -> restore.Tab:
    with gr.Blocks():
        return restore.fill(desk)


def read(tab: restore.Tab, ask: Ask) -> list:
    """What the page's components would send for `ask`."""
    return [
        ask.task, ask.method, ask.preset, ask.seed, ask.smaller, {"task": ask.seen} if ask.seen else {}, ask.shown,
        ask.variant, "paper" if ask.paper else "fast", *(ask.values[key] for key in (*EXPERT, *own_options())),
    ]  # fmt: skip


def test_a_preset_resets_what_was_moved_and_a_task_does_not(tab: restore.Tab):
    shown = Ask(task="deblur").defaults()
    ask = Ask(task="deblur", preset=4, values={**shown, "steps": 33}, shown=shown)
    steps = tab.expert["steps"]
    vivid = METHODS["dvsr"].card.settings("compact-deblur", 4)
    assert tab.prepare(*read(tab, ask), reset=True)[steps]["value"] == vivid.steps
    kept = tab.prepare(*read(tab, replace(ask, preset=2, task="denoise")))
    assert kept[steps]["value"] == 33 and "Custom" in kept[tab.word]


def test_another_method_brings_its_own_scale_of_noise(tab: restore.Tab):
    shown = Ask(task="deblur").defaults()
    ask = Ask(task="deblur", values={**shown, "noise": 0.5, "samples": 2}, shown=shown)
    updates = tab.prepare(*read(tab, ask), method="irsde")
    noise = updates[tab.expert["noise"]]
    assert noise["value"] == 30.0 and noise["info"].startswith("1 to 100. ")
    assert updates[tab.expert["samples"]]["value"] == 2 and updates[tab.method] == "irsde"


def test_another_sampler_brings_its_own_grid_and_randomness(tab: restore.Tab):
    ask = Ask(task="sr4", method="sr3", preset=1)
    shown = ask.defaults()
    for sampler, random in (("multistep-sde", True), ("multistep", False)):
        asked = replace(ask, values={**shown, "sampler": sampler}, shown=shown)
        updates = tab.adjust(*read(tab, asked), sampler_moved=True)
        assert updates[tab.expert["eta"]]["interactive"] is random and "Custom" in updates[tab.word]


def test_a_photo_is_looked_at_and_judged(tab: restore.Tab, photo: str, tmp_path: Path):
    seen = tab.look(photo)
    assert seen[tab.about]["size"] == [20, 30] and seen[tab.about]["task"] == "sr4" and "30 × 20" in seen[tab.facts]
    assert tab.look(None)[tab.about] == {}
    Image.new("L", (9000, 6000)).save(tmp_path / "huge.png")
    refused = tab.look(str(tmp_path / "huge.png"))
    assert "54.0 million pixels" in refused[tab.message] and not refused[tab.smaller]["visible"]  # nor a copy
    (tmp_path / "x<i>.png").write_text("text")
    refused = tab.look(str(tmp_path / "x<i>.png"))
    assert refused[tab.about] == {} and "holds text" in refused[tab.message] and "<i>" not in refused[tab.message]


def test_while_it_runs_only_the_film_changes(tab: restore.Tab):
    assert set(tab.tell(Message({"run": "r"}))) == {tab.film}
    told = tab.tell(Message({"run": "r", "done": True}, text="a < b", failed=True), had=True)
    assert told[tab.message] == '<p class="error">a &lt; b</p>' and told[tab.finished]["elem_classes"] == []


def test_the_handler_disables_and_enables_its_buttons(tab: restore.Tab, photo: str, engine):
    request = SimpleNamespace(session_hash="s")
    shown = ASK.defaults()
    updates = list(tab.restore(request, photo, "smooth", False, *read(tab, replace(ASK, values=shown, shown=shown))))
    assert updates[0][tab.run]["interactive"] is False and updates[0][tab.stop]["interactive"] is True
    assert updates[-1][tab.png].endswith(".png") and updates[-1][tab.jpeg].endswith(".jpg") and updates[-1][tab.had]
    assert tab.ready()[tab.run]["interactive"] is True and tab.ready()[tab.stop]["interactive"] is False


def test_a_result_is_the_photo_of_the_next_run(tab: restore.Tab, photo: str, engine):
    shown, request = ASK.defaults(), SimpleNamespace(session_hash="s")
    assert tab.photo not in tab.take(request) and "no longer here" in tab.take(request)[tab.message]
    made = list(tab.restore(request, photo, "smooth", False, *read(tab, replace(ASK, values=shown, shown=shown))))[-1]
    assert tab.take(request) == {tab.photo: made[tab.png]}
    assert tab.look(made[tab.png])[tab.about]["size"] == list(images.load(made[tab.png]).size)


IDS = (
    "photo-in", "task", "preset", "run", "stop", "film", "result", "seed", "steps", "eta", "noise-level", "sampler",
    "download-png", "download-jpeg", "message", "method-tabs", "grid", "strength", "samples", "tile", "estimate",
)  # fmt: skip


def test_the_page_builds_with_its_stable_ids():
    page = build(Library("cpu"))
    found = [c["props"].get("elem_id") for c in page.get_config_file()["components"]]
    assert all(found.count(name) == 1 for name in IDS)
    public = [d["api_name"] for d in page.get_config_file()["dependencies"] if d["api_visibility"] == "public"]
    assert public == ["restore"]


def test_the_page_asks_no_other_host_for_anything():
    folder = Path(film.__file__).parent
    for path in (path for kind in ("css", "js", "html") for path in folder.rglob(f"*.{kind}")):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")  # a name, never asked for
        assert not re.search(r"https?://|@import|url\((?!#)", text), path.name
    assert len((folder / "film.js").read_text(encoding="utf-8").splitlines()) < 150


def test_no_rule_inside_media_is_for_what_gradio_lets_none_reach():
    outer = re.compile(r"(^|[},])\s*(html|body|:root|\.gradio-container)\b[^{}]*\{")
    for path in Path(film.__file__).parent.glob("page*.css"):
        blocks = re.findall(r"@media[^{]*\{((?:[^{}]*\{[^{}]*\})*)", path.read_text(encoding="utf-8"))
        assert not [block for block in blocks if outer.search(block)], path.name


def test_examples_are_small_and_credited():
    credits = (restore.EXAMPLES / "CREDITS.md").read_text(encoding="utf-8")
    pictures = [p for p in restore.EXAMPLES.iterdir() if p.suffix in (".png", ".jpg")]
    assert len(pictures) >= 3
    for path in pictures:
        assert path.stat().st_size < 150_000 and path.name in credits


# --- serving ---------------------------------------------------------------------------------------------------


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_gives_the_next_one_unless_it_was_asked_for(taken: int, monkeypatch):
    monkeypatch.setattr(serving, "PORT", taken)
    port, said = serving.free_port("127.0.0.1")
    assert port > taken and str(taken) in said and str(port) in said
    with pytest.raises(SettingsError, match=f"Port {taken}"):
        serving.free_port("127.0.0.1", taken)
    with pytest.raises(SettingsError, match="not a port"):
        serving.free_port("127.0.0.1", 70000)


def test_the_app_says_so_and_exits_with_2(taken: int, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["app.py", "--port", str(taken), "--device", "cpu", "--no-browser"])
    assert app.main() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"Port {taken}") and said.count("\n") == 1
    monkeypatch.setattr("sys.argv", ["app.py", "--device", "abacus"])
    assert app.main() == 2 and "abacus" in capsys.readouterr().err


def test_without_a_display_no_browser_is_looked_for(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not serving.has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert serving.has_display()


def test_a_refusal_is_told_in_its_own_words():
    assert sentence(SettingsError("Choose fewer.")) == "Choose fewer."


def test_resshift_noise_share_is_bounded():
    process = ResidualShifting(15, 2.0)
    assert noise_share(process, torch.tensor(15.0, dtype=torch.float64)) == pytest.approx(1)
