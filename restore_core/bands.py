"""Arithmetic on large pictures, a band of rows at a time: only what goes in and what comes out is ever whole.

    x' = a x0 + b y + s eps

as PyTorch takes it makes a whole picture of each product and of each sum, and reads each from memory again. In bands
that stay in a processor's cache the same numbers come out, bit for bit, in a third of the memory and of the time.
Small pictures are taken at once, and so is whatever gradients are asked of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import update_wrapper

import torch
from torch import Tensor

LARGE = 2**22  # numbers of a picture from which on it is taken in bands: 1.4 megapixels
BAND = 2**18  # numbers of a band for each thread: a megabyte, so that a handful stay in a core's cache
BAND_ELSEWHERE = 2**25  # of a band on graphics cards, where every call has its price


def by_bands(run: Callable[..., Tensor], *images: Tensor, onto: Tensor | None = None) -> Tensor:
    """run(*images), each (N, C, H, W), for a `run` in which every pixel speaks for itself.

    onto   room for the result of a large picture, where one of `images` need not be kept: it is written over
    """
    first = images[0]
    if not _worth_it(images):
        return run(*images)
    for rows in bands(first):
        part = run(*(image[..., rows, :] for image in images))
        if onto is None:
            onto = part.new_empty(*part.shape[:2], *first.shape[-2:])
        onto[..., rows, :] = part
    return onto


class Pointwise:
    """A function of one picture in which every pixel speaks for itself: large ones go through it in bands."""

    def __init__(self, run: Callable[[Tensor], Tensor]):
        update_wrapper(self, run)
        self.run = run

    def __call__(self, image: Tensor) -> Tensor:
        return by_bands(self.run, image)


def _worth_it(images: tuple[Tensor, ...]) -> bool:
    first = images[0]
    if first.numel() < LARGE or first.ndim != 4:
        return False
    if torch.is_grad_enabled() and any(image.requires_grad for image in images):
        return False
    return all(image.shape[-2:] == first.shape[-2:] for image in images)


def bands(image: Tensor) -> Iterator[slice]:
    """Slices of rows of an image (N, C, H, W), together all of them."""
    height = image.shape[-2]
    size = BAND * torch.get_num_threads() if image.device.type == "cpu" else BAND_ELSEWHERE
    step = max(1, size * height // image.numel())
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


__all__ = ["LARGE", "Pointwise", "bands", "by_bands"]
