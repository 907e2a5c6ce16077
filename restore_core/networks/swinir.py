"""SwinIR (Liang et al. 2021) as DiffBIR's first stage: Swin blocks on a picture folded 8 x 8 pixels into channels.

    f = conv_first(unfold(x - mean))
    y = mean + up(conv_after_body(norm(layers(f))) + f)         up: three times nearest neighbour x2, convolution

x is RGB in [0, 1] (N, 3, H, W); the result has its size and is not clipped. Inside, features are (N, H, W, C).
Parameter names are the published ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import Architecture, StateDict, count
from restore_core.networks.layers import on_multiple
from restore_core.networks.swin import (
    SwinSizes,
    WindowAttention,
    cyclic_mask,
    join_windows,
    register_derived,
    split_windows,
)

MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K, RGB
SIDE = 64  # tokens along a side of the features for which files list their masks


class Mlp(nn.Module):
    """W2 gelu(W1 x)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """x + attention(norm1(x)), then x + mlp(norm2(x)); every other block's windows are shifted by half a window."""

    def __init__(self, sizes: SwinSizes, shift: int):
        super().__init__()
        self.window, self.shift = sizes.window, shift
        self.norm1 = nn.LayerNorm(sizes.width)
        self.attn = WindowAttention(sizes.width, sizes.window, sizes.heads)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.mlp = Mlp(sizes.width, sizes.hidden)
        if shift:
            register_derived(self, "attn_mask", cyclic_mask(sizes.side, sizes.side, sizes.window, shift))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (N, H, W, C), mask of the shifted windows of H x W."""
        x = x + self._attend(self.norm1(x), mask)
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        rolled = x.roll((-self.shift, -self.shift), dims=(1, 2)) if self.shift else x
        windows = split_windows(rolled.permute(0, 3, 1, 2), self.window)
        out = join_windows(self.attn(windows, mask if self.shift else None), self.window, height, width)
        return out.permute(0, 2, 3, 1).roll((self.shift, self.shift), dims=(1, 2))


class Group(nn.Module):
    """Blocks, one behind the other."""

    def __init__(self, sizes: SwinSizes):
        super().__init__()
        self.blocks = nn.ModuleList(Block(sizes, sizes.shift(i)) for i in range(sizes.depth))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        return x


class ResidualGroup(nn.Module):
    """x + conv(blocks(x))."""

    def __init__(self, sizes: SwinSizes):
        super().__init__()
        self.residual_group = Group(sizes)
        self.conv = nn.Conv2d(sizes.width, sizes.width, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        inner = self.residual_group(x, mask).permute(0, 3, 1, 2)
        return x + self.conv(inner).permute(0, 2, 3, 1)


class PatchEmbed(nn.Module):
    """The norm before the first block: a patch is a single token, so there is nothing to cut."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class SwinIR(nn.Module):
    """RGB in [0, 1] (N, 3, H, W) -> the same size.

    groups     sizes of each residual group
    fold       pixels along a side of what becomes one token
    features   channels of the last convolutions
    """

    def __init__(self, groups: list[SwinSizes], fold: int, features: int):
        super().__init__()
        width, window = groups[0].width, groups[0].window
        self.window, self.multiple = window, fold * window
        self.conv_first = nn.Sequential(nn.PixelUnshuffle(fold), nn.Conv2d(3 * fold**2, width, 3, padding=1))
        self.patch_embed = PatchEmbed(width)
        self.layers = nn.ModuleList(ResidualGroup(sizes) for sizes in groups)
        self.norm = nn.LayerNorm(width)
        self.conv_after_body = nn.Conv2d(width, width, 3, padding=1)
        self.conv_before_upsample = nn.Sequential(nn.Conv2d(width, features, 3, padding=1), nn.LeakyReLU())
        self.doublings = fold.bit_length() - 1
        for i in range(1, self.doublings + 1):
            self.add_module(f"conv_up{i}", nn.Conv2d(features, features, 3, padding=1))
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Sides that do not divide by `multiple` are reflected at the right and bottom, and cropped again."""
        return on_multiple(self._run, x, self.multiple)

    def _run(self, x: Tensor) -> Tensor:
        first = self.conv_first(x - self.mean)
        x = self.conv_before_upsample(self.conv_after_body(self._body(first)) + first)
        for i in range(1, self.doublings + 1):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = F.leaky_relu(self.get_submodule(f"conv_up{i}")(x), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2)) + self.mean

    def _body(self, x: Tensor) -> Tensor:
        mask = cyclic_mask(*x.shape[-2:], self.window, self.window // 2, x.device)
        x = self.patch_embed(x.permute(0, 2, 3, 1))
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x).permute(0, 3, 1, 2)


def _sizes(state: StateDict, group: int) -> SwinSizes:
    prefix = f"layers.{group}.residual_group.blocks."
    table = state[f"{prefix}0.attn.relative_position_bias_table"]
    hidden = state[f"{prefix}0.mlp.fc1.weight"]
    window = (math.isqrt(table.shape[0]) + 1) // 2
    mask = state.get(f"{prefix}1.attn_mask")
    return SwinSizes(
        width=hidden.shape[1],
        heads=table.shape[1],
        window=window,
        hidden=hidden.shape[0],
        depth=count(state, prefix, ".norm1.weight"),
        side=SIDE if mask is None else math.isqrt(mask.shape[0]) * window,
    )


def build(state: StateDict, config: Mapping[str, Any]) -> SwinIR:
    """The module of a published file, weights not filled in; everything stands in the shapes."""
    groups = [_sizes(state, i) for i in range(count(state, "layers.", ".conv.weight"))]
    fold = math.isqrt(state["conv_first.1.weight"].shape[1] // 3)
    return SwinIR(groups, fold, state["conv_hr.weight"].shape[0])


ARCHITECTURE = Architecture(
    key="swinir",
    signature=(
        "conv_first.1.weight",
        "layers.0.residual_group.blocks.0.attn.relative_position_bias_table",
        "conv_up1.weight",
    ),
    build=build,
)
