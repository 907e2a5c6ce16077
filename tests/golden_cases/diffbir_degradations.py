"""DiffBIR's degradation operators: kernels, filtering, sharpening, JPEG, noise, resizing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden_cases.closed_form import take
from golden_cases.compare import assert_close, given, normal
from restore_core.degradations import published
from restore_core.degradations.kernels import mixed_kernel, sinc_kernel
from restore_core.degradations.soft_jpeg import soft_jpeg

_CONFIG = {
    "gaussian": None, "generalized": None, "plateau": None, "sinc": None, "jpeg": None, "noise_sigma": None,
    "interp_scale": None,
}  # fmt: skip
_SHAPES = {"gauss": ("gaussian", "gaussian"), "gen": ("generalized", "generalised"), "plat": ("plateau", "plateau")}


def _kernels(config: Mapping[str, Any]) -> dict[str, Tensor]:
    found = {}
    for prefix, (group, shape) in _SHAPES.items():
        for k in config[group]:
            across = k["sig_x"] if k["iso"] else k["sig_y"]
            turn = 0.0 if k["iso"] else k["theta"]
            kernel = mixed_kernel(shape, k["size"], k["sig_x"], across, turn, k.get("beta", 1.0))
            found[f"{prefix}_{k['name']}"] = kernel
    for k in config["sinc"]:
        found[f"sinc_{k['name']}"] = sinc_kernel(k["size"], k["cutoff"], k["pad_to"])
    return found


def _pictures(config: Mapping[str, Any], image: Tensor, first: Tensor) -> dict[str, Tensor]:
    qualities, sigma, scale = config["jpeg"], config["noise_sigma"], config["interp_scale"]
    height, width = image.shape[-2:]
    found = {f"jpeg_{q}": soft_jpeg(image, q) for q in qualities}
    mixed = torch.tensor(qualities[:2])
    found |= {f"interp_{mode}": published.resized(image, mode, scale=scale) for mode in ("area", "bilinear", "bicubic")}
    return found | {
        "jpeg_mixed": soft_jpeg(torch.cat([image, image]), mixed),
        "filter2D": published.filtered(image, first),
        "usm": published.sharpened(image),
        "gauss_noise": published.gaussian_noise(image, sigma, normal("noise:0", image.shape)),
        "gauss_noise_gray": published.gaussian_noise(image, sigma, normal("noise:0", (1, 1, height, width))),
    }


def run_degradation(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    assert meta["kind"] == "degrade"
    config, image = take(meta["config"], _CONFIG), given(meta["inputs"]["img"])
    every = meta["subsample"]
    kernels = _kernels(config)
    first = next(iter(kernels.values()))
    ours = {name: p[..., ::every, ::every] for name, p in _pictures(config, image, first).items()}
    flat = published.filtered(image, first)
    down = published.resized(image, "bilinear", size=(image.shape[-2] // 3, image.shape[-1] // 3))
    ours |= kernels | {
        "poisson_vals": torch.tensor([published.tones(image)]),
        "cv2_filter2D": flat[0].permute(1, 2, 0)[::every, ::every],
        "cv2_linear_down": down[0].permute(1, 2, 0)[::every, ::every],
    }
    assert ours.keys() == outputs.keys(), sorted(ours.keys() ^ outputs.keys())
    for name, expected in outputs.items():
        assert_close(ours[name], expected, meta["tolerance"], name)


RUNNERS = {"diffbir/degradation": run_degradation}
