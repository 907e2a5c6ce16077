"""Comparison: the same starting noise, one damage for all, sentences where pictures do not fit, files to repeat it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from restore_core import comparison, export, images, job
from restore_core.cli import main
from restore_core.commands.compare import wish
from restore_core.comparison import Comparison, Ended
from restore_core.engine import Frame, finish
from restore_core.errors import SettingsError
from restore_core.images import Photo
from restore_core.library import Library


@pytest.fixture(scope="module")
def library() -> Library:
    library = Library("cpu")
    if not library.has("dvsr", "compact-denoise"):
        pytest.skip("The compact weights are not here.")
    return library


def scene(seed: int = 0, size: int = 96) -> torch.Tensor:
    """Rectangles of many sizes and colours: edges everywhere, different for each seed."""
    g = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, 3, size, size)
    for _ in range(60):
        top, left, height, width = (int(v) for v in torch.randint(0, size - 8, (4,), generator=g))
        picture[..., top : top + height // 3 + 4, left : left + width // 3 + 4] = torch.rand(3, 1, 1, generator=g)
    return picture


def photo(rgb: torch.Tensor, name: str = "scene") -> Photo:
    return Photo(rgb, None, False, 8, None, None, (), name)


def noisy(seed: int = 0, size: int = 96) -> Photo:
    z = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(7))
    return photo((scene(seed, size) + 0.08 * z).clamp(0, 1))


SHORT = {"variant": "compact-denoise", "steps": 2, "seed": 3}
TWO = [{"method": "dvsr", **SHORT}, {"method": "irsde", "eta": 0, **SHORT}]


def run(asked: Comparison, library: Library) -> list[Ended]:
    return [asked.ended(c, finish(job.run(c.job, library))) for c in asked.contenders]


def start(frame: Frame) -> torch.Tensor:
    """z of x_T = a g + b y + s z, or y + s z where the run starts from the prior."""
    p = frame.problem
    a, b, s = p.process.marginal(frame.step.t)
    mean = a * p.guess + b * p.anchor if p.from_guess else p.process.prior(p.anchor, torch.zeros_like(p.anchor))
    return (frame.step.x - mean) / s


def test_all_start_from_the_same_noise(library: Library):
    asked = comparison.prepare(noisy(), [*TWO, {"method": "resshift", **SHORT}], library, task="denoise")
    first = [start(next(job.run(c.job, library))) for c in asked.contenders]
    for other in first[1:]:
        correlation = torch.corrcoef(torch.stack([first[0].flatten(), other.flatten()]))[0, 1]
        assert correlation > 0.999
    assert asked.notes == ()


def test_the_table_holds_cost_consistency_and_distance_to_the_clean_picture(library: Library):
    asked = comparison.prepare(noisy(), TWO, library, task="denoise", clean=photo(scene()))
    ended = run(asked, library)
    numbers = {e.contender.letter: e.numbers for e in ended}
    keys = [c.key for c in comparison.columns(numbers)]
    assert keys[:3] == ["calls", "seconds", "consistency"] and keys[-3:] == ["psnr", "ssim", "lpips"]
    assert all(row["calls"] == 2 and row["psnr"] > 22 for row in numbers.values())
    psnr = comparison.COLUMNS["psnr"]
    winner = max(numbers, key=lambda letter: numbers[letter]["psnr"])
    assert comparison.best(numbers, psnr) == {winner}
    assert comparison.best({"A": {"psnr": 1.0}, "B": {"psnr": 1.0}}, psnr) == frozenset()


def test_a_record_makes_the_same_comparison_again(library: Library):
    asked = comparison.prepare(noisy(), TWO, library, task="denoise")
    record = json.loads(json.dumps(asked.record(run(asked, library))))
    again = comparison.prepare(noisy(), comparison.again(record), library)
    assert [c.job.settings for c in again.contenders] == [c.job.settings for c in asked.contenders]
    full = [wish | {"precision": "float32"} for wish in TWO]
    asked = comparison.prepare(noisy(), full, library, task="denoise")
    again = comparison.prepare(noisy(), comparison.again(asked.record()), library)
    assert {c.job.settings.precision for c in again.contenders} == {"float32"}
    one = comparison.again({"settings": asked.contenders[0].job.settings.to_json()})
    assert len(one) == 1 and one[0]["method"] == "dvsr"


def test_what_cannot_be_compared_is_told(library: Library):
    with pytest.raises(SettingsError, match="1 settings cannot be compared"):
        comparison.prepare(noisy(), TWO[:1], library)
    enlarging = {"method": "dvsr", "variant": "compact-sr4", "steps": 2}
    with pytest.raises(SettingsError, match=r"96 × 96 pixels and B one of 384 × 384.*enlarge alike"):
        comparison.prepare(noisy(), [TWO[0], enlarging], library)
    with pytest.raises(SettingsError, match="Nothing is resized"):
        comparison.prepare(noisy(), TWO, library, clean=photo(scene(size=100)))


def test_another_scene_is_no_clean_picture_and_a_shifted_one_is_told(library: Library):
    other = comparison.prepare(noisy(), TWO, library, task="denoise", clean=photo(scene(seed=5)))
    assert other.clean is None and "shows something else" in " ".join(other.notes)
    assert "psnr" not in run(other, library)[0].numbers
    shifted = comparison.prepare(noisy(), TWO, library, task="denoise", clean=photo(scene().roll(5, -1)))
    assert shifted.clean is not None
    assert re.search(r"shifted by (4\.9|5\.[01]) px to the right", " ".join(shifted.notes))


def test_different_noise_and_small_pictures_are_told(library: Library):
    asked = comparison.prepare(noisy(size=48), [TWO[0], TWO[1] | {"seed": 4}], library, task="denoise")
    assert "start from different noise" in asked.notes[0] and "too small to be measured" in asked.notes[1]
    assert set(run(asked, library)[0].numbers) == {"calls", "seconds"}


def test_what_is_under_holes_is_not_held_against_a_result(library: Library):
    holed = noisy()
    holed = replace(holed, alpha=torch.ones(1, 1, 96, 96))
    assert "consistency" in run(comparison.prepare(holed, TWO, library, task="denoise"), library)[0].numbers
    holed.alpha[..., :20, :20] = 0
    assert "consistency" not in run(comparison.prepare(holed, TWO, library, task="denoise"), library)[0].numbers


def test_the_middle_of_an_enlarged_picture_shows_what_the_photos_middle_shows(library: Library, monkeypatch):
    monkeypatch.setattr("restore_core.comparison.asked.LARGE", 160 * 160)
    monkeypatch.setattr("restore_core.comparison.asked.MEASURED", 160)
    small = scene(size=47)[..., :43, :]  # whose margins, times four, are no margins of the whole
    large = small.repeat_interleave(4, -2).repeat_interleave(4, -1)
    wishes = [{"method": m, "variant": "compact-sr4", "steps": 2} for m in ("dvsr", "irsde")]
    subject = comparison.prepare(photo(small), wishes, library, task="sr4", clean=photo(large)).measures.subject
    torch.testing.assert_close(subject.clean[..., ::4, ::4], subject.degraded, rtol=0, atol=0)


def test_a_large_picture_is_measured_in_its_middle(library: Library, monkeypatch):
    monkeypatch.setattr("restore_core.comparison.asked.LARGE", 90 * 90)
    monkeypatch.setattr("restore_core.comparison.asked.MEASURED", 80)
    clean = scene()
    clean[..., :8, :] = 1 - clean[..., :8, :]  # outside the middle: must not count
    asked = comparison.prepare(noisy(), TWO, library, task="denoise", clean=photo(clean))
    assert "middle" in asked.notes[0]
    assert run(asked, library)[0].numbers["psnr"] > 22


def test_wishes_are_read_from_text():
    assert wish("method=dvsr, steps=20,grid=uniform") == {"method": "dvsr", "steps": "20", "spacing": "uniform"}
    with pytest.raises(SettingsError, match="NAME=VALUE"):
        wish("dvsr")
    for name in ("task", "photo", "options"):
        with pytest.raises(SettingsError, match="is no setting"):
            wish(f"method=dvsr,{name}=1")


def test_the_command_writes_pictures_sheet_settings_and_report(library: Library, tmp_path: Path, capsys):
    export.save(noisy().rgb, tmp_path / "photo.png")
    export.save(scene(), tmp_path / "clean.png")
    command = ["compare", str(tmp_path / "photo.png"), "--task", "denoise", "--device", "cpu"]
    settings = ["--a", "method=dvsr,steps=2", "--b", "method=irsde,steps=2,eta=1"]
    settings += ["--clean", str(tmp_path / "clean.png")]
    assert main([*command, *settings, "-o", str(tmp_path / "out")]) == 0
    table = capsys.readouterr().out
    assert "| A: DvSR, DDIM / ancestral, 2 steps | 2 |" in table and "PSNR" in table
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"A.png", "B.png", "sheet.png", "settings.json", "report.html"}
    assert export.read_settings(tmp_path / "out" / "B.png")["settings"]["method"] == "irsde"
    like = ["--like", str(tmp_path / "out" / "settings.json")]
    photo = ["compare", str(tmp_path / "photo.png"), "--device", "cpu"]
    assert main([*photo, *like, "-o", str(tmp_path / "again"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["B"]["method"] == "irsde"
    first, second = (images.load(tmp_path / name / "B.png").rgb.numpy() for name in ("out", "again"))
    assert np.array_equal(first, second)
    for more in (settings, ["--seed", "5"], ["--task", "denoise"]):
        assert main([*photo, *like, *more, "-o", str(tmp_path / "no")]) == 2
        assert "Leave out either" in capsys.readouterr().err
