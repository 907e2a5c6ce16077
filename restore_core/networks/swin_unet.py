"""ResShift's network (Yue et al. 2023), under the published parameter names: a U-Net with Swin layers.

    raw = unet(x_t / sqrt(kappa^2 eta_t + 1), t, lq[, mask])        raw is x0 in all published files

x_t is the latent (N, C, H, W); lq the degraded picture in [-1, 1] at its own resolution, r H x r W with r = 1, 2,
4 or 8 (read off the file); mask one channel beside lq, +1 where the picture is unknown, else -1. Time t is the
index 0 .. T-1 of the chain that the network was trained on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import Architecture, StateDict
from restore_core.networks.layers import GroupNorm32, SinusoidalEmbedding, pad_to_multiple, per_image
from restore_core.networks.swin import SwinLayer, SwinSizes, read_sizes

IMAGE_SIZE = 64  # side of the latent that all published networks were defined for


class ResBlock(nn.Module):
    """skip(x) + conv(silu(norm(h) (1 + scale) + shift)), h = conv(silu(norm(x))); scale, shift from the time."""

    def __init__(self, width: int, width_out: int, embedding: int):
        super().__init__()
        self.in_layers = nn.Sequential(
            GroupNorm32(width), nn.SiLU(), nn.Conv2d(width, width_out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * width_out))
        self.out_layers = nn.Sequential(
            GroupNorm32(width_out),
            nn.SiLU(),
            nn.Identity(),  # drop-out, which no published file was trained with
            nn.Conv2d(width_out, width_out, 3, padding=1),
        )
        self.skip_connection = nn.Conv2d(width, width_out, 1) if width != width_out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.emb_layers(embedding)[:, :, None, None].chunk(2, dim=1)
        norm, *rest = self.out_layers
        h = norm(self.in_layers(x)) * (1 + scale) + shift
        for layer in rest:
            h = layer(h)
        return self.skip_connection(x) + h


class Downsample(nn.Module):
    """Half the size by a strided 3x3 convolution."""

    def __init__(self, width: int, width_out: int):
        super().__init__()
        self.op = nn.Conv2d(width, width_out, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    """Twice the size: nearest neighbour, then a 3x3 convolution."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Stage(nn.Sequential):
    """Layers in turn, of which residual blocks are told the time."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, ResBlock) else layer(x)
        return x


def features_of_lq(stages: Sequence[tuple[int, int, int]]) -> nn.Sequential:
    """For each (a, b, c) a 3x3 convolution a -> b, SiLU, a halving b -> c."""
    layers: list[nn.Module] = []
    for a, b, c in stages:
        layers += [nn.Conv2d(a, b, 3, padding=1), nn.SiLU(), Downsample(b, c)]
    return nn.Sequential(*layers)


def stages_down(
    width: int, widths: Sequence[int], depths: Sequence[int], swin: Sequence[SwinSizes | None], embedding: int
) -> Iterator[Stage]:
    """Per level, finest first: its residual blocks, the first with the Swin layer, then a halving.

    The deepest level keeps the size.
    """
    for level, (width_out, depth) in enumerate(zip(widths, depths, strict=True)):
        for i in range(depth):
            stage = Stage(ResBlock(width, width_out, embedding))
            width = width_out
            if i == 0 and swin[level]:
                stage.append(SwinLayer(width, swin[level]))
            yield stage
        if level < len(widths) - 1:
            yield Stage(Downsample(width, width))


def stages_up(
    width: int, widths: Sequence[int], depths: Sequence[int], swin: Sequence[SwinSizes | None], embedding: int
) -> Iterator[Stage]:
    """Per level, deepest first: depth + 1 residual blocks on [x, skip], the first with the Swin layer.

    The last of a level doubles the size, but for the finest level.
    """
    skips = skip_widths(width, widths, depths)
    width = widths[-1]
    for level in reversed(range(len(widths))):
        for i in range(depths[level] + 1):
            stage = Stage(ResBlock(width + skips.pop(), widths[level], embedding))
            width = widths[level]
            if i == 0 and swin[level]:
                stage.append(SwinLayer(width, swin[level]))
            if i == depths[level] and level > 0:
                stage.append(Upsample(width))
            yield stage


def skip_widths(width: int, widths: Sequence[int], depths: Sequence[int]) -> list[int]:
    """Channels after the first convolution, each residual block on the way down, and each halving."""
    skips = [width]
    for level, (width_out, depth) in enumerate(zip(widths, depths, strict=True)):
        skips += [width_out] * (depth + (level < len(widths) - 1))
    return skips


class SwinUNet(nn.Module):
    """(N, C, H, W), a time, and the degraded picture -> raw output (N, channels_out, H, W), any size.

    channels       of x and of the picture's features together: what the first convolution sees
    width          after the first convolution; the time's embedding has 4 times as many numbers
    widths         channels of each level, finest first
    depths         residual blocks of each level on the way down; one more on the way up
    swin           the Swin layer after the first block of each level, both ways; None where there is none
    middle         the one between the two residual blocks of the middle
    lq_stages      see features_of_lq; none where the picture comes at the latent's size
    """

    bytes_per_pixel = 17_700

    def __init__(
        self,
        channels: int,
        channels_out: int,
        width: int,
        widths: Sequence[int],
        depths: Sequence[int],
        swin: Sequence[SwinSizes | None],
        middle: SwinSizes,
        lq_stages: Sequence[tuple[int, int, int]] = (),
    ):
        super().__init__()
        embedding, top = 4 * width, len(widths) - 1
        windows = [1 if sizes is None else sizes.window for sizes in swin]
        windows[top] = math.lcm(windows[top], middle.window)
        self.multiple = math.lcm(*(window << level for level, window in enumerate(windows)))
        self.time_embed = nn.Sequential(
            nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.feature_extractor = features_of_lq(lq_stages)
        self.lq_scale = 2 ** len(lq_stages)

        first = Stage(nn.Conv2d(channels, width, 3, padding=1))
        self.input_blocks = nn.ModuleList([first, *stages_down(width, widths, depths, swin, embedding)])
        deepest = widths[top]
        self.middle_block = Stage(
            ResBlock(deepest, deepest, embedding),
            SwinLayer(deepest, middle),
            ResBlock(deepest, deepest, embedding),
        )
        self.output_blocks = nn.ModuleList(stages_up(width, widths, depths, swin, embedding))
        self.out = nn.Sequential(
            GroupNorm32(widths[0]), nn.SiLU(), nn.Conv2d(widths[0], channels_out, 3, padding=1)
        )
        self.sinusoids = SinusoidalEmbedding(width, width // 2)

    def forward(
        self, x: Tensor, t: Tensor | float, lq: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Raw output. x (N, C, H, W), scaled by the caller; t (N,) or one for all; lq, mask (N, C, r H, r W)."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.multiple)
        if lq is not None:
            lq = lq if mask is None else torch.cat([lq, mask], dim=1)
            lq = self.feature_extractor(pad_to_multiple(lq, self.multiple * self.lq_scale))
            x = torch.cat([x, lq], dim=1)
        return self._run(x, self._embed(per_image(t, x)))[..., :height, :width]

    def _embed(self, t: Tensor) -> Tensor:
        sines, cosines = self.sinusoids(t).chunk(2, dim=1)
        return self.time_embed(torch.cat([cosines, sines], dim=1))

    def _run(self, x: Tensor, embedding: Tensor) -> Tensor:
        skips = []
        for stage in self.input_blocks:
            x = stage(x, embedding)
            skips.append(x)
        x = self.middle_block(x, embedding)
        for stage in self.output_blocks:
            x = stage(torch.cat([x, skips.pop()], dim=1), embedding)
        return self.out(x)


def _levels(state: StateDict) -> list[list[str]]:
    """Per level, finest first, the prefixes of its residual blocks on the way down."""
    levels: list[list[str]] = [[]]
    for i in itertools.count(1):
        prefix = f"input_blocks.{i}."
        if f"{prefix}0.op.weight" in state:
            levels.append([])
        elif f"{prefix}0.in_layers.2.weight" in state:
            levels[-1].append(prefix)
        else:
            break
    return levels


def _lq_stages(state: StateDict) -> list[tuple[int, int, int]]:
    """Channels into, inside and out of each stage of the feature extractor, if the file has one."""
    stages: list[tuple[int, int, int]] = []
    for i in itertools.count(0, 3):
        if f"feature_extractor.{i}.weight" not in state:
            break
        enter, leave = state[f"feature_extractor.{i}.weight"], state[f"feature_extractor.{i + 2}.op.weight"]
        stages.append((enter.shape[1], enter.shape[0], leave.shape[0]))
    return stages


def build(state: StateDict, config: Mapping[str, Any]) -> SwinUNet:
    """The module of a published file, weights not filled in.

    config: image_size, the side of the latent that the network was defined for (64), used where a file does not
    list its buffers.
    """
    side = config.get("image_size", IMAGE_SIZE)
    levels = _levels(state)
    first = state["input_blocks.0.0.weight"]
    middle = read_sizes(state, "middle_block.1.", side >> (len(levels) - 1))
    return SwinUNet(
        first.shape[1],
        state["out.2.weight"].shape[0],
        first.shape[0],
        widths=[state[f"{blocks[0]}0.in_layers.2.weight"].shape[0] for blocks in levels],
        depths=[len(blocks) for blocks in levels],
        swin=[read_sizes(state, f"{blocks[0]}1.", side >> level) for level, blocks in enumerate(levels)],
        middle=middle,
        lq_stages=_lq_stages(state),
    )


ARCHITECTURE = Architecture(
    key="swin-unet",
    signature=("time_embed.0.weight", "middle_block.1.blocks.0.attn.relative_position_bias_table"),
    build=build,
)
