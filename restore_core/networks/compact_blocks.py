"""The kinds of block that a compact U-Net can be made of, all (N, width, H, W) -> the same, told an embedding or not.

    plain         two 3 x 3 convolutions (He et al. 2016) without normalisation
    simple        NAFNet's (Chen et al. 2022) without its pooled attention
    transformer   Restormer's (Zamir et al. 2022): MDTA, attention between channels, and GDFN, a gated feed-forward part

The embedding tells a network its noise level and the like; each block bends its features by it (FiLM, Perez et al.
2018): h (1 + scale) + shift. Plain and simple blocks see a neighbourhood only, so that a picture in tiles gives the
numbers of the whole; the transformer weighs channels by how they agree over all that it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import StateDict
from restore_core.networks.layers import ChannelNorm, in_float32

HEAD_WIDTH = 32  # channels of an attention head
EXPANSION = 2  # of GDFN; Restormer has 2.66


class Modulation(nn.Module):
    """h (1 + scale) + shift, both from the embedding (N, E); h itself where a network is told nothing."""

    def __init__(self, width: int, embedding: int):
        super().__init__()
        self.modulate = nn.Linear(embedding, 2 * width) if embedding else None

    def bend(self, h: Tensor, embedding: Tensor | None) -> Tensor:
        """`h` (N, width, H, W) as the embedding has it."""
        if self.modulate is None:
            return h
        scale, shift = (part[..., None, None].to(h) for part in self._told(embedding))
        return h * (1 + scale) + shift

    def bend_after(self, conv: nn.Conv2d, x: Tensor, embedding: Tensor | None) -> Tensor:
        """bend(conv(x)). Where all pictures are told the same, the kernel itself is bent: no pass over the pixels."""
        if self.modulate is None or len(embedding) > 1:
            return self.bend(conv(x), embedding)
        scale, shift = (part[0] for part in self._told(embedding))
        kernel, bias = conv.weight * (1 + scale)[:, None, None, None], conv.bias * (1 + scale) + shift
        return F.conv2d(x, kernel, bias, conv.stride, conv.padding, conv.dilation, conv.groups)

    def _told(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """(scale, shift), each (N, width)."""
        with in_float32(embedding.device):
            return self.modulate(embedding.float()).chunk(2, dim=1)


class PlainBlock(Modulation):
    """x + conv(silu(bend(conv(x))))."""

    def __init__(self, width: int, embedding: int = 0):
        super().__init__(width, embedding)
        self.enter = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.enter.weight, nonlinearity="linear")
        nn.init.kaiming_normal_(self.leave.weight, nonlinearity="linear")
        with torch.no_grad():
            self.leave.weight.mul_(0.5)  # without normalisation, many blocks must begin close to the identity

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        return x + self.leave(F.silu(self.bend_after(self.enter, x, embedding)))


class SimpleBlock(Modulation):
    """x + beta conv(gate(conv3(conv(bend(norm(x)))))), then + gamma conv(gate(conv(norm(.)))).

    gate: the product of the two halves of the channels; conv3: 3 x 3 in each channel; the others 1 x 1.
    """

    def __init__(self, width: int, embedding: int = 0):
        super().__init__(width, embedding)
        self.mix_norm, self.feed_norm = ChannelNorm(width), ChannelNorm(width)
        self.expand = nn.Conv2d(width, 2 * width, 1)
        self.spatial = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.mixed = nn.Conv2d(width, width, 1)
        self.feed = nn.Conv2d(width, 2 * width, 1)
        self.leave = nn.Conv2d(width, width, 1)
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        h = self.bend(self.mix_norm(x), embedding)
        x = x + self.mixed(_gate(self.spatial(self.expand(h)))) * self.beta
        return x + self.leave(_gate(self.feed(self.feed_norm(x)))) * self.gamma


class TransformerBlock(Modulation):
    """x + MDTA(bend(norm(x))), then + GDFN(norm(.)).

    MDTA: q, k, v = conv3(conv(h)); attention between the channels of a head, softmax(tau q k^T) v with q and k of unit
    length over the pixels, so its cost grows with the pixels and not with their square. Eqs. 1 to 3 of the paper.
    GDFN: conv(gelu(h1) h2), h1 and h2 the halves of conv3(conv(h)).
    """

    def __init__(self, width: int, embedding: int = 0):
        super().__init__(width, embedding)
        hidden = EXPANSION * width
        self.attend_norm, self.feed_norm = ChannelNorm(width), ChannelNorm(width)
        self.temperature = nn.Parameter(torch.ones(max(1, width // HEAD_WIDTH), 1, 1))
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.qkv_spatial = nn.Conv2d(3 * width, 3 * width, 3, padding=1, groups=3 * width)
        self.attended = nn.Conv2d(width, width, 1)
        self.feed = nn.Conv2d(width, 2 * hidden, 1)
        self.feed_spatial = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.leave = nn.Conv2d(hidden, width, 1)
        for last in (self.attended, self.leave):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        x = x + self.attended(self._attention(self.bend(self.attend_norm(x), embedding)))
        h, by = self.feed_spatial(self.feed(self.feed_norm(x))).chunk(2, dim=1)
        return x + self.leave(F.gelu(h) * by)

    def _attention(self, h: Tensor) -> Tensor:
        heads = len(self.temperature)
        parts = self.qkv_spatial(self.qkv(h)).chunk(3, dim=1)
        q, k, v = (part.unflatten(1, (heads, -1)).flatten(3) for part in parts)
        q, k = (F.normalize(part.float(), dim=-1) for part in (q, k))
        weight = (q @ k.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        return (weight.to(v) @ v).reshape_as(h)


def _gate(x: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=1)
    return a * b


BLOCKS: Mapping[str, Callable[[int, int], nn.Module]] = {
    "plain": PlainBlock,
    "simple": SimpleBlock,
    "transformer": TransformerBlock,
}


def kind_of(state: StateDict, prefix: str) -> str:
    """Which of BLOCKS the parameters below `prefix` belong to."""
    if f"{prefix}enter.weight" in state:
        return "plain"
    return "transformer" if f"{prefix}temperature" in state else "simple"


__all__ = ["BLOCKS", "kind_of"]
