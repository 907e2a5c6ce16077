"""Every method in training: its loss against the paper's equation, a few updates, a file that the loader reads."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from restore_core.checkpoints import match
from restore_core.checkpoints.files import open_state
from restore_core.checkpoints.reading import metadata
from restore_core.cli import main
from restore_core.degradations import TASKS
from restore_core.errors import SettingsError
from restore_core.networks import compact_unet
from restore_core.networks.latent_unet import LatentUNet
from restore_core.networks.vq_autoencoder import Decoder, Encoder, VQAutoencoder
from restore_core.processes import ResidualShifting
from restore_core.training import curve, delivery, loop, published, recipes, survey
from restore_core.training.data import Crops
from restore_core.training.objectives import residual_noise_loss
from restore_core.training.recipes import Choices, draw_level, draw_time

CPU = torch.device("cpu")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact networks of a few thousand parameters."""
    sizes = {4: dict(unshuffle=4, widths=(8,), depths=(1,)), 2: dict(unshuffle=2, widths=(8, 8), depths=(1, 1))}
    monkeypatch.setattr(compact_unet, "PREDICTORS", sizes)
    monkeypatch.setattr(compact_unet, "DENOISER", dict(unshuffle=2, widths=(8, 8), depths=(1, 1)))
    monkeypatch.setattr(published, "LOOK_STEPS", 2)


@pytest.fixture(scope="module")
def pictures() -> dict[str, np.ndarray]:
    y, x = np.mgrid[0:100, 0:110] / 9
    waves = np.stack([np.sin(x + y), np.cos(x * y / 9), np.sin(x) * np.cos(2 * y)], -1)
    return {f"{k}.png": np.uint8(128 + (60 + 20 * k) * waves) for k in range(3)}


def plan_for(method: str, task: str = "denoise", crop: int = 32, **choices: object) -> loop.Plan:
    return loop.Plan(task, 2, batch=1, crop=crop, method=method, choices=Choices(**choices))


CASES = [
    ("compact", {"lpips": 0.1}, "compact"),
    ("dvsr", {"loss": "l2"}, "compact"),
    ("sr3", {}, "sr3-unet"),
    ("irsde", {"width": 8}, "irsde-unet"),
    ("irsde", {"width": 8, "loss": "noise"}, "irsde-unet"),
    ("resshift", {"width": 32, "loss": "weighted"}, "swin-unet"),
]


@pytest.mark.parametrize("method, choices, architecture", CASES, ids=lambda c: str(c))
def test_a_method_trains_and_its_file_is_read(
    method: str, choices: dict, architecture: str, pictures: dict, tmp_path: Path, tiny: None
):
    plan = plan_for(method, crop=64 if choices.get("lpips") else 32, **choices)
    (last,) = loop.train(plan, pictures, tmp_path, device=CPU, report_every=2, validate_every=2)
    assert all(np.isfinite(list(last.losses.values()))) and np.isfinite(last.psnr)
    facts = delivery.export(tmp_path / "state.pt", tmp_path / "w.safetensors")
    state = open_state(tmp_path / "w.safetensors")
    assert match.architecture_of(state).key == architecture
    assert metadata(tmp_path / "w.safetensors")["task"] == "denoise"
    average = torch.load(tmp_path / "state.pt", weights_only=True)["average"]
    network, recipe = match.build(state, {}), loop.recipe_of(plan)
    original = recipe.build()
    original.load_state_dict(average)
    y = torch.rand(1, 3, 40, 36) * 2 - 1
    with torch.no_grad():
        one, other = recipe.restore(network, y), recipe.restore(original.eval(), y)
    assert one.shape == y.shape and (one - other).abs().mean() < 0.02
    card = delivery.card(facts, tmp_path / "log.jsonl", "three waves", "train it")
    assert "three waves" in card and f"{last.psnr:.2f} dB" in card and recipe.loss in card


@pytest.fixture(scope="module")
def autoencoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random autoencoders of both kinds, as files."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("autoencoders")
    encoder = Encoder(3, 3, 32, [32, 32], [1, 1], [False, False])
    kinds = {
        "irsde": LatentUNet(3, 3, [8, 8, 8], 4),
        "resshift": VQAutoencoder(encoder, Decoder(3, 3, [32, 32], [2, 2], [False, False]), 16, 3),
    }
    for key, network in kinds.items():
        save_file(network.state_dict(), folder / f"{key}.safetensors")
    return {key: folder / f"{key}.safetensors" for key in kinds}


