"""Many photos: names, the journal, failures that hold nobody up, lost workers, a cluster with a node killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from restore_core import batch, cluster, export, images, job
from restore_core.cli import main
from restore_core.engine import Frame
from restore_core.errors import ImageError, NotFinite, SettingsError
from restore_core.job import Job
from restore_core.library import Library

REQUEST = batch.Request(task="denoise", method="irsde", changes={"steps": 1})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three small photos, one of them in a folder of its own, and a letter."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for name in ("a.png", "b.jpg", "more/c.png"):
        export.save(torch.rand(1, 3, 20, 24, generator=generator), folder / name)
    (folder / "letter.txt").write_text("Dear Sir or Madam")
    return folder


def pretend(item: batch.Item, request: batch.Request) -> batch.Outcome:
    """A worker's task that costs nothing. A photo called kill.png ends its worker, the first time it is tried."""
    once = item.target.with_suffix(".tried")
    if item.source.name.startswith("kill") and not (once.exists() and item.source.name != "kill-always.png"):
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    item.target.write_bytes(item.source.read_bytes())
    return batch.Outcome(str(item.source), str(item.target), "done")


class Slow:
    """A cluster's actor that takes a moment and notes each attempt in a file of its own."""

    def restore(self, item: batch.Item, request: batch.Request) -> batch.Outcome:
        time.sleep(0.1)
        with item.target.with_suffix(".tries").open("a") as tries:
            tries.write("x")
        return pretend(item, request)


def items_of(out: Path, *names: str) -> list[batch.Item]:
    out.mkdir()
    sources = [out / name for name in names]
    for source in sources:
        source.write_text("photo")
    return [batch.Item(source, out / f"{name}.out") for source, name in zip(sources, names, strict=True)]


def test_results_lie_where_their_photos_lay(photos: Path, tmp_path: Path):
    out = tmp_path / "out"
    found = batch.plan(photos, out)
    assert [i.target.relative_to(out).as_posix() for i in found] == ["a.png", "b.png", "more/c.png"]


def test_results_never_share_a_name_and_are_not_taken_for_photos(photos: Path):
    export.save(torch.rand(1, 3, 20, 24), photos / "a.jpg")
    out = photos / "out"
    out.mkdir()
    export.save(torch.rand(1, 3, 20, 24), out / "old.png")
    names = [i.target.relative_to(out).as_posix() for i in batch.plan(photos, out)]
    assert names == ["a.jpg.png", "a.png.png", "b.png", "more/c.png"]
    export.save(torch.rand(1, 3, 20, 24), photos / "a.jpg.png")  # already called what a.jpg's result is called
    names = [i.target.relative_to(out).as_posix() for i in batch.plan(photos, out)]
    assert names == ["a.jpg.png", "a.jpg.png.png", "a.png.png", "b.png", "more/c.png"]


@pytest.mark.parametrize(
    ("photos", "results"),
    [
        (["IMG.JPG", "img.png"], ["IMG.JPG.png", "img.png.png"]),  # one file, where capitals do not count
        (["a.png", "A.png", "b.png"], ["a.png.png", "A.png.png", "b.png"]),  # as far apart as their photos
    ],
)
def test_results_that_differ_in_capitals_alone_keep_their_suffix(photos: list[str], results: list[str]):
    assert batch._names(list(map(Path, photos)), ".png") == results


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_a_folder_without_photos_is_refused(tmp_path: Path, what: str):
    folder = tmp_path / what
    if what == "empty":
        folder.mkdir()
    with pytest.raises(SettingsError, match=r"no photos in it|no picture in"):
        batch.plan(folder, tmp_path / "out")


