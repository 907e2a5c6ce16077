"""Window attention (Liu et al. 2021, Swin Transformer), under the parameter names of every network that has it.

    attention(x) = W softmax(q k^T / sqrt(d) + B + mask) v + bias        within each w x w window, d = width/heads

B is learnt per head and per offset between two tokens. Windows of every other block are shifted by w/2, the picture
being rolled; the mask then keeps apart what the rolling brought together, each network in its own way.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

APART = -100.0  # added to the logits of tokens that must not see each other


def split_windows(x: Tensor, side: int) -> Tensor:
    """(N, C, H, W) -> (N windows, side^2, C), windows and the tokens in them row by row; side divides H and W."""
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
    """A buffer that published files list although it follows from the sizes: what a file says of it is ignored.

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
