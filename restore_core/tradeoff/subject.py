"""What a sweep restores: a damaged photo, with the clean one where there is one, and whether the two belong together.

Registration is off: nothing is shifted or resized to make two pictures match. What does not match is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from restore_core.degradations import TASKS, Task, generator_of
from restore_core.errors import SettingsError
from restore_core.images import Photo, resize, to_8bit
from restore_core.metrics.filters import gaussian_blur, luma

SHIFTED = 0.75  # px: below, edges still coincide
ALIKE = 0.35  # correlation of band-passed luma; the same scene under heavy damage stays above
BORDER = 4  # px that are not compared with the clean picture, as evaluation has it
SMALLEST = 64 + 2 * BORDER  # px of a result's side: what LPIPS needs inside the border


@dataclass(frozen=True, eq=False)
class Subject:
    """degraded (1, 3, h, w), clean (1, 3, scale h, scale w) or None, both RGB in [0, 1]; notes are for the reader."""

    name: str
    task: str
    degraded: Tensor
    clean: Tensor | None = None
    damage: Mapping[str, float] | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the pixels (rounded to 16 bits) and the task: the same photo is the same sweep."""
        found = hashlib.sha256(self.task.encode())
        for image in (self.degraded, self.clean):
            if image is not None:
                found.update(repr(tuple(image.shape)).encode())
                found.update(image.clamp(0, 1).mul(65535).round().to(torch.int32).numpy().tobytes())
        return found.hexdigest()


