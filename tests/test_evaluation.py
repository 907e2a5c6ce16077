"""Evaluation: tables of scores, own weights, folders, what is left out and refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from restore_core.checkpoints import catalogue, files
from restore_core.cli import main
from restore_core.degradations import TASKS
from restore_core.errors import SettingsError
from restore_core.evaluation import Pair, Table, as_json, as_table, evaluate, methods_for, own_weights, pairs
from restore_core.library import Library
from restore_core.metrics import niqe, psnr
from restore_core.networks import compact_unet
from restore_core.networks.compact_unet import CompactModel, CompactUNet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, one of which is large enough for NIQE."""
    folder = tmp_path_factory.mktemp("clean")
    rng = np.random.default_rng(0)
    for name, side in (("large", 203), ("small", 90)):
        y, x = np.mgrid[0:side, 0 : side + 2] / 7
        waves = np.stack([np.sin(x + y), np.cos(x * y / 9), np.sin(x) * np.cos(2 * y)], -1)
        cv2.imwrite(str(folder / f"{name}.png"), np.uint8(128 + 70 * waves + rng.normal(0, 9, waves.shape)))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained compact weights, whose predictor leaves everything as it is."""
    torch.manual_seed(0)
    sizes = dict(unshuffle=2, widths=(8,), depths=(1,))
    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    save_file(CompactModel(CompactUNet(3, **sizes), CompactUNet(9, **sizes, levels=True)).state_dict(), path)
    return path


def test_scores_are_means_over_the_pictures(folder: Path):
    table, task = Table(), TASKS["denoise"]
    found = list(pairs(folder, task, {"sigma": 10.0}, seed=4))
    for pair in found:
        table.add("input", pair, pair.enlarged, seconds=2.0, calls=3)
    (scores,) = table.scores()
    expected = [psnr(p.degraded, p.clean, crop_border=4).item() for p in found]
    assert scores.psnr == pytest.approx(sum(expected) / 2) and scores.pictures == 2 and scores.calls == 3
    large = max(found, key=lambda p: p.clean.shape[-1])
    assert scores.niqe == pytest.approx(niqe(large.degraded[..., 4:-4, 4:-4]).item())
    assert large.clean.shape[-2:] == (200, 204)


def test_what_was_not_measured_is_empty():
    table = Table()
    clean = torch.rand(1, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    table.add("it", Pair("a", clean, clean), clean)
    (scores,) = table.scores()
    assert math.isnan(scores.niqe) and as_json([scores])[0]["niqe"] is None
    json.dumps(as_json([scores]), allow_nan=False)
    head, _, row = as_table([scores]).splitlines()
    assert head.count("|") == row.count("|") and "nan" not in row


def test_own_weights_drive_every_method(folder: Path, weights: Path):
    own, library = own_weights(weights), Library("cpu")
    methods = methods_for("rain", own)
    assert {"dvsr", "sr3", "resshift", "irsde"} <= set(methods)
    *_, scores = evaluate(
        folder, "rain", methods, library, mean_of=2, limit=1, changes={"steps": 2, "samples": 1}, own=own
    )
    rows = {s.what: s for s in scores}
    assert set(rows) == {"input", "predictor", *methods, *(f"{m}, mean of 2" for m in methods)}
    assert rows["predictor"].psnr == pytest.approx(rows["input"].psnr, abs=1e-3)  # it is the identity
    assert rows["sr3, mean of 2"].calls == 2 * rows["sr3"].calls > 0


@pytest.mark.parametrize("task", ["rain", "old"])
def test_own_weights_run_as_the_task_s_own(folder: Path, task: str):
    """The shipped file, given as one's own, makes the same table: the task's steps, samples and levels drawn apart."""
    file, library = catalogue.record(f"compact/{task}"), Library("cpu")
    tables = [
        list(evaluate(folder, task, ("dvsr",), library, mean_of=0, limit=1, own=own))[-1]
        for own in (None, own_weights(files.locate(file)))
    ]
    shipped, own = ({s.what: s for s in table} for table in tables)
    assert {what: (s.psnr, s.lpips, s.calls) for what, s in own.items()} == {
        what: (s.psnr, s.lpips, s.calls) for what, s in shipped.items()
    }


def test_the_command_makes_a_table_a_folder(folder: Path, weights: Path, tmp_path: Path, capsys):
    command = ["evaluate", str(folder), str(folder), "--task", "jpeg", "--weights", str(weights), "--method", "irsde"]
    out = tmp_path / "scores.json"
    assert main([*command, "--steps", "1", "--mean-of", "0", "--limit", "1", "--json", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.count("| irsde |") == 2 and "1 picture\n" in said
    assert [table["scores"][0]["what"] for table in json.loads(out.read_text())] == ["input", "input"]


def test_other_weights_are_refused(tmp_path: Path, weights: Path, folder: Path, capsys):
    network = compact_unet.CompactUNet(3, 2, (8,), (1,))
    save_file(network.state_dict(), tmp_path / "half.safetensors")
    for wrong in (tmp_path / "half.safetensors", tmp_path / "none.safetensors"):
        assert main(["evaluate", str(folder), "--task", "jpeg", "--weights", str(wrong)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SettingsError, match="Choose one of"):
        list(evaluate(folder, "ice", (), Library("cpu"), own=own_weights(weights)))
