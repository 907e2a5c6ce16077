"""IR-SDE's ConditionalUNet and Denoising-SDE's UNet (Luo et al. 2023), under the published parameter names.

    eps = unet(x_t, t, y)      sees [x_t - y, y]            conditional
    eps = unet(x_t, t)         sees x_t                     Denoising-SDE: no condition, softmax attention in the middle

Time t is the raw index 1 .. T of the schedule that the network was trained with. Its residual blocks and linear
attention also make up Refusion's compression (latent_unet).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import Architecture, StateDict, count
from restore_core.networks.layers import ChannelNorm, SinusoidalEmbedding, in_float32, on_multiple, per_image

HEADS = 4
HEAD_WIDTH = 32


def plain_conv(width: int, width_out: int, kernel: int = 3) -> nn.Conv2d:
    """A convolution that keeps the size, without bias."""
    return nn.Conv2d(width, width_out, kernel, padding=kernel // 2, bias=False)


class Block(nn.Module):
    """silu((scale + 1) conv3x3(x) + shift)."""

    def __init__(self, width: int, width_out: int):
        super().__init__()
        self.proj = plain_conv(width, width_out)

    def forward(self, x: Tensor, scale_shift: tuple[Tensor, ...] | None = None) -> Tensor:
        x = self.proj(x)
        if scale_shift is not None:
            scale, shift = scale_shift
            x = x * (scale + 1) + shift
        return F.silu(x)


class ResBlock(nn.Module):
    """x + block2(block1(x; scale, shift)); scale and shift from the time's embedding, if there is one (width > 0)."""

    def __init__(self, width: int, width_out: int, embedding: int = 0):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * width_out)) if embedding else None
        self.block1 = Block(width, width_out)
        self.block2 = Block(width_out, width_out)
        self.res_conv = plain_conv(width, width_out, 1) if width != width_out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        scale_shift = None
        if self.mlp is not None:
            scale_shift = self.mlp(embedding)[:, :, None, None].chunk(2, dim=1)
        return self.block2(self.block1(x, scale_shift)) + self.res_conv(x)


class LinearAttention(nn.Module):
    """Attention through a 32 x 32 context per head, linear in the number of pixels n (Shen et al. 2021).

        context = softmax_pixels(k) (v/n)^T,      out = norm(W context^T softmax_features(q) / sqrt(32) + bias)

    The context shrinks as 1/n beside the bias, so n, the size of the picture or tile, is part of the function.
    Everything after q, k, v is computed in float32: in half precision 1/n would drown in the bias.
    """

    def __init__(self, width: int):
        super().__init__()
        self.to_qkv = nn.Conv2d(width, 3 * HEADS * HEAD_WIDTH, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(HEADS * HEAD_WIDTH, width, 1), ChannelNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        q, k, v = self.to_qkv(x).float().reshape(n, 3, HEADS, HEAD_WIDTH, height * width).unbind(1)
        with in_float32(x.device):
            context = k.softmax(dim=-1) @ (v / (height * width)).transpose(-1, -2)
            out = context.transpose(-1, -2) @ (q.softmax(dim=-2) * HEAD_WIDTH**-0.5)
            return self.to_out(out.reshape(n, -1, height, width))


class SoftmaxAttention(nn.Module):
    """W softmax(q k^T / sqrt(32)) v + bias over all pixels, four heads of 32.

    By a fused kernel it takes memory for pixels, not for pairs of them.
    """

    def __init__(self, width: int):
        super().__init__()
        self.to_qkv = nn.Conv2d(width, 3 * HEADS * HEAD_WIDTH, 1, bias=False)
        self.to_out = nn.Conv2d(HEADS * HEAD_WIDTH, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        # without contiguous channels the fused kernels decline, and pixels^2 numbers a head are stored
        qkv = self.to_qkv(x).flatten(2).transpose(1, 2).contiguous()
        q, k, v = qkv.unflatten(2, (3, HEADS, HEAD_WIDTH)).permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.to_out(out.transpose(1, 2).reshape(n, -1, height, width))


class PreNorm(nn.Module):
    """fn(norm(x))."""

    def __init__(self, width: int, fn: nn.Module):
        super().__init__()
        self.fn = fn
        self.norm = ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x))


class Residual(nn.Module):
    """x + fn(x)."""

    def __init__(self, fn: nn.Module):
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x) + x


def attention(width: int, kind: type[nn.Module] = LinearAttention) -> Residual:
    """x + attention(norm(x))."""
    return Residual(PreNorm(width, kind(width)))


def levels_down(widths: Sequence[int], embedding: int, attend: Sequence[bool]) -> nn.ModuleList:
    """Per level, finest first: [block, block, attention, halve]; the deepest keeps the size."""
    levels = nn.ModuleList()
    for i, (width, width_out) in enumerate(pairwise(widths)):
        shrink = plain_conv(width, width_out)
        if i < len(widths) - 2:
            shrink = nn.Conv2d(width, width_out, 4, stride=2, padding=1)
        blocks = [ResBlock(width, width, embedding) for _ in range(2)]
        levels.append(nn.ModuleList([*blocks, attention(width) if attend[i] else nn.Identity(), shrink]))
    return levels


