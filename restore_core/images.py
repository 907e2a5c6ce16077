"""Pictures: files <-> tensors. An image is RGB (N, 3, H, W) float32 in [0, 1]; sizes are (height, width).

`inspect` reads a header, `load` a whole picture; both judge a file by its content, never by its name, and refuse
with an ImageError of one sentence or two whatever is not a picture, is damaged, or is too large to decode.
Ordinary RGB keeps its numbers and its ICC profile, which `export.save` writes back; palette, CMYK, Lab and grey
pictures come as sRGB, through their profile when they have one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.bands import LARGE, by_bands
from restore_core.decoding import Header, Source, opened
from restore_core.errors import ImageError
from restore_core.refusals import READABLE as READABLE
from restore_core.refusals import refuse_large

MAX_PIXELS = 50_000_000
COMFORTABLE_PIXELS = 12_000_000  # above this the interface proposes a smaller copy


@dataclass(frozen=True, eq=False)
class Photo:
    """One picture in memory, upright, with what its file needs to be written again."""

    rgb: Tensor  # (1, 3, H, W) float32 in [0, 1]
    alpha: Tensor | None  # (1, 1, H, W), 0 where transparent; None when opaque
    grey: bool
    bits: int  # 8 or 16 a channel
    icc: bytes | None  # the profile that rgb is in; None is sRGB
    exif: bytes | None  # as found in the file, orientation included
    notes: tuple[str, ...]
    name: str  # the file's name without its suffix

    @property
    def size(self) -> tuple[int, int]:
        return self.rgb.shape[-2], self.rgb.shape[-1]


def inspect(source: Source) -> Header:
    """Size, format, depth and notes, from the header alone."""
    with opened(source) as file:
        return file.header()


def load(source: Source, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """The picture in a file (or in bytes), upright. More than max_pixels are refused before decoding."""
    with opened(source) as file:
        header = file.header()
        refuse_large(file.name, header.size, max_pixels)
        planes = file.decode()
        orientation, exif = file.orientation(), file.exif()
    rgb, alpha = (_upright(_tensor(plane), orientation) for plane in (planes.rgb, planes.alpha))
    if alpha is not None and bool((alpha == 1).all()):
        alpha = None
    notes = header.notes + planes.notes
    return Photo(rgb, alpha, planes.grey, planes.bits, planes.icc, exif, notes, file.stem)


def _tensor(plane: np.ndarray | None) -> Tensor | None:
    """(H, W, 3) or (H, W), uint8, uint16 or float -> (1, 3 or 1, H, W) float32 in [0, 1]."""
    if plane is None:
        return None
    scale = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(plane.dtype, 1)
    channels = plane[..., None] if plane.ndim == 2 else plane
    values = np.ascontiguousarray(channels.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(values)[None].div_(scale)


def _upright(image: Tensor | None, orientation: int) -> Tensor | None:
    """Turned and mirrored as EXIF tag 274 tells (CIPA DC-008, 4.6.5)."""
    if image is None:
        return None
    if orientation in (5, 6, 7, 8):
        image = image.transpose(-1, -2)
    mirrored = {2: (-1,), 3: (-2, -1), 4: (-2,), 6: (-1,), 7: (-2, -1), 8: (-2,)}.get(orientation, ())
    return image.flip(mirrored).contiguous() if mirrored else image.contiguous()


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic (a = -0.5), antialiased where it shrinks, as PIL does; size is (height, width). Not clipped."""
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)


def to_8bit(image: Tensor) -> Tensor:
    """Clipped to [0, 1] and rounded to multiples of 1/255."""
    return image.clamp(0, 1).mul(255).round().div(255)


def to_uint8(image: Tensor) -> np.ndarray:
    """(1, C, H, W) or (C, H, W) in [0, 1] -> (H, W, C) uint8; clipped, rounded, NaN becomes 0."""
    return as_bytes(image).cpu().numpy()


@torch.no_grad()
def as_bytes(image: Tensor) -> Tensor:
    """The same as a tensor, where the picture is."""
    pixels = by_bands(_eight_bits, image.reshape(1, *image.shape[-3:]))
    return pixels[0].permute(1, 2, 0).contiguous()


def _eight_bits(image: Tensor) -> Tensor:
    return image.float().nan_to_num(0.0).clamp(0, 1).mul(255).round().to(torch.uint8)


def shrink_to(image: Tensor, longest_side: int, decode: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """For previews: each pixel the mean of those it covers, sides in proportion. Never enlarges.

    decode   done first, pixel by pixel, of as many rows at a time as a row of the small picture needs
    """
    height, width = image.shape[-2:]
    longest = max(height, width)
    if decode is not None and image.numel() < LARGE:
        image, decode = decode(image), None
    if longest <= longest_side:
        return image if decode is None else decode(image)
    size = tuple(max(1, round(side * longest_side / longest)) for side in (height, width))
    if decode is None:
        return F.interpolate(image, size=size, mode="area")
    rows = (image[..., height * k // size[0] : -(-height * (k + 1) // size[0]), :] for k in range(size[0]))
    return torch.cat([F.interpolate(decode(part), size=(1, size[1]), mode="area") for part in rows], dim=-2)


def reduction(size: tuple[int, int], max_pixels: int = COMFORTABLE_PIXELS) -> float:
    """By how much each side must be divided to hold at most max_pixels; 1 when it fits already."""
    return max(1.0, (size[0] * size[1] / max_pixels) ** 0.5)


def reduce_by(photo: Photo, factor: float) -> Photo:
    """A smaller copy, each side divided by factor >= 1 and rounded down (to 1 pixel at least)."""
    if factor < 1:
        raise ImageError(f"A smaller copy by the factor {factor} would be a larger one. Choose 1 or more.")
    size = _divided(photo.size, factor)
    rgb, alpha = (
        None if plane is None else F.interpolate(plane, size=size, mode="area")
        for plane in (photo.rgb, photo.alpha)
    )
    note = f"A smaller copy of {size[1]} × {size[0]} pixels was made."
    return replace(photo, rgb=rgb, alpha=alpha, notes=(*photo.notes, note))


def _divided(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, int(size[0] / factor)), max(1, int(size[1] / factor))


def comfortable_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of `comfortable`."""
    return _divided(size, reduction(size))


def comfortable(photo: Photo) -> Photo:
    """The photo; where it holds more than COMFORTABLE_PIXELS, a smaller copy that does not."""
    factor = reduction(photo.size)
    return reduce_by(photo, factor) if factor > 1 else photo


def join_alpha(rgb: Tensor, alpha: Tensor) -> Tensor:
    """(1, 3, h, w) and (1, 1, H, W) -> (1, 4, h, w): the alpha is brought to the colour's size on its own."""
    return torch.cat([rgb, resize(alpha.to(rgb), rgb.shape[-2:]).clamp(0, 1)], dim=1)


def flatten(rgba: Tensor, background: float = 1.0) -> Tensor:
    """(1, 4, H, W) -> (1, 3, H, W) seen over an even background (1 is white)."""
    rgb, alpha = rgba[:, :3], rgba[:, 3:]
    return rgb * alpha + background * (1 - alpha)
