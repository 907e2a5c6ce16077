"""Files of a burst as Frames: developed pictures, or raw ones through rawpy, which is optional."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from restore_core import images
from restore_core.degradations.calibrate import Frames, together
from restore_core.errors import ImageError, SettingsError

RAW_SUFFIXES = frozenset({".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef"})


def is_raw(path: Path) -> bool:
    """Whether the name is that of a raw file."""
    return path.suffix.lower() in RAW_SUFFIXES


def read_frames(files: Sequence[Path], *, max_pixels: int = images.MAX_PIXELS) -> Frames:
    """Pictures or raw files of one kind, as Frames."""
    raw = [is_raw(path) for path in files]
    if any(raw) and not all(raw):
        raise SettingsError(
            "Raw files and developed pictures were given together, and their values cannot be compared. Choose either."
        )
    if all(raw):
        read = [read_raw(path) for path in files]
        if len({(frames.names, frames.planes.shape) for frames in read}) > 1:
            raise SettingsError("The raw files differ in size or pattern, so they are no burst. Choose one camera's.")
        return replace(read[0], planes=torch.cat([frames.planes for frames in read]))
    photos = [images.load(path, max_pixels=max_pixels) for path in files]
    return together([photo.rgb for photo in photos], step=1 / (2 ** min(photo.bits for photo in photos) - 1))


def read_raw(path: Path) -> Frames:
    """The four Bayer planes of one file: (value - black)/(white - black), black and white the file's own."""
    try:
        import rawpy
    except ImportError:
        raise SettingsError(
            f"{path.name} is a raw file, and reading it needs the package rawpy, which is not installed. Install it "
            f"(pip install rawpy), or choose TIFF or PNG files."
        ) from None
    try:
        with rawpy.imread(str(path)) as raw:
            values, pattern = raw.raw_image_visible.astype(np.float32), raw.raw_pattern
            black, white = raw.black_level_per_channel, float(raw.white_level)
            colours = raw.color_desc.decode()
    except (rawpy.LibRawError, OSError) as error:
        raise ImageError(f"{path.name} cannot be read as a raw file ({error}). Choose another.") from None
    return bayer_planes(values, pattern, black, white, colours)


def bayer_planes(
    values: np.ndarray, pattern: np.ndarray | None, black: list[float], white: float, colours: str = "RGBG"
) -> Frames:
    """values (H, W) as read; pattern (2, 2) of indices into `colours` and `black` -> planes (1, 4, H/2, W/2)."""
    if pattern is None or pattern.shape != (2, 2):
        raise ImageError(
            "This raw file has no pattern of 2 × 2 colours, so its planes cannot be told apart. Choose the raw file "
            "of a Bayer sensor."
        )
    height, width = (side // 2 * 2 for side in values.shape)
    planes, names, seen = [], [], {}
    for row, column in np.ndindex(2, 2):
        index = int(pattern[row, column])
        plane = values[row:height:2, column:width:2]
        planes.append((plane - black[index]) / (white - black[index]))
        letter = colours[index]
        seen[letter] = seen.get(letter, 0) + 1
        names.append(f"{letter}{seen[letter]}" if colours.count(letter) > 1 else letter)
    floor = max(-b / (white - b) for b in black)
    stacked = torch.from_numpy(np.stack(planes).astype(np.float32))[None]
    return Frames(stacked, tuple(names), floor=floor, step=1 / (white - min(black)))