def test_a_bad_photo_holds_nobody_up_and_a_second_run_does_what_is_missing(photos: Path, tmp_path: Path, capsys):
    (photos / "b.jpg").write_bytes((photos / "b.jpg").read_bytes()[:200])
    out = tmp_path / "out"
    command = ["batch", str(photos), str(out), "--task", "denoise", "--method", "irsde", "--device", "cpu", "--steps"]
    assert main([*command, "1"]) == 2
    assert "1 of 3 photos failed" in capsys.readouterr().err
    table = (out / "batch.csv").read_text()
    assert "b.jpg ends too early" in table and table.count(",done,") == 2
    made = (out / "a.png").stat().st_mtime_ns
    export.save(torch.rand(1, 3, 20, 24), photos / "b.jpg")
    assert main([*command, "1"]) == 0
    assert "1 restored, 2 made earlier" in capsys.readouterr().err
    assert (out / "a.png").stat().st_mtime_ns == made
    assert main([*command, "2"]) == 0  # other settings: everything anew
    assert "3 restored, 0 made earlier" in capsys.readouterr().err


def test_large_photos_are_reduced_where_that_is_asked(photos: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(images.reduction, "__defaults__", (400,))
    export.save(torch.rand(1, 3, 40, 48), photos / "large.png")
    export.save(torch.rand(1, 3, 16, 20), photos / "small.png")
    out = tmp_path / "out"
    command = ["batch", str(photos), str(out), "--task", "denoise", "--method", "irsde", "--device", "cpu"]
    sizes = lambda: [images.inspect(out / name).size for name in ("large.png", "small.png")]  # noqa: E731
    assert main([*command, "--steps", "1"]) == 0 and sizes() == [(40, 48), (16, 20)]
    assert main([*command, "--steps", "1", "--smaller"]) == 0 and sizes() == [(18, 21), (16, 20)]
    table = (out / "batch.csv").read_text()
    assert "smaller copy of 21 × 18" in table and table.count(",done,") == 5  # asked otherwise: everything anew
    asked = batch.Request(smaller=True)
    assert [asked.size_of(size) for size in ((40, 48), (16, 20))] == sizes()


def test_a_torn_line_in_the_journal_costs_one_photo_at_most(tmp_path: Path):
    found = items_of(tmp_path / "out", "a", "b")
    journal = batch.Journal(tmp_path / "out")
    for item in found:
        journal.add(item, REQUEST, pretend(item, REQUEST))
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-40])
    again = batch.Journal(tmp_path / "out")
    assert [again.has(item, REQUEST) for item in found] == [True, False]


def test_what_is_made_after_a_torn_line_is_kept(tmp_path: Path):
    found = items_of(tmp_path / "out", "a", "b")
    journal = batch.Journal(tmp_path / "out")
    journal.add(found[0], REQUEST, pretend(found[0], REQUEST))
    journal.path.write_bytes(journal.path.read_bytes()[:-40])
    batch.Journal(tmp_path / "out").add(found[1], REQUEST, pretend(found[1], REQUEST))
    again = batch.Journal(tmp_path / "out")
    assert [again.has(item, REQUEST) for item in found] == [False, True]


def test_a_result_that_other_settings_replaced_is_made_again(tmp_path: Path, monkeypatch):
    (item,) = items_of(tmp_path / "out", "a")
    other = batch.Request(preset=4)
    for request in (REQUEST, other):
        batch.Journal(tmp_path / "out").add(item, request, pretend(item, request))
    journal = batch.Journal(tmp_path / "out")
    assert journal.has(item, other) and not journal.has(item, REQUEST)
    monkeypatch.chdir(tmp_path)  # the same folder by another name
    assert batch.Journal(Path("out")).has(batch.Item(item.source, Path("out", item.target.name)), other)


def test_a_changed_photo_is_restored_again(tmp_path: Path):
    (item,) = items_of(tmp_path / "out", "a")
    journal = batch.Journal(tmp_path / "out")
    journal.add(item, REQUEST, pretend(item, REQUEST))
    assert journal.has(item, REQUEST)
    item.source.write_text("another photo")
    assert not journal.has(item, REQUEST)
    assert not journal.has(item, batch.Request())


