"""What every metric is, and the checks that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from restore_core.errors import SettingsError


@dataclass(frozen=True)
class Metric:
    """One number per picture, declared with its direction.

    better            which way is better
    unit              what the number counts; "" where it is a pure number
    needs_reference   run(result, reference) if True, run(result) if False
    run               RGB pictures in [0, 1], (N, 3, H, W) -> (N,); those with a reference also take the keyword
                      crop_border, the pixels left out on every side
    source            paper and equation
    """

    key: str
    label: str
    better: Literal["higher", "lower"]
    unit: str
    needs_reference: bool
    run: Callable[..., Tensor]
    source: str


def check_rgb(image: Tensor) -> None:
    """Refuse what is not (N, 3, H, W)."""
    if image.ndim != 4 or image.shape[1] != 3:
        raise SettingsError(
            f"A tensor of shape {tuple(image.shape)} was given to a metric, which can only measure RGB pictures "
            "of shape (N, 3, H, W). Add the batch dimension or repeat the grey channel three times."
        )


def check_size(image: Tensor, smallest: int, what: str) -> None:
    """Refuse pictures with a side below `smallest` pixels."""
    height, width = image.shape[-2:]
    if min(height, width) < smallest:
        raise SettingsError(
            f"The picture is {width} × {height} px, too small for {what}, which needs {smallest} px on either side. "
            "Choose a larger picture or another measure."
        )


def precise(x: Tensor) -> Tensor:
    """In float64, or float32 where the device has nothing finer."""
    return x.float() if x.device.type == "mps" else x.double()


def matched(result: Tensor, reference: Tensor, crop_border: int = 0) -> tuple[Tensor, Tensor]:
    """Both pictures without a border of crop_border px; refused if they do not lie pixel on pixel."""
    check_rgb(result)
    if result.shape != reference.shape:
        raise SettingsError(
            f"The result has shape {tuple(result.shape)} and the reference {tuple(reference.shape)}, "
            "so there are no pairs of pixels to compare. Crop or resize one to the other first."
        )
    height, width = result.shape[-2:]
    if not 0 <= 2 * crop_border < min(height, width):
        raise SettingsError(
            f"A border of {crop_border} px cannot be cropped from a picture of {width} × {height} px. "
            f"Choose between 0 and {(min(height, width) - 1) // 2}."
        )
    inner = (..., slice(crop_border, height - crop_border), slice(crop_border, width - crop_border))
    return result[inner], reference[inner]
