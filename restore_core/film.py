"""Films of a restoration: numbered pictures in a folder, or one GIF. A frame is (1, 3, H, W) in [0, 1]."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from restore_core.errors import ImageError
from restore_core.export import cannot_write, kind_of, save, write_whole
from restore_core.images import shrink_to, to_uint8


class FrameFolder:
    """A film as numbered pictures: frame-00000.jpg and so on in a folder, which is made if need be."""

    def __init__(self, folder: str | os.PathLike[str], *, suffix: str = ".jpg", quality: int = 90) -> None:
        self.folder = Path(folder)
        self.suffix = suffix
        self.quality = quality
        kind_of(Path(f"frame{suffix}"))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(cannot_write(self.folder, error)) from error

    def add(self, index: int, image: Tensor) -> Path:
        """Write one frame (1, 3, H, W) in [0, 1]; the same index again replaces it."""
        path = self.folder / f"frame-{index:05d}{self.suffix}"
        save(image, path, quality=self.quality)
        return path


def save_gif(
    frames: Iterable[Tensor],
    path: str | os.PathLike[str],
    *,
    seconds: float = 0.08,
    hold: float = 1.5,
    longest_side: int = 384,
) -> None:
    """A film (1, 3, H, W) in [0, 1] as an endless GIF: seconds a frame, and hold more on the last one."""
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ImageError(f"{path.name} does not end in .gif, and a film is written as GIF. Name it .gif.")
    pictures = [_with_palette(to_uint8(shrink_to(frame, longest_side))) for frame in frames]
    if not pictures:
        raise ImageError("There are no frames, so there is no film to write. Run a restoration first.")
    if len({picture.size for picture in pictures}) > 1:
        raise ImageError("The frames differ in size, and a GIF has one size. Collect the frames of one run.")
    durations = [max(20, round(seconds * 1000))] * len(pictures)
    durations[-1] += round(hold * 1000)
    buffer = io.BytesIO()
    first, rest = pictures[0], pictures[1:]
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)
    write_whole(path, buffer.getvalue())


def _with_palette(pixels: np.ndarray) -> Image.Image:
    """256 colours of its own for every frame, dithered, since early frames are noise and late ones smooth."""
    picture = Image.fromarray(pixels)
    palette = picture.quantize(256, method=Image.Quantize.MEDIANCUT)
    return picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
