"""Each command once, and what it says to bad input: one sentence, exit code 2."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from restore_core import cli, images
from restore_core.checkpoints import catalogue, files
from restore_core.commands import sweep
from restore_core.errors import ImageError
from restore_core.refusals import refuse_large


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    y, x = np.mgrid[0:40, 0:56] / 8
    rgb = np.uint8(128 + 90 * np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1))
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), rgb)
    return path


def run(*words: object) -> int:
    return cli.main([str(w) for w in words])


def refused(capsys: pytest.CaptureFixture, *words: object) -> str:
    """The sentence with which the command was refused."""
    assert run(*words) == 2
    err = capsys.readouterr().err.strip()
    assert err and "\n" not in err and "Traceback" not in err and err.endswith(".")
    return err


@pytest.mark.parametrize("method", ["auto", "dvsr", "sr3", "resshift", "irsde"])
def test_restore_writes_a_picture_with_its_settings(photo: Path, capsys, method: str):
    out = photo.with_name("out.png")
    settings = ("--task", "denoise", "--method", method, "--steps", 3, "--seed", 5)
    code = run("restore", photo, "-o", out, *settings, "--json")
    told = json.loads(capsys.readouterr().out)
    assert code == 0 and told["size"] == [40, 56] and told["calls"] == 3 and told["settings"]["seed"] == 5
    assert cv2.imread(str(out)).shape == (40, 56, 3)


@pytest.mark.parametrize("words", [[], ["--smaller"]])
def test_a_large_photo_is_reduced_where_that_is_asked(photo: Path, capsys, monkeypatch, words: list[str]):
    monkeypatch.setattr(images.reduction, "__defaults__", (560,))
    out = photo.with_name("out.png")
    assert run("restore", photo, "-o", out, "--task", "denoise", "--steps", 2, *words) == 0
    assert cv2.imread(str(out)).shape[:2] == ((20, 28) if words else (40, 56))
    assert ("A smaller copy of 28 × 20" in capsys.readouterr().err) == bool(words)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_like_repeats_a_result_bit_for_bit(photo: Path, capsys, suffix: str):
    first, second = photo.with_name(f"a{suffix}"), photo.with_name(f"b{suffix}")
    assert run("restore", photo, "-o", first, "--task", "deblur", "--steps", 4, "--eta", 0.7, "--seed", 11) == 0
    assert run("restore", photo, "-o", second, "--like", first) == 0
    assert (cv2.imread(str(first)) == cv2.imread(str(second))).all()


def test_like_takes_the_smaller_copy_that_the_run_was_made_on(photo: Path, capsys, monkeypatch):
    monkeypatch.setattr(images.reduction, "__defaults__", (560,))
    for name, words in (("small", ["--smaller"]), ("large", [])):
        first, second = photo.with_name(f"{name}.png"), photo.with_name(f"{name}-again.png")
        assert run("restore", photo, "-o", first, "--task", "denoise", "--steps", 2, *words) == 0
        assert run("restore", photo, "-o", second, "--like", first) == 0
        assert np.array_equal(cv2.imread(str(first)), cv2.imread(str(second)))


def test_like_takes_no_other_settings(photo: Path, capsys):
    out = photo.with_name("a.png")
    assert run("restore", photo, "-o", out, "--task", "denoise", "--steps", 2) == 0
    capsys.readouterr()
    assert "--like" in refused(capsys, "restore", photo, "-o", out, "--like", out, "--steps", 9)
    assert refused(capsys, "restore", photo, "-o", out, "--like", photo)


def test_frames_are_written_for_each_step(photo: Path):
    film = photo.with_name("film")
    out = photo.with_name("o.png")
    assert run("restore", photo, "-o", out, "--task", "denoise", "--steps", 5, "--frames", film) == 0
    for kind in ("x_t", "guess"):
        frames = sorted((film / kind).iterdir())
        assert len(frames) == 6
        assert cv2.imread(str(frames[0])).shape == (40, 56, 3)


def test_automatic_tells_what_it_saw(photo: Path, capsys):
    assert run("restore", photo, "--steps", 2) == 0
    assert "so" in capsys.readouterr().err
    assert list(photo.parent.glob("photo-*.png"))


@pytest.mark.parametrize(
    "words",
    [
        ["--steps", "0"], ["--steps", "nan"], ["--steps", "many"], ["--steps", "100000"], ["--eta", "7"],
        ["--noise", "-1"], ["--seed", "x"], ["--task", "colour"], ["--method", "magic"], ["--sampler", "none"],
        ["--preset", "9"], ["--preset", "high"], ["--preset", "paper"], ["--variant", "realsr-x4"],
        ["--variant", "compact-sr4"], ["--variant", "realsr-x4-v2"], ["--models", "nowhere"],
        ["--device", "abacus"], ["--grid", "odd"], ["--samples", "0"],
        ["--tile", "5"], ["--precision", "int1"], ["--like", "nowhere.png"], ["--nonsense"], ["-o", "x.txt"],
        ["-o", "no/such/folder/x.png"], ["--max-pixels", "10"],
        *(["--option", f"{name}=1"] for name in ("task", "method", "variant", "preset", "paper", "photo", "options")),
    ],
    ids=" ".join,
)  # fmt: skip
def test_bad_words_are_answered_in_a_sentence(photo: Path, capsys, words: list[str], monkeypatch):
    monkeypatch.chdir(photo.parent)
    refused(capsys, "restore", photo, *words)
    assert sorted(p.name for p in photo.parent.iterdir()) == ["photo.png"]


def test_bad_files_are_answered_in_a_sentence(tmp_path: Path, capsys):
    text, empty, cut = tmp_path / "text.png", tmp_path / "empty.jpg", tmp_path / "cut.jpg"
    text.write_text("I am no picture.")
    empty.write_bytes(b"")
    whole = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    cut.write_bytes(whole[: len(whole) // 2])
    for path in (text, empty, cut, tmp_path, tmp_path / "nowhere.png"):
        refused(capsys, "restore", path, "-o", tmp_path / "o.png")
    assert not (tmp_path / "o.png").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_said_before_the_run(photo: Path, capsys):
    locked = photo.with_name("locked")
    locked.mkdir(mode=0o500)
    refused(capsys, "restore", photo, "-o", locked / "o.png")


def test_tiny_and_thin_pictures(tmp_path: Path):
    for size in ((1, 1), (1, 60), (60, 1)):
        path = tmp_path / "p.png"
        cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))
        assert run("restore", path, "-o", tmp_path / "o.png", "--task", "sr4", "--steps", 2) == 0
        assert cv2.imread(str(tmp_path / "o.png")).shape[:2] == (4 * size[0], 4 * size[1])


def test_info(capsys):
    assert run("info") == 0
    assert "torch" in capsys.readouterr().out
    assert run("info", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["packages"]["torch"].startswith("2.13.0") and told["weights"]["dvsr/compact-sr4"] == "here"


def test_evaluate(tmp_path: Path, capsys):
    rng = np.random.default_rng(0)
    for i in range(2):
        rgb = cv2.resize(rng.integers(0, 255, (12, 12, 3), np.uint8), (97, 90), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / f"{i}.png"), rgb)
    words = ["--task", "denoise", "--method", "dvsr", "--mean-of", 2, "--steps", 2, "--damage", "sigma=30"]
    assert run("evaluate", tmp_path, *words, "--json", tmp_path / "t.json") == 0
    assert "| dvsr, mean of 2 |" in capsys.readouterr().out
    rows = json.loads((tmp_path / "t.json").read_text())
    assert [r["what"] for r in rows] == ["input", "predictor", "dvsr", "dvsr, mean of 2"]
    assert rows[0]["psnr"] == pytest.approx(18.7, abs=0.6) and rows[0]["pictures"] == 2
    for wrong in (["--task", "nope"], ["--task", "sr4", "--damage", "sigma=1"], ["--task", "sr4", "--damage", "x"]):
        refused(capsys, "evaluate", tmp_path, *wrong)


def test_train(photo: Path, tmp_path: Path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    for i in range(2):
        noise = np.random.default_rng(i).integers(0, 255, (48, 48, 3), np.uint8)
        cv2.imwrite(str(data / f"{i}.png"), noise)
    words = ["--task", "denoise", "--out", tmp_path / "out", "--updates", 1, "--batch", 1, "--crop", 32]
    assert run("train", "--data", data, *words) == 0
    assert (tmp_path / "out" / "denoise.safetensors").exists()
    refused(capsys, "train", "--data", tmp_path / "nowhere", *words)


@pytest.mark.parametrize(
    "words",
    [
        ["--limit", "0"], ["--limit", "-1"], ["--mean-of", "-1"], ["--damage", "sigma=nan"], ["--damage", "sigmo=3"],
        ["--random", "one-stage", "--damage", "sigma=3"], ["--variant", "compact-jpeg", "--weights", "SHIPPED"],
        ["--option", "method=sr3"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_evaluate_cannot_do_is_refused(photo: Path, capsys, words: list[str]):
    shipped = files.locate(catalogue.record("compact/denoise"))
    words = [str(shipped) if word == "SHIPPED" else word for word in words]
    refused(capsys, "evaluate", photo.parent, "--task", "denoise", "--method", "dvsr", "--steps", 1, *words)


def test_no_command_is_a_sentence_too(capsys):
    refused(capsys)
    refused(capsys, "dance")


def test_a_methods_own_option_is_set_and_written(photo: Path, capsys):
    out = photo.with_name("out.png")
    asked = ("restore", photo, "-o", out, "--task", "denoise", "--method", "diffbir", "--steps", 2, "--json")
    asked += ("--option",)
    assert run(*asked, "guidance=0.75") == 0
    assert json.loads(capsys.readouterr().out)["settings"]["options"]["guidance"] == 0.75
    assert "KEY=VALUE" in refused(capsys, *asked, "guidance")
    assert "guidence" in refused(capsys, *asked, "guidence=1")


@pytest.mark.parametrize(
    ("words", "idle"), [(["--eta", 0.5], "'eta'"), (["--option", "fading=1"], "'fading'"), ([], "")]
)
def test_what_is_given_and_has_no_effect_is_told(photo: Path, capsys, words: list[object], idle: str):
    asked = ("restore", photo, "-o", photo.with_name("out.png"), "--task", "denoise", "--method", "dvsr")
    assert run(*asked, "--sampler", "heun", "--steps", 2, "--noise", 0.2, *words) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "has no effect" in line]
    assert len(told) == bool(idle) and idle in "".join(told)


def test_a_random_chain_damages_every_method_alike(photo: Path, capsys):
    cv2.imwrite(str(photo), cv2.resize(cv2.imread(str(photo)), (112, 80)))
    asked = ("evaluate", photo.parent, "--task", "blind", "--mean-of", 0, "--method", "dvsr", "--steps", 2, "--random")
    assert run(*asked, "two-stage") == 0
    told = capsys.readouterr().out
    assert "| input |" in told and "| dvsr |" in told
    assert "two-stage" in refused(capsys, *asked, "three-stage")


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", ".", "--task", "denoise"], ["sweep", "photo.png", "--over", "steps", "--out", "sweep"],
        ["compare", "photo.png", "-o", "c.html"], ["batch", ".", "out"], ["info"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_every_command_that_runs_networks_looks_where_it_is_told(photo: Path, capsys, monkeypatch, words: list[str]):
    monkeypatch.chdir(photo.parent)
    assert "nowhere" in refused(capsys, *words, "--models", "nowhere")
    assert [p.name for p in photo.parent.iterdir()] == ["photo.png"]


OUTPUTS = {  # what must be told beside the place of what is made
    "restore": ["a.png"], "batch": ["photos"], "compare": ["a.png", "--a", "steps=2"], "sweep": ["a.png"],
    "degrade": ["a.png", "--op", "blur"], "train": ["--task", "rain", "--data", "photos"],
    "weights convert": ["a.pth"],
}  # fmt: skip


@pytest.mark.parametrize("command", OUTPUTS)
@pytest.mark.parametrize("spelling", ["-o", "--out", "--output"])
def test_where_results_go_is_told_alike_in_every_command(command: str, spelling: str):
    asked = cli._parser().parse_args([*command.split(), *OUTPUTS[command], spelling, "place"])
    assert asked.output == Path("place")


@pytest.mark.parametrize("places", [[], ["results", "-o", "results"]])
def test_a_batch_has_one_folder_for_its_results(tmp_path: Path, capsys, places: list[str]):
    assert "one is needed" in refused(capsys, "batch", tmp_path, *places)


def test_a_photo_that_is_too_large_is_told_the_command_that_takes_it(photo: Path, capsys):
    told = refused(capsys, "restore", photo, "--max-pixels", 1000)
    found = re.search(r"python -m restore_core (restore) PHOTO (--max-pixels) (\d+), .*(--smaller)", told)
    assert found and int(found[3]) == 40 * 56
    words = [photo if word == "PHOTO" else word for word in ("restore", "PHOTO", *found.groups()[1:])]
    assert run(*words, "-o", photo.with_name("out.png"), "--task", "denoise", "--steps", 1) == 0
    with pytest.raises(ImageError, match=r"crop it first\.$"):  # more than is ever opened
        refuse_large("a.png", (30_000, 30_000), images.MAX_PIXELS)


def test_a_picture_of_which_nothing_would_be_left_is_not_made_smaller(tmp_path: Path, capsys):
    cv2.imwrite(str(tmp_path / "thin.png"), np.zeros((3, 9, 3), np.uint8))
    asked = ("degrade", tmp_path / "thin.png", "-o", tmp_path / "out.png", "--task")
    assert "9 × 3 px" in refused(capsys, *asked, "sr4")
    assert run(*asked, "sr2") == 0 and images.load(tmp_path / "out.png").size == (1, 4)


def test_the_authors_own_run_is_asked_for_alike_in_every_command(photo: Path, capsys):
    """Our own weights have no authors' run, which is told where the word was understood."""
    ours = "method=resshift,variant=compact-sr4"
    asked = {
        "restore": [photo, "--variant", "compact-sr4", "--method", "resshift", "--preset", "paper"],
        "compare": [photo, "-o", photo.with_name("compared"), "--a", f"{ours},preset=paper", "--b", ours],
    }
    for command, words in asked.items():
        assert "no paper says how to run them" in refused(capsys, command, *words)
    assert run("batch", photo.parent, "-o", photo.with_name("made"), "--task", "sr4", "--preset", "paper") == 2
    assert "no paper says how to run them" in (photo.with_name("made") / "batch.csv").read_text(encoding="utf-8")


def test_photos_of_one_name_have_each_a_folder_for_their_points(tmp_path: Path):
    assert sweep._folders(tmp_path, ["sea"]) == [tmp_path]
    named = [path.name for path in sweep._folders(tmp_path, ["sea", "hill", "Sea", "sea"])]
    assert named == ["sea", "hill", "Sea (2)", "sea (3)"]  # of sea.jpg, hill.png, Sea.png and sea.tif
