"""ResShift from picture to picture: both networks, posed by our method and walked by our engine at the paper preset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from golden_cases.closed_form import Draws, take
from golden_cases.compare import assert_close, assert_same_keys, fill, given
from restore_core.engine import restore
from restore_core.methods.resshift import ResShift
from restore_core.networks import swin_unet, vq_autoencoder
from restore_core.problem import Problem

_DIFFUSION = {
    "sf": None, "schedule_name": "exponential", "schedule_kwargs": None, "etas_end": None, "steps": None,
    "min_noise_level": None, "kappa": None, "weighted_mse": False, "predict_type": "xstart", "timestep_respacing": None,
    "scale_factor": 1.0, "normalize_input": True, "latent_flag": True,
}  # fmt: skip


def _module(tensors: list, build: Any, salt: str) -> nn.Module:
    part = {"tensors": tensors}
    module = build({key: torch.empty(shape, device="meta") for key, shape, _ in tensors}, {})
    assert_same_keys(module, part)
    return fill(module, part, salt).requires_grad_(False)


def method(meta: Mapping[str, Any]) -> ResShift:
    """The published variant whose numbers the fixture has, on the fixture's small networks."""
    numbers = take(meta["config"]["diffusion"], _DIFFUSION)
    variant = ResShift.card.variant("inpaint-imagenet" if "mask" in meta["inputs"] else "realsr-x4-v3")
    assert variant.scale == numbers["sf"] and dict(variant.config) == {
        "steps": numbers["steps"], "kappa": numbers["kappa"], "power": numbers["schedule_kwargs"]["power"],
        "end": numbers["etas_end"], "min_level": numbers["min_noise_level"],
    }  # fmt: skip
    salt = meta.get("salt", "")
    modules = {
        "network": _module(meta["tensors"], swin_unet.build, salt),
        "autoencoder": _module(meta["autoencoder_tensors"], vq_autoencoder.build, salt),
    }
    network = modules["network"]
    assert network.multiple * network.lq_scale == meta["config"]["padding_offset"]
    return ResShift(replace(variant), modules)


def posed(meta: Mapping[str, Any], ours: ResShift) -> Problem:
    """Without holes through `pose`, which takes RGB in [0, 1]; the fixture's mask is no mask of holes but noise."""
    inputs: dict[str, Tensor] = {name: given(spec) for name, spec in meta["inputs"].items()}
    settings = ours.card.settings(ours.variant.key, paper=True)
    if "mask" in inputs:
        return ours.pose_latent(inputs["y"], inputs["mask"], settings)
    return ours.pose((inputs["y"] + 1) / 2, settings)


@torch.no_grad()
def pipeline(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Every latent on the way, and the picture. The published loop's last draw is times zero; ours is not drawn."""
    ours = method(meta)
    settings, draws = ours.card.settings(ours.variant.key, paper=True), Draws()
    frames = list(restore(posed(meta, ours), settings, noise=draws))
    assert draws.count + 1 == meta["noise_draws"]
    states = torch.stack([frame.step.x for frame in frames[1:]])
    assert_close(states, outputs["x_t"], meta.get("tolerance", 2e-4), "x_t")
    expected = (outputs["out"] + 1) / 2
    assert_close(frames[-1].result, expected, meta.get("tolerance", 2e-4), "out")


RUNNERS = {"resshift/pipeline": pipeline}