def test_a_journal_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path):
    (item,) = items_of(tmp_path / "out", "a")
    journal = batch.Journal(tmp_path / "out")
    journal.path.mkdir()
    with pytest.raises(ImageError, match="a folder of that name is in the way"):
        journal.add(item, REQUEST, pretend(item, REQUEST))
    assert not journal.has(item, REQUEST)


def test_a_result_that_is_gone_is_made_again_and_a_failure_is_not_noted(tmp_path: Path):
    (item,) = items_of(tmp_path / "out", "a")
    journal, other = batch.Journal(tmp_path / "out"), batch.Request(preset=4)
    done = pretend(item, REQUEST)
    journal.add(item, REQUEST, done)
    journal.add(item, other, replace(done, state="failed"))
    for told in (journal, batch.Journal(tmp_path / "out")):
        assert told.has(item, REQUEST) and not told.has(item, other)
    item.target.unlink()
    assert not journal.has(item, REQUEST)


class Page:
    """Who watches a batch in this process: stops it at the photo `last`, notes what it hears and holds."""

    def __init__(self, last: str = ""):
        self.last, self.heard, self.holds, self.halted = last, [], [], False

    def tell(self, item: batch.Item, work: Job, frame: Frame | None) -> None:
        self.heard.append((item.source.name, None if frame is None else frame.index))
        self.halted = self.halted or item.source.name == self.last

    @contextmanager
    def turn(self) -> Iterator[None]:
        self.holds.append(True)
        yield
        self.holds.append(False)


def test_a_batch_can_be_watched_and_gives_the_device_away_between_photos(photos: Path, tmp_path: Path):
    page = Page()
    items = iter(batch.plan(photos, tmp_path / "out"))  # told one by one
    outcomes = batch.run_all(items, REQUEST, batch.here(Library("cpu"), turn=page.turn, tell=page.tell))
    assert next(outcomes).state == "done" and page.holds == [True, False]
    assert page.heard == [("a.png", None), ("a.png", 0), ("a.png", 1)]
    assert [o.state for o in outcomes] == ["done", "done"] and page.holds == [True, False] * 3


def test_ctrl_c_keeps_what_is_done_and_says_so(photos: Path, tmp_path: Path, monkeypatch, capsys):
    restore = batch.restore

    def until_b(item: batch.Item, *told, **more) -> batch.Outcome:
        if item.source.stem == "b":
            raise KeyboardInterrupt
        return restore(item, *told, **more)

    monkeypatch.setattr(batch, "restore", until_b)
    out = tmp_path / "out"
    command = ["batch", str(photos), str(out), "--task", "denoise", "--method", "irsde", "--steps", "1"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "the same command goes on" in said and "nothing was written" not in said
    assert (out / "a.png").is_file() and ",done," in (out / "batch.csv").read_text()
    monkeypatch.setattr(batch, "restore", restore)
    assert main(command) == 0 and "2 restored, 1 made earlier" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "asked"), [([], None), (["--workers", "1"], 1), (["--workers", "3"], 3)])
def test_a_cluster_is_given_as_many_workers_as_were_asked_for(photos: Path, tmp_path: Path, monkeypatch, words, asked):
    given = []

    def on_ray(address: str, *, workers: int | None, device: str | None) -> batch.Map:
        given.append(workers)
        return lambda items, request: iter(())

    monkeypatch.setattr(cluster, "on_ray", on_ray)
    assert main(["batch", str(photos), str(tmp_path / "out"), "--ray", "local", *words]) == 0
    assert given == [asked]


def test_a_cluster_without_workers_is_refused():
    pytest.importorskip("ray")
    with pytest.raises(SettingsError, match="Choose 1 or more"):
        cluster.on_ray("local", workers=0)


