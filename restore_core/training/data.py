"""Photographs in memory, cropped and damaged on the fly."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from restore_core.degradations import Task
from restore_core.errors import SettingsError
from restore_core.images import resize

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
HELD_OUT = 40  # every 40th photograph is kept for validation


def read_folder(folder: Path, smallest: int) -> dict[str, np.ndarray]:
    """Every picture of `folder` with both sides of `smallest` pixels or more: name -> uint8 (H, W, 3) RGB."""
    if not folder.is_dir():
        raise SettingsError(
            f"{folder} is not a folder, so there is nothing to train on. Give --data a folder of photos."
        )
    pictures = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is not None and min(bgr.shape[:2]) >= smallest:
            pictures[path.name] = np.ascontiguousarray(bgr[:, :, ::-1])
    if len(pictures) < 2:
        raise SettingsError(
            f"{folder} holds {len(pictures)} pictures of {smallest} pixels or more a side, and training needs at "
            f"least 2 (JPEG, PNG, WebP, BMP or TIFF). Choose another folder or a smaller --crop."
        )
    return pictures


def describe(pictures: Mapping[str, np.ndarray]) -> str:
    """How many, and how much memory they take."""
    return f"{len(pictures)} photos, {sum(p.nbytes for p in pictures.values()) / 1e9:.2f} GB in memory"


def split(pictures: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(training, validation): every HELD_OUT-th picture by name is held out, and never fewer than one."""
    names = sorted(pictures)
    held = set(names[::HELD_OUT])
    return [pictures[n] for n in names if n not in held], [pictures[n] for n in names if n in held]


def to_tensor(picture: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) to float32 (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


def generator_of(seed: int, number: int, purpose: int = 0) -> torch.Generator:
    """A generator for one update of one run: whoever goes on from update k draws what an unbroken run would have."""
    mixed = (2 * seed + purpose) * 1_000_003 + number
    return torch.Generator().manual_seed(mixed % 2**32)  # the CPU's generator looks at 32 bits


class Crops:
    """Random batches (clean, degraded), both (batch, 3, size, size) in [-1, 1], by number.

    Half of the crops are the busier of two candidates (larger deviation), because most places of a photograph are
    smooth. A degraded picture that is smaller is brought to the clean one's size by bicubic interpolation.
    """

    def __init__(self, pictures: list[np.ndarray], task: Task, batch: int, size: int, seed: int = 0):
        self.pictures, self.task, self.batch, self.size, self.seed = pictures, task, batch, size, seed

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """The batch with this number; the same whenever it is asked for."""
        generator = generator_of(self.seed, number)
        clean, degraded = zip(*(self._pair(generator) for _ in range(self.batch)), strict=True)
        return torch.cat(clean) * 2 - 1, torch.cat(degraded) * 2 - 1

    def ahead(self, first: int, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches first, first + 1, ... without end; with workers, made by so many threads before they are needed."""
        if not workers:
            yield from map(self.__getitem__, itertools.count(first))
        with ThreadPoolExecutor(workers) as pool:
            waiting = deque(pool.submit(self.__getitem__, first + k) for k in range(2 * workers))
            try:
                for number in itertools.count(first + len(waiting)):
                    yield waiting.popleft().result()
                    waiting.append(pool.submit(self.__getitem__, number))
            finally:
                pool.shutdown(cancel_futures=True)

    def _candidate(self, generator: torch.Generator) -> np.ndarray:
        picture = self.pictures[_integer(generator, len(self.pictures))]
        side = self.size + 2 * self.task.margin
        top = _integer(generator, picture.shape[0] - side + 1)
        left = _integer(generator, picture.shape[1] - side + 1)
        return picture[top : top + side, left : left + side]

    def _pair(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        crop = self._candidate(generator)
        if _integer(generator, 2):
            crop = max(crop, self._candidate(generator), key=lambda c: float(c[::2, ::2, 1].std()))
        clean = to_tensor(np.rot90(crop[:, :: 1 - 2 * _integer(generator, 2)], _integer(generator, 4)))
        clean, degraded = self.task.lesson(clean, self.task.draw(generator), generator)
        m = self.task.margin
        inner = slice(m, m + self.size)
        degraded = resize(degraded, clean.shape[-2:]).clamp(0, 1)
        return clean[..., inner, inner], degraded[..., inner, inner]


def _integer(generator: torch.Generator, below: int) -> int:
    return int(torch.randint(below, (), generator=generator))
