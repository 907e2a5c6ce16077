"""TASKS: each a kind of damage, drawn at random for training and told in numbers for measuring.

All pictures are RGB in [0, 1], (N, 3, H, W); a damaged one is rounded to 8 bits, as a file would be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from restore_core.degradations.blur import blur, gaussian_kernel, motion_kernel
from restore_core.degradations.noise import gaussian_noise
from restore_core.errors import SettingsError
from restore_core.images import resize, to_8bit

Parameters = Mapping[str, float]


@dataclass(frozen=True)
class Task:
    """One kind of damage.

    scale      how much smaller the damaged picture is
    margin     border of a training crop that is thrown away because the damage there saw no true neighbours
    draw       generator -> random parameters for one picture
    damage     (clean, parameters, generator) -> damaged, H/scale x W/scale
    standard   the parameters at which results are measured
    spectra    whether the damage differs so much from picture to picture that networks are told its spectrum
    """

    key: str
    label: str
    scale: int
    margin: int
    draw: Callable[[torch.Generator], Parameters]
    damage: Callable[[Tensor, Parameters, torch.Generator], Tensor]
    standard: Parameters
    spectra: bool = False

    def __call__(self, clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
        """The damaged picture, 8-bit values in [0, 1]."""
        unknown = sorted(set(parameters) - set(self.standard))
        if unknown:
            raise SettingsError(
                f"The task '{self.key}' has no parameter {', '.join(unknown)}, so the damage cannot be made. "
                f"It knows: {', '.join(self.standard) or 'none'}."
            )
        return to_8bit(self.damage(clean, {**self.standard, **parameters}, generator))


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """One draw from U(low, high)."""
    return low + (high - low) * torch.rand((), generator=generator).item()


def _shrink(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
    height, width = clean.shape[-2:]
    return resize(clean, (height // 4, width // 4))


def _draw_nothing(generator: torch.Generator) -> Parameters:
    return {}


def _draw_blur(generator: torch.Generator) -> Parameters:
    noise = 3 * uniform(generator, 0, 1) ** 2  # mostly little
    if uniform(generator, 0, 1) < 0.6:
        return {"sigma": uniform(generator, 0.5, 3.2), "length": 0.0, "noise": noise}
    return {"sigma": 0.0, "length": uniform(generator, 3, 17), "angle": uniform(generator, 0, 180), "noise": noise}


def _blur(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
    if parameters["sigma"] > 0:
        clean = blur(clean, gaussian_kernel(parameters["sigma"]))
    if parameters["length"] > 0:
        clean = blur(clean, motion_kernel(parameters["length"], parameters["angle"]))
    return gaussian_noise(clean, parameters["noise"], generator)


def _draw_noise(generator: torch.Generator) -> Parameters:
    return {"sigma": uniform(generator, 5, 50)}


def _noise(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
    return gaussian_noise(clean, parameters["sigma"], generator)


_TASKS = (
    Task("sr4", "Small: four times larger", 4, 0, _draw_nothing, _shrink, {}),
    Task(
        "deblur", "Blurred", 1, 16, _draw_blur, _blur,
        {"sigma": 2.0, "length": 0.0, "angle": 0.0, "noise": 1.0}, spectra=True,
    ),  # fmt: skip
    Task("denoise", "Noisy", 1, 0, _draw_noise, _noise, {"sigma": 25.0}),
)
TASKS: Mapping[str, Task] = {task.key: task for task in _TASKS}
