"""RRDBNet (Wang et al. 2018, ESRGAN) under its first names: BSRNet (Zhang et al. 2021), four times larger.

    block:  x + 0.2 RDB3(RDB2(RDB1(x)))        RDB: x + 0.2 c5, each of c1..c5 seeing all before it

x is RGB in [0, 1] (N, 3, H, W), the result (N, 3, 4H, 4W), not clipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks.base import Architecture, StateDict, count

SHARE = 0.2  # of each residual that is added
SLOPE = 0.2  # of the leaky ReLUs


class DenseBlock(nn.Module):
    """x + 0.2 conv5([x, c1..c4]),   c_i = lrelu(conv_i([x, c1..c_{i-1}]))."""

    def __init__(self, width: int, growth: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(width + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(width + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(width + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(width + 4 * growth, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat([seen, F.leaky_relu(conv(seen), SLOPE)], dim=1)
        return x + SHARE * self.conv5(seen)


class ResidualBlock(nn.Module):
    """x + 0.2 RDB3(RDB2(RDB1(x)))."""

    def __init__(self, width: int, growth: int):
        super().__init__()
        self.RDB1 = DenseBlock(width, growth)
        self.RDB2 = DenseBlock(width, growth)
        self.RDB3 = DenseBlock(width, growth)

    def forward(self, x: Tensor) -> Tensor:
        return x + SHARE * self.RDB3(self.RDB2(self.RDB1(x)))


class RRDBNet(nn.Module):
    """RGB in [0, 1] (N, channels, H, W) -> (N, channels_out, f H, f W), f = `scale` = 2^doublings."""

    def __init__(
        self, channels: int, channels_out: int, width: int, growth: int, *, blocks: int, doublings: int
    ):
        super().__init__()
        self.doublings, self.scale = doublings, 2**doublings
        self.conv_first = nn.Conv2d(channels, width, 3, padding=1)
        self.RRDB_trunk = nn.Sequential(*(ResidualBlock(width, growth) for _ in range(blocks)))
        self.trunk_conv = nn.Conv2d(width, width, 3, padding=1)
        for i in range(1, doublings + 1):
            self.add_module(f"upconv{i}", nn.Conv2d(width, width, 3, padding=1))
        self.HRconv = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv_first(x)
        x = first + self.trunk_conv(self.RRDB_trunk(first))
        for i in range(1, self.doublings + 1):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = F.leaky_relu(self.get_submodule(f"upconv{i}")(x), SLOPE)
        return self.conv_last(F.leaky_relu(self.HRconv(x), SLOPE))


def build(state: StateDict, config: Mapping[str, Any]) -> RRDBNet:
    """The module of a published file, weights not filled in; everything stands in the shapes."""
    width, channels = state["conv_first.weight"].shape[:2]
    return RRDBNet(
        channels,
        state["conv_last.weight"].shape[0],
        width,
        state["RRDB_trunk.0.RDB1.conv1.weight"].shape[0],
        blocks=count(state, "RRDB_trunk.", ".RDB1.conv1.weight"),
        doublings=sum(f"upconv{i}.weight" in state for i in (1, 2, 3)),
    )


ARCHITECTURE = Architecture(
    key="rrdbnet",
    signature=("conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight", "trunk_conv.weight", "HRconv.weight"),
    build=build,
)
