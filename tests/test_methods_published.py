"""The variants of published weights, on small random networks with the published layout of keys.

Sizes, ranges, and the first state and the network's first input against the specifications' formulas by hand; the
papers' own runs against the golden trajectories; fixed values; windows, previews and colours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_cases.closed_form import Draws, closed_forms
from golden_cases.compare import assert_close, given
from PIL import Image
from torch import Tensor, nn

from benchmarks import fit_preview
from restore_core.checkpoints.catalogue import CATALOGUE
from restore_core.engine import Noise, finish, restore, times_of
from restore_core.errors import SettingsError
from restore_core.methods import METHODS, Method, Variant, latent
from restore_core.methods.colour import FIXES, keep_colours, low_band
from restore_core.methods.irsde import LENSES
from restore_core.methods.latent import Latents, fit, known_maps, look, unet_latents
from restore_core.methods.sr3 import enlarge_8bit
from restore_core.networks import conditional_unet, latent_unet, nafnet, sr3_unet, swin_unet, vq_autoencoder
from restore_core.networks.swin import SwinSizes
from restore_core.samplers import SAMPLERS
from restore_core.schedules import beta_schedule
from restore_core.settings import Settings

GOLDEN = Path(__file__).parent / "golden"
PUBLISHED = [  # but DiffBIR's, which take 512 pixels at least: test_diffbir.py
    (key, variant)
    for key, method in METHODS.items()
    for variant in method.card.variants
    if variant.published and key != "diffbir"
]
IDS = [f"{key}-{variant.key}" for key, variant in PUBLISHED]


def _sr3(variant: Variant) -> nn.Module:
    channels = 3 if variant.key == "faces-128" else 6
    unet = sr3_unet.SR3UNet(channels, 3, 8, (8, 16), blocks=1, groups=4)
    module = sr3_unet.SR3(unet, {"betas": 2000})
    module.betas.copy_(beta_schedule("linear", 2000, 1e-6, 1e-2))
    return module


def _swin(variant: Variant) -> nn.Module:
    """Two levels, latents of 8 x 8 blocks; the stages of lq as in the published files of the variant."""
    stages = {"inpaint": [(4, 4, 8), (8, 8, 16)], "face": [(3, 4, 8), (8, 8, 8), (8, 8, 16)]}.get(variant.task, [])
    z, lq = (8 if variant.task == "face" else 3), (stages[-1][2] if stages else 3)
    sizes = SwinSizes(width=32, heads=1, window=4, hidden=64, depth=2, side=8)
    return swin_unet.SwinUNet(z + lq, z, 32, (32, 32), (1, 1), (sizes, None), sizes, stages)


def _vq(variant: Variant) -> nn.Module:
    z, levels = (8, 4) if variant.task == "face" else (3, 3)
    widths, depths, attend = [32] * levels, [1] * levels, [False] * levels
    encoder = vq_autoencoder.Encoder(3, z, 32, widths, depths, attend)
    return vq_autoencoder.VQAutoencoder(encoder, vq_autoencoder.Decoder(z, 3, widths, depths, attend), 16, z)


def _irsde(variant: Variant) -> nn.Module:
    if variant.weights["network"].startswith("irsde/"):
        return conditional_unet.ConditionalUNet(3, 3, (8, 16, 32), conditional=variant.key != "denoise")
    channels = {"haze": 8, "bokeh": 4}.get(variant.task, 3)
    return nafnet.ConditionalNAFNet(
        channels, 8, (1, 1), 1, (1, 1), lens=variant.task == "bokeh", stereo="stereo" in variant.key,
        intro_skip=variant.task == "haze",
    )  # fmt: skip


def _latent_unet(variant: Variant) -> nn.Module:
    widths, channels = ((8, 8, 16, 16), 8) if variant.task == "haze" else ((8, 8, 16), 4)
    return latent_unet.LatentUNet(3, 3, widths, channels)


BUILD = {
    ("sr3", "network"): _sr3,
    ("resshift", "network"): _swin,
    ("resshift", "autoencoder"): _vq,
    ("irsde", "network"): _irsde,
    ("irsde", "autoencoder"): _latent_unet,
}


def method(key: str, variant: Variant | str) -> Method:
    """The method on small random networks, the same for every call."""
    chosen = METHODS[key].card.variant(variant) if isinstance(variant, str) else variant
    with torch.random.fork_rng():
        torch.manual_seed(1)
        modules = {role: BUILD[key, role](chosen).eval().requires_grad_(False) for role in chosen.weights}
    for module in modules.values():
        for name, parameter in module.named_parameters():
            if name.endswith(("beta", "gamma")):  # NAFNet's blocks begin as the identity
                parameter.fill_(0.3)
    return METHODS[key](chosen, modules)


def photo(height: int, width: int, channels: int = 3) -> Tensor:
    """A smooth picture in multiples of 1/255; as fourth channel a hole in the middle."""
    rows, columns = torch.linspace(0, 5, height)[:, None], torch.linspace(0, 4, width)
    rgb = torch.stack([0.5 + 0.4 * torch.sin(rows + k * columns + k) for k in (1, 2, 3)])[None]
    rgb = rgb.mul(255).round().div(255)
    if channels == 3:
        return rgb
    alpha = torch.ones(1, 1, height, width)
    alpha[..., height // 3 : height // 2, width // 3 : width // 2] = 0
    return torch.cat([rgb, alpha], dim=1)


def settings_of(key: str, variant: Variant, **changes) -> Settings:
    return METHODS[key].card.settings(variant.key, **changes)


def first_call(ours: Method, image: Tensor, settings: Settings):
    """(problem, first frame, arguments of the network's first call)."""
    calls: list[tuple] = []
    ours.modules["network"].register_forward_pre_hook(lambda module, args: calls.append(args))
    problem = ours.pose(image, settings)
    frame = next(iter(restore(problem, settings)))
    return problem, frame, calls[0]


def z_like(x: Tensor, seed: int = 0) -> Tensor:
    return Noise(seed)(x)


# --- every variant ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "variant"), PUBLISHED, ids=IDS)
@pytest.mark.parametrize("size", [(37, 50), (16, 70)])
def test_size_and_range_are_kept(key: str, variant: Variant, size: tuple[int, int]):
    if variant.scale == 8:
        size = (size[0] // 4, size[1] // 4)
    asked = {} if "steps" in variant.fixed else {"steps": 2}
    asked |= {"sigma": 20} if variant.key == "denoise" else {}
    settings = settings_of(key, variant, **asked)
    image = photo(*size, variant.channels)
    frames = list(restore(method(key, variant).pose(image, settings), settings))
    expected = (1, 3, size[0] * variant.scale, size[1] * variant.scale)
    for frame in frames:
        for seen in (frame.image, frame.estimate):
            assert seen.shape == expected and 0 <= seen.min() and seen.max() <= 1
    assert torch.isfinite(frames[-1].result).all() and frames[-1].result.std() > 0


@pytest.mark.parametrize(("key", "variant"), PUBLISHED, ids=IDS)
def test_clean_pictures_are_encoded_at_the_state_s_size(key: str, variant: Variant):
    settings, image = settings_of(key, variant), photo(32, 64, variant.channels)
    problem = method(key, variant).pose(image, settings)
    before = problem.decode(problem.anchor)
    assert problem.encode(photo(32 * variant.scale, 64 * variant.scale)).shape == problem.anchor.shape
    assert torch.equal(problem.decode(problem.anchor), before)


@pytest.mark.parametrize(("key", "variant"), PUBLISHED, ids=IDS)
def test_every_preset_and_the_paper_s_run_can_be_made(key: str, variant: Variant):
    card = METHODS[key].card
    problem = method(key, variant).pose(photo(32, 32, variant.channels), settings_of(key, variant))
    runs = [card.settings(variant.key, preset) for preset in range(5)] + [card.settings(variant.key, paper=True)]
    for settings in runs:
        times = times_of(problem, settings)
        assert 1 <= len(times) - 1 <= settings.steps and times[-1] == 0
        assert not problem.whole or torch.equal(times, times.round())
        assert card.checked(settings) == settings
        assert Settings.from_json(settings.to_json()) == settings
    paper = times_of(problem, runs[-1])
    assert torch.equal(paper, torch.arange(len(paper) - 1, -1, -1, dtype=torch.float64)) or "sinsr" in variant.key
    fast = SAMPLERS[runs[2].sampler].total_calls(runs[2].steps)
    assert fast <= 20 and fast <= SAMPLERS[runs[-1].sampler].total_calls(runs[-1].steps)


@pytest.mark.parametrize(("key", "variant"), PUBLISHED, ids=IDS)
def test_the_noise_that_a_network_was_trained_with_cannot_be_changed(key: str, variant: Variant):
    value, why = variant.fixed["noise"]
    option = next(o for o in METHODS[key].card.options if o.key == "noise")
    assert option.low <= value <= option.high and why.endswith(".")
    assert settings_of(key, variant).options["noise"] == value
    assert settings_of(key, variant, noise=value).options["noise"] == value
    with pytest.raises(SettingsError, match="trained") as error:
        settings_of(key, variant, noise=value * 0.9)
    assert why in str(error.value) and f"Choose {value}" in str(error.value)


@pytest.mark.parametrize(("key", "variant"), PUBLISHED, ids=IDS)
def test_records_and_variants_have_the_same_numbers(key: str, variant: Variant):
    """Where a record says what shapes cannot tell, the variant says the same."""
    names = {"kappa": "kappa", "power": "power", "etas_end": "end", "min_noise": "min_level", "s0_cap": "cap"}
    names |= {"max_sigma": "max_sigma", "eps": "end", "upsampling": "enlarge"}
    if all(record.startswith("compact/") for record in CATALOGUE):
        pytest.skip("the catalogue holds our own weights only")
    assert set(variant.weights.values()) <= set(CATALOGUE)
    network = CATALOGUE[variant.weights["network"]]
    for theirs, ours in names.items():
        if theirs in network.config and variant.config:
            assert variant.config[ours] == network.config[theirs], theirs
    assert network.config.get("scale", 1) == variant.scale
    if "one_step" not in network.config and variant.key != "denoise":
        assert variant.paper["steps"] == network.config["steps"]


def test_our_own_weights_have_no_paper_and_keep_their_noise_free():
    card = METHODS["resshift"].card
    with pytest.raises(SettingsError, match="no paper"):
        card.settings("compact-deblur", paper=True)
    assert card.settings("compact-deblur", noise=1.0).options == {"noise": 1.0, "eta": 1.0, "variance": 0.0}
    assert {o.key for o in card.options_of("realsr-x4-v3")} == {"noise", "colour"}
    with pytest.raises(SettingsError, match="no option called"):
        card.settings("realsr-x4-v3", lens="Sony 50 mm f/16")


def test_more_steps_than_trained_levels_are_refused():
    ours, settings = method("resshift", "realsr-x4-v3"), METHODS["resshift"].card.settings("realsr-x4-v3", steps=5)
    with pytest.raises(SettingsError, match="trained on 4 noise levels"):
        finish(restore(ours.pose(photo(16, 16), settings), settings))
    with pytest.raises(SettingsError, match="one by one"):
        METHODS["resshift"].card.settings("sinsr-v1", steps=15)


# --- ResShift --------------------------------------------------------------------------------------------------


def test_resshift_starts_and_is_told_as_published():
    """x_T = y + kappa sqrt(eta_T) z, y = encode(bicubic x4); told x_T / sqrt(kappa^2 eta_T + 1), T - 1, the input."""
    ours, image = method("resshift", "realsr-x4-v3"), photo(13, 21)
    settings = METHODS["resshift"].card.settings("realsr-x4-v3")
    problem, frame, (x, t, lq, mask) = first_call(ours, image, settings)
    padded = F.pad(2 * image - 1, (0, -21 % 8, 0, -13 % 8), mode="reflect")
    large = F.interpolate(padded, scale_factor=4, mode="bicubic", align_corners=False)
    y = ours.modules["autoencoder"].encode(large)
    assert torch.allclose(problem.anchor, y, atol=1e-6)
    assert torch.allclose(frame.step.x, y + 2 * 0.99 * z_like(y), atol=1e-5)
    assert torch.allclose(x, frame.step.x / 2.2182, rtol=1e-4)
    assert t.item() == 3 and mask is None and torch.allclose(lq, padded, atol=1e-6)


def test_resshift_of_15_steps_takes_a_subset_that_has_both_ends():
    ours, settings = method("resshift", "realsr-x4-v2"), METHODS["resshift"].card.settings("realsr-x4-v2")
    problem = ours.pose(photo(8, 8), settings)
    times = times_of(problem, settings)
    assert times[0] == 15 and times[-2] == 1 and len(times) == 6
    assert problem.process.marginal(torch.tensor(1.0)).s.item() == pytest.approx(2 * 0.02)


def test_sinsr_is_one_call_at_the_last_index():
    ours = method("resshift", "sinsr-v1")
    settings = METHODS["resshift"].card.settings("sinsr-v1")
    _, _, (x, t, _, _) = first_call(ours, photo(8, 8), settings)
    last = finish(restore(ours.pose(photo(8, 8), settings), settings))
    assert last.calls == 1 and t.item() == 14
    raw = ours.modules["network"](x, 14.0, 2 * photo(8, 8) - 1)
    expected = (ours.modules["autoencoder"].decode(raw) + 1).div(2).clamp(0, 1)
    assert torch.allclose(last.result, expected, atol=1e-5)


def test_holes_are_black_and_marked_and_the_rest_comes_back():
    ours, image = method("resshift", "inpaint-imagenet"), photo(40, 48, 4)
    settings = METHODS["resshift"].card.settings("inpaint-imagenet")
    _, _, (_, _, lq, mask) = first_call(ours, image, settings)
    hole = image[:, 3:] == 0
    assert lq.shape[-2:] == mask.shape[-2:] == (64, 64)
    assert torch.equal(mask[..., :40, :48] == 1, hole) and set(mask.unique().tolist()) == {-1.0, 1.0}
    assert (lq[..., :40, :48][hole.expand(-1, 3, -1, -1)] == -1).all()
    result = finish(restore(ours.pose(image, settings), settings)).result
    known = ~hole.expand(-1, 3, -1, -1)
    assert torch.equal(result[known], image[:, :3][known])
    assert not torch.allclose(result[~known], image[:, :3][~known], atol=1e-2)


@pytest.mark.parametrize(("key", "variant"), [("resshift", "inpaint-face"), ("irsde", "inpaint-face")])
def test_a_photo_without_holes_is_refused_by_networks_that_fill_them(key: str, variant: str):
    with pytest.raises(SettingsError, match="transparent"):
        method(key, variant).pose(photo(16, 16), METHODS[key].card.settings(variant))


# --- SR3 -------------------------------------------------------------------------------------------------------


def test_sr3_starts_from_noise_and_is_told_the_level_and_the_rounded_condition():
    ours, image = method("sr3", "faces-16-128"), photo(5, 7)
    settings = METHODS["sr3"].card.settings("faces-16-128", paper=True)
    problem, frame, (seen, level) = first_call(ours, image, settings)
    abar = math.prod(1 - b for b in np.linspace(1e-6, 1e-2, 2000))
    assert level.item() == pytest.approx(math.sqrt(abar), rel=1e-5) and abar == pytest.approx(4.39e-5, rel=1e-2)
    assert torch.equal(frame.step.x, z_like(frame.step.x))
    condition, x = seen.chunk(2, dim=1)
    assert torch.equal(x, frame.step.x)
    levels = (condition + 1) / 2 * 255
    assert (levels - levels.round()).abs().max() < 1e-4
    assert frame.step.prediction.x0.abs().max() <= 1
    assert len(times_of(problem, settings)) == 2001


@pytest.mark.parametrize("size", [(16, 16), (9, 23)])
def test_sr3_s_condition_is_pil_s(size: tuple[int, int]):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).mul(255).round().div(255)
    pixels = image[0].mul(255).round().byte().permute(1, 2, 0).numpy()
    theirs = np.asarray(Image.fromarray(pixels).resize((size[1] * 8, size[0] * 8), Image.Resampling.BICUBIC))
    ours = enlarge_8bit(image, 8)[0].mul(255).round().permute(1, 2, 0).numpy()
    apart = np.abs(theirs.astype(int) - ours.astype(int))
    assert apart.max() <= 1 and (apart > 0).mean() < 1e-3


def test_the_network_that_sees_no_photo_starts_from_the_noised_photo():
    ours, image = method("sr3", "faces-128"), photo(32, 32)
    settings = METHODS["sr3"].card.settings("faces-128")
    problem, frame, (seen, _) = first_call(ours, image, settings)
    a, _, s = problem.process.marginal(frame.step.t)
    assert torch.allclose(seen, a * (2 * image - 1) + s * z_like(image), atol=1e-6)
    assert frame.step.t.item() == settings.strength * 2000


class Closed(nn.Module):
    """A closed form in a network's place."""

    def __init__(self, form, told: str, betas: Tensor):
        super().__init__()
        self.form = form
        self.register_buffer("betas", betas)
        self.denoise_fn = nn.Module()
        self.denoise_fn.told, self.denoise_fn.multiple, self.denoise_fn.bytes_per_pixel = told, 1, 100
        self.denoise_fn.downs = [nn.Conv2d(6, 1, 1)]
        self.told = {"level": "l", "step": "t"}[told]

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        cond, x = x.chunk(2, dim=1)
        return self.form(cond=cond, x=x, **{self.told: told.float()})


@pytest.mark.parametrize("case", ["sr3_linear12", "sr3_quad21_cont", "sr3_cosine10", "ddpm_linear12"])
def test_sr3_s_own_run_is_the_published_loop(case: str):
    """At the fixture's schedule and condition, which take the places of the file's and of the enlarged photo."""
    meta = json.loads((GOLDEN / "sr3_loop.json").read_text())
    run, outputs = meta["config"]["cases"][case], np.load(GOLDEN / "sr3_loop.npz")
    (form,) = closed_forms(meta["config"]["networks"][run["variant"]]).values()
    name, steps, start, end = run["schedule_opt"].values()
    told = {"sr3": "level", "ddpm": "step"}[run["variant"]]
    variant = METHODS["sr3"].card.variant("faces-16-128")
    ours = METHODS["sr3"](variant, {"network": Closed(form, told, beta_schedule(name, steps, start, end))})
    settings = METHODS["sr3"].card.settings(variant.key, paper=True, steps=steps)
    condition = given(meta["inputs"][run["cond"]])
    problem = ours.pose(torch.zeros(len(condition), 3, 1, 1), settings)
    problem.cond["y"].copy_(condition)
    assert problem.whole == (told == "step")
    states = torch.stack([f.step.x for f in restore(problem, settings, noise=Draws())])
    assert_close(states, outputs[f"{case}.x"], 2e-5, case)


# --- IR-SDE and Refusion ---------------------------------------------------------------------------------------


def test_irsde_starts_about_the_input_and_is_told_the_raw_index():
    ours, image = method("irsde", "derain-h"), photo(19, 22)
    settings = METHODS["irsde"].card.settings("derain-h", paper=True)
    _, frame, (x, t, y) = first_call(ours, image, settings)
    assert settings.sampler == "ddim" and t.item() == 100 and torch.equal(y, image)
    assert torch.allclose(x, image + 10 / 255 * z_like(image), atol=1e-6)
    assert torch.equal(x, frame.step.x)


def test_four_times_larger_repeats_pixels_first():
    ours, image = method("irsde", "sr-x4"), photo(6, 5)
    problem = ours.pose(image, METHODS["irsde"].card.settings("sr-x4"))
    assert torch.equal(problem.anchor, image.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3))
    assert problem.process.scale == pytest.approx(30 / 255)