@pytest.mark.parametrize("method, task, width", [("irsde", "denoise", 8), ("resshift", "denoise", 32)])
def test_latent_variants(
    method: str, task: str, width: int, pictures: dict, autoencoders: dict, tmp_path: Path
):
    plan = plan_for(method, task, crop=64, width=width, autoencoder=str(autoencoders[method]))
    (last,) = loop.train(plan, pictures, tmp_path, device=CPU, report_every=2, validate_every=2)
    assert np.isfinite(last.psnr)
    delivery.export(tmp_path / "state.pt", tmp_path / "w.safetensors")
    assert match.architecture_of(open_state(tmp_path / "w.safetensors")).key in ("refusion-nafnet", "swin-unet")


@pytest.fixture
def controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Loss name -> recipe on a tiny base, whose text tower knows too few words for a real tokeniser."""
    pytest.importorskip("diffusers")
    from test_networks_diffbir import CONFIG, base_file

    from restore_core.networks.stable_diffusion import TextEncoder
    from restore_core.training.control import TrainDiffBIR

    monkeypatch.setattr(TextEncoder, "contexts", lambda self, prompts: (torch.ones(len(prompts), 77, 16), None))
    save_file(base_file(), tmp_path / "base.safetensors")
    return lambda kind: TrainDiffBIR(TASKS["denoise"], Choices(kind, base=str(tmp_path / "base.safetensors")), CONFIG)


def test_a_control_branch_starts_silent_and_learns(controls):
    """At the start the base is undisturbed; then the branch moves and nothing of the base does."""
    recipe = controls("eps")
    model = recipe.build()
    x0 = torch.rand(2, 3, 32, 32) * 2 - 1
    z, context = torch.randn(2, 4, 16, 16), recipe.context.expand(2, -1, -1)
    t = torch.tensor([5.0, 800.0])
    with torch.no_grad():
        alone = recipe.base.unet(z, t, context)
        steered = recipe.base.unet(z, t, context, model(z, t, context, torch.randn_like(z)))
    assert torch.allclose(alone, steered, atol=1e-5)
    before = {name: tensor.clone() for name, tensor in recipe.base.unet.state_dict().items()}
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(2):
        (loss,) = recipe.lose(model, x0, -x0, torch.Generator().manual_seed(0)).values()
        loss.backward()
        optimiser.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in recipe.base.unet.state_dict().items())
    moved = model.state_dict()
    assert moved["zero_convs.0.0.weight"].abs().max() > 0
    assert match.architecture_of(recipe.file(model)).key == "ir-controlnet"
    assert torch.isfinite(recipe.restore(model, x0[:1])).all()


@pytest.mark.parametrize("kind", ["eps", "v"])
def test_the_control_loss_is_eq_3(controls, kind: str):
    """|target - unet(z_t, t - 1, "", control)|^2 in the base's own terms, eps or v."""
    recipe = controls(kind)
    model, x0 = recipe.build(), torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        (loss,) = recipe.lose(model, x0, x0, torch.Generator().manual_seed(0)).values()
        again = torch.Generator().manual_seed(0)
        t, z0 = draw_time(1000, 1, again), recipe.base.autoencoder.encode(x0)
        eps = torch.randn(z0.shape, generator=again)
        a, _, s = (c.float() for c in recipe.process.marginal(t))
        raw = recipe.base.unet(a * z0 + s * eps, t.flatten().float() - 1, recipe.context)
        aim = eps if kind == "eps" else a * eps - s * z0
    assert loss.item() == pytest.approx((raw - aim).square().mean().item(), rel=1e-3)


def test_the_wrong_autoencoder_is_refused(autoencoders: dict):
    with pytest.raises(SettingsError, match="another file"):
        loop.recipe_of(plan_for("irsde", autoencoder=str(autoencoders["resshift"])))


