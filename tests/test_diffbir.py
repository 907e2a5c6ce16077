"""DiffBIR: its published variants on tiny random networks, what they are asked and told, and the compact variant."""

from __future__ import annotations

import dataclasses
import importlib
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import fit_preview
from benchmarks.diffbir import PARTS, peaks
from benchmarks.diffbir_models import FULL, TINY, Networks, build
from benchmarks.peak import peak_bytes
from restore_core import library, tiling, timing
from restore_core.checkpoints import catalogue, files
from restore_core.engine import Noise, finish, restore, times_of
from restore_core.errors import Cancelled, CheckpointError, ImageError, NotDownloaded, SettingsError
from restore_core.guidance import flatness
from restore_core.library import Library
from restore_core.methods import METHODS, cleaning, diffbir_latent
from restore_core.methods.cleaning import clean, grow_to_short_side
from restore_core.methods.colour import FIXES, recolour
from restore_core.methods.diffbir import DiffBIR
from restore_core.methods.diffbir_latent import Autoencoding, prompts_of, read_prompts
from restore_core.methods.diffbir_weights import PUBLISHED, process_of, spaced, truncated
from restore_core.methods.prompting import CONTEXT, classifier_free, growing
from restore_core.metrics import psnr

pytest.importorskip("diffusers", reason="DiffBIR's published networks are run by diffusers (requirements-diffbir.txt)")
CPU = torch.device("cpu")
CARD = DiffBIR.card


@pytest.fixture(scope="module")
def networks() -> Networks:
    return build(TINY, CPU)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Working sizes of a quarter: the same code in a sixteenth of the time."""
    monkeypatch.setattr(cleaning, "SHORT_SIDE", 128)


def cleaner_of(variant_key: str) -> str:
    weights = CARD.variant(variant_key).weights["cleaner"]
    return weights.removeprefix("diffbir/").split("-")[0]


def method(networks: Networks, key: str) -> DiffBIR:
    cleaner = networks.cleaners[cleaner_of(key)]
    return DiffBIR(CARD.variant(key), {"network": networks.base, "control": networks.control, "cleaner": cleaner})


def photo(height: int, width: int) -> Tensor:
    rows, columns = torch.linspace(0, 5, height)[:, None], torch.linspace(0, 4, width)
    return torch.stack([0.5 + 0.4 * torch.sin(rows + k * columns + k) for k in (1, 2, 3)])[None]


def settings(key: str, **changes):
    return CARD.settings(key, **{"steps": 2, "cfg": 1.0, **changes})


class Watched(nn.Module):
    """A network whose calls are kept."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network, self.calls = network, []

    def forward(self, *args):
        self.calls.append(args)
        return self.network(*args)


# --- published variants ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "size"), [("v2-1-sr4", (37, 50)), ("v2-sr4", (40, 33)), ("v2-photo", (70, 90))])
def test_size_and_range_are_kept(networks, key, size):
    scale = CARD.variant(key).scale
    ask = settings(key, cfg=2.0)
    frames = list(restore(method(networks, key).pose(photo(*size), ask), ask))
    for frame in (frames[0], frames[-1]):
        for seen in (frame.image, frame.estimate):
            assert seen.shape == (1, 3, size[0] * scale, size[1] * scale) and 0 <= seen.min() and seen.max() <= 1
    assert frames[-1].result.std() > 0.01


@pytest.mark.parametrize("variant", PUBLISHED, ids=lambda v: v.key)
def test_presets_and_the_authors_run_can_be_made(variant):
    process = process_of(catalogue.record(variant.weights["control"]).config)
    runs = [CARD.settings(variant.key, preset) for preset in range(5)] + [CARD.settings(variant.key, paper=True)]
    grid = (truncated if process.abar[-1] == 0 else spaced)(process)
    for run in runs:
        assert CARD.checked(run) == run and len(grid(run.steps)) == run.steps + 1
    paper = runs[-1].options
    assert paper["guidance"] == 0 and paper["colour"] == "wavelet"
    assert runs[-1].steps == (10 if variant.key.startswith("v2-1") else 50)


