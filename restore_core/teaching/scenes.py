"""One small picture of which everything is known: the clean one, its damage, and what methods are given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from restore_core.degradations import TASKS, generator_of
from restore_core.devices import autocast
from restore_core.images import resize, to_8bit
from restore_core.library import Library, card
from restore_core.methods import METHODS as ALL
from restore_core.problem import Problem
from restore_core.processes import Prediction
from restore_core.samplers import Denoise
from restore_core.settings import Settings

SIDE = 128  # pixels: large enough for LPIPS, small enough to sample many times
SEED = 1  # of the damage
METHODS = tuple(
    key for key in ALL if any(v.key == "compact-sr4" for v in card(key).variants)
)  # that need no download


@dataclass(frozen=True, eq=False)
class Scene:
    """A clean picture and its damaged version, on the library's device.

    key        names the picture and the damage: scenes of the same pixels share it
    task       the damage, a key of degradations.TASKS
    clean      (1, 3, SIDE, SIDE), RGB in [0, 1]
    damaged    what a method is given: (1, 3, h, w) in [0, 1], smaller where the task is to enlarge
    """

    key: str
    task: str
    clean: Tensor
    damaged: Tensor

    @property
    def variant(self) -> str:
        """The shipped weights that undo this damage."""
        return f"compact-{self.task}"

    @property
    def enlarged(self) -> Tensor:
        """The damaged picture at the clean one's size, in [0, 1]."""
        return resize(self.damaged, (SIDE, SIDE)).clamp(0, 1)


def square(image: Tensor) -> Tensor:
    """The middle of (1, 3, H, W) as SIDE x SIDE pixels of 8 bits, so that its file would hold the same numbers."""
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = image[..., top : top + side, left : left + side]
    return to_8bit(resize(middle, (SIDE, SIDE)))


def scene(image: Tensor, task: str, library: Library) -> Scene:
    """image (1, 3, H, W), RGB in [0, 1], taken for clean: its middle is made small and damaged as in the tests."""
    clean = square(image)
    digest = hashlib.sha256(clean.mul(255).byte().numpy().tobytes()).hexdigest()
    damage = TASKS[task]
    damaged = damage(clean, damage.standard, generator_of(SEED))
    return Scene(f"{digest}-{task}", task, clean.to(library.device), damaged.to(library.device))


def settings_of(scene: Scene, library: Library, method: str, **changes: Any) -> Settings:
    """The method's defaults for this damage, moved by `changes`."""
    return card(method).settings(scene.variant, precision=library.precision, **changes)


@torch.no_grad()
def pose(scene: Scene, library: Library, settings: Settings) -> Problem:
    """The scene as the method itself poses it."""
    return library.method(settings.method, settings.variant).pose(scene.damaged, settings)


def several(problem: Problem, count: int) -> Problem:
    """The same problem `count` times in one batch."""

    def repeat(x: Tensor) -> Tensor:
        return x.expand(count, *x.shape[1:])

    cond: Mapping[str, Tensor] = {key: repeat(value) for key, value in problem.cond.items()}
    guess = None if problem.guess is None else repeat(problem.guess)
    return replace(problem, anchor=repeat(problem.anchor), cond=cond, guess=guess)


def denoiser(problem: Problem, precision: str) -> Denoise:
    """problem.denoise in the precision that the library runs in."""

    @torch.no_grad()
    def denoise(x: Tensor, t: Tensor) -> Prediction:
        with autocast(x.device, precision):
            raw = problem.network(x, t, problem.cond).float()
        return problem.read(x, t, raw)

    return denoise


__all__ = ["METHODS", "SIDE", "Scene", "denoiser", "pose", "scene", "settings_of", "several", "square"]
