"""Refusion's ConditionalNAFNet (Luo et al. 2023, CVPRW) in all published forms, under the published names.

    eps = net(x_t, t, y)              images and latents; sees [x_t - y, y]
    eps = net(x_t, t, y, lens)        latent bokeh: also told [source lens, target lens, disparity]
    eps = net(x_t, t, y)              stereo: left and right on channels, six in all
    eps = net(x_t, t)                 Denoising-SDE: no condition

Time t is the raw index 1 .. T. Pooling sees the whole input, so a tile is not the cut-out of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import Architecture, StateDict, count
from restore_core.networks.layers import ChannelNorm, SinusoidalEmbedding, per_image


def gate(x: Tensor) -> Tensor:
    """The product of the two halves of the channels (Chen et al. 2022: SimpleGate)."""
    a, b = x.chunk(2, dim=1)
    return a * b


class Gate(nn.Module):
    """`gate` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return gate(x)


def modulation(embedding: int, width: int, parts: int) -> nn.Sequential:
    """embedding (N, E) -> `parts` numbers for each channel, (N, parts width)."""
    return nn.Sequential(Gate(), nn.Linear(embedding // 2, parts * width))


def spread(numbers: Tensor, parts: int) -> tuple[Tensor, ...]:
    """(N, parts width) -> `parts` tensors (N, width, 1, 1)."""
    return numbers[:, :, None, None].chunk(parts, dim=1)


class StereoAttention(nn.Module):
    """Each view looks along its own row in the other, at a quarter of the size (Chu et al. 2022: SCAM).

    x (2N, C, H, W): the left views, then the right ones.
    """

    def __init__(self, width: int):
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.norm_l, self.norm_r = ChannelNorm(width), ChannelNorm(width)
        self.l_proj1, self.r_proj1 = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.l_proj2, self.r_proj2 = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = _quarter(x).chunk(2, dim=0)
        q_left, q_right = _rows(self.l_proj1(self.norm_l(left))), _rows(self.r_proj1(self.norm_r(right)))
        v_left, v_right = _rows(self.l_proj2(left)), _rows(self.r_proj2(right))
        from_right = F.scaled_dot_product_attention(q_left, q_right, v_right).permute(0, 3, 1, 2) * self.beta
        from_left = F.scaled_dot_product_attention(q_right, q_left, v_left).permute(0, 3, 1, 2) * self.gamma
        return x + F.interpolate(torch.cat([from_right, from_left]), size=x.shape[-2:], mode="nearest")


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C): attention runs along W."""
    return x.permute(0, 2, 3, 1)


def _quarter(x: Tensor) -> Tensor:
    """A quarter of the size, bicubic; what is smaller than four pixels is first grown to four."""
    down, right = max(0, 4 - x.shape[-2]), max(0, 4 - x.shape[-1])
    if down or right:
        x = F.pad(x, (0, right, 0, down), mode="replicate")
    return F.interpolate(x, scale_factor=0.25, mode="bicubic")


class NAFBlock(nn.Module):
    """x + beta conv(pooled(gate(conv(conv(affine(norm(x))))))), then + gamma conv(gate(conv(affine(norm(.))))).

    Both affine maps come from the time's embedding; with `lens`, a third one from the lens' stands before the
    last convolution; with `stereo`, attention between the views follows.
    """

    def __init__(self, width: int, embedding: int, *, lens: bool = False, stereo: bool = False):
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.add_module("time_mlp" if lens else "mlp", modulation(embedding, width, 4))
        if lens:
            self.cam_mlp = modulation(embedding, width, 2)
        self.conv1 = nn.Conv2d(width, 2 * width, 1)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.conv3 = nn.Conv2d(width, width, 1)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1))
        self.conv4 = nn.Conv2d(width, 2 * width, 1)
        self.conv5 = nn.Conv2d(width, width, 1)
        self.norm1 = ChannelNorm(width)
        self.norm2 = ChannelNorm(width)
        self.fusion = StereoAttention(width) if stereo else None
        self.lens = lens

    def forward(self, x: Tensor, time: Tensor, lens: Tensor | None = None) -> Tensor:
        mlp = self.time_mlp if self.lens else self.mlp
        shift_mix, scale_mix, shift_feed, scale_feed = spread(mlp(time), 4)
        h = self.norm1(x) * (scale_mix + 1) + shift_mix
        h = gate(self.conv2(self.conv1(h)))
        x = x + self.conv3(h * self.sca(h)) * self.beta

        h = self.norm2(x) * (scale_feed + 1) + shift_feed
        h = gate(self.conv4(h))
        if self.lens:
            scale_lens, shift_lens = spread(self.cam_mlp(lens), 2)
            h = h * (scale_lens + 1) + shift_lens
        x = x + self.conv5(h) * self.gamma
        return x if self.fusion is None else self.fusion(x)


class ConditionalNAFNet(nn.Module):
    """(N, C, H, W), a time per image, the degraded picture or latent y -> noise (N, C, H, W).

    channels      C of one view
    width         of the finest level; each further one has twice as many
    encoders      blocks of each level on the way down, finest first
    decoders      blocks of each level on the way up, deepest first
    conditional   whether it sees [x - y, y] or x alone
    intro_skip    latent dehazing: the first features are added again before the last convolution
    lens          latent bokeh: told [source lens, target lens, disparity]
    stereo        two views: x and y (N, 2C, H, W)
    """

    bytes_per_pixel = 2_000

    def __init__(
        self,
        channels: int,
        width: int,
        encoders: Sequence[int],
        middle: int,
        decoders: Sequence[int],
        *,
        conditional: bool = True,
        intro_skip: bool = False,
        lens: bool = False,
        stereo: bool = False,
    ):
        super().__init__()
        embedding = 4 * width

        def mlp(inputs: int) -> list[nn.Module]:
            return [nn.Linear(inputs, 2 * embedding), Gate(), nn.Linear(embedding, embedding)]

        def blocks(wide: int, number: int) -> nn.ModuleList:
            return nn.ModuleList(NAFBlock(wide, embedding, lens=lens, stereo=stereo) for _ in range(number))

        self.conditional, self.intro_skip, self.stereo, self.lens = conditional, intro_skip, stereo, lens
        self.multiple = 2 ** len(encoders)
        self.sinusoids = SinusoidalEmbedding(width, width // 2 - 1)
        first = [] if lens else [nn.Identity()]  # where the published module holds the sinusoids
        self.time_mlp = nn.Sequential(*first, *mlp(width))
        if lens:
            self.cam_mlp = nn.Sequential(*mlp(3 * width))
        self.intro = nn.Conv2d(2 * channels if conditional else channels, width, 3, padding=1)
        self.ending = nn.Conv2d(width, channels, 3, padding=1)
        self.encoders, self.decoders = nn.ModuleList(), nn.ModuleList()
        self.middle_blks = blocks(width * 2 ** len(encoders), middle)
        self.ups, self.downs = nn.ModuleList(), nn.ModuleList()
        for number in encoders:
            self.encoders.append(blocks(width, number))
            self.downs.append(nn.Conv2d(width, 2 * width, 2, stride=2))
            width *= 2
        for number in decoders:
            self.ups.append(nn.Sequential(nn.Conv2d(width, 2 * width, 1, bias=False), nn.PixelShuffle(2)))
            width //= 2
            self.decoders.append(blocks(width, number))

    def forward(
        self, x: Tensor, t: Tensor | float, y: Tensor | None = None, lens: Tensor | None = None
    ) -> Tensor:
        """Noise in x_t. x, y (N, C, H, W), any size; t (N,), or one for all, in 1 .. T; lens (N, 3) or (1, 3)."""
        if self.stereo:
            x, y = _views_to_batch(x), _views_to_batch(y)
            t = per_image(t, x[::2]).repeat(2)
        if self.conditional:
            x = torch.cat([x - y, y], dim=1)
        time = self.time_mlp(self.sinusoids(per_image(t, x)))
        eps = self._run(x, time, self._embed_lens(lens))
        return _views_to_channels(eps) if self.stereo else eps

    def _embed_lens(self, lens: Tensor | None) -> Tensor | None:
        if not self.lens:
            return None
        return self.cam_mlp(self.sinusoids(lens.reshape(-1)).reshape(lens.shape[0], -1))

    def _run(self, x: Tensor, time: Tensor, lens: Tensor | None) -> Tensor:
        height, width = x.shape[-2:]
        x = first = self.intro(F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple)))
        skips = []
        for blocks, down in zip(self.encoders, self.downs, strict=True):
            x = _through(blocks, x, time, lens)
            skips.append(x)
            x = down(x)
        x = _through(self.middle_blks, x, time, lens)
        for blocks, up in zip(self.decoders, self.ups, strict=True):
            x = _through(blocks, up(x) + skips.pop(), time, lens)
        return self.ending(x + first if self.intro_skip else x)[..., :height, :width]


def _through(blocks: nn.ModuleList, x: Tensor, time: Tensor, lens: Tensor | None) -> Tensor:
    for block in blocks:
        x = block(x, time, lens)
    return x


def _views_to_batch(x: Tensor) -> Tensor:
    """(N, 2C, H, W) -> (2N, C, H, W): all left views, then all right ones."""
    return torch.cat(x.chunk(2, dim=1), dim=0)


def _views_to_channels(x: Tensor) -> Tensor:
    """(2N, C, H, W) -> (N, 2C, H, W)."""
    return torch.cat(x.chunk(2, dim=0), dim=1)


def _depths(state: StateDict, prefix: str) -> list[int]:
    levels = count(state, prefix, ".0.conv1.weight")
    return [count(state, f"{prefix}{i}.", ".conv1.weight") for i in range(levels)]


def build(state: StateDict, config: Mapping[str, Any]) -> ConditionalNAFNet:
    """The module of a published file, weights not filled in.

    config: `intro_skip`, which leaves no trace in the file; of the published ones only latent dehazing has it, which
    is also the only one with eight channels.
    """
    channels, width = state["ending.weight"].shape[:2]
    return ConditionalNAFNet(
        channels,
        width,
        _depths(state, "encoders."),
        count(state, "middle_blks.", ".conv1.weight"),
        _depths(state, "decoders."),
        conditional=state["intro.weight"].shape[1] == 2 * channels,
        intro_skip=config.get("intro_skip", channels == 8),
        lens="cam_mlp.0.weight" in state,
        stereo="encoders.0.0.fusion.beta" in state,
    )


ARCHITECTURE = Architecture(
    key="refusion-nafnet",
    signature=("intro.weight", "ending.weight", "encoders.0.0.norm1.g", "encoders.0.0.sca.1.weight"),
    build=build,
)