def test_irsde_s_holes_are_white():
    image = photo(18, 18, 4)
    problem = method("irsde", "inpaint-face").pose(image, METHODS["irsde"].card.settings("inpaint-face"))
    assert torch.equal(problem.anchor, torch.where(image[:, 3:] > 0, image[:, :3], 1.0))


def test_a_stereo_pair_goes_in_and_comes_out_side_by_side():
    ours, image = method("irsde", "refusion-stereo-x4"), photo(8, 24)
    settings = METHODS["irsde"].card.settings("refusion-stereo-x4", steps=1)
    problem = ours.pose(image, settings)
    left, right = (F.interpolate(v, scale_factor=4, mode="bicubic") for v in image.chunk(2, dim=-1))
    assert torch.allclose(problem.anchor, torch.cat([left, right], dim=1), atol=1e-6)
    assert torch.allclose(problem.decode(problem.anchor), torch.cat([left, right], dim=-1).clamp(0, 1), atol=1e-6)
    with pytest.raises(SettingsError, match="side by side"):
        ours.pose(photo(8, 23), settings)


def test_the_lenses_are_told_as_numbers():
    ours = method("irsde", "refusion-bokeh")
    settings = METHODS["irsde"].card.settings(
        "refusion-bokeh", lens="Canon 50 mm f/1.8", target="Sony 50 mm f/16", disparity=20
    )
    _, _, (_, _, _, lens) = first_call(ours, photo(16, 16), settings)
    assert lens.tolist() == [[-18.0, 160.0, 20.0]] and set(LENSES.values()) == {-14.0, -18.0, 18.0, 160.0}


