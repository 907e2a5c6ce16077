"""Small parts that several networks share: padding to a multiple, sinusoids of a number, norms."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def in_float32(device: torch.device) -> AbstractContextManager[object]:
    """Where autocast is off: for few numbers, whose rounding costs more than it saves. The meta device knows none."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """x (N, C, H, W) grown at the right and bottom until both sides divide by `multiple`.

    By reflection; where a side is too short to be reflected (pad >= side), by repeating the edge.
    """
    height, width = x.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if not (down or right):
        return x
    mode = "reflect" if down < height and right < width else "replicate"
    return F.pad(x, (0, right, 0, down), mode=mode)


def on_multiple(network: Callable[..., Tensor], x: Tensor, multiple: int, *args: Tensor | None) -> Tensor:
    """network(x, *args) for a network that needs sides divisible by `multiple`: pad, run, crop."""
    return network(pad_to_multiple(x, multiple), *args)[..., : x.shape[-2], : x.shape[-1]]


def sinusoids(value: Tensor, frequencies: Tensor) -> Tensor:
    """[sin(v f_i), cos(v f_i)] of value (N,) and frequencies (K,): (N, 2K)."""
    angle = value[:, None] * frequencies
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def per_image(value: Tensor | float, x: Tensor) -> Tensor:
    """A number for every image of x (N, C, H, W), or one for all: float32 (N,) on x's device, not waited for."""
    value = torch.as_tensor(value, dtype=torch.float32)
    return value.to(x.device, non_blocking=True).reshape(-1).expand(x.shape[0])


class SinusoidalEmbedding(nn.Module):
    """v (N,) -> [sin(v f_i), cos(v f_i)], f_i = 10000^(-i/last), i < width/2: (N, width).

    Vaswani et al. 2017, section 3.5. `last` is the index at which 10000^-1 is reached: width/2 in most
    networks, width/2 - 1 in some. `persistent`: whether published files list the frequencies.
    """

    def __init__(self, width: int, last: int, *, persistent: bool = False):
        super().__init__()
        frequencies = torch.exp(torch.arange(width // 2) * (-math.log(10000) / last))
        self.register_buffer("inv_freq", frequencies, persistent=persistent)

    def forward(self, value: Tensor) -> Tensor:
        return sinusoids(value.float(), self.inv_freq)


class ChannelNorm(nn.Module):
    """(x - mean)/sqrt(var + 1e-5) g over the channels of each pixel, x (N, C, H, W); computed in float32.

    IR-SDE's code raises the 1e-5 to 1e-3 in half precision, which makes another network of it: not here.
    """

    def __init__(self, width: int):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(x.float(), dim=1, correction=0, keepdim=True)
        return (x - mean) * (var + 1e-5).rsqrt() * self.g


class GroupNorm32(nn.GroupNorm):
    """Group norm with 32 groups, computed in float32; the result has the type of x."""

    def __init__(self, width: int, eps: float = 1e-5):
        super().__init__(32, width, eps)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)