def damaged(
    photo: Photo,
    task: str,
    *,
    damage: Mapping[str, float] | None = None,
    seed: int = 0,
    side: int | None = None,
) -> Subject:
    """A clean photo, damaged here by the task's standard damage; `side`: only the middle, so many pixels."""
    kind = _task(task)
    clean = middle(photo.rgb, side)
    height, width = (length // kind.scale * kind.scale // 4 * 4 for length in clean.shape[-2:])
    clean = clean[..., :height, :width]
    _check_size(clean.shape[-2:])
    parameters = {**kind.standard, **(damage or {})}
    degraded = kind(clean, parameters, generator_of(seed))
    return Subject(photo.name, task, degraded, clean, parameters)


def given(
    photo: Photo, task: str, clean: Photo | None = None, *, scale: int = 1, side: int | None = None
) -> Subject:
    """A damaged photo as it is, with the clean one if somebody has it; `scale`: how much larger results are.

    side   only the middle, so many pixels of the result, less what is no whole pixel of the photo
    """
    size = tuple(length * scale for length in photo.size)
    small = None if side is None else max(0, side) // scale
    _check_size(size if small is None else tuple(min(length, small * scale) for length in size))
    part = middle(photo.rgb, small)
    if clean is None:
        return Subject(photo.name, task, part)
    if clean.size != size:
        raise SettingsError(
            f"The clean picture is {clean.size[1]} × {clean.size[0]} px, and results of this photo are {size[1]} × "
            f"{size[0]} px. Nothing is resized to make them match, for that would blur what is measured: choose the "
            "clean picture at that size, or measure without one."
        )
    return Subject(
        photo.name, task, part, middle(clean.rgb, side, scale), notes=match_notes(photo.rgb, clean.rgb)
    )


def _task(key: str) -> Task:
    if key not in TASKS:
        raise SettingsError(f"There is no task called '{key}'. Choose one of {', '.join(TASKS)}.")
    return TASKS[key]


def _check_size(size: tuple[int, int]) -> None:
    if min(size) < SMALLEST:
        raise SettingsError(
            f"Results would be {size[1]} × {size[0]} px, and what is measured needs {SMALLEST} px on either side. "
            "Choose a larger photo, or a larger part of it."
        )


def middle(image: Tensor, side: int | None, scale: int = 1) -> Tensor:
    """The middle of (1, 3, H, W), at most side x side; all of it for None.

    scale   how much larger the picture is than a photo whose middle, of side // scale, is to show the same: it begins
            at the photo's even places and ends with its pixels
    """
    if side is None:
        return image
    side = side // scale * scale
    top, left = (max(0, (length - side) // scale // 2) // 2 * 2 * scale for length in image.shape[-2:])
    return image[..., top : top + side, left : left + side]


class Match(NamedTuple):
    """How two pictures lie to each other: (down, right) in px of the second, and their correlation once aligned."""

    shift: tuple[float, float]
    correlation: float


def match(first: Tensor, second: Tensor) -> Match:
    """The shift of `second` against `first` by phase correlation (Kuglin and Hines 1975), and how alike they are.

        r = F^-1 [ W conj(F1) F2 / |F1 F2| ],    shift = argmax r

    W is a Gaussian, which leaves out the frequencies that damage spoils and makes the peak's neighbours tell its place
    to a fraction of a pixel. Both are band-passed luma under a Hann window; `first` is brought to the second's size.
    """
    a, b = (_prepared(resize(image, second.shape[-2:])) for image in (first, second))
    fa, fb = torch.fft.rfft2(a), torch.fft.rfft2(b)
    cross = fa.conj() * fb
    frequency = torch.hypot(torch.fft.fftfreq(a.shape[0])[:, None], torch.fft.rfftfreq(a.shape[1]))
    weight = torch.exp(-0.5 * (frequency / 0.1) ** 2)
    peak = torch.fft.irfft2(weight * cross / cross.abs().clamp(min=1e-12), s=a.shape)
    row, column = divmod(int(peak.argmax()), a.shape[1])
    shift = _refined(peak, row, column)
    correlation = torch.fft.irfft2(cross, s=a.shape)[row, column] / (a.norm() * b.norm()).clamp(min=1e-12)
    return Match(shift, float(correlation))


def _prepared(image: Tensor) -> Tensor:
    """(H, W): luma without its slow changes and its finest detail, faded out towards the border."""
    y = luma(image.float().cpu())
    std = min(6.0, (min(y.shape[-2:]) - 1) / 4)
    band = (gaussian_blur(y, std / 4) - gaussian_blur(y, std))[0, 0]
    rows, columns = (torch.hann_window(length, periodic=False) for length in band.shape)
    return band * rows[:, None] * columns


def _refined(peak: Tensor, row: int, column: int) -> tuple[float, float]:
    """The vertex of the parabola through the peak and its neighbours, wrapped to -n/2 ... n/2."""
    place = []
    for axis, at in enumerate((row, column)):
        line = peak[:, column] if axis == 0 else peak[row]
        n = len(line)
        before, here, after = (float(line[(at + k) % n]) for k in (-1, 0, 1))
        curve = before - 2 * here + after
        offset = 0.0 if curve == 0 else 0.5 * (before - after) / curve
        place.append((at + offset + n / 2) % n - n / 2)
    return place[0], place[1]


def match_notes(degraded: Tensor, clean: Tensor) -> tuple[str, ...]:
    """Sentences on a clean picture that may not belong to the photo."""
    found = match(degraded, clean)
    down, right = found.shift
    if found.correlation < ALIKE:
        return (
            "The clean picture does not look like the same photo: its edges lie elsewhere. Distances to it then say "
            "nothing about faithfulness. Choose the picture that this photo was made from.",
        )
    if max(abs(down), abs(right)) > SHIFTED:
        return (
            f"The clean picture seems to be shifted by {abs(right):.1f} px to the {'right' if right > 0 else 'left'} "
            f"and {abs(down):.1f} px {'down' if down > 0 else 'up'}. Registration is off: nothing is moved, so PSNR "
            "and SSIM come out too low for every point alike.",
        )
    return ()


def as_file(image: Tensor) -> Tensor:
    """What a saved 8-bit picture holds; measures are of that."""
    return to_8bit(image)
