"""What was invented: where samples of one photo differ, the photo did not say what is there.

    spread(p) = sqrt( mean over colours of var over samples of x_0(p) )        in grey levels of 255

A pixel that every sample draws alike may still be wrong (the samples share one network), but one that they draw
differently was certainly not read off the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.images import to_uint8

FULL = 32.0  # grey levels at the end of the scale
SEEN = 4.0  # grey levels: a difference that one sees on an even surface
LITTLE = 0.005  # share of the picture below which nothing much is invented
FEWEST, MOST = 4, 16  # samples that the page offers
OPAQUE, FROM = 0.9, 12.0  # of the overlay, from so many grey levels on
SCALE = (  # inferno at 0, 1/4, ... 1 (van der Walt and Smith 2015, CC0): brightness rises evenly
    (0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164),
)  # fmt: skip
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")


@dataclass(frozen=True)
class Finding:
    """What the spread of so many samples tells.

    share   of the picture where it is above SEEN, 0 to 1
    mean    over the picture, grey levels;   most: its 99th percentile
    place   where it is largest, in words
    """

    samples: int
    share: float
    mean: float
    most: float
    place: str

    @property
    def sentence(self) -> str:
        """For the reader of the map."""
        if self.share < LITTLE:
            return (
                f"{self.samples} samples hardly differ (at most {self.most:.1f} grey levels of 255): little is "
                f"invented. What they share may still be the network's habit."
            )
        share = f"{100 * self.share:.0f} %" if self.share >= 0.01 else "Less than 1 %"
        return (
            f"{share} of the picture comes out visibly different in each of {self.samples} samples, most of all "
            f"{self.place}. Detail there is drawn, not read off your photo: do not trust it."
        )


def levels(spread: Tensor) -> Tensor:
    """(1, 3, H, W) deviations of RGB in [0, 1] -> (1, 1, H, W) in grey levels, the root of the mean square of three."""
    return spread.float().square().mean(dim=1, keepdim=True).sqrt() * 255


def find(spread: Tensor | None, samples: int) -> Finding:
    """What the spread of `samples` runs tells; SettingsError where there is none, for one sample has none."""
    if spread is None:
        raise SettingsError(
            "One sample differs from nothing, so it cannot tell what is invented. Ask for at least two, better 8."
        )
    grey = levels(spread)
    most = torch.quantile(_thinned(grey), 0.99).item()
    return Finding(samples, (grey > SEEN).float().mean().item(), grey.mean().item(), most, _place(grey))


def _thinned(grey: Tensor, count: int = 1_000_000) -> Tensor:
    flat = grey.flatten()
    return flat[:: max(1, flat.numel() // count)]


def _place(grey: Tensor) -> str:
    """The ninth of the picture with the largest mean spread, in words."""
    ninths = F.adaptive_avg_pool2d(grey, 3).flatten()
    row, column = divmod(int(ninths.argmax()), 3)
    if row == column == 1:
        return "in the middle"
    return f"at the {ROWS[row]} {COLUMNS[column]}" if row != 1 else f"at the {COLUMNS[column]}"


def strength(spread: Tensor) -> Tensor:
    """(1, 1, H, W) in [0, 1]: sqrt(level / FULL), so that little is seen beside much."""
    return (levels(spread) / FULL).clamp(0, 1).sqrt()


def paint(spread: Tensor) -> Tensor:
    """The map as a picture (1, 3, H, W) in [0, 1]: dark where all samples agree, bright where they differ."""
    scale = torch.tensor(SCALE, dtype=torch.float32) / 255
    place = strength(spread)[0, 0].cpu() * (len(scale) - 1)
    below = place.floor().long().clamp(max=len(scale) - 2)
    part = (place - below)[..., None]
    return (scale[below] * (1 - part) + scale[below + 1] * part).permute(2, 0, 1)[None]


def overlay(spread: Tensor, painted: Tensor) -> np.ndarray:
    """(H, W, 4) uint8 to be laid over the mean in grey: the map (paint's), clear below half of what one sees."""
    alpha = OPAQUE * ((levels(spread).cpu() - SEEN / 2) / (FROM - SEEN / 2)).clamp(0, 1)
    return to_uint8(torch.cat([painted, alpha], dim=1))


__all__ = ["FEWEST", "FULL", "MOST", "SEEN", "Finding", "find", "levels", "overlay", "paint", "strength"]
