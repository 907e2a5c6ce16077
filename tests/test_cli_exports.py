"""restore --film, --report, --spread: what the files hold, and that what cannot be written is told before the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from restore_core import batch, export, images, job
from restore_core.cli import main
from restore_core.library import Library
from restore_core.moments import Recorder


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    if not Library("cpu").has("dvsr", "compact-denoise"):
        pytest.skip("The compact weights are not here.")
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    export.save(torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0)), path)
    return path


def restore(photo: Path, *more: str) -> int:
    command = ["restore", str(photo), "-o", str(photo.with_name("out.png")), "--task", "denoise", "--device", "cpu"]
    return main([*command, "--method", "dvsr", "--steps", "3", *more])


def test_a_film_and_a_report(photo: Path, tmp_path: Path):
    assert restore(photo, "--film", str(tmp_path / "a.gif"), "--report", str(tmp_path / "a.html")) == 0
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 4 and film.size == (40 + 6 + 40, 32)
    page = (tmp_path / "a.html").read_text()
    assert page.count("<figure") == 2 + 4 and "Step 1 of 3" in page and "Finished" in page


def test_a_film_of_the_guess_alone_as_mp4(photo: Path, tmp_path: Path):
    av = pytest.importorskip("av")
    assert restore(photo, "--film", str(tmp_path / "a.mp4"), "--film-shows", "guess") == 0
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert (film.streams.video[0].width, film.streams.video[0].height) == (40, 32)


def test_a_map_of_what_was_invented(photo: Path, tmp_path: Path, capsys):
    assert restore(photo, "--samples", "3", "--spread", str(tmp_path / "map.png"), "--json") == 0
    told = json.loads(capsys.readouterr().out)["invented"]
    assert told["samples"] == 3 and 0 < told["mean"] <= told["most"]
    assert images.load(tmp_path / "map.png").size == (32, 40)
    assert export.read_settings(tmp_path / "map.png")["settings"]["samples"] == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--spread", "map.png"), "at least two"),
        (("--spread", "map.txt", "--samples", "2"), "no kind of picture"),
        (("--film", "a.avi"), "GIF or MP4"),
        (("--film", "nowhere/a.gif"), "does not exist"),
        (("--report", "nowhere/a.html"), "does not exist"),
        (("--film", "a.gif", "--film-shows", "all"), "invalid choice"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_run(photo: Path, tmp_path: Path, monkeypatch, capsys, more, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job, "run", lambda *_: pytest.fail("it ran"))
    assert restore(photo, *more) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_recorder_keeps_a_film_s_worth_of_a_long_run(photo: Path):
    work = job.plan(images.load(photo), library := Library("cpu"), task="denoise", steps=20)
    recorder = Recorder(work.settings, frames=6, side=16)
    for frame in job.run(work, library):
        recorder.take(frame)
    film = recorder.film()
    assert len(film) == 6 and film[0].shape == (13, 16 + 6 + 16, 3)
    assert (film[-1][:, :16] == film[-1][:, 22:]).all()  # at the end the state is the guess
    assert [caption for _, caption in recorder.moments(2)] == ["Step 1 of 20", "Finished"]


def test_a_result_that_its_file_cannot_hold_is_refused_before_the_run(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(job, "run", lambda *_, **__: pytest.fail("it ran"))
    export.save(torch.zeros(1, 3, 4, 5000), tmp_path / "long.png")
    asked = ["restore", str(tmp_path / "long.png"), "--task", "sr4", "--method", "dvsr", "--samples", "2"]
    assert main([*asked, "-o", str(tmp_path / "out.webp")]) == 2
    assert "out.webp would be 20000 × 16 pixels" in capsys.readouterr().err
    assert main([*asked, "-o", str(tmp_path / "out.png"), "--spread", str(tmp_path / "map.webp")]) == 2
    assert "map.webp would be" in capsys.readouterr().err
    item = batch.Item(tmp_path / "long.png", tmp_path / "made.webp")
    failed = batch.restore(item, batch.Request("sr4", "dvsr"), Library("cpu"))
    assert failed.state == "failed" and "Save it as PNG" in failed.sentence