def test_refusion_diffuses_the_latent_and_keeps_the_input_s_skips():
    ours, image = method("irsde", "refusion-dehaze"), photo(30, 41)
    settings = METHODS["irsde"].card.settings("refusion-dehaze", paper=True)
    problem, frame, (_, _, y) = first_call(ours, image, settings)
    own, skips = ours.modules["autoencoder"].encode(image)
    assert torch.allclose(y, own, atol=1e-6) and settings.sampler == "euler-maruyama"
    assert torch.allclose(frame.step.x, own + 50 / 255 * z_like(own), atol=1e-5)
    other = torch.randn(own.shape, generator=torch.Generator().manual_seed(0))
    expected = ours.modules["autoencoder"].decode(other, skips).clamp(0, 1)
    assert torch.allclose(problem.decode(other), expected, atol=1e-5)


@pytest.mark.parametrize(("grey", "index"), [(5, 5), (15, 14), (25, 21), (50, 38)])
def test_denoising_starts_at_the_photo_at_the_time_of_its_noise(grey: float, index: int):
    ours, image = method("irsde", "denoise"), photo(16, 16)
    settings = METHODS["irsde"].card.settings("denoise", sigma=grey, paper=True)
    problem, _, (x, t) = first_call(ours, image, settings)
    assert torch.equal(x, image) and t.item() == index
    assert torch.equal(times_of(problem, settings), torch.arange(index, -1, -1, dtype=torch.float64))


