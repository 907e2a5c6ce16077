"""Window attention (Liu et al. 2021, Swin Transformer) under the published names, and ResShift's Swin layer.

    attention(x) = W softmax(q k^T / sqrt(d) + B + mask) v + bias      within each w x w window, d = width/heads

B is learnt per head and per offset between two tokens. Windows of every other block are shifted by w/2, the
picture being rolled; the mask is to keep apart what the rolling brought together, and each network has its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import StateDict, count
from restore_core.networks.layers import GroupNorm32

APART = -100.0  # added to the logits of tokens that must not see each other


def split_windows(x: Tensor, side: int) -> Tensor:
    """(N, C, H, W) -> (N windows, side^2, C), windows and tokens row by row; side divides H and W."""
    n, channels, height, width = x.shape
    x = x.permute(0, 2, 3, 1).reshape(n, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(-1, side * side, channels)


def join_windows(x: Tensor, side: int, height: int, width: int) -> Tensor:
    """The inverse of split_windows: (N windows, side^2, C) -> (N, C, H, W)."""
    x = x.reshape(-1, height // side, width // side, side, side, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, x.shape[-1]).permute(0, 3, 1, 2)


def relative_position_index(side: int) -> Tensor:
    """Row of the bias table for each pair of tokens: (dy + w-1)(2w-1) + dx + w-1, int64 (side^2, side^2)."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    y, x = rows.reshape(-1), columns.reshape(-1)
    dy, dx = y[:, None] - y, x[:, None] - x
    return (dy + side - 1) * (2 * side - 1) + dx + side - 1


def register_derived(module: nn.Module, name: str, value: Tensor) -> None:
    """A buffer that published files list although it follows from the sizes: their values are ignored.

    Files hold such values with a rounding of their own (a mask that went through an average of weights).
    """
    module.register_buffer(name, value)

    def keep(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        state[prefix + name] = getattr(module, name)

    module.register_load_state_dict_pre_hook(keep)


class WindowAttention(nn.Module):
    """Multi-head attention among the side^2 tokens of each window, with a learnt bias per offset."""

    def __init__(self, width: int, side: int, heads: int):
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * side - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        register_derived(self, "relative_position_index", relative_position_index(side))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (N windows, tokens, width); mask (windows, tokens, tokens), added to the logits of every head."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]
        if mask is not None:  # windows become heads, so that one mask serves the batch without being repeated
            bias = (bias + mask[:, None].to(bias)).flatten(0, 1)[None]
            q, k, v = (p.reshape(-1, bias.shape[1], *p.shape[2:]) for p in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        out = out.reshape(batch, self.heads, tokens, -1).transpose(1, 2)
        return self.proj(out.reshape(batch, tokens, width))


@dataclass(frozen=True)
class SwinSizes:
    """Sizes of one Swin layer.

    width    channels inside the layer
    heads    of the attention
    window   side of a window
    hidden   channels inside the MLP
    depth    blocks
    side     of the features, in the picture size that the network was defined for
    """

    width: int
    heads: int
    window: int
    hidden: int
    depth: int
    side: int

    def shift(self, block: int) -> int:
        """Tokens by which a block is shifted: half a window every other time, 0 if one window held all of `side`.

        That does not depend on the picture at hand.
        """
        return self.window // 2 if block % 2 and self.side > self.window else 0


def shift_mask(
    height: int, width: int, window: int, shift: int, device: torch.device | None = None
) -> Tensor:
    """ResShift's own mask of shifted windows: float32 (windows, window^2, window^2), added to the logits.

    Not Swin's: the published code mixes up its axes, and the weights were trained this way. In the bottom row of
    windows, tokens left of the *column* window - shift are kept from those right of it; all others are free.
    """
    right = torch.arange(window, device=device).repeat(window) >= window - shift
    mask = torch.zeros(height // window, width // window, window**2, window**2, device=device)
    mask[-1] = APART * (right[:, None] != right)
    return mask.flatten(0, 1)


def cyclic_mask(
    height: int, width: int, window: int, shift: int, device: torch.device | None = None
) -> Tensor:
    """Swin's mask of windows shifted by rolling: float32 (windows, window^2, window^2), added to the logits.

    The rolled picture falls into regions that were neighbours before: along each axis the last window holds window -
    shift tokens of one region and `shift` of another. Tokens of different regions are kept apart.
    """
    down, right = (_regions(side, window, shift, device) for side in (height, width))
    regions = (down[:, None] * 3 + right)[None, None]
    mine = split_windows(regions, window)[..., 0]
    return APART * (mine[:, :, None] != mine[:, None, :]).float()


def _regions(side: int, window: int, shift: int, device: torch.device | None) -> Tensor:
    """0, 1, 2 along a side: the whole windows, then the two parts of the last."""
    token = torch.arange(side, device=device)
    return (token >= side - window).long() + (token >= side - shift).long()


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
    """x = x + attention(norm1(x)), then x + mlp(norm2(x)); norms are of groups, over the whole picture."""

    def __init__(self, sizes: SwinSizes, shift: int):
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

    def __init__(self, width: int, sizes: SwinSizes):
        super().__init__()
        self.patch_embed = Projection(width, sizes.width)
        self.patch_unembed = Projection(sizes.width, width)
        self.blocks = nn.Sequential(*(SwinBlock(sizes, sizes.shift(i)) for i in range(sizes.depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.patch_unembed(self.blocks(self.patch_embed(x)))


def read_sizes(state: StateDict, prefix: str, side: int) -> SwinSizes | None:
    """Sizes of the Swin layer at `prefix`, None where there is none.

    `side` (see SwinSizes) is used where the file lists no buffers: the shapes of the parameters do not tell it,
    those of the masks do.
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
    return SwinSizes(hidden.shape[1], table.shape[1], window, hidden.shape[0], depth, side)
