"""ResShift's latent space: the VQ autoencoder of latent diffusion (Esser et al. 2021, Rombach et al. 2022).

    z = quant_conv(encoder(x))                      not quantised: what ResShift diffuses
    x = decoder(post_quant_conv(snap(z)))           snap: the nearest of the learnt codes at each latent pixel

x is RGB in [-1, 1], z has a pixel for each f x f of x (f = 4 or 8). Parameter names are the published ones. The
snap is discontinuous: a difference of 1e-6 in z may choose another code, so compare latents, not decoded pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import Architecture, StateDict, count
from restore_core.networks.layers import GroupNorm32, in_float32, pad_to_multiple

EPS = 1e-6  # of all group norms here
ROWS = 4096  # latent pixels compared with the codes at a time: 128 MiB of distances to 8192 codes


class ResBlock(nn.Module):
    """skip(x) + conv2(silu(norm2(h))), h = conv1(silu(norm1(x)))."""

    def __init__(self, width: int, width_out: int):
        super().__init__()
        self.norm1 = GroupNorm32(width, EPS)
        self.conv1 = nn.Conv2d(width, width_out, 3, padding=1)
        self.norm2 = GroupNorm32(width_out, EPS)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(width, width_out, 1) if width != width_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.nin_shortcut(x) + h


class Attention(nn.Module):
    """x + W softmax(q k^T / sqrt(C)) v + bias over all latent pixels, one head.

    By a fused kernel it takes memory for pixels, not for pairs of them: a picture of 512 x 512 enlarged four times has
    262,144 latent pixels.
    """

    def __init__(self, width: int):
        super().__init__()
        self.norm = GroupNorm32(width, EPS)
        self.q = nn.Conv2d(width, width, 1)
        self.k = nn.Conv2d(width, width, 1)
        self.v = nn.Conv2d(width, width, 1)
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        # without contiguous channels the fused kernels decline, and pixels^2 numbers are stored
        q, k, v = (p(h).flatten(2).transpose(1, 2)[:, None].contiguous() for p in (self.q, self.k, self.v))
        out = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(out[:, 0].transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    """Half the size: a row and a column of zeros at the bottom and right, then a strided 3x3 convolution."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the size: nearest neighbour, then a 3x3 convolution."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Residual blocks, each followed by attention where the level has it."""

    def __init__(self, width: int, width_out: int, depth: int, *, attend: bool):
        super().__init__()
        widths = [width] + [width_out] * depth
        self.block = nn.ModuleList(ResBlock(a, b) for a, b in pairwise(widths))
        self.attn = nn.ModuleList(Attention(width_out) for _ in range(depth if attend else 0))

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        return x


class Middle(nn.Module):
    """Block, attention, block."""

    def __init__(self, width: int):
        super().__init__()
        self.block_1 = ResBlock(width, width)
        self.attn_1 = Attention(width)
        self.block_2 = ResBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """(N, C, H, W) -> (N, channels_out, H/f, W/f), f = 2^(levels - 1).

    width, widths    channels after the first convolution and of each level, finest first
    depths           residual blocks of each level
    attend           which levels have attention; the middle always has
    """

    def __init__(
        self,
        channels: int,
        channels_out: int,
        width: int,
        widths: Sequence[int],
        depths: Sequence[int],
        attend: Sequence[bool],
    ):
        super().__init__()
        self.conv_in = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList()
        for i, width_out in enumerate(widths):
            level = Level(width, width_out, depths[i], attend=attend[i])
            level.downsample = Downsample(width_out) if i < len(widths) - 1 else nn.Identity()
            self.down.append(level)
            width = width_out
        self.mid = Middle(width)
        self.norm_out = GroupNorm32(width, EPS)
        self.conv_out = nn.Conv2d(width, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level.downsample(level(x))
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """(N, C, h, w) -> (N, channels_out, f h, f w); levels are numbered finest first and run from the last."""

    def __init__(
        self,
        channels: int,
        channels_out: int,
        widths: Sequence[int],
        depths: Sequence[int],
        attend: Sequence[bool],
    ):
        super().__init__()
        deepest = [*widths[1:], widths[-1]]  # what each level receives
        self.conv_in = nn.Conv2d(channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList()
        for i, width_out in enumerate(widths):
            level = Level(deepest[i], width_out, depths[i], attend=attend[i])
            level.upsample = Upsample(width_out) if i > 0 else nn.Identity()
            self.up.append(level)
        self.norm_out = GroupNorm32(widths[0], EPS)
        self.conv_out = nn.Conv2d(widths[0], channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level.upsample(level(x))
        return self.conv_out(F.silu(self.norm_out(x)))


class Codebook(nn.Module):
    """The learnt codes, (codes, width)."""

    def __init__(self, codes: int, width: int):
        super().__init__()
        self.embedding = nn.Embedding(codes, width)

    def indices(self, z: Tensor) -> Tensor:
        """Nearest code by squared distance: (N, width, h, w) -> int64 (N, h, w). In float32 whatever z has."""
        n, width, height, columns = z.shape
        codes = self.embedding.weight.float()
        squares = codes.square().sum(dim=1)
        pixels = z.float().permute(0, 2, 3, 1).reshape(-1, width)
        with in_float32(z.device):
            # |z|^2 is the same for all codes
            nearest = [
                torch.addmm(squares, rows, codes.T, alpha=-2).argmin(dim=1) for rows in pixels.split(ROWS)
            ]
        return torch.cat(nearest).reshape(n, height, columns)

    def forward(self, z: Tensor) -> Tensor:
        """The nearest codes; their gradient goes to z as if nothing had been snapped (straight through)."""
        snapped = self.embedding(self.indices(z.detach())).permute(0, 3, 1, 2)
        return z + (snapped - z).detach()


class VQAutoencoder(nn.Module):
    """RGB in [-1, 1] (N, 3, H, W) <-> latents (N, C, H/f, W/f), f = `factor`."""

    bytes_per_pixel = 3_100

    def __init__(self, encoder: Encoder, decoder: Decoder, codes: int, width: int):
        super().__init__()
        self.factor = 2 ** (len(encoder.down) - 1)
        latent = encoder.conv_out.out_channels
        self.encoder = encoder
        self.decoder = decoder
        self.quantize = Codebook(codes, width)
        self.quant_conv = nn.Conv2d(latent, width, 1)
        self.post_quant_conv = nn.Conv2d(width, latent, 1)

    def encode(self, x: Tensor) -> Tensor:
        """The latent, not quantised. Sides that do not divide by f are reflected at the right and bottom."""
        return self.quant_conv(self.encoder(pad_to_multiple(x, self.factor)))

    def decode(self, z: Tensor, *, quantize: bool = True) -> Tensor:
        """f times the size of z. Values outside [-1, 1] occur."""
        return self.decoder(self.post_quant_conv(self.quantize(z) if quantize else z))

    def forward(self, x: Tensor) -> Tensor:
        """decode(encode(x)), at the size of x."""
        return self.decode(self.encode(x))[..., : x.shape[-2], : x.shape[-1]]


def _levels(state: StateDict, prefix: str) -> dict[str, list[Any]]:
    """Channels, number of blocks, and attention of each level."""
    levels = [f"{prefix}{i}." for i in range(count(state, prefix, ".block.0.conv1.weight"))]
    return {
        "widths": [state[f"{level}block.0.conv1.weight"].shape[0] for level in levels],
        "depths": [count(state, f"{level}block.", ".conv1.weight") for level in levels],
        "attend": [f"{level}attn.0.q.weight" in state for level in levels],
    }


def build(state: StateDict, config: Mapping[str, Any]) -> VQAutoencoder:
    """The module of a published file, weights not filled in; everything stands in the shapes."""
    enter, leave = state["encoder.conv_in.weight"], state["encoder.conv_out.weight"]
    encoder = Encoder(enter.shape[1], leave.shape[0], enter.shape[0], **_levels(state, "encoder.down."))
    enter, leave = state["decoder.conv_in.weight"], state["decoder.conv_out.weight"]
    decoder = Decoder(enter.shape[1], leave.shape[0], **_levels(state, "decoder.up."))
    return VQAutoencoder(encoder, decoder, *state["quantize.embedding.weight"].shape)


ARCHITECTURE = Architecture(
    key="vq-autoencoder",
    signature=("quantize.embedding.weight", "encoder.mid.attn_1.q.weight", "decoder.conv_in.weight"),
    build=build,
)
