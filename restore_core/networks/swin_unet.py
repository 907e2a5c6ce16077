"""ResShift's network (Yue et al. 2023), under the published parameter names: a U-Net with Swin layers.

    raw = unet(x_t / sqrt(kappa^2 eta_t + 1), t, lq[, mask])        raw is x0 in all published files

x_t is the latent (N, C, H, W), lq the degraded picture in [-1, 1] at its own resolution, r H x r W with r = 1, 2, 4 or
8 (read off the file), mask one channel in [-1, 1] beside lq, +1 where the picture is unknown. Time t is the index
0 .. T-1 of the chain that the network was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import Architecture, StateDict, count
from restore_core.networks.layers import GroupNorm32, SinusoidalEmbedding, pad_to_multiple, per_image
from restore_core.networks.swin import APART, WindowAttention, join_windows, register_derived, split_windows

IMAGE_SIZE = 64  # side of the latent that all published networks were defined for


@dataclass(frozen=True)
class Swin:
    """Sizes of one Swin layer.

    width    channels inside the layer
    heads    of the attention
    window   side of a window
    hidden   channels inside the MLP
    depth    blocks; every other one shifted by half a window ...
    side     ... unless the features of the picture that the network was defined for fit one window
    """

    width: int
    heads: int
    window: int
    hidden: int
    depth: int
    side: int

    def shift(self, block: int) -> int:
        """By how many tokens the windows of this block are shifted, whatever the size of the picture at hand."""
        return self.window // 2 if block % 2 and self.side > self.window else 0


def shift_mask(
    height: int, width: int, window: int, shift: int, device: torch.device | None = None
) -> Tensor:
    """ResShift's own mask of shifted windows: float32 (windows, window^2, window^2), added to the logits.

    Not Swin's: the published code mixes up its axes. In the bottom row of windows, tokens left of the *column*
    window - shift are kept from those right of it; all other windows are free. The weights were trained this way.
    """
    right = torch.arange(window, device=device).repeat(window) >= window - shift
    mask = torch.zeros(height // window, width // window, window**2, window**2, device=device)
    mask[-1] = APART * (right[:, None] != right)
    return mask.flatten(0, 1)


class Projection(nn.Module):
    """A 1x1 convolution into a Swin layer or out of it."""

    def __init__(self, width: int, width_out: int):
        super().__init__()
        self.proj = nn.Conv2d(width, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Mlp(nn.Module):
    """W2 gelu(W1 x) at each pixel."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Conv2d(width, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """x = x + attention(norm1(x)), then x + mlp(norm2(x)); the norms are group norms over the whole picture."""

    def __init__(self, sizes: Swin, shift: int):
        super().__init__()
        self.window = sizes.window
        self.shift = shift
        self.norm1 = GroupNorm32(sizes.width)
        self.attn = WindowAttention(sizes.width, sizes.window, sizes.heads)
        self.norm2 = GroupNorm32(sizes.width)
        self.mlp = Mlp(sizes.width, sizes.hidden)
        if shift:
            register_derived(self, "attn_mask", shift_mask(sizes.side, sizes.side, sizes.window, shift))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if not self.shift:
            return join_windows(self.attn(split_windows(x, self.window)), self.window, height, width)
        mask = shift_mask(height, width, self.window, self.shift, x.device)
        rolled = x.roll((-self.shift, -self.shift), dims=(2, 3))
        out = join_windows(self.attn(split_windows(rolled, self.window), mask), self.window, height, width)
        return out.roll((self.shift, self.shift), dims=(2, 3))


class SwinLayer(nn.Module):
    """unembed(blocks(embed(x))), (N, C, H, W) -> the same shape; there is no residual about it.

    H and W are multiples of the window.
    """

    def __init__(self, width: int, sizes: Swin):
        super().__init__()
        self.patch_embed = Projection(width, sizes.width)
        self.patch_unembed = Projection(sizes.width, width)
        self.blocks = nn.Sequential(*(SwinBlock(sizes, sizes.shift(i)) for i in range(sizes.depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.patch_unembed(self.blocks(self.patch_embed(x)))


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


def features_of_lq(channels: Sequence[int]) -> nn.Sequential:
    """Per stage i a 3x3 convolution channels[2i] -> channels[2i+1], SiLU, a halving to channels[2i+2]."""
    layers: list[nn.Module] = []
    for a, b, c in zip(channels[::2], channels[1::2], channels[2::2], strict=False):
        layers += [nn.Conv2d(a, b, 3, padding=1), nn.SiLU(), Downsample(b, c)]
    return nn.Sequential(*layers)


def stages_down(
    width: int, widths: Sequence[int], depths: Sequence[int], swin: Sequence[Swin | None], embedding: int
) -> Iterator[Stage]:
    """Per level, finest first: its residual blocks, the first with the Swin layer, then a halving but for the last."""
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
    width: int, widths: Sequence[int], depths: Sequence[int], swin: Sequence[Swin | None], embedding: int
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
    lq_channels    see features_of_lq; empty where the picture comes at the latent's size
    """

    def __init__(
        self,
        channels: int,
        channels_out: int,
        width: int,
        widths: Sequence[int],
        depths: Sequence[int],
        swin: Sequence[Swin | None],
        middle: Swin,
        lq_channels: Sequence[int] = (),
    ):
        super().__init__()
        embedding, top = 4 * width, len(widths) - 1
        windows = [1 if sizes is None else sizes.window for sizes in swin]
        windows[top] = math.lcm(windows[top], middle.window)
        self.multiple = math.lcm(*(window << level for level, window in enumerate(windows)))
        self.time_embed = nn.Sequential(
            nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.feature_extractor = features_of_lq(lq_channels)
        self.lq_scale = 2 ** (len(lq_channels) // 2)

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
        """Raw output. x (N, C, H, W), scaled by the caller; t (N,), or one for all; lq, mask (N, C, r H, r W)."""
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


def read_swin(state: StateDict, prefix: str, side: int) -> Swin | None:
    """Sizes of the Swin layer at `prefix`, None where there is none.

    `side` is that of the features of the picture that the network was defined for, in case the file lists no buffers:
    the shapes of the parameters do not tell it, those of the masks do.
    """
    block = f"{prefix}blocks.0."
    if f"{block}attn.proj.weight" not in state:
        return None
    table, hidden = state[f"{block}attn.relative_position_bias_table"], state[f"{block}mlp.fc1.weight"]
    window = (math.isqrt(table.shape[0]) + 1) // 2
    mask = state.get(f"{prefix}blocks.1.attn_mask")
    if mask is not None:
        side = math.isqrt(mask.shape[0]) * window
    elif f"{block}attn.relative_position_index" in state:
        side = window
    depth = count(state, f"{prefix}blocks.", ".attn.proj.weight")
    return Swin(hidden.shape[1], table.shape[1], window, hidden.shape[0], depth, side)


def _levels(state: StateDict) -> list[list[str]]:
    """Per level, finest first, the prefixes of its residual blocks on the way down."""
    levels: list[list[str]] = [[]]
    i = 1
    while True:
        prefix = f"input_blocks.{i}."
        if f"{prefix}0.op.weight" in state:
            levels.append([])
        elif f"{prefix}0.in_layers.2.weight" in state:
            levels[-1].append(prefix)
        else:
            return levels
        i += 1


def _lq_channels(state: StateDict) -> list[int]:
    """Channels through the feature extractor; none where the file has no such part."""
    channels: list[int] = []
    while f"feature_extractor.{3 * (len(channels) // 2)}.weight" in state:
        i = 3 * (len(channels) // 2)
        enter, leave = state[f"feature_extractor.{i}.weight"], state[f"feature_extractor.{i + 2}.op.weight"]
        channels[2 * i // 3 :] = [enter.shape[1], enter.shape[0], leave.shape[0]]
    return channels


def build(state: StateDict, config: Mapping[str, Any]) -> SwinUNet:
    """The module of a published file, weights not filled in.

    config: image_size, the side of the latent that the network was defined for (64); asked only where a file does
    not list its buffers.
    """
    side = config.get("image_size", IMAGE_SIZE)
    levels = _levels(state)
    first = state["input_blocks.0.0.weight"]
    middle = read_swin(state, "middle_block.1.", side >> (len(levels) - 1))
    return SwinUNet(
        first.shape[1],
        state["out.2.weight"].shape[0],
        first.shape[0],
        widths=[state[f"{blocks[0]}0.in_layers.2.weight"].shape[0] for blocks in levels],
        depths=[len(blocks) for blocks in levels],
        swin=[read_swin(state, f"{blocks[0]}1.", side >> level) for level, blocks in enumerate(levels)],
        middle=middle,
        lq_channels=_lq_channels(state),
    )


ARCHITECTURE = Architecture(
    key="swin-unet",
    signature=("time_embed.0.weight", "middle_block.1.blocks.0.attn.relative_position_bias_table"),
    build=build,
)
