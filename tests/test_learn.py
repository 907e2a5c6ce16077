"""The Learn tab's handlers without a server: what each part answers, what it refuses, and what it keeps."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks import learn as bench
from restore_core import images
from restore_core.engine import Noise
from restore_core.library import Library
from restore_core.teaching.scenes import METHODS, pose, settings_of
from restore_core.ui import learn
from restore_core.ui.desk import Desk
from restore_core.ui.learn import back, both, chance, choice, forward, network, pictures
from restore_core.ui.learn.stage import EXAMPLE_LABELS, EXAMPLES, Recent, Stage

FOLDER = Path(learn.__file__).parent


@pytest.fixture(scope="module")
def stage() -> Stage:
    """One server's means, with the shipped networks."""
    return Stage(Desk(Library("cpu")))


@pytest.fixture(scope="module")
def key(stage: Stage) -> str:
    """The first example, four times smaller."""
    return stage.set_up("cat", "sr4").key


def numbers(text: str, kind: torch.dtype) -> Tensor:
    """What pictures.raw wrote, (1, 3, H, W)."""
    flat = torch.frombuffer(bytearray(base64.b64decode(text)), dtype=kind)
    side = int((len(flat) / 3) ** 0.5)
    return flat.reshape(side, side, 3).permute(2, 0, 1)[None]


def is_sendable(value: dict[str, Any]) -> bool:
    """Whether a browser can read it: JSON without NaN and infinity."""
    return bool(json.dumps(value, allow_nan=False))


@pytest.mark.usefixtures("loops")
def test_a_photo_that_is_sent_is_chosen_and_may_be_sent_again(stage: Stage):
    with gr.Blocks():
        picked = choice.fill(stage)
    source, scene, told, shown, own = picked.receive(str(EXAMPLES / "cat.jpg"), "deblur")
    assert source.endswith("cat.jpg") and stage.scene(scene).task == "deblur" and "Your photo" in told
    assert shown["scene"] == choice.OWN and [key for key, *_ in shown["pictures"]] == [*EXAMPLE_LABELS, choice.OWN]
    pick = lambda key: picked.pick("deblur", own, gr.EventData(None, {"key": key}))  # noqa: E731
    assert pick("coffee")[0] == "coffee" and pick("coffee")[-1] is None  # so that the same path is news
    assert pick(choice.OWN)[:2] == [source, scene]
    assert picked.receive(None, "deblur") == [gr.skip()] * 5


@pytest.mark.usefixtures("loops")
def test_the_damaged_picture_goes_on_to_restore(stage: Stage):
    with gr.Blocks():
        picked = choice.fill(stage)
    made = stage.set_up("coffee", "denoise")
    path, name, told = picked.keep(SimpleNamespace(session_hash="a"), made.key)
    assert name in path and (images.load(path).rgb - made.damaged).abs().max() <= 1 / 255 and told == gr.skip()
    path, name, told = picked.keep(SimpleNamespace(session_hash="a"), "gone")
    assert path is None and not name and "no longer here" in told


# --- 1 ---------------------------------------------------------------------------------------------------------


def test_the_page_receives_the_numbers_that_were_meant(stage: Stage, key: str):
    value = forward.Forward(stage, None).show(key)
    scene, eps = stage.scene(key), Noise(forward.NOISE_SEED)(stage.scene(key).clean)
    assert is_sendable(value) and value["side"] == 128
    assert torch.equal(numbers(value["x0"], torch.uint8) / 255, scene.clean)
    assert torch.equal(numbers(value["noise"], torch.int16) / pictures.UNITS, pictures.quantised(eps))
    assert (pictures.quantised(eps) - eps).abs().max() <= 0.5 / pictures.UNITS


