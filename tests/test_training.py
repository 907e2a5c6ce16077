"""Training: damages, crops, losses, a few updates, resumption, refusals. On pictures that the tests make."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from restore_core.checkpoints.files import open_state
from restore_core.checkpoints.match import build
from restore_core.degradations import TASKS
from restore_core.degradations.blur import blur, gaussian_kernel, motion_kernel
from restore_core.errors import CheckpointError, SettingsError
from restore_core.networks import compact_unet
from restore_core.training import delivery, loop
from restore_core.training.data import Crops, read_folder, split
from restore_core.training.objectives import denoiser_loss, predictor_loss


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(3):
        y, x = np.mgrid[0:160, 0:200] / 20
        waves = np.stack([np.sin((i + 1) * x + y), np.cos(x * y / (i + 2)), np.sin(x) * np.cos(2 * y)], -1)
        cv2.imwrite(str(folder / f"{i}.png"), np.uint8(128 + 100 * waves + rng.normal(0, 3, waves.shape)))
    (folder / "notes.txt").write_text("not a picture")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    return folder


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, np.ndarray]:
    return read_folder(photos, 64)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of a few thousand parameters in place of the shipped sizes."""
    sizes = {4: dict(unshuffle=4, widths=(8,), depths=(1,)), 2: dict(unshuffle=2, widths=(8, 8), depths=(1, 1))}
    monkeypatch.setattr(compact_unet, "PREDICTORS", sizes)
    monkeypatch.setattr(compact_unet, "DENOISER", dict(unshuffle=2, widths=(8, 8), depths=(1, 1)))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, 4.0])
def test_gaussian_kernel_has_its_deviation(sigma: float):
    k = gaussian_kernel(sigma).double()
    i = torch.arange(k.shape[0], dtype=torch.float64) - k.shape[0] // 2
    assert k.sum().item() == pytest.approx(1, abs=1e-6)
    # beyond 3 sigma nothing is kept, which takes 1.5 % off the deviation; half a pixel is sampled coarsely
    assert (k.sum(0) @ i**2).sqrt().item() == pytest.approx(sigma, rel=0.03 if sigma >= 1 else 0.08)


@pytest.mark.parametrize("length, angle", [(9.0, 0.0), (9.0, 90.0), (15.0, 30.0), (3.0, 120.0)])
def test_motion_kernel_lies_along_its_angle(length: float, angle: float):
    k = motion_kernel(length, angle).double()
    assert k.shape[0] % 2 == 1 and k.sum().item() == pytest.approx(1, abs=1e-6)
    i = torch.arange(k.shape[0], dtype=torch.float64) - k.shape[0] // 2
    xx, yy, xy = (k.sum(0) @ i**2), (k.sum(1) @ i**2), (k * i[:, None] * i).sum()
    turn = torch.deg2rad(torch.tensor(angle, dtype=torch.float64))
    along = xx * turn.cos() ** 2 + yy * turn.sin() ** 2 - 2 * xy * turn.sin() * turn.cos()
    across = xx + yy - along
    # of a uniform law; antialiasing widens both ways alike
    assert (along - across).sqrt().item() == pytest.approx(length / 12**0.5, rel=0.06)
    assert across.item() < 0.4


def test_blur_keeps_means_and_reaches_thin_pictures():
    flat = torch.full((1, 3, 20, 20), 0.3)
    assert torch.allclose(blur(flat, gaussian_kernel(3.0)), flat, atol=1e-6)
    assert blur(torch.rand(1, 3, 1, 40), motion_kernel(15, 20)).shape == (1, 3, 1, 40)


@pytest.mark.parametrize("key", TASKS)
def test_tasks_damage_repeatably_in_8_bits(key: str):
    task, clean = TASKS[key], torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    one, two = (task(clean, task.standard, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one, two) and one.shape[-1] == 64 // task.scale
    assert torch.allclose(one * 255, (one * 255).round(), atol=1e-4) and 0 <= one.min() and one.max() <= 1
    drawn = task.draw(torch.Generator().manual_seed(1))
    assert set(drawn) <= set(task.standard)
    with pytest.raises(SettingsError, match="no parameter colour"):
        task(clean, {"colour": 1.0}, torch.Generator())


def test_noise_has_its_deviation():
    clean = torch.full((1, 3, 128, 128), 0.5)
    noisy = TASKS["denoise"](clean, {"sigma": 20.0}, torch.Generator().manual_seed(0))
    assert ((noisy - clean) * 255).std().item() == pytest.approx(20, rel=0.02)


@pytest.mark.parametrize("key", TASKS)
def test_crops_are_pairs_of_the_same_place(photos: Path, key: str):
    pictures = list(read_folder(photos, 64).values())
    clean, degraded = Crops(pictures, TASKS[key], 4, 64)[0]
    assert clean.shape == degraded.shape == (4, 3, 64, 64)
    assert -1 <= clean.min() and clean.max() <= 1
    for c, d in zip(clean, degraded, strict=True):
        assert torch.corrcoef(torch.stack([c.flatten(), d.flatten()]))[0, 1] > 0.5


def test_reading_a_folder(photos: Path, tmp_path: Path):
    pictures = read_folder(photos, 64)
    assert list(pictures) == ["0.png", "1.png", "2.png"]
    kept, held = split(pictures)
    assert len(kept) == 2 and len(held) == 1
    for empty in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SettingsError, match=r"(?i)choose|give"):
            read_folder(empty, 64)


