"""DiffBIR's first stage: a regression network takes the damage away and leaves a smooth picture, the condition.

Which size it sees and which comes out is part of how it was trained:

    enlarging (BSRNet)         the photo itself; four times its size, then brought to the wanted one
    unfolding (SwinIR)         the photo enlarged to the wanted size, and further until its short side has 512 pixels
    any other (SCUNet)         the photo enlarged to the wanted size; the result is grown to 512

The diffusion stage was trained on 512 x 512 pixels, so the short side of what comes out is never less.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from restore_core.devices import autocast
from restore_core.images import resize
from restore_core.memory import Need
from restore_core.networks.layers import pad_to_multiple
from restore_core.settings import Settings
from restore_core.tiling import Heed, Pieces, alone

SHORT_SIDE = 512
OVERLAP, MULTIPLE = 64, 64  # pixels; SwinIR's windows and SCUNet's both lie on a grid of 64
# half as much again as the live activations of each pixel of the input (benchmarks.diffbir): 12.6 kB, 0.8 and 2.8
ENLARGING, UNFOLDING, PLAIN = Need(19_000), Need(1_200), Need(4_200)

Grow = Callable[[Tensor, int], Tensor]


def grow_to_short_side(image: Tensor, side: int) -> Tensor:
    """Bicubic, so that the short side is `side` and the long one int(long * side/short); larger ones stay."""
    short = min(image.shape[-2:])
    if short >= side:
        return image
    return resize(image, tuple(side if length == short else int(length * side / short) for length in image.shape[-2:]))


@torch.no_grad()
def clean(
    cleaner: nn.Module,
    image: Tensor,
    scale: int,
    settings: Settings,
    grow: Grow = pad_to_multiple,
    short_side: int | None = None,
    heed: Heed = alone,
) -> Tensor:
    """image (1, 3, h, w) RGB in [0, 1] -> the first restoration, at `scale` times the size or 512 px.

    It may leave [0, 1] a little, as what the diffusion stage was trained with did.

    grow         how sides that do not divide by 64 are filled: by reflection, where the published code darkens the rim
    short_side   of what comes out, at least; None: SHORT_SIDE
    """
    short_side = SHORT_SIDE if short_side is None else short_side
    wanted = tuple(length * scale for length in image.shape[-2:])
    enlarging = getattr(cleaner, "scale", 1)
    if enlarging > 1:
        return grow_to_short_side(resize(_run(cleaner, image, settings, enlarging, grow, heed), wanted), short_side)
    image = image if image.shape[-2:] == wanted else resize(image, wanted).clamp_(0, 1)
    if hasattr(cleaner, "window"):
        image = grow_to_short_side(image, short_side)
    return grow_to_short_side(_run(cleaner, image, settings, 1, grow, heed), short_side)


def _run(cleaner: nn.Module, image: Tensor, settings: Settings, scale: int, grow: Grow, heed: Heed) -> Tensor:
    height, width = image.shape[-2:]
    whole = grow(image, MULTIPLE) if scale == 1 else image

    def network(part: Tensor, _: object) -> Tensor:
        with autocast(part.device, settings.precision):
            return cleaner(part).float()

    need = ENLARGING if scale > 1 else UNFOLDING if hasattr(cleaner, "window") else PLAIN
    pieces = Pieces(need.side(image.device, MULTIPLE), OVERLAP, MULTIPLE if scale == 1 else 1, scale=scale)
    found = pieces(network, whole, {}, heed)
    return found[..., : height * scale, : width * scale]

