"""What breaks under a run, and what is left of it: whole files, a free device, a sentence, and a page that goes on.

Elsewhere: the network cut in a download, downloads killed and disks filled by them (test_downloads), memory that runs
out (test_ui, test_memory), workers of a folder killed (test_batch), a page closed in the middle (test_serving).
"""

from __future__ import annotations

import ast
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from restore_core import cli, export, job
from restore_core.engine import finish
from restore_core.errors import NotFinite
from restore_core.library import Library
from restore_core.problem import Problem
from restore_core.processes import MeanReverting, theta_schedule
from restore_core.settings import Settings
from restore_core.tiling import Heed
from restore_core.ui import running, streaming
from restore_core.ui.asking import Ask
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.joblog import JobLog
from restore_core.ui.running import restoration
from restore_core.ui.sessions import ABANDONED, PHOTOS, SessionStore, temporary_folder
from restore_core.ui.streaming import Stream, Way
from restore_core.ui.turns import Turns

ROOT = Path(__file__).parents[1]
SETTINGS = Settings("irsde", "compact-denoise", "ddim", 12)
ASK = Ask(task="denoise", method="irsde", seed=3)
Network = Callable[[torch.Tensor], torch.Tensor]


def posed(network: Network) -> Problem:
    """A problem whose guess of x0 is what `network` makes of x_t."""
    y = torch.linspace(-1, 1, 3 * 20 * 30).reshape(1, 3, 20, 30)
    decode = lambda x: ((x + 1) / 2).clamp(0, 1)  # noqa: E731
    process = MeanReverting(theta_schedule("cosine", 100), 0.2)
    return Problem(process, lambda x, t, cond: network(x), "x0", y, encode=lambda i: i * 2 - 1, decode=decode)


class Fake:
    """A library with one method, which poses every photo as `problem`."""

    def __init__(self, problem: Problem, precision: str = "float32"):
        self.device, self.precision = torch.device("cpu"), precision
        self.problem, self.variant = problem, SimpleNamespace(channels=3)

    def method(self, key: str, variant: str, heed: Heed) -> Fake:
        return self

    def pose(self, image: torch.Tensor, settings: Settings) -> Problem:
        return self.problem


def work(settings: Settings = SETTINGS) -> job.Job:
    return job.Job(SimpleNamespace(rgb=torch.full((1, 3, 20, 30), 0.5), alpha=None, name="p"), "denoise", settings, "")


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photo.png"
    Image.linear_gradient("L").resize((30, 20)).convert("RGB").save(path)
    return str(path)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Library("cpu"), SessionStore(tmp_path / "kept"))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Callable[[Network], None]:
    """Put this network in the place of the weights."""

    def use(one: Network) -> None:
        fake = Fake(posed(one))
        monkeypatch.setattr(running, "run", lambda work, library, *, stop, tell: job.run(work, fake, stop=stop))

    return use


def same(x: torch.Tensor) -> torch.Tensor:
    return torch.linspace(-1, 1, x.numel()).reshape(x.shape)


# --- files ------------------------------------------------------------------------------------------------------