@pytest.mark.parametrize("name", list(forward.FAMILIES))
def test_every_family_is_the_process_that_the_method_runs(stage: Stage, key: str, name: str):
    value = forward.family(stage, key, name, None)
    assert is_sendable(value) and len(value["a"]) == len(value["s"]) == len(value["snr"]) == len(
        value["mean"]
    )
    assert (value["y"] is None) == (forward.FAMILIES[name].anchor == "none")
    assert value["marks"][0] == 0 and value["marks"][-1] in (value["steps"], value["steps"] - 1)
    if name == "ddpm":
        assert value["marks"] == [0, 50, 100, 500, 999]
        return
    scene, library = stage.scene(key), stage.desk.library
    problem = pose(scene, library, settings_of(scene, library, name))
    for k in (0, len(value["a"]) // 2, len(value["a"]) - 1):
        a, _, s = problem.process.marginal(torch.tensor(k / value["per"]))
        assert value["a"][k] == pytest.approx(a.item(), rel=1e-4, abs=1e-5)
        assert value["s"][k] == pytest.approx(s.item(), rel=1e-4, abs=1e-5)
    if value["y"] is not None:
        sent = numbers(value["y"], torch.int16) / pictures.UNITS
        assert (sent - problem.anchor).abs().max() <= 0.5 / pictures.UNITS + 1e-6
        assert (sent.abs().max() > 1) == (forward.FAMILIES[name].anchor == "predicted")  # a guess may leave the range


def test_the_noise_slider_moves_the_curves(stage: Stage, key: str):
    low, high = (forward.family(stage, key, "resshift", noise) for noise in (0.1, 1.0))
    assert high["s"][-1] == pytest.approx(10 * low["s"][-1], rel=1e-3)
    assert low["option"]["value"] == 0.1 and low["option"]["low"] <= 0.1 <= low["option"]["high"]


# --- 2 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [key for _, key in back.SAMPLER_CHOICES])
def test_a_run_is_told_step_by_step_and_its_pixel_adds_up(stage: Stage, key: str, sampler: str):
    value, text = back.Back(stage, (), None, ()).show(key, "resshift", sampler, 3, 0.5, 1)
    assert is_sendable(value) and len(value["steps"]) == 3 and text.count("$$") == 12  # two formulas a step
    for step in value["steps"]:
        total = sum(term["c"] * term["pixel"][0] for term in step["terms"])
        assert total == pytest.approx(step["pixel"][0], abs=6e-4)  # of numbers rounded for the page
    assert "the last" in value["steps"][-1]["says"] and value["steps"][-1]["share"][1] == 0
    told = " ".join(step["says"] for step in value["steps"][:-1])
    assert ("fresh noise of strength" in told) == (sampler not in ("heun", "multistep"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_back(stage: Stage, key: str, method: str):
    value, _ = back.Back(stage, (), None, ()).show(key, method, "multistep", 4, 1, 2)
    assert value["psnr"] > 20 and value["steps"][0]["share"][0] == pytest.approx(1, abs=0.05)


# --- 3 ---------------------------------------------------------------------------------------------------------


def test_chance_spreads_only_where_noise_differs(stage: Stage, key: str):
    part = chance.Randomness(stage, (), None)
    same, own = (part.show(key, "dvsr", start, 4) for start in ("same", "own"))
    assert [one["eta"] for one in same["etas"]] == [0.0, 0.5, 1.0] and is_sendable(same)
    assert same["etas"][0]["grey"] == 0 < same["etas"][1]["grey"]
    assert own["etas"][0]["grey"] > 0
    assert (
        len({run for run in same["etas"][0]["runs"]}) == 1
        and len(set(same["etas"][2]["runs"])) == chance.RUNS
    )


@pytest.mark.slow
def test_more_steps_err_less_and_second_order_less_still(stage: Stage, key: str):
    value = chance.Steps(stage, (), None).show(key, "sr3")
    assert [one["steps"] for one in value["shown"]] == list(chance.SHOWN_STEPS)
    errors = [one["grey"] for one in value["shown"]]
    assert errors[0] > errors[1] > errors[2]
    lines = {line["key"]: {p[2]: p[1] for p in line["points"]} for line in value["lines"]}
    assert lines["multistep"][15] < lines["ddim"][15] and lines["heun"][8] < lines["ddim"][15]
    assert is_sendable(value)


# --- 4 ---------------------------------------------------------------------------------------------------------


def test_averages_walk_from_looks_to_truth(stage: Stage, key: str):
    value = both.Both(stage, (), None).show(key, "dvsr", 8)
    assert is_sendable(value) and len(value["samples"]) == len(value["means"]) == both.SAMPLES
    single = sum(p["psnr"] for p in value["samples"]) / both.SAMPLES
    last = value["means"][-1]
    assert last["psnr"] > single + 0.5 and last["psnr"] - single < value["limit"]
    assert value["agree"][-1] > value["agree"][0] + 2  # averages come to the predictor
    assert value["agree_single"] > 30  # one step is nearly the predictor
    rows = base64.b64decode(value["rows"])
    assert len(rows) == (2 + both.SAMPLES) * 128 * 128


# --- 5 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["denoiser", "predictor"])
def test_the_diagram_has_the_shapes_of_the_loaded_network(stage: Stage, key: str, which: str):
    value = network.Diagram(stage, (), None).show(key, which)
    assert is_sendable(value) and value["leaves"] == [3, 128, 128]
    assert value["enters"] == [9 if which == "denoiser" else 3, 128, 128]
    assert all(len(part["maps"]) and part["role"] for part in value["parts"])
    assert value["told"] == (which == "denoiser")


def test_the_diagram_of_another_damage_is_another_network(stage: Stage):
    blurred = network.Diagram(stage, (), None).show(stage.set_up("cat", "deblur").key, "predictor")
    assert len(blurred["skips"]) == 2 and blurred["parts"][0]["shape"][0] == 64


def test_the_table_of_levels_is_best_where_the_truth_is_told(stage: Stage, key: str):
    value = network.Levels(stage, None).show(key)
    assert is_sendable(value)
    for i, row in enumerate(
        value["psnr"][:-2]
    ):  # beyond, nothing but noise is seen and all answers are alike
        assert abs(row.index(max(row)) - i) <= 1


# --- the tab ---------------------------------------------------------------------------------------------------


def test_what_was_worked_out_is_kept(stage: Stage, key: str):
    part = network.Diagram(stage, (), None)
    assert part.show(key, "denoiser") is part.show(key, "denoiser")


def test_the_oldest_makes_room():
    recent = Recent(2)
    for k in range(3):
        recent.put(k, str(k))
    assert recent.find(0) is None and recent.find(2) == "2"
    assert recent.find(1) == "1"
    recent.put(3, "3")
    assert recent.find(2) is None and recent.find(1) == "1"


def test_a_part_answers_only_while_its_chapter_is_open(stage: Stage, key: str):
    handler = learn.answer(network.Levels(stage, None), "network")
    assert all(update == gr.skip() for update in handler("forward", key))
    assert handler("network", key)[0]["scene"] == key


def test_a_picture_that_is_no_longer_here_gets_a_sentence(stage: Stage):
    *_, said = learn.answer(network.Levels(stage, None), "network")("network", "gone-sr4")
    assert "no longer here" in said and "error" in said


def test_a_bad_file_changes_nothing_but_the_message(stage: Stage, tmp_path: Path):
    letter = tmp_path / "letter.png"
    letter.write_text("Dear Sir or Madam")
    bar = choice.Choice(stage, *[None] * 11)
    source, scene, said = bar.choose(str(letter), "sr4")
    assert source == scene == gr.skip() and "letter.png" in said
    assert bar.bring(str(letter), "sr4")[3:] == [gr.skip(), gr.skip(), None]  # nor does the ring move
    Image.new("RGB", (3, 200), (200, 30, 30)).save(tmp_path / "strip.png")
    source, scene, said = bar.choose(str(tmp_path / "strip.png"), "denoise")
    assert stage.scene(scene).clean.shape == (1, 3, 128, 128) and "Your photo" in said


def test_examples_are_there_with_their_credits():
    credits = (EXAMPLES / "CREDITS.md").read_text()
    for name in EXAMPLE_LABELS:
        assert (EXAMPLES / f"{name}.jpg").is_file() and f"{name}.jpg" in credits


def test_the_tab_is_laid_out_with_all_its_parts(loops: None, stage: Stage):
    with gr.Blocks(analytics_enabled=False) as page:
        tab = learn.fill(stage.desk)
    assert list(tab.parts) == [key for key, _, _ in learn.CHAPTERS] and sum(map(len, tab.parts.values())) == 7
    ids = [block.elem_id for block in page.blocks.values() if getattr(block, "elem_id", None)]
    assert len(ids) == len(set(ids)) and all(name.startswith("learn-") for name in ids)
    boxes = [
        b.value for b in page.blocks.values() if isinstance(b, gr.HTML) and "learn-teachers" in str(b.value)
    ]
    asked = ("Ask", "What there is to see", "Three minutes")
    assert len(boxes) == 5 and all(word in box for box in boxes for word in asked)


def test_nonsense_from_a_browser_gets_an_answer(loops: None, stage: Stage):
    with gr.Blocks(analytics_enabled=False) as page:
        learn.fill(stage.desk)
    figure = next(b for b in page.blocks.values() if getattr(b, "elem_id", "") == "learn-forward")
    assert figure.curves(None)["key"] == "ddpm"
    assert "error" in figure.curves(["gone", "ddpm", None])
    assert "error" in figure.curves(["", "resshift", "much"])
    assert "error" in figure.curves(["", "resshift", 1e9])
    assert figure.curves(["", ["x"], None])["key"] == "ddpm"


def test_scripts_are_short_and_ask_for_nothing_foreign():
    for path in [*FOLDER.glob("*.js"), *FOLDER.glob("*.html")]:
        text = path.read_text()
        assert len(text.splitlines()) <= 150, path.name
        assert "http" not in text and "import(" not in text, path.name


@pytest.mark.slow
def test_the_benchmark_prints_every_control(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["learn", "--device", "cpu"])
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    for start in (
        "picture",
        "1 forward: irsde",
        "2 going back: heun",
        "3 few steps",
        "4 not both",
        "5 network: levels",
    ):
        assert any(line.startswith(start) and " s " in line for line in lines), start
    assert lines[-1].startswith("slowest")
