"""TASKS: each a kind of damage, drawn at random for training and told in numbers for measuring.

All pictures are RGB in [0, 1], (N, 3, H, W); a damaged one is rounded to 8 bits, as a file would be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from restore_core.degradations.ageing import dust, fade, pale, scratches, unfaded
from restore_core.degradations.blur import (
    blur,
    defocus_kernel,
    gaussian_kernel,
    motion_kernel,
    trajectory_kernel,
)
from restore_core.degradations.compression import jpeg, shrink
from restore_core.degradations.noise import camera_noise, film_grain, gaussian_noise
from restore_core.degradations.published import filtered
from restore_core.degradations.weather import haze, rain
from restore_core.errors import SettingsError
from restore_core.images import resize, to_8bit

APART = 0x5EED_DA3A  # from the seeds of runs

Parameters = Mapping[str, float]
Damage = Callable[[Tensor, Parameters, torch.Generator], Tensor]
Share = Callable[[Tensor, Tensor, Parameters], tuple[Tensor, Tensor]]


def generator_of(seed: int) -> torch.Generator:
    """What draws a picture's damage: not the numbers that a run of the same seed draws.

    A run begins with the noise of its seed. Were the photo's noise that very noise, what is to be taken away would be
    what is laid over it, and results would come out up to 1 dB worse than on any other photo.
    """
    return torch.Generator().manual_seed(seed ^ APART)


def _all_of_it(clean: Tensor, damaged: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
    return clean, damaged


@dataclass(frozen=True)
class Task:
    """One kind of damage.

    label      what a picture with it is called; fault: what is undone
    scale      how much smaller the damaged picture is
    margin     border of a training crop that is thrown away because the damage there saw no true neighbours
    draw       generator -> random parameters for one picture
    damage     (clean, parameters, generator) -> damaged, H/scale x W/scale
    standard   the parameters at which results are measured
    spectra    whether the damage differs so much from picture to picture that networks are told its spectrum
    share      (clean, damaged, parameters) -> (what networks are to find, what they are given), where a part of the
               damage is undone before them
    """

    key: str
    label: str
    fault: str
    scale: int
    margin: int
    draw: Callable[[torch.Generator], Parameters]
    damage: Damage
    standard: Parameters
    spectra: bool = False
    share: Share = _all_of_it

    def __call__(self, clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
        """The damaged picture, 8-bit values in [0, 1]."""
        unknown = sorted(set(parameters) - set(self.standard))
        if unknown:
            raise SettingsError(
                f"The task '{self.key}' has no parameter {', '.join(unknown)}, so the damage cannot be made. "
                f"It knows: {', '.join(self.standard) or 'none'}."
            )
        height, width = clean.shape[-2:]
        if min(height, width) < self.scale:
            raise SettingsError(
                f"The picture is {width} × {height} px, and nothing is left of it when it is made {self.scale} times "
                f"smaller. Choose one of {self.scale} px a side or more."
            )
        return to_8bit(self.damage(clean, {**self.standard, **parameters}, generator))

    def lesson(self, clean: Tensor, parameters: Parameters, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(what networks are to find, what they are given), for training them."""
        return self.share(clean, self(clean, parameters, generator), {**self.standard, **parameters})


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """One draw from U(low, high)."""
    return low + (high - low) * torch.rand((), generator=generator).item()


def log_uniform(generator: torch.Generator, low: float, high: float) -> float:
    """One draw whose logarithm is uniform."""
    return math.exp(uniform(generator, math.log(low), math.log(high)))


def chance(generator: torch.Generator, share: float) -> bool:
    """True in `share` of the draws."""
    return uniform(generator, 0, 1) < share


