"""What years do to a print: fading, yellowing, scratches, dust. RGB in [0, 1], (N, 3, H, W).

Marks are told per 128 px, so that a crop and the whole picture look alike.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from restore_core.degradations.blur import blur, gaussian_kernel

UNIT = 128  # px, the side over which marks are counted
PAPER = (0.93, 0.86, 0.68)  # old paper, sRGB
SHIFT = 4  # bits of subpixel places in OpenCV's drawing


def fade(image: Tensor, amount: float, *, yellow: float = 0.0, colourless: float = 0.0) -> Tensor:
    """Whites and blacks draw together, colours pale, paper yellows; each 0 (none) to 1.

    x <- x + colourless (grey(x) - x);  x <- 0.28 amount + (1 - 0.45 amount) x;  x <- x ((1 - yellow) + yellow paper)
    """
    return (0.28 * amount + (1 - 0.45 * amount) * pale(image, colourless)) * _paper(image, yellow)


def unfaded(image: Tensor, amount: float, *, yellow: float = 0.0) -> Tensor:
    """What a print had on it before `fade` of the same numbers, but for paled colours; clipped to [0, 1]."""
    return ((image / _paper(image, yellow) - 0.28 * amount) / (1 - 0.45 * amount)).clamp(0, 1)


def pale(image: Tensor, colourless: float) -> Tensor:
    """x + colourless (grey(x) - x)."""
    grey = (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return image + colourless * (grey - image)


def _paper(like: Tensor, yellow: float) -> Tensor:
    """What is left of white, (3, 1, 1)."""
    return 1 + yellow * (like.new_tensor(PAPER)[:, None, None] / max(PAPER) - 1)


def scratches(image: Tensor, number: float, generator: torch.Generator, *, light: float = 0.75) -> Tensor:
    """Thin crooked lines, mostly upright; `number` cross each 128 px. `light` of them are bright, the rest dark."""
    height, width = image.shape[-2:]
    return _marked(image, generator, number * max(width, height) / UNIT, light, _scratch)


def dust(image: Tensor, number: float, generator: torch.Generator, *, light: float = 0.6) -> Tensor:
    """Specks of 1 to 5 px and now and then a hair; `number` in each 128 x 128 px."""
    height, width = image.shape[-2:]
    return _marked(image, generator, number * height * width / UNIT**2, light, _speck)


def _marked(image: Tensor, generator: torch.Generator, expected: float, light: float, mark) -> Tensor:
    """`mark` drawn about `expected` times, light and dark ones on planes of their own, then laid over the picture."""
    out = []
    for picture in image:
        planes = np.zeros((2, *picture.shape[-2:]), np.uint8)
        count = int(torch.poisson(torch.tensor(float(expected)), generator=generator))
        numbers = torch.rand((count, 16), generator=generator, dtype=torch.float64).numpy()
        for row in numbers:
            mark(planes[int(row[0] >= light)], row[1:])
        bright, dark = blur(torch.from_numpy(planes)[:, None].float() / 255, gaussian_kernel(0.5)).to(picture)
        picture = picture + bright * (0.95 - picture).clamp(min=0)
        out.append(picture - dark * (picture - 0.08).clamp(min=0))
    return torch.stack(out)


def _scratch(plane: np.ndarray, u: np.ndarray) -> None:
    """From 15 numbers in [0, 1): place, direction, opacity, width, and how it wavers."""
    height, width = plane.shape
    upright = u[0] < 0.8
    span = (0.2 + 0.8 * u[1]) * max(height, width)
    angle = np.pi * ((0.5 if upright else 0.0) + 0.12 * (u[2] - 0.5))
    middle = np.array([u[3] * width, u[4] * height])
    along = np.linspace(-0.5, 0.5, 9)[:, None] * span * np.array([np.cos(angle), np.sin(angle)])
    waver = np.convolve(u[5:14] - 0.5, np.ones(3) / 3, "same")[:, None] * 0.06 * span
    points = middle + along + waver * np.array([np.sin(angle), np.cos(angle)])
    fixed = np.round(points * 2**SHIFT).astype(np.int32)[None]
    opacity = int(255 * (0.35 + 0.65 * u[14]))
    cv2.polylines(plane, fixed, False, opacity, 1 if u[0] < 0.6 else 2, cv2.LINE_AA, SHIFT)


def _speck(plane: np.ndarray, u: np.ndarray) -> None:
    """From 15 numbers in [0, 1): an ellipse; one of ten is a hair, an arc of 6 to 20 px."""
    height, width = plane.shape
    middle = (int(u[0] * width * 2**SHIFT), int(u[1] * height * 2**SHIFT))
    opacity, turn = int(255 * (0.4 + 0.6 * u[2])), 360 * u[3]
    if u[4] < 0.1:
        axes = (int((3 + 7 * u[5]) * 2**SHIFT), int((1 + 4 * u[6]) * 2**SHIFT))
        cv2.ellipse(plane, middle, axes, turn, 0, 80 + 160 * u[7], opacity, 1, cv2.LINE_AA, SHIFT)
        return
    axes = tuple(int((0.5 + 2 * v**2) * 2**SHIFT) for v in u[5:7])
    cv2.ellipse(plane, middle, axes, turn, 0, 360, opacity, -1, cv2.LINE_AA, SHIFT)