def test_losses_are_zero_at_the_exact_network():
    """A denoiser whose raw output is the target, and a predictor that is right, lose nothing."""
    model = compact_unet.new(2)
    x0 = torch.rand(2, 3, 32, 32) * 2 - 1
    model.predict = lambda y: x0
    loss, g = predictor_loss(model, x0, x0)
    assert loss == 0

    def exact(fed: torch.Tensor, level: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
        s, sd = level.reshape(-1, 1, 1, 1), model.sd
        r = fed[:, :3] * (s**2 + sd**2).sqrt()
        return model.target(x0, r, torch.ones_like(s), s, fed[:, 3:6], sd)

    model.denoiser.forward = exact
    assert denoiser_loss(model, x0, x0, g, torch.Generator().manual_seed(0), 0.0).item() < 1e-4


def test_a_few_updates_lower_the_loss_and_resume(pictures: dict, tmp_path: Path, tiny: None):
    plan = loop.Plan("denoise", updates=30, batch=2, crop=32, rate=3e-3, warmup=5)
    device = torch.device("cpu")
    seen = list(loop.train(plan, pictures, tmp_path, device=device, report_every=10, validate_every=30))
    assert [p.update for p in seen] == [10, 20, 30]
    assert seen[-1].psnr > seen[-1].psnr_input
    fresh, trained = loop.Run(plan, device), loop.Run(plan, device)
    trained.load(tmp_path / "state.pt")
    trained.update = fresh.update  # the same draws for both
    x0, y = Crops(list(pictures.values()), TASKS["denoise"], 16, 32, seed=9)[0]
    with torch.no_grad():
        assert trained.losses(x0, y)["denoiser"] < 0.99 * fresh.losses(x0, y)["denoiser"]
    with (tmp_path / "log.jsonl").open("a") as lines:
        lines.write('{"update": 37}\n')  # of a run that was killed before its state was kept
    more = loop.Plan("denoise", updates=40, batch=2, crop=32, rate=3e-3, warmup=5)
    assert [p.update for p in loop.train(more, pictures, tmp_path, device=device, report_every=10)] == [40]
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["update"] for row in log] == [10, 20, 30, 40] and log[-1]["seconds"] > log[0]["seconds"]
    delivery.export(tmp_path / "state.pt", tmp_path / "w.safetensors")
    model = build(open_state(tmp_path / "w.safetensors"), {})
    saved = torch.load(tmp_path / "state.pt", weights_only=True)["average"]
    assert torch.allclose(model.state_dict()["sd"], saved["sd"])
    assert torch.allclose(model.state_dict()["denoiser.head.weight"], saved["denoiser.head.weight"], atol=1e-3)


def test_an_update_without_a_finite_gradient_is_left_out(tiny: None):
    run = loop.Run(loop.Plan("deblur", updates=5, batch=2, crop=32), torch.device("cpu"))
    before = {key: value.clone() for key, value in run.model.state_dict().items()}
    x0 = torch.rand(2, 3, 32, 32) * 2 - 1
    assert run.step(x0, torch.full_like(x0, torch.nan)) == {} and run.update == 1
    assert all(torch.equal(value, before[key]) for key, value in run.model.state_dict().items())
    assert run.step(x0, x0 + 0.1)["predictor"] > 0 and run.update == 2
    assert not torch.equal(run.model.state_dict()["predictor.tail.weight"], before["predictor.tail.weight"])


def test_a_stop_keeps_the_state(pictures: dict, tmp_path: Path, tiny: None):
    plan = loop.Plan("sr4", updates=1000, batch=1, crop=32)
    asked = iter([False, False, True])
    list(loop.train(plan, pictures, tmp_path, device=torch.device("cpu"), stop=lambda: next(asked)))
    assert torch.load(tmp_path / "state.pt", weights_only=True)["update"] == 2
    with pytest.raises(SettingsError, match="another --out"):
        list(loop.train(loop.Plan("denoise", updates=9, crop=32), pictures, tmp_path, device=torch.device("cpu")))


@pytest.mark.parametrize("wrong", [{"task": "nope"}, {"crop": 50}, {"updates": 0}, {"batch": 0}, {"rate": -1.0}])
def test_impossible_plans_are_refused(wrong: dict, pictures: dict, tmp_path: Path):
    plan = loop.Plan(**({"task": "sr4", "updates": 5} | wrong))
    with pytest.raises(SettingsError, match="Choose"):
        list(loop.train(plan, pictures, tmp_path, device=torch.device("cpu")))


def test_weights_of_another_kind_are_refused(tmp_path: Path):
    (tmp_path / "w.safetensors").write_text("hello")
    with pytest.raises(CheckpointError):
        open_state(tmp_path / "w.safetensors")
