"""The random damages that blind methods are trained on, drawn as chains whose every number can be seen and changed.

Ranges: Real-ESRGAN's two stages (Wang et al. 2021; DiffBIR v2.1 and all its SwinIR cleaners) and CodeFormer's single
one (Zhou et al. 2022; DiffBIR v1, v2), as their published configurations have them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from restore_core.degradations.chain import MAX_SEED, Chain, Step
from restore_core.degradations.tasks import chance, uniform
from restore_core.errors import SettingsError
from restore_core.settings import whole

Range = tuple[float, float]
SHARES = (("gaussian", 0.45, 0.25), ("generalised", 0.12, 0.03), ("plateau", 0.12, 0.03))  # isotropic, not isotropic
BETAS: Mapping[str, Range] = {"gaussian": (1.0, 1.0), "generalised": (0.5, 4.0), "plateau": (1.0, 2.0)}
FAST_MODES = ("area", "bilinear", "bicubic")
SMALLEST_KERNEL, LARGEST_KERNEL = 7, 21
SINC = 0.1  # share of kernels that ring
LAST_SINC = 0.8
QUALITY: Range = (30, 95)
FACTOR = 4  # the second stage works on a quarter of each side


@dataclass(frozen=True)
class Stage:
    """Ranges of one stage: kernel deviations in px, chances of enlarging and shrinking, scales, noise."""

    sigma: Range
    blurred: float
    enlarged: float
    shrunk: float
    scale: Range
    gaussian: Range
    poisson: Range
    grey: float = 0.4


FIRST = Stage((0.2, 3.0), 1.0, 0.2, 0.7, (0.15, 1.5), (1, 30), (0.05, 3.0))
SECOND = Stage((0.2, 1.5), 0.8, 0.3, 0.4, (0.3, 1.2), (1, 25), (0.05, 2.5))


@dataclass(frozen=True)
class Single:
    """Ranges of CodeFormer's chain."""

    sigma: Range
    factor: Range
    noise: Range
    quality: Range


GENERAL = Single((0.1, 12), (1, 12), (0, 15), (30, 100))
FACE = Single((0.1, 10), (0.8, 8), (0, 20), (60, 100))


def two_stage(generator: torch.Generator, *, sharpened: bool = False) -> list[Step]:
    """Blur, resize, noise, JPEG, twice; the second time the last resize and JPEG in either order."""
    steps = [Step("sharpen")] if sharpened else []
    steps += _blurred(generator, FIRST)
    steps.append(Step("resize", {"scale": _scale(generator, FIRST), "mode": _pick(generator, FAST_MODES)}))
    steps += [_noise(generator, FIRST), _compressed(generator)]
    steps += _blurred(generator, SECOND)
    share = _scale(generator, SECOND) / FACTOR
    steps += [Step("resize-to", {"share": share, "mode": _pick(generator, FAST_MODES)}), _noise(generator, SECOND)]
    small = [Step("resize-to", {"share": 1 / FACTOR, "mode": _pick(generator, FAST_MODES)})]
    if chance(generator, LAST_SINC):
        small.append(_sinc(generator, math.pi / 3))
    ends = [small, [_compressed(generator)]]
    for end in ends if chance(generator, 0.5) else reversed(ends):
        steps += end
    return [*steps, Step("resize-to", {"share": 1.0, "mode": "bicubic"})]


def single_stage(generator: torch.Generator, ranges: Single) -> list[Step]:
    """Blur by a kernel of 41 px, make smaller, add noise, JPEG, enlarge."""
    sigma = uniform(generator, *ranges.sigma)
    across = sigma if chance(generator, 0.5) else uniform(generator, *ranges.sigma)
    kernel = {"size": 41, "sigma_x": sigma, "sigma_y": across, "angle": uniform(generator, -180, 180)}
    return [
        Step("kernel", kernel),
        Step("resize-to", {"share": 1 / uniform(generator, *ranges.factor), "mode": "bilinear"}),
        Step("gaussian", {"sigma": uniform(generator, *ranges.noise)}),
        Step("jpeg", {"quality": int(uniform(generator, *ranges.quality))}),
        Step("resize-to", {"share": 1.0, "mode": "bilinear"}),
    ]


