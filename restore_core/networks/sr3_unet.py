"""SR3's U-Net, told a noise level, and its older variant, told an integer step (Saharia et al. 2021).

Parameter names are those of the files published for Janspiry's implementation, where the U-Net sits under
`denoise_fn.` beside the arrays of the schedule it was trained with.

    eps = unet([condition, x_t], sqrt(abar_t))        or        eps = unet([condition, x_t], t)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import Architecture, StateDict
from restore_core.networks.layers import SinusoidalEmbedding, on_multiple, per_image

Told = Literal["level", "step"]

SCHEDULE = (  # float32 arrays of length T that published files hold beside the network
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
)


class Block(nn.Module):
    """conv3x3(dropout(silu(groupnorm(x))))."""

    def __init__(self, width: int, width_out: int, groups: int, dropout: float = 0.0):
        super().__init__()
        self.block = nn.Sequential(
            nn.GroupNorm(groups, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Conv2d(width, width_out, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class LevelShift(nn.Module):
    """A linear map under the name that published files give it."""

    def __init__(self, embedding: int, width: int):
        super().__init__()
        self.noise_func = nn.Sequential(nn.Linear(embedding, width))

    def forward(self, embedding: Tensor) -> Tensor:
        return self.noise_func(embedding)


class ResBlock(nn.Module):
    """x + block2(block1(x) + shift(embedding)), the shift constant over the picture."""

    def __init__(self, width: int, width_out: int, embedding: int, told: Told, groups: int, dropout: float):
        super().__init__()
        if told == "level":
            self.noise_func = LevelShift(embedding, width_out)
        else:
            self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(embedding, width_out))
        self.block1 = Block(width, width_out, groups)
        self.block2 = Block(width_out, width_out, groups, dropout)
        self.res_conv = nn.Conv2d(width, width_out, 1) if width != width_out else nn.Identity()
        self.told = told

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        shift = self.noise_func(embedding) if self.told == "level" else self.mlp(embedding)
        h = self.block2(self.block1(x) + shift[:, :, None, None])
        return h + self.res_conv(x)


class SelfAttention(nn.Module):
    """x + out(softmax(q k^T / sqrt(C)) v) over all pixels, one head of C channels.

    By a fused kernel it takes memory for pixels, not for pairs of them.
    """

    def __init__(self, width: int, groups: int):
        super().__init__()
        self.norm = nn.GroupNorm(groups, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        # without contiguous channels the fused kernels decline, and pixels^2 numbers are stored
        qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).contiguous()
        q, k, v = qkv.unsqueeze(1).chunk(3, dim=-1)
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(h.squeeze(1).transpose(1, 2).reshape(x.shape))


class Stage(nn.Module):
    """One residual block, followed by attention where the level has it."""

    def __init__(self, res_block: ResBlock, attn: SelfAttention | None):
        super().__init__()
        self.res_block = res_block
        self.attn = attn

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.res_block(x, embedding)
        return x if self.attn is None else self.attn(x)


class Shrink(nn.Module):
    """Half the height and width."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Grow(nn.Module):
    """Twice the height and width."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class SR3UNet(nn.Module):
    """(N, in_channels, H, W), a level or step per image -> (N, out_channels, H, W).

    in_channels   6: [condition, x_t]; 3 for the unconditional network
    widths        channels of each level, finest first
    blocks        residual blocks of each level on the way down; the way up has one more
    attention     levels with attention. Fixed here, whatever the size of the input: the paper names resolutions
                  of its training pictures. The middle always has one.
    told          "level": sqrt(abar_t) in (0, 1]; "step": t in 0 .. T - 1
    """

    bytes_per_pixel = 3_400

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        widths: Sequence[int],
        *,
        blocks: int,
        attention: Sequence[int] = (),
        told: Told = "level",
        groups: int = 32,
        dropout: float = 0.0,
    ):
        super().__init__()

        def stage(wide: int, wide_out: int, attend: bool) -> Stage:
            res_block = ResBlock(wide, wide_out, width, told, groups, dropout)
            return Stage(res_block, SelfAttention(wide_out, groups) if attend else None)

        self.told = told
        self.multiple = 2 ** (len(widths) - 1)
        embedding = SinusoidalEmbedding(width, width // 2, persistent=told == "step")
        mlp = nn.Sequential(embedding, nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.add_module("noise_level_mlp" if told == "level" else "time_mlp", mlp)

        self.downs = nn.ModuleList([nn.Conv2d(in_channels, width, 3, padding=1)])
        skips = [width]
        for level, wide in enumerate(widths):
            for _ in range(blocks):
                self.downs.append(stage(skips[-1], wide, level in attention))
                skips.append(wide)
            if level < len(widths) - 1:
                self.downs.append(Shrink(wide))
                skips.append(wide)

        deepest = widths[-1]
        self.mid = nn.ModuleList([stage(deepest, deepest, True), stage(deepest, deepest, False)])

        self.ups = nn.ModuleList()
        now = deepest
        for level, wide in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.ups.append(stage(now + skips.pop(), wide, level in attention))
                now = wide
            if level > 0:
                self.ups.append(Grow(wide))
        self.final_conv = Block(now, out_channels, groups)

    def forward(self, x: Tensor, level: Tensor | float) -> Tensor:
        """Any height and width: padded to a multiple of 2^(levels - 1). level: (N,), or one for all."""
        mlp = self.noise_level_mlp if self.told == "level" else self.time_mlp
        return on_multiple(self._run, x, self.multiple, mlp(per_image(level, x)))

    def _run(self, x: Tensor, embedding: Tensor) -> Tensor:
        skips = []
        for layer in self.downs:
            x = layer(x, embedding) if isinstance(layer, Stage) else layer(x)
            skips.append(x)
        for layer in self.mid:
            x = layer(x, embedding)
        for layer in self.ups:
            x = layer(torch.cat([x, skips.pop()], dim=1), embedding) if isinstance(layer, Stage) else layer(x)
        return self.final_conv(x)


class SR3(nn.Module):
    """A published file as a module: the U-Net, and the arrays of the schedule that it was trained with.

    The arrays are only kept (zeros until the file is read): `betas` tells a process what the network knows;
    which times are visited in sampling is not theirs to say.
    """

    def __init__(self, denoise_fn: SR3UNet, schedule: Mapping[str, int] | None = None):
        super().__init__()
        for name, steps in (schedule or {}).items():
            self.register_buffer(name, torch.zeros(steps))
        self.denoise_fn = denoise_fn

    def forward(self, x: Tensor, level: Tensor | float) -> Tensor:
        """eps of x = [condition, x_t] (N, 6, H, W) in [-1, 1], given sqrt(abar_t) or t."""
        return self.denoise_fn(x, level)


def _levels(state: StateDict) -> list[list[str]]:
    """Prefixes of the residual stages on the way down, level by level."""
    levels: list[list[str]] = [[]]
    k = 1
    while True:
        prefix = f"denoise_fn.downs.{k}."
        if f"{prefix}res_block.block1.block.0.weight" in state:
            levels[-1].append(prefix)
        elif f"{prefix}conv.weight" in state:
            levels.append([])
        else:
            return levels
        k += 1


def _published_groups(width: int, widths: Sequence[int]) -> int:
    """Norm groups leave no trace in a file: 16 in the published 64 -> 512 network, 32 in all others."""
    return 16 if widths[-1] == 16 * width else 32


def build(state: StateDict, config: Mapping[str, Any]) -> SR3:
    """The module of a published file, weights not filled in. config: `norm_groups`, `dropout` (training only)."""
    first, last = state["denoise_fn.downs.0.weight"], state["denoise_fn.final_conv.block.3.weight"]
    levels = _levels(state)
    widths = [state[f"{stages[0]}res_block.block2.block.3.weight"].shape[0] for stages in levels]
    unet = SR3UNet(
        first.shape[1],
        last.shape[0],
        first.shape[0],
        widths,
        blocks=len(levels[0]),
        attention=[i for i, stages in enumerate(levels) if f"{stages[0]}attn.norm.weight" in state],
        told="level" if "denoise_fn.noise_level_mlp.1.weight" in state else "step",
        groups=config.get("norm_groups", _published_groups(first.shape[0], widths)),
        dropout=config.get("dropout", 0.0),
    )
    return SR3(unet, {name: len(state[name]) for name in SCHEDULE if name in state})


ARCHITECTURE = Architecture(
    key="sr3-unet",
    signature=(
        "denoise_fn.downs.0.weight",
        "denoise_fn.mid.0.attn.qkv.weight",
        "denoise_fn.final_conv.block.3.weight",
    ),
    build=build,
)