def test_denoising_measures_the_noise_where_none_is_told():
    clean = photo(96, 96)
    noisy = clean + 20 / 255 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    problem = method("irsde", "denoise").pose(noisy, METHODS["irsde"].card.settings("denoise"))
    s = problem.process.marginal(torch.tensor(float(problem.process.steps))).s
    assert s.item() * 255 == pytest.approx(20, rel=0.15)
    with pytest.raises(SettingsError, match="Say how noisy"):
        method("irsde", "denoise").pose(noisy[..., :20, :], METHODS["irsde"].card.settings("denoise"))
    for asked in ({"spacing": "log-snr"}, {"strength": 0.5}):
        with pytest.raises(SettingsError, match="part of the way"):
            METHODS["irsde"].card.settings("denoise", **asked)


class Formula(nn.Module):
    """A closed form of the state, y and the time in ConditionalUNet's place."""

    multiple = 1
    bytes_per_pixel = 100

    def __init__(self, form, scale: float, conditional: bool = True):
        super().__init__()
        self.form, self.scale, self.conditional = form, scale, conditional

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return self.form(x=x, mu=y if self.conditional else 0.0, t=t.float(), k=self.scale)


@pytest.mark.parametrize(
    ("variant", "name", "sign"), [("derain-h", "reverse_posterior", 1.0), ("deblur-gopro", "reverse_sde", -1.0)]
)
def test_irsde_s_own_runs_are_the_published_walks(variant: str, name: str, sign: float):
    """The SDE subtracts its noise; the first draw, of the start, is added."""
    meta = json.loads((GOLDEN / "irsde_traj_T100_s10.json").read_text())
    outputs = np.load(GOLDEN / "irsde_traj_T100_s10.npz")
    form = closed_forms(meta["predictor"])[("x", "mu", "t")]
    card = METHODS["irsde"].card
    ours = METHODS["irsde"](card.variant(variant), {"network": Formula(form, 10 / 255)})
    draws = Draws(meta["noise_prefix"])
    settings = card.settings(variant, paper=True)
    states = []
    for frame in restore(ours.pose(given(meta["inputs"]["y"]), settings), settings, noise=draws):
        draws.sign = sign
        states.append(frame.step.x)
    assert_close(torch.stack(states), outputs[name], 1e-4, name)


