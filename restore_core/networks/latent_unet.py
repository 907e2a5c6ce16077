"""Refusion's compression (Luo et al. 2023, CVPRW): a U-Net cut in two at its smallest features.

    latent, skips = encode(y)             image = decode(latent', skips)

The diffusion replaces the latent alone; the skips stay those of the degraded picture. Parameter names as published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from restore_core.networks.base import Architecture, StateDict, count
from restore_core.networks.conditional_unet import go_down, go_up, levels_down, levels_up, plain_conv
from restore_core.networks.layers import pad_to_multiple


class Skips(NamedTuple):
    """What the decoder needs beside a latent: the encoder's features, first to last, and the picture's true size."""

    features: tuple[Tensor, ...]
    size: tuple[int, int]


class LatentUNet(nn.Module):
    """Pictures (N, channels, H, W) in [0, 1] to latents (N, latent_channels, ceil(H/m) m/stride, ...) and back.

    widths   of each level, finest first, and one more for the features that become the latent

    With L levels the stride is 2^(L - 1), while sides are padded to multiples of m = 2^L, as published.
    """

    bytes_per_pixel = 900

    def __init__(self, channels: int, channels_out: int, widths: Sequence[int], latent_channels: int):
        super().__init__()
        depth = len(widths) - 1
        attend = [i == depth - 1 for i in range(depth)]
        self.multiple = 2**depth
        self.stride = 2 ** (depth - 1)
        self.init_conv = plain_conv(channels, widths[0])
        self.encoder = levels_down(widths, 0, attend)
        self.decoder = levels_up(widths, 0, attend)
        self.latent_conv = plain_conv(widths[-1], latent_channels, 1)
        self.post_latent_conv = plain_conv(latent_channels, widths[-1], 1)
        self.final_conv = nn.Conv2d(widths[0], channels_out, 3, padding=1)

    def encode(self, x: Tensor) -> tuple[Tensor, Skips]:
        """x (N, C, H, W), any size."""
        first = self.init_conv(pad_to_multiple(x, self.multiple))
        h, skips = go_down(self.encoder, first)
        return self.latent_conv(h), Skips((first, *skips), (x.shape[-2], x.shape[-1]))

    def decode(self, latent: Tensor, skips: Skips) -> Tensor:
        """The picture (N, C, H, W) of the size that was encoded."""
        first, *rest = skips.features
        x = go_up(self.decoder, self.post_latent_conv(latent), rest)
        height, width = skips.size
        return self.final_conv(x + first)[..., :height, :width]

    def forward(self, x: Tensor) -> Tensor:
        """decode(encode(x)): close to x where the weights fit."""
        return self.decode(*self.encode(x))


def build(state: StateDict, config: Mapping[str, Any]) -> LatentUNet:
    """The module of a published file, weights not filled in; everything stands in the shapes."""
    depth = count(state, "encoder.", ".0.block1.proj.weight")
    widths = [state[f"encoder.{i}.0.block1.proj.weight"].shape[0] for i in range(depth)]
    latent = state["latent_conv.weight"]
    return LatentUNet(
        state["init_conv.weight"].shape[1],
        state["final_conv.weight"].shape[0],
        [*widths, latent.shape[1]],
        latent.shape[0],
    )


ARCHITECTURE = Architecture(
    key="refusion-latent-unet",
    signature=("latent_conv.weight", "post_latent_conv.weight", "encoder.0.0.block1.proj.weight"),
    build=build,
)
