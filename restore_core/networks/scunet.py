"""SCUNet (Zhang et al. 2022): a U-Net whose blocks send half of the channels through convolutions and half through
window attention.

    [u, v] = conv1_1(x)           y = x + conv1_2([u + conv(u), swin(v)])

x is RGB in [0, 1] (N, 3, H, W); the result has its size and is not clipped. Parameter names are the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import Architecture, StateDict
from restore_core.networks.swin import cyclic_mask, join_windows, relative_position_index, split_windows

MULTIPLE = 64  # of the sides: three halvings and a window of eight


class Attention(nn.Module):
    """Attention within each window, with a learnt bias per head and offset; optionally of windows shifted by half."""

    def __init__(self, width: int, heads: int, window: int, *, shifted: bool):
        super().__init__()
        self.heads, self.window, self.shift = heads, window, window // 2 if shifted else 0
        self.embedding_layer = nn.Linear(width, 3 * width)
        self.relative_position_params = nn.Parameter(torch.empty(heads, 2 * window - 1, 2 * window - 1))
        nn.init.trunc_normal_(self.relative_position_params, std=0.02)
        self.linear = nn.Linear(width, width)
        self.register_buffer("offsets", relative_position_index(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, H, W, C) -> the same shape."""
        n, height, width = x.shape[:3]
        rolled = x.roll((-self.shift, -self.shift), dims=(1, 2)) if self.shift else x
        windows = split_windows(rolled.permute(0, 3, 1, 2), self.window)
        q, k, v = self.embedding_layer(windows).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self._bias(n, height, width, q))
        out = self.linear(out.transpose(1, 2).flatten(2))
        joined = join_windows(out, self.window, height, width).permute(0, 2, 3, 1)
        return joined.roll((self.shift, self.shift), dims=(1, 2)) if self.shift else joined

    def _bias(self, n: int, height: int, width: int, q: Tensor) -> Tensor:
        """(1 or n windows, heads, tokens, tokens), added to the logits."""
        bias = self.relative_position_params.flatten(1)[:, self.offsets][None]
        if self.shift:
            mask = cyclic_mask(height, width, self.window, self.shift, q.device)
            bias = bias + mask.repeat(n, 1, 1)[:, None]
        return bias.to(q.dtype)


class SwinHalf(nn.Module):
    """x + msa(ln1(x)), then x + mlp(ln2(x)); x (N, H, W, C)."""

    def __init__(self, width: int, heads: int, window: int, hidden: int, *, shifted: bool):
        super().__init__()
        self.ln1 = nn.LayerNorm(width)
        self.msa = Attention(width, heads, window, shifted=shifted)
        self.ln2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.msa(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class Block(nn.Module):
    """x + conv1_2([u + conv_block(u), trans_block(v)]), [u, v] = conv1_1(x); x (N, C, H, W)."""

    def __init__(self, width: int, heads: int, window: int, hidden: int, *, shifted: bool):
        super().__init__()
        half = width // 2
        self.trans_block = SwinHalf(half, heads, window, hidden, shifted=shifted)
        self.conv1_1 = nn.Conv2d(width, width, 1)
        self.conv1_2 = nn.Conv2d(width, width, 1)
        self.conv_block = nn.Sequential(
            nn.Conv2d(half, half, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        u, v = self.conv1_1(x).chunk(2, dim=1)
        v = self.trans_block(v.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + self.conv1_2(torch.cat([u + self.conv_block(u), v], dim=1))


class SCUNet(nn.Module):
    """RGB in [0, 1] (N, channels, H, W) -> the same size.

    blocks   three levels on the way down, the middle, three on the way up; each a list of sizes (see Block)
    """

    def __init__(self, channels: int, width: int, blocks: Sequence[Sequence[tuple[int, int, int, int]]]):
        super().__init__()
        stages = [[Block(*sizes, shifted=i % 2 == 1) for i, sizes in enumerate(stage)] for stage in blocks]
        self.m_head = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False))
        for i in (1, 2, 3):
            w = width << (i - 1)
            down = nn.Conv2d(w, 2 * w, 2, stride=2, bias=False)
            up = nn.ConvTranspose2d(2 * w, w, 2, stride=2, bias=False)
            self.add_module(f"m_down{i}", nn.Sequential(*stages[i - 1], down))
            self.add_module(f"m_up{i}", nn.Sequential(up, *stages[7 - i]))
        self.m_body = nn.Sequential(*stages[3])
        self.m_tail = nn.Sequential(nn.Conv2d(width, channels, 3, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Sides that do not divide by 64 are continued by their last pixels, and cropped again."""
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        return self._run(x)[..., :height, :width]

    def _run(self, x: Tensor) -> Tensor:
        x1 = self.m_head(x)
        x2 = self.m_down1(x1)
        x3 = self.m_down2(x2)
        x4 = self.m_down3(x3)
        x = self.m_body(x4)
        x = self.m_up3(x + x4)
        x = self.m_up2(x + x3)
        x = self.m_up1(x + x2)
        return self.m_tail(x + x1)


def _stage(state: StateDict, name: str, first: int) -> list[tuple[int, int, int, int]]:
    """(width, heads, window, hidden) of each block of a stage, whose blocks are numbered from `first`."""
    blocks = []
    while f"{name}.{first}.conv1_1.weight" in state:
        prefix = f"{name}.{first}."
        table = state[f"{prefix}trans_block.msa.relative_position_params"]
        width, hidden = (
            state[f"{prefix}conv1_1.weight"].shape[0],
            state[f"{prefix}trans_block.mlp.0.weight"].shape[0],
        )
        blocks.append((width, table.shape[0], (table.shape[1] + 1) // 2, hidden))
        first += 1
    return blocks


def build(state: StateDict, config: Mapping[str, Any]) -> SCUNet:
    """The module of a published file, weights not filled in; everything stands in the shapes."""
    width, channels = state["m_head.0.weight"].shape[:2]
    down = [_stage(state, f"m_down{i}", 0) for i in (1, 2, 3)]
    up = [_stage(state, f"m_up{i}", 1) for i in (3, 2, 1)]
    return SCUNet(channels, width, [*down, _stage(state, "m_body", 0), *up])


ARCHITECTURE = Architecture(
    key="scunet",
    signature=("m_head.0.weight", "m_down1.0.trans_block.msa.relative_position_params", "m_tail.0.weight"),
    build=build,
)
