"""DiffBIR from photo to picture with tiny networks: both stages posed by our method and walked by our engine.

The published code quantises the photo after enlarging it, fills sides with zeros, starts the EDM samplers at
abar_T = 1e-8 and truncates to eight bits. None of this do we do (edges are reflected, the start is exact, numbers are
rounded): the runner does it around our method, which is otherwise run as the authors' own setting runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from golden_cases.closed_form import Draws, take
from golden_cases.compare import assert_close, given, normal
from golden_cases.diffbir_networks import part
from golden_cases.diffbir_schedules import FIRST
from restore_core.checkpoints import catalogue
from restore_core.engine import restore
from restore_core.methods.base import Variant
from restore_core.methods.cleaning import clean
from restore_core.methods.diffbir import DiffBIR
from restore_core.methods.diffbir_latent import pose_latent
from restore_core.methods.diffbir_weights import process_of, spaced, truncated
from restore_core.networks import rrdbnet, stable_diffusion, swinir
from restore_core.problem import Problem
from restore_core.processes import VariancePreserving
from restore_core.settings import Settings

_RUN = {
    "steps": None, "strength": None, "cleaner_tiled": False, "cleaner_tile_size": 512, "cleaner_tile_stride": 256,
    "vae_encoder_tiled": False, "vae_encoder_tile_size": 256, "vae_decoder_tiled": False, "vae_decoder_tile_size": 256,
    "cldm_tiled": False, "cldm_tile_size": 512, "cldm_tile_stride": 256, "pos_prompt": None, "neg_prompt": None,
    "cfg_scale": None, "start_point_type": None, "sampler_type": None, "noise_aug": None, "rescale_cfg": None,
    "s_churn": 0, "s_tmin": 0, "s_tmax": 300, "s_noise": 1, "eta": 1, "order": 1,
}  # fmt: skip
_VARIANTS = {  # pipeline and its sampler -> the variant of ours that runs so
    ("BSRNetPipeline", "sd21", "spaced"): ("v2-sr4", rrdbnet.build),
    ("SwinIRPipeline", "sd21_zsnr", "edm_dpm++_3m_sde"): ("v2-1-photo", swinir.build),
}


def _photo(meta: Mapping[str, Any]) -> Tensor:
    """Eight bits, enlarged by PIL where the published pipeline does."""
    pixels = (given(meta["inputs"]["lq"])[0].permute(1, 2, 0).numpy() * 255).clip(0, 255).astype(np.uint8)
    scale = meta["config"]["pil_upscale"]
    if scale != 1:
        height, width = (int(side * scale) for side in pixels.shape[:2])
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]


def _filled_with_zeros(x: Tensor, multiple: int) -> Tensor:
    return F.pad(x, (0, -x.shape[-1] % multiple, 0, -x.shape[-2] % multiple))


def _networks(
    meta: Mapping[str, Any], build_cleaner: Any
) -> tuple[stable_diffusion.StableDiffusion, nn.Module, nn.Module]:
    """(base, control, cleaner); the contexts are given, so nothing reads prompts."""
    config = {"head_width": meta["config"]["unet"]["num_head_channels"]}
    base = stable_diffusion.StableDiffusion(
        part(meta, "cldm.unet.", stable_diffusion.build_unet, config),
        part(meta, "cldm.vae.", stable_diffusion.build_autoencoder, config),
        nn.Identity(),
    )
    control = part(meta, "cldm.controlnet.", stable_diffusion.build_control, config)
    return base, control, part(meta, "cleaner.", build_cleaner, config)


def _settings(variant: Variant, run: Mapping[str, Any]) -> Settings:
    tiled = [key for key in run if key.endswith("_tiled") and run[key]]
    assert not tiled and run["start_point_type"] == "noise", f"no runner for {tiled or run['start_point_type']}"
    own = {"condition_noise": run["noise_aug"]} if any(o.key == "condition_noise" for o in variant.options) else {}
    assert own or not run["noise_aug"]
    return DiffBIR.card.settings(
        variant.key, paper=True, steps=run["steps"], cfg=run["cfg_scale"], cfg_grows=run["rescale_cfg"],
        control=run["strength"], precision="float32", **own,
    )  # fmt: skip


def _process(predicts_v: bool, config: Mapping[str, Any]) -> VariancePreserving:
    """The schedule of the weights; the EDM samplers' with a trace of signal at the start."""
    process = process_of(config)
    if not predicts_v:
        return process
    abar = process.abar.clone()
    abar[-1] = FIRST
    return VariancePreserving(1 - abar[1:] / abar[:-1])


