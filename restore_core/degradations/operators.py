"""DEGRADATIONS: each kind of damage with the numbers it takes. Pictures are RGB (1, 3, H, W) in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from restore_core.degradations import ageing, blur, compression, noise, published, weather
from restore_core.degradations.kernels import SHAPES, mixed_kernel, sinc_kernel
from restore_core.degradations.soft_jpeg import soft_jpeg
from restore_core.errors import SettingsError
from restore_core.settings import Option

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """What a step is given beside the picture: its own random numbers, and the size the chain began with."""

    generator: torch.Generator
    size: tuple[int, int]


@dataclass(frozen=True)
class Degradation:
    """One operator.

    group   "photo": for people; "published": as the blind methods train with, drawn rather than set by hand
    run     (picture, a value for each option, context) -> picture, not yet clipped
    """

    key: str
    label: str
    options: tuple[Option, ...]
    run: Callable[[Tensor, Values, Context], Tensor]
    group: str = "photo"

    def checked(self, values: Values) -> dict[str, Any]:
        """Every option with its value, SettingsError for one that is unknown or out of range."""
        known = {option.key: option for option in self.options}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SettingsError(
                f"'{self.key}' has no option called {', '.join(map(str, unknown))}, so this step cannot be done. It "
                f"has: {', '.join(known) or 'none'}."
            )
        return {key: option.check(values.get(key, option.default)) for key, option in known.items()}


def degradation(key: object) -> Degradation:
    """The operator called `key`."""
    if not isinstance(key, str) or key not in DEGRADATIONS:
        near = get_close_matches(str(key), DEGRADATIONS, n=3) or list(DEGRADATIONS)
        raise SettingsError(f"There is no damage called '{key}'. Choose one of {', '.join(near)}.")
    return DEGRADATIONS[key]


# optics

_ANGLE = Option("angle", "Angle (degrees)", 0.0, 0.0, 180.0, 1.0, help="0: along the rows, 90: upright.")


def _gaussian(image: Tensor, v: Values, context: Context) -> Tensor:
    return blur.blur(image, blur.gaussian_kernel(v["sigma"], v["ratio"] * v["sigma"], v["angle"]))


def _motion(image: Tensor, v: Values, context: Context) -> Tensor:
    return blur.blur(image, blur.motion_kernel(v["length"], v["angle"])) if v["length"] > 0 else image


def _shake(image: Tensor, v: Values, context: Context) -> Tensor:
    return blur.blur(image, blur.trajectory_kernel(v["length"], v["path"]))


def _defocus(image: Tensor, v: Values, context: Context) -> Tensor:
    return blur.blur(image, blur.defocus_kernel(v["radius"]))


def _small(image: Tensor, v: Values, context: Context) -> Tensor:
    size = tuple(max(1, round(side / v["factor"])) for side in image.shape[-2:])
    small = published.resized(image, v["mode"], size=size)
    return published.resized(small, "antialiased", size=tuple(image.shape[-2:])) if v["back"] else small


# sensor and film


def _camera(image: Tensor, v: Values, context: Context) -> Tensor:
    return noise.camera_noise(image, v["iso"], context.generator, v["full_well"], v["read"])


def _even(image: Tensor, v: Values, context: Context) -> Tensor:
    seen = image[:, :1] if v["grey"] else image
    return image + noise.gaussian_noise(torch.zeros_like(seen), v["sigma"], context.generator)


def _sensor(image: Tensor, v: Values, context: Context) -> Tensor:
    planes = [
        noise.poisson_gaussian(image[:, c : c + 1], v[f"k_{name}"], v[f"sigma_{name}"], context.generator)
        for c, name in enumerate("rgb")
    ]
    return torch.cat(planes, dim=1)


def _grain(image: Tensor, v: Values, context: Context) -> Tensor:
    return noise.film_grain(image, v["sigma"], v["size"], context.generator)


# files, weather, years


def _jpeg(image: Tensor, v: Values, context: Context) -> Tensor:
    return compression.jpeg(image, v["quality"], left=v["left"], top=v["top"], chroma=float(v["chroma"]))


def _rain(image: Tensor, v: Values, context: Context) -> Tensor:
    return weather.rain(image, context.generator, **v)


def _haze(image: Tensor, v: Values, context: Context) -> Tensor:
    return weather.haze(image, context.generator, **v)


def _fade(image: Tensor, v: Values, context: Context) -> Tensor:
    return ageing.fade(image, **v)


def _scratches(image: Tensor, v: Values, context: Context) -> Tensor:
    return ageing.scratches(image, v["number"], context.generator, light=v["light"])


def _dust(image: Tensor, v: Values, context: Context) -> Tensor:
    return ageing.dust(image, v["number"], context.generator, light=v["light"])


# as published


def _kernel(image: Tensor, v: Values, context: Context) -> Tensor:
    kernel = mixed_kernel(
        v["shape"], _odd(v["size"]), v["sigma_x"], v["sigma_y"], math.radians(v["angle"]), v["beta"]
    )
    return published.filtered(image, kernel)


def _sinc(image: Tensor, v: Values, context: Context) -> Tensor:
    return published.filtered(image, sinc_kernel(_odd(v["size"]), v["cutoff"]))


def _odd(size: float) -> int:
    return 2 * int(size // 2) + 1


def _sharpen(image: Tensor, v: Values, context: Context) -> Tensor:
    return published.sharpened(image, v["weight"], v["threshold"])


def _poisson(image: Tensor, v: Values, context: Context) -> Tensor:
    return published.poisson_noise(image, v["scale"], context.generator, grey=v["grey"])


def _soft_jpeg(image: Tensor, v: Values, context: Context) -> Tensor:
    return soft_jpeg(image.clamp(0, 1), v["quality"])


def _resize(image: Tensor, v: Values, context: Context) -> Tensor:
    return published.resized(image, v["mode"], scale=v["scale"])


def _resize_to(image: Tensor, v: Values, context: Context) -> Tensor:
    size = tuple(max(1, int(side * v["share"] + 1e-6)) for side in context.size)
    return published.resized(image, v["mode"], size=size)


_MODE = Option("mode", "Interpolation", "antialiased", choices=published.MODES)
_LIGHT = Option("light", "Share of light ones", 0.7, 0.0, 1.0, 0.05)
_SIZE = Option("size", "Kernel size (px)", 21, 3, 41, 2)
_WELL, _READ = noise.FULL_WELL, noise.READ_NOISE

_ALL = (
    Degradation("blur", "Blur (Gaussian)", (
        Option("sigma", "Deviation (px)", 2.0, 0.0, 5.0, 0.1),
        Option("ratio", "Across, as a share of it", 1.0, 0.05, 1.0, 0.05, help="1: the same in all directions."),
        _ANGLE,
    ), _gaussian),
    Degradation("motion", "Motion blur", (Option("length", "Length (px)", 12.0, 0.0, 40.0, 0.5), _ANGLE), _motion),
    Degradation("shake", "Shaken camera", (
        Option("length", "Extent (px)", 15.0, 0.0, 40.0, 0.5),
        Option("path", "Number of the path", 1, 0, 2**20, 1),
    ), _shake),
    Degradation("defocus", "Out of focus", (Option("radius", "Radius (px)", 4.0, 0.0, 20.0, 0.5),), _defocus),
    Degradation("small", "Made smaller", (
        Option("factor", "Times smaller", 4.0, 1.0, 16.0, 0.5),
        Option("back", "Enlarge it to its size again", True),
        _MODE,
    ), _small),
    Degradation("noise", "Camera noise (ISO)", (
        Option("iso", "ISO", 3200.0, 100.0, 204_800.0, 100.0, help="Gain factor ISO / 100, in dB 20 log10 of it."),
        Option("full_well", "Full well (electrons at ISO 100)", _WELL, 500.0, 200_000.0, 500.0),
        Option("read", "Read noise (electrons)", _READ, 0.0, 50.0, 0.5),
    ), _camera),
    Degradation("gaussian", "Even noise", (
        Option("sigma", "Deviation (grey levels of 255)", 15.0, 0.0, 100.0, 1.0),
        Option("grey", "Without colour", False),
    ), _even),
    Degradation("sensor", "Noise as calibrated", tuple(
        Option(f"{kind}_{name}", f"{label}, {word}", 0.0, 0.0, high, step)
        for name, word in (("r", "red"), ("g", "green"), ("b", "blue"))
        for kind, label, high, step in (("k", "K (one electron)", 1.0, 1e-5), ("sigma", "sigma (of white)", 1.0, 1e-4))
    ), _sensor),
    Degradation("grain", "Film grain", (
        Option("sigma", "Deviation (grey levels of 255)", 10.0, 0.0, 60.0, 1.0),
        Option("size", "Size (px)", 1.6, 0.5, 6.0, 0.1),
    ), _grain),
    Degradation("jpeg", "JPEG", (
        Option("quality", "Quality", 25.0, 1.0, 100.0, 1.0),
        Option("chroma", "Colour at half the resolution (4:2:0)", True),
        Option("left", "Blocks begin at column", 0, 0, 7, 1),
        Option("top", "Blocks begin at row", 0, 0, 7, 1),
    ), _jpeg),
    Degradation("rain", "Rain", (
        Option("density", "Drops in 1000 px", 6.0, 0.0, 40.0, 0.5),
        Option("length", "Length (px)", 24.0, 2.0, 80.0, 1.0),
        Option("angle", "Angle (degrees)", 80.0, 0.0, 180.0, 1.0, help="90: straight down."),
        Option("width", "Width (px)", 1.2, 0.5, 5.0, 0.1),
        Option("strength", "Strength", 0.7, 0.0, 1.0, 0.05),
        Option("layers", "Layers", 3, 1, 6, 1),
        Option("veil", "Veil", 0.08, 0.0, 0.6, 0.02),
    ), _rain),
    Degradation("haze", "Haze", (
        Option("beta", "Thickness (beta)", 1.0, 0.0, 3.0, 0.05, help="What comes through is exp(-beta distance)."),
        Option("airlight", "Brightness of the air", 0.9, 0.3, 1.0, 0.01),
        Option("warmth", "Warmth", 0.0, -0.15, 0.15, 0.01),
        Option("relief", "How distances vary", 0.5, 0.0, 1.0, 0.05),
        Option("horizon", "Farther at the top", 0.5, -1.0, 1.0, 0.05),
    ), _haze),
    Degradation("fade", "Faded", (
        Option("amount", "Fading", 0.5, 0.0, 1.0, 0.05),
        Option("yellow", "Yellowing", 0.5, 0.0, 1.0, 0.05),
        Option("colourless", "Paleness", 0.4, 0.0, 1.0, 0.05, help="1: black and white."),
    ), _fade),
    Degradation("scratches", "Scratches", (
        Option("number", "Number in 128 px", 1.5, 0.0, 10.0, 0.1), _LIGHT,
    ), _scratches),
    Degradation("dust", "Dust", (Option("number", "Specks in 128 × 128 px", 8.0, 0.0, 80.0, 1.0), _LIGHT), _dust),
    Degradation("kernel", "Blur (mixed kernel)", (
        Option("shape", "Shape", "gaussian", choices=SHAPES),
        _SIZE,
        Option("sigma_x", "Deviation along (px)", 2.0, 0.05, 15.0, 0.05),
        Option("sigma_y", "Deviation across (px)", 2.0, 0.05, 15.0, 0.05),
        Option("angle", "Angle (degrees)", 0.0, -180.0, 180.0, 1.0),
        Option("beta", "Exponent (beta)", 1.0, 0.2, 8.0, 0.05),
    ), _kernel, "published"),
    Degradation("sinc", "Ringing (sinc)", (
        _SIZE, Option("cutoff", "Cutoff (radians a px)", 2.0, 0.3, math.pi, 0.01),
    ), _sinc, "published"),
    Degradation("sharpen", "Sharpened (unsharp mask)", (
        Option("weight", "Weight", 0.5, 0.0, 2.0, 0.05),
        Option("threshold", "Threshold (grey levels)", 10.0, 0.0, 60.0, 1.0),
    ), _sharpen, "published"),
    Degradation("poisson", "Poisson noise (of the picture's tones)", (
        Option("scale", "Scale", 1.0, 0.0, 5.0, 0.05), Option("grey", "Without colour", False),
    ), _poisson, "published"),
    Degradation("soft-jpeg", "JPEG (in arithmetic)", (
        Option("quality", "Quality", 60.0, 1.0, 99.0, 1.0),
    ), _soft_jpeg, "published"),
    Degradation("resize", "Resized", (Option("scale", "Scale", 0.5, 0.05, 4.0, 0.01), _MODE), _resize, "published"),
    Degradation("resize-to", "Resized to a share of the original", (
        Option("share", "Share", 1.0, 0.01, 4.0, 0.01), _MODE,
    ), _resize_to, "published"),
)  # fmt: skip
DEGRADATIONS: Mapping[str, Degradation] = {d.key: d for d in _ALL}
