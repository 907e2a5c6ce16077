"""The compact denoiser under any process: what DvSR's, SR3's, ResShift's and IR-SDE's compact variants share.

Process space is RGB in [-1, 1]. y is the degraded picture brought to the result's size, g = g(y) the predictor's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from restore_core.bands import Pointwise, by_bands
from restore_core.checkpoints.catalogue import COMPACT
from restore_core.degradations import TASKS
from restore_core.devices import autocast
from restore_core.images import resize
from restore_core.levels import drawn_apart
from restore_core.methods.base import Variant, presets
from restore_core.networks.compact_unet import CompactModel
from restore_core.problem import Problem
from restore_core.processes import Process
from restore_core.settings import Option, Settings
from restore_core.tiling import Heed, Pieces, alone, fitting, tile_size

FADING = Option(
    "fading", "Draw faded levels apart", 1.0, 0.0, 1.0, 0.05,
    help="Blacks become black and paper white again, each colour by itself. 0 keeps the tint.",
)  # fmt: skip
WEATHER = {  # where single runs are worse than their mean by PSNR and by LPIPS (held-out photographs)
    "defaults": {"samples": 4, "steps": 6},
    "presets": presets({"samples": 16}, {"samples": 8}, {}, {"samples": 1, "steps": 10}, {"samples": 1, "steps": 30}),
}
OWN: Mapping[str, Mapping[str, Any]] = {"rain": WEATHER, "haze": WEATHER, "old": {"options": (FADING,)}}
VARIANTS: tuple[Variant, ...] = tuple(
    Variant(
        f"compact-{task}", f"Compact, {TASKS[task].fault}", task, {"network": f"compact/{task}"},
        scale=TASKS[task].scale, **OWN.get(task, {}),
    )
    for task in COMPACT
)  # fmt: skip
MULTIPLE = 32  # tiles begin on the coarsest grid of the networks


@Pointwise
def to_signed(image: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1]."""
    return image * 2 - 1


@Pointwise
def to_image(x: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], clipped."""
    return ((x + 1) / 2).clamp(0, 1)


@torch.no_grad()
def predict(model: CompactModel, y: Tensor, settings: Settings, heed: Heed = alone) -> Tensor:
    """g(y), in tiles where the picture is large."""
    height, width = y.shape[-2:]
    fits = settings.tile is None
    tile = fitting(model.bytes_per_pixel, y, MULTIPLE) if fits else tile_size(settings.tile, height, width)
    power = model.describe(y)
    with autocast(y.device, settings.precision):
        pieces = Pieces(tile, max(64, settings.overlap), MULTIPLE)
        return pieces(lambda part, _: model.predict(part, power), y, {}, heed)


def pose(
    model: CompactModel,
    image: Tensor,
    settings: Settings,
    scale: int,
    process: Process,
    *,
    anchor: Literal["zero", "degraded", "predicted"],
    from_guess: bool = False,
    heed: Heed = alone,
) -> Problem:
    """One picture as a Problem: the same predictor and denoiser, whatever the process and its anchor."""
    height, width = image.shape[-2:]
    image = drawn_apart(image, settings.options.get(FADING.key, 0.0))
    enlarged = resize(image, (height * scale, width * scale))
    y = by_bands(lambda part: to_signed(part.clamp(0, 1)), enlarged)
    del enlarged
    g = predict(model, y, settings, heed)
    anchors = {"zero": y.new_zeros(()).expand_as(y), "degraded": y, "predicted": g}

    def network(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        a, b, s = process.marginal(t)
        r = x - b * cond["anchor"] - a * cond["g"]
        return model.denoise(r, a, s, cond["g"], cond["y"], cond["power"][:1])  # one for all: they are of one photo

    return Problem(
        process=process,
        network=network,
        predicts="x0",
        anchor=anchors[anchor],
        cond={"y": y, "g": g, "anchor": anchors[anchor], "power": model.describe(y)},
        encode=to_signed,
        decode=to_image,
        guess=g,
        from_guess=from_guess,
        clip=1.0,
        multiple=MULTIPLE,
        bytes_per_pixel=model.bytes_per_pixel,
    )