@torch.no_grad()
def pipeline(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """What comes of each stage; the last draw of the published loops is times zero, and ours is not drawn."""
    config = meta["config"]
    run = take(config["run"], _RUN)
    known = (config["pipeline"], config["diffusion"], run["sampler_type"])
    assert known in _VARIANTS, f"no variant for {known}; known: {', '.join(map(str, _VARIANTS))}"
    key, build_cleaner = _VARIANTS[known]
    variant = DiffBIR.card.variant(key)
    settings, record = _settings(variant, run), catalogue.record(variant.weights["control"])
    base, control, cleaner = _networks(meta, build_cleaner)
    photo, scale = _photo(meta), config["upscale"]
    cleaned = clean(cleaner, photo, scale, settings, grow=_filled_with_zeros)
    context = torch.cat([normal(f"ctx:{which}", (1, 77, config["unet"]["context_dim"])) for which in ("pos", "neg")])
    process = _process(config["diffusion"] == "sd21_zsnr", record.config)
    problem = pose_latent(
        base, control, cleaned, (photo.shape[-2] * scale, photo.shape[-1] * scale), context, process,
        record.config["predicts"], settings,
        times=(truncated if record.config["zero_terminal"] else spaced)(process),
        condition_noise=lambda like: normal("noise:1", tuple(like.shape)),
        grow=_filled_with_zeros,
    )  # fmt: skip
    _compare(meta, outputs, problem, cleaned, base, _run(problem, settings, bool(run["noise_aug"]), meta))


def _run(problem: Problem, settings: Settings, noisy: bool, meta: Mapping[str, Any]) -> Tensor:
    """The final latent; of the draws, the second is the condition's where it has noise."""
    draws = Draws()

    def draw(like: Tensor) -> Tensor:
        z = draws(like)
        draws.count += noisy and draws.count == 1
        return z

    last = list(restore(problem, settings, noise=draw))[-1]
    assert draws.count + (settings.sampler == "ddim") == meta["noise_draws"], draws.count
    return last.step.x


def _compare(
    meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray], problem: Problem, cleaned: Tensor,
    base: stable_diffusion.StableDiffusion, z: Tensor,
) -> None:  # fmt: skip
    """`clean` and the picture are kept at every `subsample`-th row and column, latents at every second."""
    every, tolerance = meta["subsample"], meta["tolerance"]
    assert list(cleaned.shape) == outputs["clean_shape"].tolist()
    _close(cleaned[..., ::every, ::every], outputs["clean"], tolerance, "clean")
    assert list(problem.guess.shape) == outputs["c_img_shape"].tolist()
    _close(problem.guess[..., ::2, ::2], outputs["c_img"], tolerance, "c_img")
    _close(z[..., ::2, ::2], outputs["z"], tolerance, "z")
    _close(base.autoencoder.decode(z)[..., ::every, ::every], outputs["sample"], tolerance, "sample")
    picture = problem.decode(z)
    assert [1, *picture.shape[-2:], 3] == outputs["image_shape"].tolist()
    found = picture.mul(255).permute(0, 2, 3, 1)[:, ::every, ::every]
    expected = torch.from_numpy(outputs["image"].astype(np.float32)) + 0.5  # the middle of what was truncated to it
    _close(found.clamp(max=255), expected, tolerance, "image", slack=0.5)


def _close(actual: Tensor, expected: np.ndarray | Tensor, tolerance: float, name: str, slack: float = 0.0) -> None:
    largest = max(1.0, float(np.abs(np.asarray(expected)).max()))
    assert_close(actual, np.asarray(expected), tolerance * largest + slack, name)


RUNNERS = {"diffbir/pipeline": pipeline}
