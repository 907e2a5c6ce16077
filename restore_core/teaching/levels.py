"""What being told a noise level means: one network, one noise, every true level under every level that it is told."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from restore_core.devices import autocast
from restore_core.engine import Noise
from restore_core.library import Library
from restore_core.methods.compact import to_image, to_signed
from restore_core.metrics import psnr
from restore_core.teaching.scenes import Scene

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # s/a, for pictures in [-1, 1]


@dataclass(frozen=True)
class Told:
    """Rows: the true level; columns: the level that the network is told.

    seen      (n, 3, H, W) in [0, 1]: the clean picture with noise of each true level
    answers   (n, n, 3, H, W) in [0, 1]: what the network takes the clean picture for
    psnr      (n, n) in dB, of the answers against the clean picture
    predictor (1, 3, H, W) in [0, 1]: its answer without any noisy picture at all
    """

    levels: tuple[float, ...]
    seen: Tensor
    answers: Tensor
    psnr: Tensor
    predictor: Tensor


@torch.no_grad()
def told(scene: Scene, library: Library, levels: tuple[float, ...] = LEVELS, seed: int = 1) -> Told:
    """u = x0 + level z, given with every level in turn: len(levels) batches of len(levels) pictures."""
    model = library.network(f"compact/{scene.task}")
    x0, y = to_signed(scene.clean), to_signed(scene.enlarged)
    z = Noise(seed)(x0)
    true = torch.tensor(levels, dtype=torch.float32, device=x0.device).reshape(-1, 1, 1, 1)
    u, count = x0 + true * z, len(levels)
    power = model.describe(y)
    with autocast(x0.device, library.precision):
        g = model.predict(y, power)
        every = [t.expand(count, *t.shape[1:]) for t in (g, y, power)]
        answers = torch.stack(
            [model.denoise(u - g, torch.ones(()), torch.tensor(level), *every) for level in levels], dim=1
        )
    pictures = to_image(answers.float().clamp(-1, 1))
    flat = pictures.flatten(0, 1)
    quality = psnr(flat, scene.clean.expand_as(flat)).reshape(count, count)
    return Told(levels, to_image(u), pictures, quality, to_image(g.float()))