def test_what_could_not_be_kept_is_told(tmp_path: Path):
    source = tmp_path / "photos" / "see-through.png"
    source.parent.mkdir()
    alpha = torch.ones(1, 1, 20, 24)
    alpha[..., :5] = 0
    export.save(torch.rand(1, 3, 20, 24), source)
    export.save(torch.rand(1, 3, 20, 24), source, like=replace(images.load(source), alpha=alpha))
    (item,) = batch.plan(source.parent, tmp_path / "out", suffix=".jpg")
    outcome = batch.restore(item, REQUEST, Library("cpu"))
    assert outcome.state == "done" and "what was transparent is white" in outcome.sentence


def test_stopped_nothing_is_half(photos: Path, tmp_path: Path):
    page, out = Page(last="b.jpg"), tmp_path / "out"
    run = batch.here(Library("cpu"), stop=lambda: page.halted, tell=page.tell)
    outcomes = list(batch.run_all(batch.plan(photos, out), REQUEST, run, batch.Journal(out)))
    assert [Path(o.source).name for o in outcomes] == ["a.png"]
    assert sorted(p.name for p in out.rglob("*.png")) == ["a.png"] and not list(out.rglob("*.part"))
    again = list(batch.run_all(batch.plan(photos, out), REQUEST, batch.here(Library("cpu")), batch.Journal(out)))
    assert [o.state for o in again] == ["kept", "done", "done"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "Memory ran out"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ZeroDivisionError("/secret/place"), "Something went wrong that should not have (ZeroDivisionError"),
    ],
)
def test_whatever_fails_is_a_sentence_and_the_others_go_on(photos: Path, tmp_path: Path, error, sentence, caplog):
    def tell(item: batch.Item, work: Job, frame: Frame | None) -> None:
        if item.source.name == "a.png":
            raise error

    items = batch.plan(photos, tmp_path / "out")
    outcomes = list(batch.run_all(items, REQUEST, batch.here(Library("cpu"), tell=tell)))
    assert [o.state for o in outcomes] == ["failed", "done", "done"]
    assert sentence in outcomes[0].sentence and "/secret" not in outcomes[0].sentence


@pytest.mark.parametrize(
    ("error", "tried"),
    [
        (NotFinite("no numbers"), [("float16", None), ("float32", None)]),
        (RuntimeError("not enough memory"), [("float16", None), ("float16", 384), ("float16", 192)]),
    ],
)
def test_a_photo_is_tried_again_in_full_precision_or_in_smaller_tiles(photos: Path, monkeypatch, error, tried):
    (item, *_), ways, frame = batch.plan(photos, photos / "out"), [], SimpleNamespace(done=True)

    def run(work: Job, library: Library, *, stop=None):
        ways.append((work.settings.precision, work.settings.tile))
        if ways != tried:
            raise error
        yield frame

    monkeypatch.setattr(batch.job, "run", run)
    half = job.plan(images.load(item.source), Library("cpu"), task="denoise", precision="float16")
    way, last = batch._to_the_end(half, lambda work: batch.job.run(work, Library("cpu")), Library("cpu"))
    assert ways == tried and last is frame and (way.settings.precision, way.settings.tile) == tried[-1]


@pytest.mark.parametrize(
    ("error", "precision", "tiles"),
    [
        (NotFinite("no numbers"), "float32", [None]),
        (RuntimeError("not enough memory"), "float16", [None, 384, 192]),
    ],
)
def test_what_nothing_helps_is_raised_in_the_end(photos: Path, error, precision, tiles):
    (item, *_), tried = batch.plan(photos, photos / "out"), []

    def frames(work: Job) -> Iterator[Frame]:
        tried.append(work.settings.tile)
        if len(tried) > len(tiles):
            pytest.fail("It was tried again and again.")
        raise error
        yield

    work = job.plan(images.load(item.source), Library("cpu"), task="denoise", precision=precision)
    with pytest.raises(type(error)):
        batch._to_the_end(work, frames, Library("cpu"))
    assert tried == tiles


