"""Sweeps: which points, whether they are reproducible, kept and gone on with; what a map of them says."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from restore_core import cli, export
from restore_core.engine import finish, restore
from restore_core.errors import Cancelled, SettingsError
from restore_core.images import Photo, load, resize
from restore_core.library import Library, card
from restore_core.metrics import METRICS, lpips, psnr
from restore_core.timing import Line, Timing
from restore_core.tradeoff import (
    AXES,
    PAPER_STEPS,
    Estimate,
    Journal,
    Plane,
    Point,
    Shelf,
    Subject,
    Sweep,
    as_csv,
    as_json,
    as_table,
    damaged,
    default_values,
    estimate,
    frontier,
    given,
    means,
    plane_of,
    requests,
    run,
)
from restore_core.tradeoff import journal as journals
from restore_core.tradeoff.running import MEASURING, STEPPING, SharedPredictor
from restore_core.tradeoff.subject import match, match_notes, middle
from restore_core.tradeoff.sweep import flattened, telling, varied


def scene(side: int = 96, seed: int = 0) -> Tensor:
    """Discs on a ramp, (1, 3, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = (x / side).expand(3, -1, -1) * 0.6 + 0.2
    for _ in range(25):
        cy, cx, r = (torch.rand(3, generator=generator) * torch.tensor([side, side, side / 6])).tolist()
        image = torch.where(
            (y - cy) ** 2 + (x - cx) ** 2 < r**2, torch.rand(3, 1, 1, generator=generator), image
        )
    return image[None].clamp(0, 1)


def photo(image: Tensor, name: str = "scene") -> Photo:
    return Photo(image, None, False, 8, None, None, (), name)


@pytest.fixture(scope="module")
def library() -> Library:
    return Library("cpu")


@pytest.fixture(scope="module")
def subject() -> Subject:
    return damaged(photo(scene()), "deblur", side=80)


def steps_of(plan) -> list[int]:
    return [r.settings.steps for r in plan]


# --- which points ----------------------------------------------------------------------------------------------


def test_axes_are_multiplied_out_cheap_ones_first():
    plan = requests(Sweep("deblur", {"steps": (30, 5), "eta": (0, 1)}, changes={"seed": 7}))
    assert steps_of(plan) == [5, 5, 30, 30]
    assert {r.settings.options["eta"] for r in plan} == {0.0, 1.0} and {r.settings.seed for r in plan} == {7}
    assert all(r.preset is None for r in plan)


def test_the_papers_grid_is_there():
    assert default_values("steps", "deblur", "dvsr") == PAPER_STEPS == (10, 20, 30, 50, 100, 200, 300, 500)
    levels = default_values("noise", "deblur", "dvsr")
    plan = requests(Sweep("deblur", {"steps": PAPER_STEPS, "noise": levels}))
    assert len(plan) == 48 and {r.settings.options["noise"] for r in plan} == set(levels)


def test_every_default_value_is_one_that_the_method_takes():
    methods = default_values("method", "sr4", "dvsr")
    assert {"dvsr", "sr3", "resshift", "irsde"} <= set(methods)
    for method in ("dvsr", "sr3", "resshift", "irsde"):
        for key in (*AXES, "variance"):
            values = default_values(key, "sr4", method)
            assert values and requests(Sweep("sr4", {key: values}, method))


def test_a_position_stays_one_where_a_later_sweep_comes_upon_it():
    balanced = requests(Sweep("deblur"))[0].settings
    plan = requests(Sweep("deblur", positions=True), Sweep("deblur", {"steps": (balanced.steps, 33)}))
    assert sorted(r.preset for r in plan if r.preset is not None) == [0, 1, 2, 3, 4] and len(plan) == 6


def test_the_five_positions_are_marked_and_not_measured_twice():
    plan = requests(Sweep("deblur", {"steps": (20, 33)}, positions=True))
    own = {r.preset: r.settings for r in plan if r.preset is not None}
    assert own == {k: card("dvsr").settings("compact-deblur", k) for k in range(5)}
    assert len(plan) == 6  # 20 steps is the middle position


def test_separate_sweeps_are_joined():
    plan = requests(Sweep("deblur", {"steps": (5, 20)}), Sweep("deblur", {"samples": (1, 2)}))
    assert [(r.settings.steps, r.settings.samples) for r in plan] == [(5, 1), (20, 1), (20, 2)]


def test_an_option_of_the_sampler_is_an_axis_too():
    plan = requests(Sweep("deblur", {"variance": (0.0, 1.0)}))
    assert [r.settings.options["variance"] for r in plan] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("axes", "changes", "words"),
    [
        ({"colour": (1,)}, {}, "is nothing that DvSR can sweep"),
        ({"steps": ()}, {}, "No value is given"),
        ({"noise": (0.1,), "method": ("dvsr", "sr3")}, {}, "noise scale of its own"),
        ({"eta": (0, 1)}, {"sampler": "heun"}, "puts no fresh noise in"),
        ({"method": ("magic",)}, {}, "no method called 'magic'"),
        ({"steps": range(2000), "seed": range(2000)}, {}, "4,000,000 points"),
    ],
)
def test_sweeps_that_make_no_sense_get_a_sentence(axes, changes, words):
    with pytest.raises(SettingsError, match=words):
        requests(Sweep("deblur", axes, changes=changes))