def levels_up(widths: Sequence[int], embedding: int, attend: Sequence[bool]) -> nn.ModuleList:
    """Per level, deepest first: [block, block, attention, double], each block seeing a skip beside x.

    The finest keeps the size, so that levels_down and levels_up undo each other's.
    """
    levels = nn.ModuleList()
    for i, (width, width_in) in reversed(list(enumerate(pairwise(widths)))):
        grow = plain_conv(width_in, width)
        if i > 0:
            grow = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width_in, width, 3, padding=1))
        blocks = [ResBlock(width_in + width, width_in, embedding) for _ in range(2)]
        levels.append(nn.ModuleList([*blocks, attention(width_in) if attend[i] else nn.Identity(), grow]))
    return levels


def go_down(levels: nn.ModuleList, x: Tensor, embedding: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
    """Through levels_down: the last features and two skips a level."""
    skips = []
    for block1, block2, attend, shrink in levels:
        x = block1(x, embedding)
        skips.append(x)
        x = attend(block2(x, embedding))
        skips.append(x)
        x = shrink(x)
    return x, skips


def go_up(
    levels: nn.ModuleList, x: Tensor, skips: Sequence[Tensor], embedding: Tensor | None = None
) -> Tensor:
    """Through levels_up, the skips of go_down used from the last to the first."""
    rest = list(skips)
    for block1, block2, attend, grow in levels:
        x = block1(torch.cat([x, rest.pop()], dim=1), embedding)
        x = block2(torch.cat([x, rest.pop()], dim=1), embedding)
        x = grow(attend(x))
    return x


class ConditionalUNet(nn.Module):
    """(N, C, H, W), a time per image, and the degraded picture y of the same shape -> noise (N, C, H, W).

    widths        nf, 2 nf, 4 nf, ...: one more than there are levels, the last is the middle's
    conditional   whether it sees [x - y, y]; without, the middle has softmax attention (Denoising-SDE)
    kernel        side of the first convolution
    """

    bytes_per_pixel = 6_000

    def __init__(
        self,
        channels: int,
        channels_out: int,
        widths: Sequence[int],
        *,
        conditional: bool = True,
        kernel: int = 7,
    ):
        super().__init__()
        nf, middle = widths[0], widths[-1]
        embedding = 4 * nf
        depth = len(widths) - 1
        self.conditional = conditional
        self.multiple = 2**depth  # one halving fewer than this: the published padding, kept
        self.init_conv = plain_conv(2 * channels if conditional else channels, nf, kernel)
        self.time_mlp = nn.Sequential(
            SinusoidalEmbedding(nf, nf // 2 - 1),
            nn.Linear(nf, embedding),
            nn.GELU(),
            nn.Linear(embedding, embedding),
        )
        self.downs = levels_down(widths, embedding, [True] * depth)
        self.ups = levels_up(widths, embedding, [True] * depth)
        self.mid_block1 = ResBlock(middle, middle, embedding)
        self.mid_attn = attention(middle, LinearAttention if conditional else SoftmaxAttention)
        self.mid_block2 = ResBlock(middle, middle, embedding)
        self.final_res_block = ResBlock(2 * nf, nf, embedding)
        self.final_conv = nn.Conv2d(nf, channels_out, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor | float, y: Tensor | None = None) -> Tensor:
        """Noise in x_t. x, y (N, C, H, W) in [0, 1], any size; t (N,), or one for all, in 1 .. T."""
        if self.conditional:
            x = torch.cat([x - y, y], dim=1)
        return on_multiple(self._run, x, self.multiple, self.time_mlp(per_image(t, x)))

    def _run(self, x: Tensor, embedding: Tensor) -> Tensor:
        first = self.init_conv(x)
        x, skips = go_down(self.downs, first, embedding)
        x = self.mid_block1(x, embedding)
        x = self.mid_attn(x)
        x = self.mid_block2(x, embedding)
        x = go_up(self.ups, x, skips, embedding)
        return self.final_conv(self.final_res_block(torch.cat([x, first], dim=1), embedding))


def build(state: StateDict, config: Mapping[str, Any]) -> ConditionalUNet:
    """The module of a published file, weights not filled in; everything stands in the shapes."""
    first, last = state["init_conv.weight"], state["final_conv.weight"]
    conditional = "mid_attn.fn.fn.to_out.0.weight" in state
    depth = count(state, "downs.", ".0.block1.proj.weight")
    widths = [state[f"downs.{i}.0.block1.proj.weight"].shape[0] for i in range(depth)]
    return ConditionalUNet(
        first.shape[1] // 2 if conditional else first.shape[1],
        last.shape[0],
        [*widths, state["mid_block1.block1.proj.weight"].shape[0]],
        conditional=conditional,
        kernel=first.shape[-1],
    )


ARCHITECTURE = Architecture(
    key="irsde-unet",
    signature=(
        "init_conv.weight",
        "downs.0.2.fn.fn.to_qkv.weight",
        "mid_block1.mlp.1.weight",
        "final_conv.weight",
    ),
    build=build,
)