@pytest.mark.parametrize(
    "method, choices",
    [
        ("sr3", {"lpips": 1.0}), ("compact", {"width": 9}), ("compact", {"only": "g"}), ("dvsr", {"only": "denoiser"}),
        ("compact", {"only": "denoiser", "lpips": 1.0}), ("irsde", {"loss": "l9"}), ("ddpm", {}), ("diffbir", {}),
    ],
)  # fmt: skip
def test_choices_without_meaning_are_refused(method: str, choices: dict):
    with pytest.raises(SettingsError, match=r"(?i)choose"):
        loop.recipe_of(plan_for(method, **choices))


def known(path: Path) -> compact_unet.CompactModel:
    """An untrained compact model that is also in a file."""
    torch.manual_seed(3)
    model = compact_unet.new(2)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return model


@pytest.mark.parametrize("method", ["compact", "sr3"])
def test_what_began_with_a_file_learns(tiny: None, pictures: dict, tmp_path: Path, method: str):
    """The optimiser must hold the parameters that were read, not those that they replaced."""
    plan = plan_for(method)
    begun = loop.Run(plan, CPU)
    state = {name: 0.5 * tensor.contiguous() for name, tensor in begun.model.state_dict().items()}
    save_file(state, tmp_path / "known.safetensors")
    list(loop.train(plan, pictures, tmp_path / "run", device=CPU, init=tmp_path / "known.safetensors"))
    after = torch.load(tmp_path / "run/state.pt", weights_only=True)["model"]
    steps = [(after[n] - state[n]).abs().max().item() for n, _ in begun.model.named_parameters()]
    assert 0 < max(steps) < 0.05 and sum(step > 0 for step in steps) > len(steps) / 2


@pytest.mark.parametrize("only, other", [("predictor", "denoiser"), ("denoiser", "predictor")])
def test_one_network_learns_and_the_other_stays(tiny: None, pictures: dict, tmp_path: Path, only: str, other: str):
    begun = known(tmp_path / "known.safetensors")
    plan = plan_for("compact", crop=64, only=only)
    file = tmp_path / "known.safetensors"
    (last,) = loop.train(plan, pictures, tmp_path / "run", device=CPU, init=file, report_every=2)
    assert set(last.losses) == {only}
    after = torch.load(tmp_path / "run/state.pt", weights_only=True)["model"]
    assert any(not torch.equal(t, after[n]) for n, t in begun.get_submodule(only).named_parameters(only))
    assert all(torch.equal(t, after[n]) for n, t in begun.get_submodule(other).named_parameters(other))