def test_what_was_ready_when_a_worker_was_lost_is_not_begun_again(tmp_path: Path):
    found, handed = items_of(tmp_path / "out", "a", "b", "c", "d"), []

    class Pool:
        """Ends two photos, has the third under way, and breaks before the fourth."""

        def submit(self, work: batch.Restore, item: batch.Item, request: batch.Request) -> Future:
            handed.append(Future())
            if len(handed) < 3:
                handed[-1].set_result(work(item, request))
            if len(handed) > 3:
                raise BrokenExecutor
            return handed[-1]

    ended = {item.source.name: outcome for item, outcome in batch._drain(Pool(), found, REQUEST, 9, pretend)}
    assert {name: outcome and outcome.state for name, outcome in ended.items()} == {"a": "done", "b": "done", "c": None}


def test_no_more_photos_are_handed_out_than_may_be_under_way(tmp_path: Path):
    found, handed = items_of(tmp_path / "out", "a", "b", "c", "d"), []

    class Pool:
        def submit(self, work: batch.Restore, item: batch.Item, request: batch.Request) -> Future:
            handed.append(item)
            done = Future()
            done.set_result(work(item, request))
            return done

    outcomes = batch._drain(Pool(), found, REQUEST, 2, pretend)
    assert next(outcomes)[1].state == "done" and len(handed) == 2
    assert len(list(outcomes)) == 3 and handed == found


def test_a_turn_in_which_a_photo_failed_is_left_with_an_error(photos: Path, tmp_path: Path):
    (photos / "b.jpg").write_bytes(b"no picture")
    left: list[bool] = []

    @contextmanager
    def turn() -> Iterator[None]:
        try:
            yield
        except Exception:
            left.append(False)
            raise
        left.append(True)

    items = batch.plan(photos, tmp_path / "out")
    outcomes = list(batch.here(Library("cpu"), turn=turn)(items, REQUEST))
    assert [o.state for o in outcomes] == ["done", "failed", "done"] and left == [True, False, True]


def test_no_name_is_a_formula_in_the_table():
    table = batch.as_table([batch.Outcome("=HYPERLINK(x).png", "@sum.png", "failed", "-1 is wrong")])
    assert table.splitlines()[1] == "'=HYPERLINK(x).png,'@sum.png,failed,0.00,0,'-1 is wrong"


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(tmp_path: Path):
    names = [f"{k}.png" for k in range(6)]
    found = items_of(tmp_path / "out", *names[:3], "kill.png", *names[3:], "kill-always.png")
    outcomes = list(batch.run_all(found, REQUEST, batch.workers(2, work=pretend), batch.Journal(tmp_path / "out")))
    states = {Path(o.source).name: o.state for o in outcomes}
    assert len(outcomes) == len(found) == len(states)
    assert states.pop("kill-always.png") == "failed"
    assert set(states.values()) == {"done"}


@pytest.mark.slow
def test_a_node_killed_in_the_middle_loses_nothing_and_counts_nothing_twice(tmp_path: Path, monkeypatch):
    ray = pytest.importorskip("ray")
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here}{os.pathsep}{here.parent}")
    from ray.cluster_utils import Cluster

    from restore_core.cluster import on_ray

    found = items_of(tmp_path / "out", *(f"{k}.png" for k in range(40)))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    second = cluster.add_node(num_cpus=2)
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        journal, outcomes = batch.Journal(tmp_path / "out"), []
        for outcome in batch.run_all(found, REQUEST, on_ray("auto", workers=4, actor=Slow), journal):
            outcomes.append(outcome)
            if len(outcomes) == 10:
                cluster.remove_node(second, allow_graceful=False)
        assert sorted(o.source for o in outcomes) == sorted(str(i.source) for i in found)
        assert {o.state for o in outcomes} == {"done"}
        assert len(journal.path.read_text().splitlines()) == len(found)
        assert all(item.target.read_bytes() == item.source.read_bytes() for item in found)
    finally:
        ray.shutdown()
        cluster.shutdown()