def test_control_base_schedule_and_parameterisation_belong_together():
    for variant in PUBLISHED:
        control = catalogue.record(variant.weights["control"]).config
        base = catalogue.record(variant.weights["network"])
        assert base.key == control["base"] and base.config["predicts"] == control["predicts"]
        ends_dark = process_of(control).abar[-1] == 0
        assert control["predicts"] == ("v" if variant.key.startswith("v2-1") else "eps")
        assert ends_dark == (control["predicts"] == "v")


def test_an_early_control_on_a_later_base_is_refused(networks):
    wrong = dataclasses.replace(
        CARD.variant("v1-photo"), weights={**CARD.variant("v1-photo").weights, "network": "diffbir/sd21-base-zsnr"}
    )
    ours = DiffBIR(wrong, method(networks, "v1-photo").modules)
    with pytest.raises(CheckpointError, match=r"predicts eps.*predicts v"):
        ours.pose(photo(64, 64), settings("v1-photo"))


def test_a_photo_of_eight_pixels_is_refused_in_a_sentence(networks):
    with pytest.raises(ImageError, match=r"8 × 9 pixels.*Choose"):
        method(networks, "v2-1-photo").pose(photo(9, 8), settings("v2-1-photo"))


def test_a_prompt_without_end_is_refused_and_a_long_one_cut(networks):
    with pytest.raises(SettingsError, match=r"10000 characters.*Shorten"):
        settings("v2-1-photo", prompt="x" * 10_000)
    long = settings("v2-1-photo", prompt="a red boat on a lake " * 40)
    context = read_prompts(networks.base.text, prompts_of(long.options), CPU)
    assert context.shape == (2, 77, 16) and torch.isfinite(context).all()


def test_without_diffusers_the_way_to_get_it_is_told(monkeypatch):
    def missing(name: str):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(CheckpointError, match=r"requirements-diffbir\.txt"):
        build(TINY, CPU)


@pytest.mark.parametrize("missing", ["control", "network"])
def test_what_is_missing_is_told_before_anything_is_read(tmp_path, monkeypatch, missing):
    """A base without its control, and the reverse."""
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path))
    weights = CARD.variant("v2-1-photo").weights
    for role, key in weights.items():
        if role != missing:
            path = files.path_of(catalogue.record(key))
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"not read")
    with pytest.raises(NotDownloaded, match=rf"'{weights[missing]}' are not on this machine.*weights get"):
        Library("cpu").method("diffbir", "v2-1-photo")


def test_prompts_are_joined_photo_first():
    ask = CARD.settings("v2-1-photo", prompt="  a red boat\n", style="sharp", avoid="blurry")
    assert prompts_of(ask.options) == ("a red boat, sharp", "blurry")
    assert prompts_of(CARD.settings("v2-photo").options)[0] == ""


# --- guidance by prompts -----------------------------------------------------------------------------------------


def test_both_prompts_go_in_one_batch_and_at_weight_one_there_is_no_second(networks):
    key = "v2-1-photo"
    for cfg, rows in ((1.0, 1), (3.0, 2)):
        ours = method(networks, key)
        watched = Watched(networks.control)
        ours.modules = {**ours.modules, "control": watched}
        ask = settings(key, cfg=cfg)
        finish(restore(ours.pose(photo(40, 40), ask), ask))
        assert [len(args[0]) for args in watched.calls] == [rows, rows]
        assert [args[1].item() for args in watched.calls] == [999.0, 499.0]
        assert {tuple(args[2].shape) for args in watched.calls} == {(rows, 77, 16)}


def test_the_formula_of_guidance_and_that_growing_weights_begin_with_one_pass():
    calls: list[int] = []

    def network(x, t, cond):
        calls.append(len(x))
        return cond[CONTEXT][:, :1, :1, None] * torch.ones_like(x) + cond["c"]

    cond = {CONTEXT: torch.tensor([2.0, -1.0]).reshape(2, 1, 1), "c": torch.full((1, 1, 2, 2), 0.5)}
    x, t = torch.zeros(1, 1, 2, 2), torch.tensor(10.0)
    assert torch.allclose(classifier_free(network, lambda t: 3.0)(x, t, cond), torch.full_like(x, 0.5 - 1 + 3 * 3))
    assert torch.allclose(classifier_free(network, lambda t: 1.0)(x, t, cond), torch.full_like(x, 2.5))
    assert calls == [2, 1]
    weights = [growing(6.0, index) for index in (999, 600, 400, 200, 0)]
    assert weights == pytest.approx([1, 1, 1.09, 2.45, 7], abs=0.01) and weights == sorted(weights)
    assert weights[0] == 1 and growing(1.0, 0) == 1