def _blurred(generator: torch.Generator, stage: Stage) -> list[Step]:
    if not chance(generator, stage.blurred):
        return []
    size = _odd_size(generator)
    if chance(generator, SINC):
        return [_sinc(generator, math.pi / (3 if size < 13 else 5), size)]
    shape, same = _shape(generator)
    sigma = uniform(generator, *stage.sigma)
    return [Step("kernel", {
        "shape": shape, "size": size, "sigma_x": sigma,
        "sigma_y": sigma if same else uniform(generator, *stage.sigma),
        "angle": 0.0 if same else uniform(generator, -180, 180), "beta": _beta(generator, *BETAS[shape]),
    })]  # fmt: skip


def _shape(generator: torch.Generator) -> tuple[str, bool]:
    """The kernel's shape and whether it is isotropic."""
    kinds = [(shape, same) for shape, _, _ in SHARES for same in (True, False)]
    weights = torch.tensor([share for _, *both in SHARES for share in both])
    return kinds[int(torch.multinomial(weights, 1, generator=generator))]


def _beta(generator: torch.Generator, low: float, high: float) -> float:
    """Half of the draws below 1, half above."""
    return uniform(generator, low, 1) if chance(generator, 0.5) else uniform(generator, 1, high)


def _odd_size(generator: torch.Generator) -> int:
    return SMALLEST_KERNEL + 2 * int(uniform(generator, 0, (LARGEST_KERNEL - SMALLEST_KERNEL) / 2 + 1))


def _sinc(generator: torch.Generator, lowest: float, size: int | None = None) -> Step:
    size = _odd_size(generator) if size is None else size
    return Step("sinc", {"size": size, "cutoff": uniform(generator, lowest, math.pi)})


def _scale(generator: torch.Generator, stage: Stage) -> float:
    kind, (low, high) = uniform(generator, 0, 1), stage.scale
    if kind < stage.enlarged:
        return uniform(generator, 1, high)
    return uniform(generator, low, 1) if kind < stage.enlarged + stage.shrunk else 1.0


def _noise(generator: torch.Generator, stage: Stage) -> Step:
    even, grey = chance(generator, 0.5), chance(generator, stage.grey)
    if even:
        return Step("gaussian", {"sigma": uniform(generator, *stage.gaussian), "grey": grey})
    return Step("poisson", {"scale": uniform(generator, *stage.poisson), "grey": grey})


def _compressed(generator: torch.Generator) -> Step:
    return Step("soft-jpeg", {"quality": uniform(generator, *QUALITY)})


def _pick(generator: torch.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(uniform(generator, 0, len(choices)))]


@dataclass(frozen=True)
class Recipe:
    """A law of random chains."""

    key: str
    label: str
    source: str
    steps: Callable[[torch.Generator], list[Step]]


_RECIPES = (
    Recipe("two-stage", "Two stages", "Real-ESRGAN; DiffBIR's cleaners", two_stage),
    Recipe(
        "two-stage-sharpened", "Two stages, of a sharpened picture", "DiffBIR v2.1",
        lambda generator: two_stage(generator, sharpened=True),
    ),
    Recipe(
        "one-stage", "One stage", "CodeFormer; DiffBIR v1 and v2, photos",
        lambda generator: single_stage(generator, GENERAL),
    ),
    Recipe(
        "one-stage-face", "One stage, milder", "CodeFormer; DiffBIR v1, faces",
        lambda generator: single_stage(generator, FACE),
    ),
)  # fmt: skip
RECIPES: Mapping[str, Recipe] = {recipe.key: recipe for recipe in _RECIPES}


def draw(recipe: str, seed: int) -> Chain:
    """The chain number `seed` of a recipe: its parameters, and the seed of its noise."""
    if recipe not in RECIPES:
        raise SettingsError(f"There is no random chain called '{recipe}'. Choose one of {', '.join(RECIPES)}.")
    seed = whole("The seed", seed, 0, MAX_SEED)
    return Chain(tuple(RECIPES[recipe].steps(torch.Generator().manual_seed(seed))), seed)
