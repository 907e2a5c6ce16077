"""Small parts that several networks share: padding to a multiple, sinusoids of a number."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


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
    """network(x, *args) for a network that needs sides divisible by `multiple`; padded before, cropped after."""
    return network(pad_to_multiple(x, multiple), *args)[..., : x.shape[-2], : x.shape[-1]]


def sinusoids(value: Tensor, frequencies: Tensor) -> Tensor:
    """[sin(v f_i), cos(v f_i)] of value (N,) and frequencies (K,): (N, 2K)."""
    angle = value[:, None] * frequencies
    return torch.cat([angle.sin(), angle.cos()], dim=1)