# --- the condition -----------------------------------------------------------------------------------------------


def test_noise_on_the_condition_is_the_seeds_and_leaves_start_and_target_alone(networks):
    key, image = "v2-1-photo", photo(40, 40)
    pose = lambda **c: method(networks, key).pose(image, settings(key, **c))  # noqa: E731
    plain, once, again, other = pose(), *(pose(condition_noise=150, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(once.cond["c"], again.cond["c"]) and not torch.equal(once.cond["c"], other.cond["c"])
    a, _, s = once.process.marginal(torch.tensor(151.0, dtype=torch.float64))
    noise = (once.cond["c"] - a * plain.cond["c"]) / s
    assert noise.std().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(once.guess, plain.cond["c"])
    draw = Noise(1)(once.anchor)
    assert (noise - draw).abs().max() > 0.1  # not the start's own draw again


def test_starting_from_the_condition_is_the_condition_under_all_the_noise(networks):
    key = "v2-photo"
    ask = settings(key, begin="condition", seed=3)
    problem = method(networks, key).pose(photo(40, 40), ask)
    first = next(restore(problem, ask)).step
    a, _, s = problem.process.marginal(first.t)
    assert torch.allclose(first.x, a * problem.guess + s * Noise(3)(first.x), atol=1e-5)


def test_guidance_in_both_spaces_draws_to_the_first_stage(networks):
    key, image = "v2-1-photo", photo(40, 40)
    for space in ("latent", "pixels"):
        ends = []
        for scale in (0.0, 0.5, 1.0):
            ask = settings(key, guidance=scale, guidance_space=space, seed=5)
            problem = method(networks, key).pose(image, ask)
            z = finish(restore(problem, ask)).step.x
            picture = networks.base.autoencoder.decode(z)
            reference = clean(networks.cleaners["swinir"], image, 1, ask) * 2 - 1
            near = (z - problem.guess) if space == "latent" else (picture[..., :128, :128] - reference)
            ends.append(near.square().mean().item())
        assert ends == sorted(ends, reverse=True) and ends[-1] < ends[0]


@pytest.mark.parametrize("key", ["v2-1-sr4", "v2-sr4", "v2-photo"])
def test_an_estimate_is_made_of_small_pictures_and_few_calls(networks, monkeypatch, key):
    """512 x 512 pixels, which a run takes at least, are minutes on a processor at the published sizes."""
    monkeypatch.setattr(cleaning, "SHORT_SIDE", 512)
    for slow, sides in ((0.0, [16]), (1e9, [16] * 3 + [32] * 3)):
        monkeypatch.setattr(timing, "SLOW", slow)
        ours = method(networks, key)
        unet, cleaner = Watched(networks.base.unet), Watched(ours.modules["cleaner"])
        for name in ("scale", "window"):
            if hasattr(cleaner.network, name):
                setattr(cleaner, name, getattr(cleaner.network, name))
        watched = SimpleNamespace(unet=unet, autoencoder=networks.base.autoencoder, text=networks.base.text)
        ours.modules = {**ours.modules, "network": watched, "cleaner": cleaner}
        shelf = Library("cpu")
        monkeypatch.setattr(shelf, "method", lambda *_, ours=ours: ours)
        found = shelf.timing(CARD.settings(key, precision="float32"))
        assert found.before(1e6) > 0 and found.call(1e6) > 0
        assert [tuple(args[0].shape[-2:]) for args in unet.calls] == [(side, side) for side in sides]
        assert max(args[0].shape[-1] for args in cleaner.calls) <= 8 * max(sides)


def test_a_small_photo_takes_as_long_as_the_512_pixels_that_it_is_grown_to():
    ask = {key: CARD.settings(key) for key in ("v2-1-photo", "compact-denoise")}
    assert library.worked_pixels(ask["v2-1-photo"], 100, 200) == pytest.approx(512 * 1024)
    assert library.worked_pixels(ask["v2-1-photo"], 1000, 600) == 600_000
    assert library.worked_pixels(ask["compact-denoise"], 100, 200) == 20_000


def test_guidance_that_could_never_act_is_refused(networks):
    ask = settings("v2-1-photo", guidance=0.5, guidance_start=0.2, guidance_stop=0.6)
    with pytest.raises(SettingsError, match="would never act"):
        method(networks, "v2-1-photo").pose(photo(40, 40), ask)


# --- pieces ------------------------------------------------------------------------------------------------------


class Coder(nn.Module):
    """An autoencoder whose every latent pixel is the mean of the 2 x 2 below it."""

    factor = 2

    def encode(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)

    def decode(self, z: Tensor) -> Tensor:
        return F.interpolate(z.tanh(), scale_factor=2, mode="nearest")


def test_encoder_decoder_and_gradient_in_pieces_are_those_of_the_whole():
    picture, z = torch.rand(1, 3, 96, 128), torch.randn(1, 3, 48, 64)
    target, weight = torch.rand(1, 3, 96, 128), torch.rand(1, 1, 96, 128)
    found = []
    for side in (0, 16):
        coding = Autoencoding(Coder(), settings("v2-1-photo"), CPU)
        coding.encoder.tile = coding.decoder.tile = side
        coding.encoder.overlap = coding.decoder.overlap = side // 2
        coding.gradient_side = side or 64
        found.append((coding.encode(picture), coding.decode(z), coding.coder().gradient(z, target, weight)))
    for whole, parts in zip(*found, strict=True):
        assert torch.allclose(whole, parts, atol=1e-5)


def test_encoder_and_gradient_end_between_two_windows_and_what_was_guessed_is_decoded():
    """The gradient goes through the decoder in the middle of a run; a result is decoded when that has ended."""
    picture, z, asked = torch.rand(1, 3, 96, 128), torch.randn(1, 3, 48, 64), []

    def heed(done: int, of: int) -> None:
        if len(asked) == 2:
            raise Cancelled("Enough.")
        asked.append(of)

    coding = Autoencoding(Coder(), settings("v2-1-photo"), CPU, heed)
    coding.encoder.tile = coding.decoder.tile = coding.gradient_side = 16
    given = picture, torch.rand(1, 1, 96, 128)
    for work in (
        lambda: coding.encode(picture), lambda: coding.coder().gradient(z, *given), lambda: coding.coder().decode(z)
    ):
        with pytest.raises(Cancelled):
            work()
        assert len(asked) == 2 and min(asked) > 2
        asked.clear()
    assert coding.decode(z).shape == picture.shape and not asked


class Greedy(Coder):
    """One with a norm, for which memory runs short above so many latent pixels of a side."""

    most = 16

    def decode(self, z: Tensor) -> Tensor:
        if max(z.shape[-2:]) > self.most:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes.")
        return super().decode(F.group_norm(z, 1, torch.ones(3), torch.zeros(3)))


def test_where_memory_runs_short_on_the_way_windows_still_share_their_norms():
    z = torch.randn(1, 3, 48, 40) + torch.linspace(-2, 2, 40)  # each window by itself has another mean
    short, told, whole = (Autoencoding(Greedy(), settings("v2-1-photo"), CPU) for _ in range(3))
    short.decoder.tile = whole.decoder.tile = 0  # at once, as far as anybody knows
    whole.network.most = 64
    found = short.decode(z)
    told.decoder.tile, told.decoder.overlap = short.decoder.tile, short.decoder.overlap
    assert 0 < short.decoder.tile <= 16 and torch.equal(found, told.decode(z))
    assert (found - whole.decode(z)).abs().mean() < 0.03  # windows normed by themselves: 0.15


def test_little_memory_means_small_pieces_and_the_same_start(networks, monkeypatch):
    key, image = "v2-1-photo", photo(40, 72)
    ask = settings(key, seed=2)
    starts, sides = [], []
    for memory in ("16", "0.005"):
        monkeypatch.setenv("STEPBACK_MEMORY", memory)
        problem = method(networks, key).pose(image, ask)
        sides.append(problem.tile)
        frames = list(restore(problem, ask))
        starts.append(frames[0].step.x)
        assert frames[-1].result.shape == (1, 3, 40, 72)
    assert torch.equal(*starts) and sides == [128, 16]


@pytest.mark.slow
def test_beyond_the_pictures_themselves_memory_does_not_grow_with_the_photo(networks, monkeypatch):
    """benchmarks.diffbir memory, at sizes and in pieces for tests: four times the pixels, an eighth more at most."""
    monkeypatch.setenv("STEPBACK_MEMORY", "0.03")
    beyond = []
    for side in (128, 256):
        found = zip(peaks(networks, side, {"cfg": 1.0, "guidance": 0.5}), PARTS, strict=True)
        beyond.append([peak - pictures * 12 * side**2 for peak, (_, pictures) in found])
    for (what, _), small, large in zip(PARTS, *beyond, strict=True):
        assert 0 < large < 1.125 * small, what


@pytest.mark.parametrize("how", FIXES)
@pytest.mark.parametrize("width", [16, 3000])
def test_colours_are_kept_in_place_and_in_strips_as_they_are_at_once(monkeypatch, how, width):
    monkeypatch.setattr(tiling, "BAND", 40 * 16)
    image, reference = torch.rand(2, 1, 3, 150, width, generator=torch.Generator().manual_seed(0))
    expected = FIXES[how](image, reference)
    result = recolour(image, reference, how)
    assert result is image and torch.allclose(result, expected, atol=1e-6)


def test_the_weight_of_guidance_in_strips_is_that_of_the_whole(monkeypatch):
    monkeypatch.setattr(tiling, "BAND", 1)
    picture = photo(96, 40)
    parts = list(diffbir_latent._flatness(picture, 8))
    assert len(parts) == 6 and torch.equal(torch.cat(parts, dim=-2), flatness(picture))


def test_declared_needs_cover_what_the_published_sizes_take():
    """Measured without computing, on networks of the published sizes that hold nothing."""
    meta = torch.device("meta")
    full, side = build(FULL, meta), 256
    x, z = torch.empty(1, 3, side, side, device=meta), torch.empty(1, 4, side // 8, side // 8, device=meta)
    text = torch.empty(1, 77, 1024, device=meta)
    steered = lambda: full.base.unet(z, 5.0, text, full.control(z, 5.0, text, z))  # noqa: E731
    pixels = side**2
    for need, run, count in (
        (cleaning.ENLARGING, lambda: full.cleaners["bsrnet"](x), pixels),
        (cleaning.UNFOLDING, lambda: full.cleaners["swinir"](x), pixels),
        (cleaning.PLAIN, lambda: full.cleaners["scunet"](x), pixels),
        (diffbir_latent.ENCODER, lambda: full.base.autoencoder.encode(x), pixels),
        (diffbir_latent.DECODER, lambda: full.base.autoencoder.decode(z), pixels),
        (diffbir_latent.DENOISER, steered, pixels / 64),
    ):
        assert 1.2 < need.bytes_per_pixel / (peak_bytes(run) / count) < 2


def test_the_preview_of_states_is_a_linear_look_that_a_benchmark_can_fit(networks):
    coder = fit_preview.coder("stable-diffusion-2", networks.base)
    picture = photo(64, 64)
    z, decoded = coder.decoded(picture)
    assert z.shape == (1, 4, 8, 8) and decoded.shape == picture.shape and torch.equal(coder.encode(picture), z)
    problem = method(networks, "v2-1-photo").pose(photo(40, 40), settings("v2-1-photo"))
    ends = [problem.preview(k * problem.guess) for k in (0.0, 0.01, 0.02)]
    assert torch.allclose(ends[2] - ends[1], ends[1] - ends[0], atol=1e-4)  # no decoder has a straight line there


# --- first stage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "size", "scale", "seen", "out"),
    [
        ("swinir", (25, 37), 4, (128, 192), (128, 189)),  # enlarged to 100 x 148, then grown
        ("swinir", (130, 150), 1, (192, 192), (130, 150)),
        ("bsrnet", (25, 37), 4, (25, 37), (128, 189)),
        ("bsrnet", (35, 37), 4, (35, 37), (140, 148)),
        ("scunet", (100, 150), 1, (128, 192), (128, 192)),
    ],
)
def test_what_the_cleaners_see_and_what_comes_out(networks, kind, size, scale, seen, out):
    found: list[tuple[int, ...]] = []
    watched = networks.cleaners[kind]
    handle = watched.register_forward_pre_hook(lambda _, args: found.append(tuple(args[0].shape[-2:])))
    result = clean(watched, photo(*size), scale, settings("v2-1-photo"))
    handle.remove()
    assert found == [seen] and result.shape[-2:] == out and torch.isfinite(result).all()


@pytest.mark.parametrize(("kind", "size", "scale"), [("swinir", (128, 96), 4), ("bsrnet", (64, 48), 4)])
def test_the_diffusion_stage_gets_512_pixels(networks, monkeypatch, kind, size, scale):
    monkeypatch.setattr(cleaning, "SHORT_SIDE", 512)
    result = clean(networks.cleaners[kind], photo(*size), scale, settings("v2-1-photo"))
    assert result.shape[-2:] == (682, 512)


def test_short_sides_grow_and_long_ones_stay():
    assert grow_to_short_side(torch.zeros(1, 3, 17, 30), 24).shape[-2:] == (24, 42)
    assert grow_to_short_side(torch.zeros(1, 3, 600, 530), 512).shape[-2:] == (600, 530)


# --- compact -----------------------------------------------------------------------------------------------------


def test_the_compact_variant_needs_no_download_and_guidance_moves_it_along_the_fidelity_axis():
    from test_methods import PHOTO

    from restore_core.degradations import TASKS
    from restore_core.images import load

    truth = load(PHOTO).rgb[..., 60:140, 100:180]
    library = Library("cpu")
    for task in ("denoise", "deblur"):
        degraded = TASKS[task](truth, TASKS[task].standard, torch.Generator().manual_seed(0))
        values = []
        for scale in (0.0, 0.25, 0.5, 1.0):
            ask = CARD.settings(f"compact-{task}", guidance=scale, steps=8)
            result = finish(restore(library.method("diffbir", ask.variant).pose(degraded, ask), ask)).result
            values.append(psnr(result, truth).item())
        assert values == sorted(values) and values[-1] > values[0] + 0.5


def test_small_and_damaged_photos_are_cleaned_before_they_are_enlarged():
    library, image = Library("cpu"), photo(20, 25)
    ask = CARD.settings("compact-photo-sr4", steps=2)
    ours = library.method("diffbir", ask.variant)
    problem = ours.pose(image, ask)
    assert finish(restore(problem, ask)).result.shape == (1, 3, 80, 100)
    cleaned = ours.modules["cleaner"].predict(image * 2 - 1) / 2 + 0.5
    plain = CARD.settings("compact-sr4", steps=2)
    alone = library.method("diffbir", "compact-sr4").pose(cleaned.clamp(0, 1), plain)
    assert torch.allclose(problem.guess, alone.guess, atol=1e-5)
    uncleaned = library.method("diffbir", "compact-sr4").pose(image, plain)
    assert not torch.allclose(problem.guess, uncleaned.guess, atol=1e-2)


def test_guidance_keeps_its_seat_in_the_presets():
    for variant in CARD.variants:
        scales = [CARD.settings(variant.key, preset).options["guidance"] for preset in range(5)]
        assert scales == sorted(scales, reverse=True) and scales[0] > scales[2]
    assert "diffbir" in METHODS


def test_the_papers_grids():
    early, late = (process_of(catalogue.record(f"diffbir/{key}").config) for key in ("v2", "v2-1"))
    assert spaced(early)(5).tolist() == [1000, 750, 501, 251, 1, 0]
    assert truncated(late)(4).tolist() == [1000, 750, 500, 250, 0]
    ask = CARD.settings("v2-1-photo", paper=True)
    problem = dataclasses.replace(_nothing(late), times=truncated(late))
    assert times_of(problem, ask).tolist() == [1000, 900, 800, 700, 600, 500, 400, 300, 200, 100, 0]


def _nothing(process):
    from test_engine import problem

    return dataclasses.replace(problem(), process=process)