def test_what_varies_is_found():
    plan = requests(Sweep("deblur", {"steps": (3, 4, 5), "eta": (0, 1)}))
    assert varied([r.settings.to_json() for r in plan]) == ("steps", "eta")
    assert flattened(plan[0].settings.to_json())["eta"] == 0
    both = requests(Sweep("deblur", {"method": ("dvsr", "sr3"), "steps": (3, 4)}))
    assert set(telling([r.settings.to_json() for r in both])) == {
        "method",
        "steps",
    }  # not each method's own noise


# --- what is restored ------------------------------------------------------------------------------------------


def test_damage_is_the_tasks_own_and_reproducible():
    one, two = (damaged(photo(scene()), "denoise", side=80) for _ in range(2))
    assert one.digest == two.digest and one.degraded.shape == one.clean.shape == (1, 3, 80, 80)
    assert one.digest != damaged(photo(scene()), "denoise", side=80, seed=1).digest
    assert one.digest != damaged(photo(scene()), "deblur", side=80).digest
    small = damaged(photo(scene(98)), "sr4")
    assert small.clean.shape[-1] == 96 and small.degraded.shape[-1] == 24


def test_the_middle_is_the_same_part_of_both():
    clean = scene(256)
    pair = given(photo(resize(clean, (64, 64))), "sr4", photo(clean), scale=4, side=128)
    assert pair.clean.shape[-1] == 128 and pair.degraded.shape[-1] == 32 and pair.notes == ()
    assert psnr(resize(pair.degraded, (128, 128)).clamp(0, 1), pair.clean) > 20
    torch.testing.assert_close(middle(clean, 128), pair.clean)


@pytest.mark.parametrize(("height", "width", "side"), [(103, 111, 100), (96, 101, 99), (25, 102, 400)])
def test_the_middle_of_both_begins_and_ends_with_the_same_pixels(height: int, width: int, side: int):
    rows, columns = torch.meshgrid(torch.arange(height) / 255, torch.arange(width) / 255, indexing="ij")
    small = torch.stack([rows, columns, rows])[None]  # each pixel tells its place
    large = small.repeat_interleave(4, -2).repeat_interleave(4, -1)
    pair = given(photo(small), "sr4", photo(large), scale=4, side=side)
    torch.testing.assert_close(pair.clean[..., ::4, ::4], pair.degraded, rtol=0, atol=0)
    assert pair.clean.shape[-1] == 4 * pair.degraded.shape[-1] <= side


@pytest.mark.parametrize("side", [-5, 0, 3, 40])
def test_a_part_too_small_to_be_measured_is_refused(side: int):
    with pytest.raises(SettingsError, match="a larger part"):
        given(photo(scene(128)), "sr4", scale=4, side=side)


def test_a_clean_picture_of_another_size_is_refused():
    with pytest.raises(SettingsError, match=r"96 × 96 px, and results of this photo are 128 × 128 px"):
        given(photo(scene(128)), "deblur", photo(scene(96)))
    with pytest.raises(SettingsError, match="needs 72 px"):
        given(photo(scene(48)), "deblur")


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -5.0), (0.5, 1.25)])
def test_a_shift_is_found_and_told(shift):
    big = scene(512)
    first = resize(big, (128, 128))
    moved = resize(big.roll((round(4 * shift[0]), round(4 * shift[1])), (-2, -1)), (128, 128))
    found = match(first, moved)
    assert found.shift == pytest.approx(shift, abs=0.25) and found.correlation > 0.8
    notes = match_notes(first, moved)
    assert bool(notes) == (max(map(abs, shift)) > 0.75)
    if shift == (3.0, -5.0):
        assert "to the left and 3" in notes[0] and "Registration is off" in notes[0]