def test_denoising_s_own_run_is_the_published_walk():
    meta = json.loads((GOLDEN / "irsde_traj_denoising_T100_s75.json").read_text())
    outputs = np.load(GOLDEN / "irsde_traj_denoising_T100_s75.npz")
    form = closed_forms(meta["predictor"])[("x", "t")]
    card = METHODS["irsde"].card
    ours = METHODS["irsde"](card.variant("denoise"), {"network": Formula(form, 75 / 255, conditional=False)})
    settings = card.settings("denoise", paper=True, sigma=meta["start_sigma"])
    problem = ours.pose(given(meta["inputs"]["x_start"]), settings)
    states = torch.stack([frame.step.x for frame in restore(problem, settings)])
    assert_close(states, outputs["reverse_ode"], 1e-5, "reverse_ode")


def test_reading_the_output_as_a_step_makes_it_that_step():
    """With "step", the posterior step from x0 is the plain Euler step of the same output."""
    ours, image = method("irsde", "derain-h"), photo(16, 16)
    card = METHODS["irsde"].card
    plain, step = (ours.pose(image, card.settings("derain-h", reading=how)) for how in ("noise", "step"))
    t = torch.tensor(70.0, dtype=torch.float64)
    x = plain.process.prior(image, z_like(image))
    euler = plain.process.euler_mean(x, image, t - 1, t, plain.denoise(x, t))
    posterior = step.process.posterior_mean(x, image, t - 1, t, step.denoise(x, t).x0)
    assert torch.allclose(euler, posterior, atol=1e-5)