KILLED = """
import os, sys, time
from pathlib import Path
import torch
from restore_core import export
from restore_core.export import writing

def stuck(number):
    sys.stdout.write("written\\n"); sys.stdout.flush()
    time.sleep(60)

writing.os.fsync = stuck
export.save(torch.rand(1, 3, 200, 200), Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
@pytest.mark.parametrize("name", ["result.png", "result.jpg"])
def test_killed_while_writing_the_old_file_is_whole(tmp_path: Path, name: str):
    old = tmp_path / name
    export.save(torch.full((1, 3, 8, 8), 0.25), old)
    before = old.read_bytes()
    with subprocess.Popen([sys.executable, "-c", KILLED, str(old)], cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline().strip() == b"written", "all bytes are out, and the name is not yet given"
        child.send_signal(signal.SIGKILL)
    assert old.read_bytes() == before
    export.save(torch.full((1, 3, 8, 8), 0.75), old)
    assert old.read_bytes() != before


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_and_the_page_goes_on(desk: Desk, photo: str, network, monkeypatch):
    network(same)
    with monkeypatch.context() as patch:
        patch.setattr("restore_core.export.writing.os.fsync", full)
        last = list(restoration(desk, "s", photo, ASK))[-1]
    assert last.failed and "disk is full" in last.text and last.outcome is None and not desk.turns.busy
    assert not list(Path(desk.store.root).rglob("*.part"))
    assert list(restoration(desk, "s", photo, ASK))[-1].outcome is not None


def test_not_even_a_folder_can_be_made(desk: Desk, photo: str, network, monkeypatch):
    network(same)
    monkeypatch.setattr(Path, "mkdir", full)
    last = list(restoration(desk, "s", photo, ASK))[-1]
    assert last.failed and "disk of this server is full" in last.text and last.film["done"] and not desk.turns.busy


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if not mount or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_real_disk_that_fills_up(small_disk: Path, photo: str, network, tmp_path: Path):
    network(lambda x: torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    (small_disk / "filler").write_bytes(b"x" * 56_000)
    desk = Desk(Library("cpu"), SessionStore(small_disk / "kept"))
    last = list(restoration(desk, "s", photo, ASK))[-1]
    assert last.failed and "disk is full" in last.text and not desk.turns.busy
    (small_disk / "filler").unlink()
    assert list(restoration(desk, "s", photo, ASK))[-1].outcome is not None


def test_a_log_on_a_full_disk_holds_nobody_up(tmp_path: Path, monkeypatch, caplog):
    log = JobLog(tmp_path / "jobs.jsonl")
    turns = Turns(note=log)
    monkeypatch.setattr(log, "_write", full)
    for _ in range(3):
        with turns.turn(lambda: False):
            pass
    assert not turns.busy and caplog.text.count("cannot be written") == 1


# --- numbers ----------------------------------------------------------------------------------------------------


def halved(x: torch.Tensor) -> torch.Tensor:
    """A network whose numbers do not fit half precision."""
    return same(x) * (float("nan") if torch.is_autocast_enabled("cpu") else 1.0)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_not_a_number_in_half_precision_is_told(precision: str):
    with pytest.raises(NotFinite, match=rf"left the range that {precision} holds .* float32"):
        finish(job.run(work(replace(SETTINGS, precision=precision)), Fake(posed(halved))))
    assert finish(job.run(work(), Fake(posed(halved)))).done


def test_half_precision_that_fails_is_redone_in_float32_and_said(desk: Desk, photo: str, network, monkeypatch):
    network(halved)
    desk.library.precision = "bfloat16"
    messages = list(restoration(desk, "s", photo, ASK))
    last = messages[-1]
    assert last.outcome is not None and not last.failed
    assert any("done again in full precision (float32)" in m.text for m in messages)
    assert export.read_settings(last.outcome.png)["settings"]["precision"] == "float32"
    with Image.open(last.outcome.png) as made:
        assert max(high for _, high in made.getextrema()) > 200, "a picture, not a black rectangle"


def test_it_is_redone_once_and_not_for_ever():
    tried: list[Way] = []

    def frames(stop, way: Way):
        tried.append(way)
        broken = Fake(posed(lambda x: x * float("nan")))
        return job.run(work(way.of(replace(SETTINGS, precision="bfloat16"))), broken, stop=stop)

    stream = Stream(frames, replace(SETTINGS, precision="bfloat16"), Turns()).start()
    list(stream.news())
    assert [way.precision for way in tried] == [None, "float32"] and isinstance(stream.error, NotFinite)


DIVERGING: dict[str, Network] = {
    "not a number": lambda x: x * float("nan"),
    "infinite": lambda x: same(x) / 0.0,
    "growing": lambda x: 3 * x + 50,
}


@pytest.mark.parametrize("kind", DIVERGING)
def test_a_sampler_that_diverges_is_told_and_no_black_picture_is_kept(desk: Desk, photo: str, network, kind: str):
    network(DIVERGING[kind])
    desk.library.precision = "float32"
    last = list(restoration(desk, "s", photo, ASK))[-1]
    assert last.failed and "did not hold" in last.text and "ddim" in last.text and last.outcome is None
    assert not list(Path(desk.store.root).rglob("*.png")) and not desk.turns.busy


def test_one_that_is_stopped_on_its_way_to_nowhere_keeps_no_black_picture(desk: Desk, photo: str, network):
    def poisoned(x: torch.Tensor) -> torch.Tensor:
        desk.store.stop("s")
        return x * float("nan")

    network(poisoned)
    last = list(restoration(desk, "s", photo, ASK))[-1]
    assert last.failed and last.outcome is None and not list(Path(desk.store.root).rglob("*.png"))


def commanded(tmp_path: Path, photo: str, monkeypatch, network: Network, precision: str) -> tuple[int, Path]:
    monkeypatch.setattr(Library, "method", lambda self, key, variant, heed: Fake(posed(network)))
    monkeypatch.setattr("restore_core.devices.choose_precision", lambda device: precision)
    out = tmp_path / "out.png"
    return cli.main(["restore", photo, "-o", str(out), "--task", "denoise", "--steps", "4", "--device", "cpu"]), out


def test_the_command_line_tells_it_too(tmp_path: Path, photo: str, monkeypatch, capsys):
    code, out = commanded(tmp_path, photo, monkeypatch, DIVERGING["growing"], "float32")
    assert code == 2 and "did not hold" in capsys.readouterr().err and not out.exists()


def test_the_command_line_redoes_it_in_float32(tmp_path: Path, photo: str, monkeypatch, capsys):
    code, out = commanded(tmp_path, photo, monkeypatch, halved, "bfloat16")
    assert code == 0 and export.read_settings(out)["settings"]["precision"] == "float32"
    assert "Run it in float32. This was done." in capsys.readouterr().err


def test_latents_and_bright_pictures_are_within_bounds():
    """What is large beside its own anchor is told; what merely is large is not."""
    problem = replace(posed(same), anchor=torch.full((1, 3, 20, 30), 40.0))
    for frame in job.run(work(), Fake(replace(problem, network=lambda x, t, cond: x * 0 + 45.0))):
        assert frame.problem is not None
    assert frame.done


# --- clocks -----------------------------------------------------------------------------------------------------


def test_durations_come_from_clocks_that_do_not_jump():
    """time.time() may be used for moments and for the ages of files only; each such place is named here."""
    allowed = {"ui/sessions.py": 1, "ui/uploads.py": 1}  # the age of folders that killed servers left, of uploads
    found: dict[str, int] = {}
    for path in (ROOT / "restore_core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.time", "datetime.now", "date.today"):
                place = path.relative_to(ROOT / "restore_core").as_posix()
                found[place] = found.get(place, 0) + 1
    found.pop("ui/joblog.py", None)  # the moment at which a run ended
    assert {place: count for place, count in found.items() if count > allowed.get(place, 0)} == {}


def test_a_clock_that_jumps_changes_no_estimate_and_ends_no_run(monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1e6 * torch.rand(()).item() - 5e5)
    stream = Stream(lambda stop, way: job.run(work(), Fake(posed(same)), stop=stop), SETTINGS, Turns(), deadline=60)
    told = [news.left for news in stream.start().news() if news.left is not None]
    assert stream.last.done and not stream.stopped and 0 <= stream.last.seconds < 60
    assert all(0 <= left < 60 for left in told)


def test_time_in_the_queue_is_not_counted_against_a_run():
    """A deadline of a tenth of a second, after three tenths of waiting."""
    turns = Turns()
    stream = Stream(lambda stop, way: job.run(work(), Fake(posed(same)), stop=stop), SETTINGS, turns, deadline=0.25)
    with turns.turn(lambda: False, session="other"):
        stream.start()
        time.sleep(0.4)
    list(stream.news())
    assert stream.last is not None and stream.last.done and not stream.stopped


# --- workers and pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, RecursionError, ZeroDivisionError, SystemError])
def test_a_worker_that_dies_frees_the_device_and_is_told(desk: Desk, photo: str, network, end, caplog):
    def dies(x: torch.Tensor) -> torch.Tensor:
        raise end("now")

    network(dies)
    last = list(restoration(desk, "s", photo, ASK))[-1]
    assert last.failed and re.search(r"code \w{6}", last.text) and end.__name__ in caplog.text
    assert not desk.turns.busy and desk.turns.queue == 0
    assert not [t for t in threading.enumerate() if t.name == "stepback-run"]
    network(same)
    assert list(restoration(desk, "s", photo, ASK))[-1].outcome is not None


def test_no_thread_can_be_started(desk: Desk, photo: str, network, monkeypatch, caplog):
    network(same)

    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(streaming.threading.Thread, "start", none_left)
        last = list(restoration(desk, "s", photo, ASK))[-1]
    assert last.failed and last.film["done"] and not desk.turns.busy and not desk.store.stop("s")
    assert list(restoration(desk, "s", photo, ASK))[-1].outcome is not None


def test_a_page_that_is_closed_while_it_waits_leaves_the_queue(desk: Desk, photo: str, network):
    network(same)
    with desk.turns.turn(lambda: False, session="other"):
        run = restoration(desk, "s", photo, ASK)
        while "Waiting" not in next(run).film["caption"]:
            pass
        assert desk.turns.queue == 1
        run.close()
        assert desk.turns.queue == 0
    assert not [t for t in threading.enumerate() if t.name == "stepback-run"]


def test_two_tabs_with_one_photo_get_the_same_picture_and_files_of_their_own(desk: Desk, photo: str, network):
    network(same)
    ends: dict[str, running.Message] = {}

    def page(session: str) -> None:
        ends[session] = list(restoration(desk, session, photo, ASK))[-1]

    pages = [threading.Thread(target=page, args=(name,)) for name in "ab"]
    for one in pages:
        one.start()
    for one in pages:
        one.join(20)
    first, second = (ends[name].outcome.png for name in "ab")
    assert first != second and export.read_settings(first)["settings"] == export.read_settings(second)["settings"]
    with Image.open(first) as a, Image.open(second) as b:
        assert a.tobytes() == b.tobytes()
    desk.store.drop("a")
    assert second.is_file() and not first.exists()


def test_who_waits_holds_no_picture(desk: Desk, photo: str, network, monkeypatch):
    """Thirty photos of fifty million pixels each would be 18 GB: a photo is read when its turn has come."""
    network(same)
    read: list[str] = []
    load = running.images.load
    monkeypatch.setattr(running.images, "load", lambda path, **more: read.append(path) or load(path, **more))
    with desk.turns.turn(lambda: False, session="other"):
        run = restoration(desk, "s", photo, ASK)
        while "Waiting" not in next(run).film["caption"]:
            pass
        assert read == []
    assert list(run)[-1].outcome is not None and read == [photo]


# --- what is kept, and for how long ------------------------------------------------------------------------------


def test_pages_that_are_still_make_room_and_those_that_run_do_not(tmp_path: Path):
    store = SessionStore(tmp_path, total_bytes=1000, sessions=3)
    runs = {name: store.open(name) for name in "abc"}
    store.attach("a", SimpleNamespace(stop=lambda: None))
    for name in "abc":
        store.keep_moment(name, runs[name], (b"x" * 300, b""))
    store.open("d")
    assert runs["a"].folder.exists() and not runs["b"].folder.exists() and runs["c"].folder.exists()
    late = store.open("e")
    store.keep_moment("e", late, (b"x" * 900, b""))
    assert runs["a"].folder.exists() and not runs["c"].folder.exists() and late.folder.exists()


def test_a_page_may_bring_so_many_photos_and_is_told(tmp_path: Path):
    store = SessionStore(tmp_path)
    for number in range(PHOTOS):
        store.bring("a", f"/photo-{number}.png")
    store.bring("a", "/photo-0.png")
    with pytest.raises(Exception, match="as many as one page") as error:
        store.bring("a", "/one-more.png")
    assert sentence(error.value).startswith("This page has brought")
    store.drop("a")
    store.bring("a", "/one-more.png")


def test_older_results_that_go_are_told_once(desk: Desk, photo: str, network, tmp_path: Path):
    network(same)
    small = Desk(desk.library, SessionStore(tmp_path / "small", runs=2))
    texts = [list(restoration(small, "s", photo, ASK))[-1].text for _ in range(4)]
    assert ["oldest results" in text for text in texts] == [False, False, True, True]
    assert small.store.made_room("s") == ""


def test_folders_of_killed_servers_go_and_those_of_others_stay(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = ("stepback-page-old", "stepback-page-new", "other-old")
    for name in names:
        (tmp_path / name / "inside").mkdir(parents=True)
    (tmp_path / "stepback-page-link").symlink_to(tmp_path / "other-old")
    for name in ("stepback-page-old", "other-old"):
        os.utime(tmp_path / name, (time.time() - 2 * ABANDONED,) * 2)
    made = temporary_folder()
    assert made.is_dir() and made.parent == tmp_path
    assert [(tmp_path / name).exists() for name in names] == [False, True, True]
    assert (tmp_path / "other-old" / "inside").exists()


# --- the log ------------------------------------------------------------------------------------------------------


def test_the_log_tells_each_run_and_nothing_of_the_photo_or_the_person(desk: Desk, photo: str, network, tmp_path: Path):
    network(same)
    log = JobLog(tmp_path / "logs" / "jobs.jsonl")
    logged = Desk(desk.library, desk.store, Turns(note=log))
    list(restoration(logged, "session-of-ada", photo, ASK))
    network(lambda x: x * float("nan"))
    list(restoration(logged, "session-of-ada", photo, replace(ASK, seed=4)))
    run = restoration(logged, "other", photo, ASK)
    with logged.turns.turn(lambda: False):
        while "Waiting" not in next(run).film["caption"]:
            pass
        run.close()
    text = log.path.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["outcome"] for line in lines] == ["done", "failed", "stopped", "done"]
    first = lines[0]
    assert (first["method"], first["size"], first["task"]) == ("irsde", [20, 30], "denoise") and first["steps"] >= 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first["time"]) and 0 <= first["seconds"] < 60
    assert lines[0]["session"] == lines[1]["session"] != lines[2]["session"]
    assert "session-of" not in text and "photo" not in text and str(tmp_path) not in text and lines[3]["session"] == ""


def test_the_log_does_not_grow_without_end(tmp_path: Path):
    log = JobLog(tmp_path / "jobs.jsonl", largest=2000)
    for number in range(100):
        log({"session": str(number), "outcome": "done"})
    assert log.path.stat().st_size <= 2000 and log.path.with_name("jobs.jsonl.1").stat().st_size <= 2000
    assert len(list(tmp_path.iterdir())) == 2


def test_the_log_takes_no_letters_from_strangers(tmp_path: Path):
    log = JobLog(tmp_path / "jobs.jsonl")
    log({"session": "s", "method": "x" * 10_000, "outcome": "failed", "photo": "my cat.png"})
    text = log.path.read_text()
    assert len(text) < 300 and "cat" not in text and text.count("\n") == 1


def test_a_log_that_cannot_be_written_is_told_at_the_start(tmp_path: Path):
    with pytest.raises(Exception, match=r"cannot be written .* --log"):
        JobLog(tmp_path)


def test_a_broken_picture_is_still_refused_in_the_turn(desk: Desk, network, tmp_path: Path):
    """What the header does not tell comes out when the photo is read, in its turn."""
    network(same)
    whole = tmp_path / "whole.png"
    Image.linear_gradient("L").convert("RGB").save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:-200])
    last = list(restoration(desk, "s", str(cut), ASK))[-1]
    assert last.failed and "ends too early" in last.text and not desk.turns.busy