def test_another_photo_is_told_and_a_damaged_one_is_not():
    clean = scene(128)
    assert "does not look like the same photo" in match_notes(clean, scene(128, seed=9))[0]
    for task in ("deblur", "denoise", "sr4"):
        assert match_notes(damaged(photo(clean), task).degraded, clean) == ()


# --- running, keeping, going on --------------------------------------------------------------------------------


def test_points_are_the_runs_they_say(tmp_path, library: Library, subject: Subject):
    plan = requests(Sweep("deblur", {"steps": (2, 3)}, changes={"seed": 4}))
    journal = Journal(tmp_path, subject)
    points = list(run(plan, subject, journal, library.method))
    for request, point in zip(plan, points, strict=True):
        problem = library.method("dvsr", "compact-deblur").pose(subject.degraded, request.settings)
        alone = finish(restore(problem, request.settings))
        kept = load(tmp_path / point.picture).rgb
        assert (kept - alone.result).abs().max() < 0.6 / 255 and point.calls == alone.calls
        assert point.measures["psnr"] == pytest.approx(psnr(kept, subject.clean, crop_border=4).item())
        assert point.measures["lpips"] == pytest.approx(
            lpips(kept, subject.clean, crop_border=4).item(), abs=1e-6
        )
        assert point.measures["mse"] == pytest.approx(10 ** (-point.measures["psnr"] / 10))
        assert export.read_settings(tmp_path / point.picture)["settings"] == request.settings.to_json()
    again = list(run(plan, subject, Journal(tmp_path / "again", subject), library.method))
    assert [p.measures for p in again] == [p.measures for p in points]


def test_numbers_of_samples_share_one_run(tmp_path, library: Library, subject: Subject):
    plan = requests(Sweep("deblur", {"samples": (1, 2, 3)}, changes={"steps": 2}))
    frames = []
    shared = list(run(plan, subject, Journal(tmp_path / "shared", subject), library.method,
                      watch=lambda settings, frame: frames.append(frame.index)))  # fmt: skip
    assert frames == [0, 1, 2, 5, 8] and [p.calls for p in shared] == [2, 4, 6]  # one walk of three, and their ends
    for request, point in zip(plan, shared, strict=True):
        (alone,) = run([request], subject, Journal(tmp_path / str(point.calls), subject), library.method)
        assert alone.measures == pytest.approx(point.measures, rel=1e-3) and alone.key == point.key


def test_the_predictor_is_asked_once(tmp_path, library: Library, subject: Subject, monkeypatch):
    network = library.network("compact/deblur")
    asked, predict = [], type(network).predict
    monkeypatch.setattr(type(network), "predict", lambda self, *a: asked.append(1) or predict(self, *a))
    plan = requests(Sweep("deblur", {"method": ("dvsr", "sr3", "resshift", "irsde")}, changes={"steps": 1}))
    assert len(list(run(plan, subject, Journal(tmp_path, subject), library.method))) == 4
    assert len(asked) == 1


def test_guidance_is_an_axis_where_a_method_has_it():
    plan = requests(Sweep("sr4", {"guidance": default_values("guidance", "sr4", "diffbir")}, "diffbir"))
    assert len(plan) >= 3 and len({r.settings.options["guidance"] for r in plan}) == len(plan)


def test_a_shared_predictor_tells_pictures_apart():
    class Network(torch.nn.Module):
        def predict(self, y: Tensor, power: Tensor) -> Tensor:
            return y + power

    shared = SharedPredictor(Network())
    a, b, power = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4), torch.ones(1)
    assert shared.predict(a, power) is shared.predict(a.clone(), power)
    assert shared.predict(b, power).mean() == 2 and shared.predict(a, power + 1).mean() == 2
    with torch.autocast("cpu", dtype=torch.bfloat16):  # another precision, another answer
        half = shared.predict(a, power)
        assert half is shared.predict(a, power)
    assert half is not shared.predict(a, power)