# --- windows, previews, colours --------------------------------------------------------------------------------


def _local(factor: int) -> tuple:
    """An encoder of means and a decoder of repeated pixels: local, so that windows change nothing; kept: the window."""
    encode = lambda x: (F.avg_pool2d(x, factor), x)  # noqa: E731
    decode = lambda z, kept: 0.5 * F.interpolate(z, scale_factor=factor) + 0.5 * kept  # noqa: E731
    return encode, decode


@pytest.mark.parametrize("multiple", [4, 8])
def test_windows_of_a_local_autoencoder_change_nothing(multiple: int):
    image = photo(203, 330)
    whole, parts = (
        Latents(*_local(4), 4, multiple, Settings("a", "b", "ddim", 1, tile=tile, overlap=8)) for tile in (0, 48)
    )
    z = whole.encode(image)
    assert torch.allclose(parts.encode(image), z, atol=1e-6) and len(parts._kept) > 1
    assert torch.allclose(parts.decode(z + 1), whole.decode(z + 1), atol=1e-6)
    assert parts.decode(z).shape == image.shape


def test_each_window_s_decoder_sees_the_skips_of_that_window():
    """Windows of 128 px begin every 64 px, so the first 64 columns are the first window's alone."""
    coder, image = method("irsde", "refusion-dehaze").modules["autoencoder"], photo(128, 320)
    parts = unet_latents(coder, Settings("a", "b", "ddim", 1, tile=32, overlap=8))
    z = parts.encode(image)
    own, skips = coder.encode(image[..., :128])
    assert z.shape == (1, 8, 32, 80) and torch.allclose(z[..., :16], own[..., :16], atol=1e-5)
    other = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    expected = coder.decode(other[..., :32], skips)[..., :64]
    assert torch.allclose(parts.decode(other)[..., :64], expected, atol=1e-5)


