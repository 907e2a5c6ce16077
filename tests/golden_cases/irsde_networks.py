"""IR-SDE's and Refusion's networks: names, shapes and outputs of the published implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from golden_cases.compare import assert_close, assert_same_keys, fill, given
from restore_core.networks import conditional_unet, latent_unet, nafnet
from restore_core.networks.base import StateDict

Build = Callable[[StateDict, Mapping[str, Any]], nn.Module]


def _filled(meta: Mapping[str, Any], build: Build, config: Mapping[str, Any]) -> nn.Module:
    """Built from the key list, compared with it, weights filled in."""
    network = build({key: torch.empty(shape, device="meta") for key, shape, _ in meta["tensors"]}, config)
    assert_same_keys(network, meta)
    assert sum(p.numel() for p in network.parameters()) == meta["parameters"]
    return fill(network, meta)


def _compare(network: nn.Module, meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Every time of the fixture: one number for all images, or one per image."""
    if not outputs:
        return
    inputs = {name: given(spec) for name, spec in meta["inputs"].items()}
    for name, time in meta["times"].items():
        rest = {"y": inputs["cond"]} if "cond" in inputs else {}
        if "lens_batch" in meta:
            rest["lens"] = torch.tensor(meta["lens_batch"] if isinstance(time, list) else meta["lens_scalar"])
            rest["lens"] = rest["lens"].reshape(3, -1).T
        actual = network(inputs["x"], torch.tensor(time), **rest)
        assert_close(actual, outputs[name], meta.get("tolerance"), name)


@torch.no_grad()
def unet(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """ConditionalUNet, and Denoising-SDE's without condition, which the shapes tell."""
    _compare(_filled(meta, conditional_unet.build, {}), meta, outputs)


@torch.no_grad()
def naf(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """ConditionalNAFNet; the first features' skip is the latent dehazing task's alone."""
    _compare(_filled(meta, nafnet.build, {"intro_skip": "Dehazing" in meta["config"]["arch"]}), meta, outputs)


@torch.no_grad()
def latent(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Encoding, decoding of the same latent, and of another one with the first picture's skips."""
    network = _filled(meta, latent_unet.build, {})
    if not outputs:
        return
    tolerance = meta.get("tolerance")
    x, other = given(meta["inputs"]["x"]), given(meta["inputs"]["other_latent"])
    code, skips = network.encode(x)
    assert_close(code, outputs["latent"], tolerance, "latent")
    assert [list(h.shape) for h in skips.features] == outputs["hidden_shapes"].astype(int).tolist()
    moments = torch.stack([torch.stack([h.mean(), h.std()]) for h in skips.features])
    assert_close(moments, outputs["hidden_mean_std"], tolerance, "mean and deviation of the skips")
    assert_close(network.decode(code, skips), outputs["reconstruction"], tolerance, "reconstruction")
    assert_close(
        network.decode(other, skips), outputs["decoded_other_latent"], tolerance, "decoded_other_latent"
    )


RUNNERS = {"irsde/unet": unet, "irsde/nafnet": naf, "irsde/latent-unet": latent}