def test_a_stopped_sweep_goes_on_where_it_was(tmp_path, library: Library, subject: Subject):
    plan = requests(Sweep("deblur", {"steps": (1, 2, 3)}))
    journal, done = Journal(tmp_path, subject), []
    with pytest.raises(Cancelled):
        for point in run(plan, subject, journal, library.method, stop=lambda: len(done) >= 2):
            done.append(point)
    assert [p.settings["steps"] for p in done] == [1, 2]
    reopened = Journal(tmp_path, subject)
    assert reopened.points() == tuple(done)
    rest = list(run(plan, subject, reopened, library.method))
    assert [p.settings["steps"] for p in rest] == [3]
    assert list(run(plan, subject, reopened, library.method)) == []
    assert [json.loads(line)["key"] for line in (tmp_path / "points.jsonl").read_text().splitlines()] == [
        p.key for p in (*done, *rest)
    ]


def filled(folder: Path, subject: Subject, count: int = 2) -> tuple[Journal, list[Point]]:
    journal = Journal(folder, subject)
    settings = [card("dvsr").settings("compact-deblur", steps=k + 1) for k in range(count)]
    points = [
        journal.add(s, subject.clean, {"psnr": 30.0 + k, "lpips": 0.1}, 1.0, k)
        for k, s in enumerate(settings)
    ]
    return journal, points


def test_a_line_cut_short_is_measured_again_and_spoils_no_other(tmp_path, subject: Subject):
    _, points = filled(tmp_path, subject)
    path = tmp_path / "points.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    journal = Journal(tmp_path, subject)
    assert journal.points() == (points[0],)
    journal.add(card("dvsr").settings("compact-deblur", steps=9), subject.clean, {"psnr": 1.0}, 1.0, 9)
    assert [p.calls for p in Journal(tmp_path, subject).points()] == [0, 9]


def test_a_point_without_its_picture_is_no_point(tmp_path, subject: Subject):
    _, points = filled(tmp_path, subject)
    (tmp_path / points[0].picture).unlink()
    assert Journal(tmp_path, subject).points() == (points[1],)


def test_points_of_other_weights_are_not_shown(tmp_path, subject: Subject, monkeypatch):
    _, points = filled(tmp_path, subject)
    monkeypatch.setattr(journals, "weights_of", lambda settings: "another file")
    changed = Journal(tmp_path, subject)
    assert changed.points() == () and changed.get(card("dvsr").settings("compact-deblur", steps=1)) is None
    monkeypatch.undo()
    assert len(Journal(tmp_path, subject).points()) == len(points)


def test_a_folder_belongs_to_one_photo(tmp_path, subject: Subject):
    filled(tmp_path, subject)
    with pytest.raises(SettingsError, match="holds the sweep of another photo"):
        Journal(tmp_path, damaged(photo(scene(seed=5)), "deblur", side=80))
    (tmp_path / "sweep.json").write_text("[]")
    with pytest.raises(SettingsError, match="does not say which photo"):
        Journal(tmp_path, subject)


def test_the_shelf_keeps_the_latest(tmp_path):
    shelf = Shelf(tmp_path, keep=2)
    subjects = [damaged(photo(scene(seed=k)), "deblur", side=80) for k in range(3)]
    for k, one in enumerate(subjects):
        folder = shelf.journal(one).folder
        os.utime(folder, (k, k))
    assert len(list(tmp_path.iterdir())) == 2 and not (tmp_path / subjects[0].digest[:24]).exists()
    shelf.forget(subjects[2])
    assert [p.name for p in tmp_path.iterdir()] == [subjects[1].digest[:24]]


# --- what is measured ------------------------------------------------------------------------------------------


def test_the_plane_follows_what_is_known(subject: Subject):
    known = plane_of(subject)
    assert (known.x.key, known.y.key) == ("psnr", "lpips")
    blind = plane_of(replace(subject, clean=None))
    assert (blind.x.key, blind.y.key) == ("consistency", "sharpness") and "no clean picture" in blind.note
    assert plane_of(given(photo(scene(192)), "deblur")).y.key == "niqe"


def test_without_the_truth_there_is_consistency(tmp_path, library: Library):
    blind = given(photo(damaged(photo(scene(80)), "deblur").degraded), "deblur")
    plan = requests(Sweep("deblur", {"steps": (2,)}))
    (point,) = run(plan, blind, Journal(tmp_path, blind), library.method)
    assert set(point.measures) == {"consistency", "sharpness"} and point.measures["consistency"] > 30


