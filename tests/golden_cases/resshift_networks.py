"""ResShift's networks: names, shapes and outputs of the published implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from golden_cases.compare import assert_close, assert_same_keys, fill, given
from restore_core.networks import swin, swin_unet, vq_autoencoder
from restore_core.networks.base import StateDict

Meta = Mapping[str, Any]
Outputs = Mapping[str, np.ndarray]


def _shapes(meta: Meta, *kinds: str) -> dict[str, Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape, kind in meta["tensors"] if kind in kinds}


def _built(meta: Meta, outputs: Outputs, build: Callable[[StateDict], nn.Module]) -> nn.Module:
    """Built from the key list, compared with it; weights filled in where there is something to run."""
    with torch.device("cpu" if outputs else "meta"):
        network = build(_shapes(meta, "param", "buffer"))
    assert_same_keys(network, meta)
    if "parameters" in meta:
        assert sum(p.numel() for p in network.parameters()) == meta["parameters"]
    return fill(network, meta) if outputs else network


@torch.no_grad()
def unet(meta: Meta, outputs: Outputs) -> None:
    """Built from all shapes; a file stripped of its buffers gives the same keys by the nominal size."""
    nominal = {"image_size": meta["config"]["args"]["image_size"]}
    with torch.device("meta"):
        assert_same_keys(swin_unet.build(_shapes(meta, "param"), nominal), meta)
    network = _built(meta, outputs, lambda state: swin_unet.build(state, {}))
    if outputs:
        inputs = {name: given(spec) for name, spec in meta["inputs"].items()}
        actual = network(inputs["x"], inputs["timesteps"], inputs.get("lq"), inputs.get("mask"))
        assert_close(actual, outputs["out"], meta.get("tolerance"), "out")


@torch.no_grad()
def layer(meta: Meta, outputs: Outputs) -> None:
    """One Swin layer outside the U-Net, and the mask of its shifted windows."""
    x = given(meta["inputs"]["x"])

    def build(state: StateDict) -> nn.Module:
        sizes = swin.read_sizes(state, "", side=0)
        return swin.SwinLayer(state["patch_unembed.proj.weight"].shape[0], sizes)

    network = _built(meta, outputs, build)
    window, shift = network.blocks[1].window, network.blocks[1].shift
    mask = swin.shift_mask(*x.shape[-2:], window, shift)
    assert_close(mask, outputs["mask_shifted"], 0.0, "mask_shifted")
    assert_close(network(x), outputs["out"], meta.get("tolerance"), "out")


@torch.no_grad()
def autoencoder(meta: Meta, outputs: Outputs) -> None:
    """Encoding of the image; snapping and decoding of another latent."""
    network = _built(meta, outputs, lambda state: vq_autoencoder.build(state, {}))
    if not outputs:
        return
    tolerance = meta.get("tolerance")
    latent = given(meta["inputs"]["latent"])
    assert_close(network.encode(given(meta["inputs"]["image"])), outputs["encoded"], tolerance, "encoded")
    assert_close(network.quantize.indices(latent), outputs["indices"], 0.0, "indices")
    assert_close(network.quantize(latent), outputs["quantized"], tolerance, "quantized")
    assert_close(network.decode(latent), outputs["decoded"], tolerance, "decoded")
    smooth = network.decode(latent, quantize=False)
    assert_close(smooth, outputs["decoded_not_quantized"], tolerance, "decoded_not_quantized")


RUNNERS = {"resshift/unet": unet, "resshift/swin-layer": layer, "resshift/autoencoder": autoencoder}