def test_a_picture_s_own_linear_map_shows_its_latent():
    image = photo(64, 64)
    mix = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    small = F.interpolate(image, size=(16, 16), mode="area")
    latent = torch.einsum("kc,nchw->nkhw", mix, small) + 0.7
    linear = fit(latent, image)
    assert linear.shape == (3, 9)
    assert (look(latent, linear) - small).abs().max() < 2e-2
    flat = torch.full((1, 3, 16, 16), 0.25)
    assert torch.allclose(look(latent * 0, fit(latent * 0, flat)), flat[..., :1, :1].expand(-1, -1, 16, 16))


def test_a_map_is_fitted_on_photos_and_kept(tmp_path: Path):
    """An autoencoder that is linear but for its skips: both maps find it; what is kept comes back."""
    mix = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, -0.5], [0.3, 0.0, 1.0]])[:, :, None, None]
    encode = lambda x: (F.conv2d(F.avg_pool2d(x, 4), mix) + 0.2, x)  # noqa: E731
    exact = fit_preview.Coder(
        lambda: Latents(encode, lambda z, x: x, 4, 4, fit_preview.WHOLE), lambda x: x, lambda x: x
    )
    linear, scores = fit_preview.measured(exact, [photo(64, 64).roll(k, -1) for k in range(4)])
    assert scores["fitted"] > 40 and scores["own"] > 40
    fit_preview.keep("some/key", linear, tmp_path / "maps.json")
    fit_preview.keep("other/key", linear + 1, tmp_path / "maps.json")
    maps = known_maps(tmp_path / "maps.json")
    assert set(maps) == {"some/key", "other/key"}
    assert torch.allclose(maps["some/key"], linear, atol=1e-5)
    assert fit_preview.main(["no/such", str(tmp_path)]) == 2
    with pytest.raises(SettingsError, match="no autoencoder"):
        fit_preview.coder("sr3-unet", nn.Identity())