def test_the_path_of_a_run_is_measured_on_request(tmp_path, library: Library, subject: Subject):
    plan = requests(Sweep("deblur", {"steps": (3,)}))
    (point,) = run(plan, subject, Journal(tmp_path, subject), library.method, path=True)
    assert point.measures["path"] > 0 and point.measures["detour"] >= 0.99


# --- what is told ----------------------------------------------------------------------------------------------


def point(key: str, x: float, y: float) -> Point:
    settings = card("dvsr").settings("compact-deblur", steps=len(key)).to_json()
    return Point(key, settings, {"psnr": x, "lpips": y}, 1.5, 3, "")


PLANE = Plane(METRICS["psnr"], METRICS["lpips"], "")


def test_the_frontier_is_what_nothing_beats():
    generator = torch.Generator().manual_seed(0)
    points = [point(f"p{k}", *(torch.rand(2, generator=generator) * 10).tolist()) for k in range(60)]

    def beaten(p: Point) -> bool:
        m = p.measures
        return any(
            q.measures["psnr"] >= m["psnr"] and q.measures["lpips"] <= m["lpips"] and q is not p
            for q in points
        )

    found = frontier(points, PLANE)
    assert set(found) == {p.key for p in points if not beaten(p)}
    xs = [next(p.measures["psnr"] for p in points if p.key == key) for key in found]
    assert xs == sorted(xs)


def test_csv_and_json_hold_every_point():
    points = [point("a", 30, 0.2), point("bb", 29, 0.1), point("ccc", 28, 0.3)]
    rows = list(csv.DictReader(io.StringIO(as_csv(points, PLANE, {"bb": 4}))))
    assert [(r["key"], r["steps"], r["psnr"], r["frontier"], r["preset"]) for r in rows] == [
        ("a", "1", "30", "True", ""), ("bb", "2", "29", "True", "4"), ("ccc", "3", "28", "False", "")
    ]  # fmt: skip
    found = json.loads(json.dumps(as_json(points, PLANE)))
    assert found["axes"]["y"]["better"] == "lower" and [p["lpips"] for p in found["points"]] == [
        0.2,
        0.1,
        0.3,
    ]
    table = as_table(points)
    assert "| 2 | 29.00 | 0.1000 | 3 | 1.5 |" in table and table.splitlines()[0].startswith("| steps |")


def test_means_are_over_pictures_that_all_have():
    sets = [[point("a", 30, 0.2), point("b", 20, 0.1)], [point("a", 32, 0.4)]]
    (mean,) = means(sets)
    assert mean.key == "a" and mean.measures == {"psnr": 31.0, "lpips": pytest.approx(0.3)}


def test_an_estimate_counts_shared_runs_once(tmp_path, subject: Subject):
    plan = requests(Sweep("deblur", {"samples": (1, 2, 4)}, changes={"steps": 5}))
    timing = Timing(Line(0.0, 1.0), Line(0.0, 0.5))
    cost = estimate(plan, subject, Journal(tmp_path, subject), lambda settings: timing)
    assert cost.points == cost.of == 3 and cost.seconds == pytest.approx(80 * 80 * (1 + 20 * 0.5), rel=1e-4)
    assert (cost + cost).points == 6


def test_a_way_is_estimated_with_its_steps(subject: Subject):
    plan = requests(Sweep("deblur", {"samples": (1, 2)}, changes={"steps": 50}))
    at_once = Timing(Line(0.0, 0.0), Line(0.0, 0.0))
    plain, along = (estimate(plan, subject, None, lambda settings: at_once, path=path) for path in (False, True))
    assert plain.seconds == pytest.approx(80 * 80 * 2 * MEASURING)
    assert along.seconds - plain.seconds == pytest.approx(80 * 80 * 50 * STEPPING)


def test_ten_thousand_points_are_asked_about():
    plan = requests(Sweep("deblur", {"steps": range(1, 1001), "eta": [k / 10 for k in range(10)]}))
    cost = Estimate(len(plan), len(plan), 3e6)
    assert cost.large and cost.sentence == "10,000 points: about 35 days."
    assert Estimate(0, 16, 0).sentence == "All 16 points are measured already."
    assert Estimate(4, 16, 12.3).sentence == "16 points, 12 of them measured already: about 12 s."