def _shrink_by(factor: int) -> Damage:
    def shrink(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
        return resize(clean, tuple(side // factor for side in clean.shape[-2:]))

    return shrink


def _draw_nothing(generator: torch.Generator) -> Parameters:
    return {}


# the file that a damaged photo was saved in: half of all JPEG, mostly with halved colour; quality 0: without loss

FILE = {"quality": 0.0, "chroma": 1.0, "left": 0.0, "top": 0.0}


def _draw_jpeg_file(generator: torch.Generator, low: float, high: float) -> Parameters:
    drawn = {"quality": uniform(generator, low, high), "chroma": float(chance(generator, 0.8))}
    return drawn | {"left": float(int(uniform(generator, 0, 8))), "top": float(int(uniform(generator, 0, 8)))}


def _draw_file(generator: torch.Generator) -> Parameters:
    return _draw_jpeg_file(generator, 40, 98) if chance(generator, 0.5) else {"quality": 0.0}


def _saved(image: Tensor, p: Parameters) -> Tensor:
    if p["quality"] > 0:
        return jpeg(image, p["quality"], left=p["left"], top=p["top"], chroma=p["chroma"])
    return image


# blur: three in five Gaussian or out of focus, the rest a straight or a crooked shake; mostly little noise; the file

BLUR = {"sigma": 2.0, "length": 0.0, "angle": 0.0, "noise": 1.0, "defocus": 0.0, "shake": 0.0, "path": 0.0} | FILE


def _draw_blur(generator: torch.Generator) -> Parameters:
    noise = 3 * uniform(generator, 0, 1) ** 2
    kind = uniform(generator, 0, 1)
    drawn = {"sigma": 0.0, "length": 0.0, "noise": noise} | _draw_file(generator)
    if kind < 0.4:
        return drawn | {"sigma": uniform(generator, 0.5, 3.2)}
    if kind < 0.6:
        return drawn | {"defocus": uniform(generator, 1, 5)}
    if kind < 0.75:
        return drawn | {"length": uniform(generator, 3, 17), "angle": uniform(generator, 0, 180)}
    return drawn | {"shake": uniform(generator, 3, 20), "path": _path(generator)}


def _path(generator: torch.Generator) -> float:
    return float(torch.randint(2**20, (), generator=generator))


def _blur(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
    p = parameters
    if p["sigma"] > 0:
        clean = blur(clean, gaussian_kernel(p["sigma"]))
    if p["length"] > 0:
        clean = blur(clean, motion_kernel(p["length"], p["angle"]))
    if p["defocus"] > 0:
        clean = filtered(clean, defocus_kernel(p["defocus"]))
    if p["shake"] > 0:
        clean = filtered(clean, trajectory_kernel(p["shake"], p["path"]).flip(0, 1))
    return _saved(gaussian_noise(clean, p["noise"], generator), p)


# noise: half even Gaussian, half a camera's at some ISO, with a little of the other; then the file, which blurs the
# noise of colours and keeps that of light: to a network that never saw it, no noise at all


def _draw_noise(generator: torch.Generator) -> Parameters:
    file = _draw_file(generator)
    if chance(generator, 0.5):
        return {"sigma": uniform(generator, 5, 50)} | file
    return {"sigma": uniform(generator, 0, 5), "iso": log_uniform(generator, 800, 102_400)} | file


def _noise(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
    if parameters["iso"] > 0:
        clean = camera_noise(clean, parameters["iso"], generator)
    return _saved(gaussian_noise(clean, parameters["sigma"], generator), parameters)


# JPEG: once or twice, the grid of blocks anywhere

JPEG = FILE | {"quality": 30.0, "first": 0.0}


def _draw_jpeg(generator: torch.Generator) -> Parameters:
    drawn = _draw_jpeg_file(generator, 10, 70)
    return drawn | ({"first": uniform(generator, 10, 70)} if chance(generator, 0.3) else {})


def _jpeg(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
    """`first`: the quality of an earlier file, on the corner's grid; 0: there was none."""
    p = parameters
    if p["first"] > 0:
        clean = jpeg(clean, p["first"], chroma=p["chroma"])
    return _saved(clean, p)


# rain and haze: weather, then the file as for noise

RAIN = {
    "density": 6.0, "length": 24.0, "angle": 80.0, "width": 1.2, "strength": 0.7, "layers": 3.0, "veil": 0.08,
}  # fmt: skip
COVERED = 0.03, 0.5  # of a layer, by streaks


def _draw_rain(generator: torch.Generator) -> Parameters:
    """From a drizzle to a downpour: how much is covered is drawn, and the drops follow from it."""
    length, width = log_uniform(generator, 8, 90), log_uniform(generator, 0.6, 3.5)
    return {
        "density": 1000 * log_uniform(generator, *COVERED) / (length * width),
        "length": length,
        "angle": 90 + 45 * (uniform(generator, -1, 1)),
        "width": width,
        "strength": uniform(generator, 0.3, 1.0),
        "layers": float(1 + int(uniform(generator, 0, 4))),
        "veil": 0.3 * uniform(generator, 0, 1) ** 2,
    } | _draw_file(generator)


def _rain(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
    return _saved(rain(clean, generator, **{key: parameters[key] for key in RAIN}), parameters)


HAZE = {"beta": 1.0, "airlight": 0.9, "warmth": 0.0, "relief": 0.5, "horizon": 0.5}


def _draw_haze(generator: torch.Generator) -> Parameters:
    return {
        "beta": uniform(generator, 0.3, 1.8),
        "airlight": uniform(generator, 0.65, 1.0),
        "warmth": uniform(generator, -0.06, 0.06),
        "relief": uniform(generator, 0, 0.8),
        "horizon": uniform(generator, -0.2, 0.9),
        "noise": 3 * uniform(generator, 0, 1) ** 2,
    } | _draw_file(generator)


def _haze(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
    hazy = haze(clean, generator, **{key: parameters[key] for key in HAZE})
    return _saved(gaussian_noise(hazy, parameters["noise"], generator), parameters)


OLD = {
    "sigma": 0.8, "fading": 0.5, "yellow": 0.5, "colourless": 0.4, "grain": 8.0, "grain_size": 1.6, "scratches": 1.0,
    "dust": 6.0, "quality": 75.0,
}  # fmt: skip


def _draw_old(generator: torch.Generator) -> Parameters:
    return {
        "sigma": uniform(generator, 0, 1.8),
        "fading": uniform(generator, 0, 0.9),
        "yellow": uniform(generator, 0, 0.9),
        "colourless": 1.0 if chance(generator, 0.15) else uniform(generator, 0, 0.8),
        "grain": uniform(generator, 0, 16),
        "grain_size": uniform(generator, 1, 3),
        "scratches": 2.5 * uniform(generator, 0, 1) ** 2,
        "dust": 20 * uniform(generator, 0, 1) ** 2,
        "quality": uniform(generator, 50, 95),
    }


def _old(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
    """The lens, the print's grain, the years, the marks, the scanner's file."""
    p = parameters
    if p["sigma"] > 0:
        clean = filtered(clean, gaussian_kernel(p["sigma"]))
    clean = film_grain(clean, p["grain"], p["grain_size"], generator)
    clean = fade(clean, p["fading"], yellow=p["yellow"], colourless=p["colourless"])
    clean = dust(scratches(clean, p["scratches"], generator), p["dust"], generator)
    return jpeg(clean, p["quality"]) if p["quality"] > 0 else clean


def _marks_alone(clean: Tensor, damaged: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
    """Levels are drawn apart before the networks (levels.py), and how colours paled nobody can tell."""
    given = unfaded(damaged, parameters["fading"], yellow=parameters["yellow"])
    return pale(clean, parameters["colourless"]), given


# "not sure": the order of Real-ESRGAN's two stages, milder, at one size. 0: that step is left out

STAGE = {"sigma": 0.9, "ratio": 1.0, "angle": 0.0, "factor": 1.4, "noise": 4.0, "iso": 1600.0, "quality": 70.0}
BLIND = {f"{key}_1": value for key, value in STAGE.items()} | {
    "sigma_2": 0.5, "ratio_2": 1.0, "angle_2": 0.0, "factor_2": 1.0, "noise_2": 2.0, "iso_2": 0.0, "quality_2": 60.0,
}  # fmt: skip


def _draw_blind(generator: torch.Generator) -> Parameters:
    first, second = _draw_stage(generator, 2.0, 2.0, 12), _draw_stage(generator, 1.0, 1.5, 8)
    return {f"{key}_1": value for key, value in first.items()} | {f"{key}_2": value for key, value in second.items()}


def _draw_stage(generator: torch.Generator, sigma: float, factor: float, noise: float) -> Parameters:
    camera = chance(generator, 0.5)
    return {
        "sigma": uniform(generator, 0.2, sigma) if chance(generator, 0.8) else 0.0,
        "ratio": uniform(generator, 0.4, 1) if chance(generator, 0.4) else 1.0,
        "angle": uniform(generator, 0, 180),
        "factor": uniform(generator, 1, factor) if chance(generator, 0.7) else 1.0,
        "noise": noise * uniform(generator, 0, 1) ** 1.5,
        "iso": log_uniform(generator, 200, 12_800) if camera else 0.0,
        "quality": uniform(generator, 35, 95) if chance(generator, 0.8) else 0.0,
    }


def _blind(clean: Tensor, parameters: Parameters, generator: torch.Generator) -> Tensor:
    for number in (1, 2):
        clean = _stage(clean, {key: parameters[f"{key}_{number}"] for key in STAGE}, generator)
    return clean


def _stage(image: Tensor, p: Parameters, generator: torch.Generator) -> Tensor:
    """Blur, made smaller, noise, JPEG, then brought back to its size."""
    size = image.shape[-2:]
    if p["sigma"] > 0:
        image = filtered(image, gaussian_kernel(p["sigma"], p["ratio"] * p["sigma"], p["angle"]))
    if p["factor"] > 1:
        image = shrink(image, p["factor"])
    if p["iso"] > 0:
        image = camera_noise(image, p["iso"], generator)
    image = gaussian_noise(image, p["noise"], generator)
    if p["quality"] > 0:
        image = jpeg(image, p["quality"])
    return resize(image, size)


_TASKS = (
    Task("sr4", "Small", "four times larger", 4, 0, _draw_nothing, _shrink_by(4), {}),
    Task("sr2", "A little small", "twice as large", 2, 0, _draw_nothing, _shrink_by(2), {}),
    Task("deblur", "Blurry", "blur", 1, 16, _draw_blur, _blur, BLUR, spectra=True),
    Task("denoise", "Noisy", "noise", 1, 8, _draw_noise, _noise, {"sigma": 25.0, "iso": 0.0} | FILE),
    Task("jpeg", "Blocky (JPEG)", "JPEG blocks", 1, 8, _draw_jpeg, _jpeg, JPEG),
    Task("rain", "Rainy", "rain", 1, 16, _draw_rain, _rain, RAIN | FILE),
    Task("haze", "Hazy", "haze", 1, 8, _draw_haze, _haze, HAZE | {"noise": 1.0} | FILE),
    Task("old", "Old print", "old prints", 1, 8, _draw_old, _old, OLD, share=_marks_alone),
    Task("blind", "Bit of everything", "several faults at once", 1, 16, _draw_blind, _blind, BLIND),
)
TASKS: Mapping[str, Task] = {task.key: task for task in _TASKS}