def test_a_kept_map_is_used_instead_of_the_picture_s_own(monkeypatch):
    black = torch.zeros(3, 4)
    monkeypatch.setattr(latent, "known_maps", lambda: {"resshift/vq-f4": black})
    problem = method("resshift", "realsr-x4-v3").pose(photo(8, 8), METHODS["resshift"].card.settings("realsr-x4-v3"))
    assert (problem.preview(problem.anchor) == 0).all()


def test_frames_on_the_way_do_not_call_the_decoder():
    ours = method("resshift", "realsr-x4-v3")
    decoded = []
    ours.modules["autoencoder"].decoder.register_forward_hook(lambda *_: decoded.append(1))
    settings = METHODS["resshift"].card.settings("realsr-x4-v3")
    frames = restore(ours.pose(photo(8, 8), settings), settings)
    for _ in range(settings.steps):
        frame = next(frames)
        assert frame.image.shape == frame.estimate.shape == (1, 3, 32, 32)
    assert not decoded
    assert next(frames).result.shape == (1, 3, 32, 32) and decoded


@pytest.mark.parametrize("how", FIXES)
def test_colours_are_kept_and_detail_too(how: str):
    reference = photo(96, 80)
    generator = torch.Generator().manual_seed(0)
    detail = 0.02 * torch.randn(reference.shape, generator=generator)
    tinted = 0.8 * reference + torch.tensor([0.15, 0.02, 0.0])[:, None, None] + detail
    result = keep_colours(tinted, reference, how)
    casts = [x.mean(dim=(-2, -1)) - (x.mean(dim=1).mean() if how == "chroma" else 0) for x in (result, reference)]
    off = (casts[0] - casts[1]).abs().max()
    assert off > 0.05 if how == "off" else off < 0.02
    assert result.shape == reference.shape and 0 <= result.min() and result.max() <= 1


def test_wavelet_takes_only_what_is_coarse():
    image, reference = photo(80, 80), photo(80, 80).flip(-1)
    result = FIXES["wavelet"](image, reference)
    assert torch.allclose(result - image, low_band(reference) - low_band(image), atol=1e-5)
    assert torch.allclose(low_band(torch.full((1, 3, 9, 9), 0.3)), torch.full((1, 3, 9, 9), 0.3), atol=1e-6)


def test_the_colour_fix_is_applied_to_the_result():
    ours, image = method("resshift", "realsr-x4-v3"), photo(12, 12)
    card = METHODS["resshift"].card
    plain, kept = (card.settings("realsr-x4-v3", steps=1, colour=how) for how in ("off", "statistics"))
    results = [finish(restore(ours.pose(image, s), s)).result for s in (plain, kept)]
    padded = F.pad(image, (0, 4, 0, 4), mode="reflect") * 2 - 1
    large = F.interpolate(padded, scale_factor=4, mode="bicubic", align_corners=False)[..., :48, :48]
    expected = keep_colours(results[0], (large + 1).div(2).clamp(0, 1), "statistics")
    assert torch.allclose(results[1], expected, atol=1e-5) and not torch.allclose(results[1], results[0], atol=1e-2)


def test_variants_have_keys_of_their_own():
    for m in METHODS.values():
        keys = [v.key for v in m.card.variants]
        assert len(keys) == len(set(keys))
        for variant in m.card.variants:
            wanted: Mapping = {**variant.defaults, **variant.paper}
            known = {f.name for f in fields(Settings)} | {o.key for s in SAMPLERS.values() for o in s.options}
            assert set(wanted) <= known | {o.key for o in (*m.card.options, *variant.options)}


@pytest.mark.parametrize("how", FIXES)
def test_the_colours_of_one_pixel_are_kept_too(how: str):
    image, reference = torch.tensor([0.2, 0.4, 0.9]), torch.tensor([0.6, 0.5, 0.1])
    kept = keep_colours(*(x.reshape(1, 3, 1, 1) for x in (image, reference)), how)
    assert torch.isfinite(kept).all()
    if how in ("wavelet", "statistics"):  # all of it is large scale
        assert torch.allclose(kept.flatten(), reference, atol=1e-6)