# --- the command -----------------------------------------------------------------------------------------------


def sweep(*arguments: object) -> int:
    return cli.main(["sweep", *map(str, arguments), "--device", "cpu"])


def test_the_command_measures_and_goes_on(tmp_path, capsys):
    export.save(scene(80), tmp_path / "clean.png")
    asked = [tmp_path / "clean.png", "--damage", "deblur", "--out", tmp_path / "out"]
    assert sweep(*asked, "--over", "steps", "--values", "steps=1,2", "--csv", "--report") == 0
    first = capsys.readouterr()
    assert first.out.count("\n| ") == 2 and "2 points: about" in first.err
    rows = list(csv.DictReader((tmp_path / "out" / "points.csv").read_text().splitlines()))
    assert [row["steps"] for row in rows] == ["1", "2"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert (
        page.count("data:image/") >= 4
        and "steps 2" in page
        and "http://" not in page.replace("http://www.w3", "")
    )
    assert sweep(*asked, "--over", "steps", "--values", "steps=1,2,3", "--json") == 0
    second = capsys.readouterr()
    assert "3 points, 2 of them measured already" in second.err
    found = json.loads(second.out)
    assert [p["steps"] for p in found["points"]] == [1, 2, 3] and (tmp_path / "out" / "points.json").is_file()


def test_the_length_of_the_way_is_measured_of_known_points_too(tmp_path, capsys):
    export.save(scene(80), tmp_path / "clean.png")
    asked = [tmp_path / "clean.png", "--damage", "deblur", "--out", tmp_path / "out", "--json"]
    asked += ["--over", "steps", "--values", "steps=2"]
    found = []
    for words in ([], ["--path"], []):
        assert sweep(*asked, *words) == 0
        found.append(json.loads(capsys.readouterr().out)["points"][0])
    assert "path" not in found[0] and found[1]["path"] > 0 and found[2]["path"] == found[1]["path"]


def test_the_command_measures_a_folder_as_a_set(tmp_path, capsys):
    (tmp_path / "clean").mkdir()
    for seed in range(2):
        export.save(scene(80, seed), tmp_path / "clean" / f"{seed}.png")
    arguments = [tmp_path / "clean", "--damage", "denoise", "--over", "samples", "--values", "samples=1,2"]
    assert sweep(*arguments, "--steps", 1, "--out", tmp_path / "out", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    one = [
        json.loads((tmp_path / "out" / str(k) / "points.jsonl").read_text().splitlines()[0]) for k in range(2)
    ]
    mean = sum(p["measures"]["psnr"] for p in one) / 2
    assert found["points"][0]["psnr"] == pytest.approx(mean) and found["pictures"] == ["0", "1"]
    assert all(found["points"][k][name] >= 0 for k in range(2) for name in ("swd", "kid"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--damage", "deblur"], "Nothing is named to sweep"),
        (["--damage", "deblur", "--task", "jpeg", "--over", "steps"], "Leave it out"),
        (["--damage", "deblur", "--over", "steps", "--values", "eta=0"], "--values names eta"),
        (["--damage", "deblur", "--over", "steps", "--values", "steps"], "is not NAME=VALUE"),
        (["--damage", "deblur", "--over", "steps", "--clean", "CLEAN"], "--clean has no place"),
        (["--task", "deblur", "--over", "steps", "--clean", "SMALL"], "Nothing is resized"),
        (["--damage", "deblur", "--over", "steps,eta", "--values", f"steps={','.join(map(str, range(1, 1001)))}",
          "--values", "eta=0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9"], "10,000 points: about .* Add --yes"),
    ],
)  # fmt: skip
def test_the_command_refuses_in_a_sentence(tmp_path, capsys, arguments, words):
    export.save(scene(80), tmp_path / "clean.png")
    export.save(scene(32), tmp_path / "small.png")
    places = {"CLEAN": tmp_path / "clean.png", "SMALL": tmp_path / "small.png"}
    assert (
        sweep(tmp_path / "clean.png", *(places.get(a, a) for a in arguments), "--out", tmp_path / "out") == 2
    )
    error = capsys.readouterr().err.replace("\n", " ")
    assert re.search(words, error)
