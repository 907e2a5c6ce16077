"""Tensors as pictures for the page: photos, states that leave the range, noise, spread maps, raw numbers."""

from __future__ import annotations

import base64

import numpy as np
import torch
from torch import Tensor

from restore_core.export import data_uri
from restore_core.images import to_uint8
from restore_core.methods.compact import to_image

QUALITY, NOISE_QUALITY = 88, 76
UNITS = 4096  # in which numbers travel that are no picture's
SIGMAS = 3.0  # noise is shown grey at 0, black and white at this many deviations
HEAT = (
    (0.0, (6, 6, 20)),
    (0.3, (92, 22, 110)),
    (0.6, (205, 65, 76)),
    (0.82, (249, 150, 40)),
    (1.0, (252, 252, 190)),
)


def photo(image: Tensor) -> str:
    """(1, 3, H, W) in [0, 1]."""
    return data_uri(to_uint8(image), QUALITY)


def state(x: Tensor) -> str:
    """A state of the process, [-1, 1] where it is a picture; what lies beyond is clipped."""
    return data_uri(to_uint8(to_image(x)), NOISE_QUALITY)


def noise(eps: Tensor) -> str:
    """Standard normal numbers about a middle grey."""
    return data_uri(to_uint8(eps / (2 * SIGMAS) + 0.5), NOISE_QUALITY)


def heat(values: Tensor, top: float) -> str:
    """(1, 1, H, W) from 0 to `top` as colours from dark to light, in which light is also much."""
    share = (values[0, 0].float().cpu().numpy() / max(top, 1e-9)).clip(0, 1)
    places = [place for place, _ in HEAT]
    channels = [np.interp(share, places, [colour[c] for _, colour in HEAT]) for c in range(3)]
    return data_uri(np.ascontiguousarray(np.stack(channels, axis=-1).round().astype(np.uint8)), QUALITY)


def grey(values: Tensor) -> str:
    """(H, W) in [0, 1]."""
    return data_uri(to_uint8(values.expand(3, *values.shape)), QUALITY)


def raw(image: Tensor) -> str:
    """A picture of 8 bits, (1, 3, H, W) in [0, 1], as H W 3 bytes, base64: numbers for the page to calculate with."""
    return base64.b64encode(to_uint8(image).tobytes()).decode("ascii")


def raw_values(x: Tensor) -> str:
    """(1, 3, H, W), |x| < 8, in units of 1/UNITS as H W 3 little-endian int16, base64: for the same.

    What leaves [-1, 1], as noise does and a predictor's guess, stays as it is: only what is shown of it is clipped.
    """
    steps = quantised(x).mul(UNITS).to(torch.int16)[0].permute(1, 2, 0).contiguous()
    return base64.b64encode(steps.cpu().numpy().astype("<i2").tobytes()).decode("ascii")


def quantised(x: Tensor) -> Tensor:
    """x as the page receives it."""
    return x.mul(UNITS).round().clamp(-32767, 32767).div(UNITS)


def luma(images: Tensor) -> str:
    """(n, 3, H, W) in [0, 1] as n H W bytes of brightness (BT.601), base64."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).reshape(1, 3, 1, 1)
    bright = (images * weights).sum(dim=1).clamp(0, 1).mul(255).round().to(torch.uint8)
    return base64.b64encode(bright.cpu().numpy().tobytes()).decode("ascii")