def test_a_denoiser_of_another_form_learns_beside_a_known_predictor(
    tiny: None, pictures: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    begun = known(tmp_path / "known.safetensors")
    monkeypatch.setattr(compact_unet, "DENOISER", dict(unshuffle=2, widths=(16,), depths=(2,)))
    plan = plan_for("compact", crop=64, only="denoiser")
    list(loop.train(plan, pictures, tmp_path / "run", device=CPU, init=tmp_path / "known.safetensors"))
    delivery.export(tmp_path / "run/state.pt", tmp_path / "w.safetensors")
    assert "another form" in caplog.text
    built = match.build(open_state(tmp_path / "w.safetensors"), {})
    assert built.denoiser.head.weight.shape[0] == 16
    assert torch.allclose(built.predictor.head.weight, begun.predictor.head.weight, atol=1e-3)  # half precision


def test_a_denoiser_alone_needs_a_predictor(tiny: None, pictures: dict, tmp_path: Path):
    plan = plan_for("compact", crop=64, only="denoiser")
    with pytest.raises(SettingsError, match="--init"):
        list(loop.train(plan, pictures, tmp_path, device=CPU))


def test_dvsr_loss_is_the_papers(tiny: None):
    """eps_hat = (q - a (D - g))/s: zero for an oracle D = x0, and joint: the predictor is moved by the noise term."""
    model = compact_unet.new(2)
    x0, y, g, eps = torch.randn(4, 2, 3, 16, 16)
    level = torch.tensor([0.9, 0.4], dtype=torch.float64)
    model.denoise = lambda q, a, s, g, y: x0
    assert residual_noise_loss(model, x0, y, g, level, eps).max() < 1e-5
    del model.denoise
    g.requires_grad_()
    torch.nn.init.normal_(model.denoiser.tail.weight, std=0.1)
    loss = residual_noise_loss(model, x0, y, g, level, eps, power=2)
    a, s = 0.9, (1 - 0.81) ** 0.5
    q = a * (x0[:1] - g[:1]) + s * eps[:1]
    guess = model.denoise(q, torch.tensor(a), torch.tensor(s), g[:1], y[:1])
    assert loss[0].item() == pytest.approx(((q - a * (guess - g[:1])) / s - eps[:1]).square().mean().item(), rel=1e-4)
    loss.sum().backward()
    assert g.grad.abs().max() > 0


def test_sr3_sees_the_input_and_the_level(tiny: None):
    """The recipe's loss is |eps - net([y, a x0 + s eps], a)| at the a that was drawn."""
    recipe = loop.recipe_of(plan_for("sr3"))
    seen = {}

    def network(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        seen.update(x=x, a=a)
        return torch.zeros_like(x[:, :3])

    x0, y = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    loss = recipe.lose(network, x0, y, torch.Generator().manual_seed(3))["noise"]
    again = torch.Generator().manual_seed(3)
    a = draw_level(recipes.SR3_PROCESS, 2, again).reshape(-1, 1, 1, 1).float()
    eps = torch.randn(x0.shape, generator=again)
    assert torch.equal(seen["x"][:, :3], y) and torch.allclose(seen["a"].float(), a.flatten(), atol=1e-6)
    assert torch.allclose(seen["x"][:, 3:], a * x0 + (1 - a**2).sqrt() * eps, atol=1e-5)
    assert loss.item() == pytest.approx(eps.abs().mean().item(), rel=1e-5)


def test_resshift_loss_is_eq_9(tiny: None):
    recipe = loop.recipe_of(plan_for("resshift", width=32, noise=0.7))
    x0, y = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    seen = []
    model = lambda x, t, lq: seen.append((x, t, lq)) or y  # noqa: E731
    loss = recipe.lose(model, x0, y, torch.Generator().manual_seed(3))["unweighted"]
    assert loss.item() == pytest.approx((y - x0).square().mean().item(), rel=1e-5)
    again = torch.Generator().manual_seed(3)
    t, eps = draw_time(15, 2, again), torch.randn(x0.shape, generator=again)
    process = ResidualShifting(15, 0.7, min_level=0.04 * 0.7)
    x = process.diffuse(x0, y, t, eps) / (3 * process.marginal(t).s + 1)
    assert torch.allclose(seen[0][0], x.float(), atol=1e-5) and torch.equal(seen[0][2], y)
    assert torch.equal(seen[0][1], t.flatten() - 1)


def test_irsde_counts_in_zero_to_one_about_the_input():
    recipe = loop.recipe_of(plan_for("irsde", width=8, loss="noise", noise=30.0))
    x0, y = torch.rand(2, 3, 8, 8) * 2 - 1, torch.rand(2, 3, 8, 8) * 2 - 1
    seen = []
    model = lambda x, t, shown: seen.append((x, t, shown)) or torch.zeros_like(x)  # noqa: E731
    loss = recipe.lose(model, x0, y, torch.Generator().manual_seed(3))["noise"]
    again = torch.Generator().manual_seed(3)
    t, eps = draw_time(100, 2, again), torch.randn(x0.shape, generator=again)
    x = recipe.process.diffuse((x0 + 1) / 2, (y + 1) / 2, t, eps)
    assert torch.allclose(seen[0][0], x.float(), atol=1e-5) and torch.allclose(seen[0][2], (y + 1) / 2)
    assert recipe.process.scale == pytest.approx(30 / 255)
    assert loss.item() == pytest.approx(eps.abs().mean().item(), rel=1e-5)


def test_levels_are_drawn_over_the_whole_schedule():
    a = draw_level(recipes.SR3_PROCESS, 4000, torch.Generator().manual_seed(0))
    ends = recipes.SR3_PROCESS.marginal(torch.tensor([0.0, 2000.0], dtype=torch.float64)).a
    assert ends[1] <= a.min() < 0.05 and 0.99 < a.max() <= ends[0]
    t = draw_time(15, 4000, torch.Generator().manual_seed(0))
    assert t.min() == 1 and t.max() == 15 and (t == t.round()).all()


def test_weights_follow_and_the_average_lags(tiny: None):
    run = loop.Run(plan_for("compact"), CPU)
    start = run.model.predictor.head.weight.clone()
    x0 = torch.rand(1, 3, 32, 32)
    for _ in range(3):
        run.step(x0, -x0)
    moved = (run.model.predictor.head.weight - start).abs().sum()
    lag = (run.average.predictor.head.weight - start).abs().sum()
    assert 0 < lag < moved and torch.equal(run.average.sd, run.model.sd) and run.model.sd != 0.15


def test_survey_says_how_long_and_how_much(tiny: None):
    plan = loop.Plan("denoise", 1000, batch=1, crop=32)
    found = survey.survey(plan, CPU)
    assert found.seconds > 0 and found.memory > 20 * found.parameters
    assert "GB of memory" in found.sentence(plan) and "1,000 updates" in found.sentence(plan)
    larger = survey.survey(loop.Plan("denoise", 1000, batch=4, crop=32), CPU)
    assert larger.memory > found.memory


def test_curves_are_drawn_where_the_numbers_are():
    log = [{"update": 50 * k, "seconds": k, "rate": 1e-4, "noise": 1 / k, "psnr": None} for k in range(1, 9)]
    log[-1] |= {"psnr": 30.0, "psnr_input": 25.0}
    svg = ElementTree.fromstring(curve.draw(log))
    texts = [t.text for t in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "noise" in texts and "30" in texts and "25" in texts and "400 updates" in texts and "rate" not in texts


def test_the_command_refuses_before_it_works(tmp_path: Path, capsys: pytest.CaptureFixture):
    """An empty folder, a wrong method and a wrong number each end in one sentence."""
    for extra in ([], ["--method", "gan"], ["--rate", "fast"]):
        command = ["train", "--task", "denoise", "--data", str(tmp_path), "--out", str(tmp_path / "run"), *extra]
        assert main(command) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "hoose" in said
    assert not (tmp_path / "run").exists()


def test_the_command_leaves_weights_card_and_curve(
    tmp_path: Path, tiny: None, pictures: dict, capsys: pytest.CaptureFixture
):
    import cv2

    (tmp_path / "photos").mkdir()
    for name, picture in pictures.items():
        cv2.imwrite(str(tmp_path / "photos" / name), picture)
    command = ["train", "--task", "jpeg", "--data", str(tmp_path / "photos"), "--out", str(tmp_path / "run")]
    assert main([*command, "--updates", "2", "--batch", "1", "--crop", "32", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "3 photos" in said and "about" in said
    left = {p.name for p in (tmp_path / "run").iterdir()}
    assert left == {"state.pt", "log.jsonl", "curve.svg", "jpeg.safetensors", "jpeg.md"}
    card = (tmp_path / "run" / "jpeg.md").read_text()
    assert TASKS["jpeg"].fault.lower() in card.lower() and str(tmp_path) not in card


def test_a_broken_run_goes_on_as_an_unbroken_one(pictures: dict, tmp_path: Path, tiny: None):
    """Killed after update 2 of 4 and taken up again: the same weights to the last bit."""
    plan = loop.Plan("jpeg", 4, batch=2, crop=32)
    asked = iter([False, False, True])
    list(loop.train(plan, pictures, tmp_path / "broken", device=CPU, stop=lambda: next(asked)))
    list(loop.train(plan, pictures, tmp_path / "broken", device=CPU))
    list(loop.train(plan, pictures, tmp_path / "whole", device=CPU))
    broken, whole = (torch.load(tmp_path / k / "state.pt", weights_only=True) for k in ("broken", "whole"))
    assert broken["update"] == whole["update"] == 4
    assert all(torch.equal(tensor, whole["model"][key]) for key, tensor in broken["model"].items())
    assert all(torch.equal(tensor, whole["average"][key]) for key, tensor in broken["average"].items())


def test_batches_made_ahead_are_the_same_ones(pictures: dict):
    crops = Crops(list(pictures.values()), TASKS["denoise"], 2, 32, seed=5)
    ahead = crops.ahead(3, workers=2)
    for number in (3, 4, 5, 6, 7):
        assert all(torch.equal(one, other) for one, other in zip(next(ahead), crops[number], strict=True))
    ahead.close()
    assert not torch.equal(crops[3][0], crops[4][0])
    assert not torch.equal(crops[3][0], Crops(list(pictures.values()), TASKS["denoise"], 2, 32, seed=6)[3][0])
