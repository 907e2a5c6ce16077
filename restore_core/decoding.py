"""A picture file opened, checked and decoded: its header, and its pixels as planes of numbers.

8 bits a channel come from Pillow, 16 bits from Pillow (grey) or from cv2 (colour). Ordinary RGB keeps its numbers
and its profile; every other kind of colour is brought to sRGB (`colour`).
"""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import ExifTags, Image

from restore_core.colour import NO_PROFILE, grey_to_srgb, profile_space, to_rgb
from restore_core.errors import ImageError
from restore_core.refusals import refuse_foreign, refuse_unfit, why_unreadable

Source = str | os.PathLike[str] | bytes

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF")
_NAMES = {"MPO": "JPEG", "WEBP": "WebP", "DIB": "BMP"}
_WITHOUT_ALPHA = {"1": "L", "LA": "L", "La": "L", "P": "RGB", "PA": "RGB", "RGBA": "RGB", "RGBX": "RGB"}

# of EXIF's first directory: what, who, when, with which camera, printed how large
DESCRIPTIVE_TAGS = frozenset(
    {270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 33432, 40091, 40092, 40093, 40094, 40095}
)


@dataclass(frozen=True)
class Header:
    """What a file says of itself before it is decoded; the size is that of the upright picture."""

    size: tuple[int, int]
    format: str
    bits: int
    bytes: int
    notes: tuple[str, ...]

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]


_ONE_AT_A_TIME = threading.RLock()  # warning filters are global, so two quiet readers must not overlap


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow's warnings off: what they warn of is either refused by a sentence or harmless."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Planes:
    """Decoded pixels as the file stores them: rgb (H, W, 3), alpha (H, W), integers or floats in [0, 1]."""

    rgb: np.ndarray
    alpha: np.ndarray | None
    grey: bool
    bits: int
    icc: bytes | None
    notes: tuple[str, ...] = ()


@contextmanager
def opened(source: Source) -> Iterator[PictureFile]:
    """The file, its header read. Whatever goes wrong while it is read becomes an ImageError."""
    name, stem, stream = _stream(source)
    with stream, quiet():
        head = stream.read(512)
        refuse_foreign(name, head)
        try:
            stream.seek(0)
            picture = Image.open(stream, formats=_FORMATS)
            refuse_unfit(name, picture)
            yield PictureFile(name, stem, stream, head, picture)
        except ImageError:
            raise
        except Exception as error:  # a decoder that meets foreign bytes may raise anything at all
            raise ImageError(why_unreadable(name, head, error)) from error


@dataclass(frozen=True)
class PictureFile:
    """An open picture file: Pillow's view of it, and its first bytes."""

    name: str
    stem: str
    stream: BinaryIO
    head: bytes
    picture: Image.Image

    @property
    def depth(self) -> int:
        """Bits a channel in the file; Pillow's mode does not tell."""
        if self.picture.format == "PNG":
            return self.head[24]
        if self.picture.format == "TIFF":
            return max(self.picture.tag_v2.get(258, (1,)))
        return 8

    def orientation(self) -> int:
        """The EXIF orientation still to be applied, 1 to 8: Pillow turns a TIFF itself.

        Not through Pillow's getexif, which decodes a PNG to look behind its pixels.
        """
        data, exif = self.picture.info.get("exif"), Image.Exif()
        if self.picture.format == "TIFF" or not data:
            return 1
        try:
            exif.load(data)
            return exif.get(ExifTags.Base.Orientation, 1)
        except Exception:  # damaged camera data are no reason to refuse the picture
            return 1

    def header(self) -> Header:
        width, height = self.picture.size
        size = (width, height) if self.orientation() in (5, 6, 7, 8) else (height, width)
        kind = _NAMES.get(self.picture.format, self.picture.format)
        length = self.stream.seek(0, os.SEEK_END)
        return Header(size, kind, 16 if self.depth > 8 else 8, length, self._frames_note())

    def _frames_note(self) -> tuple[str, ...]:
        if self.picture.format == "MPO":  # a phone's depth map or second eye beside the photo
            return ()
        try:
            frames = getattr(self.picture, "n_frames", 1)
        except Exception:  # a later frame is damaged; the first may still be whole
            frames = 1
        return (f"The first of {frames} frames was taken.",) if frames > 1 else ()

    def exif(self) -> bytes | None:
        """Camera data; of a TIFF only what describes the photo, not how its pixels are stored."""
        if self.picture.format != "TIFF":
            return self.picture.info.get("exif")
        old, new = self.picture.getexif(), Image.Exif()
        for tag in DESCRIPTIVE_TAGS & set(old):
            new[tag] = old[tag]
        for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if found := old.get_ifd(ifd):
                new.get_ifd(ifd).update(found)
        try:
            packed = new.tobytes()
            return packed if len(packed) > 20 else None  # 20 bytes: an empty directory
        except Exception:  # camera data that cannot be packed is not worth the picture
            return None

    def decode(self) -> Planes:
        self.picture.load()
        if self.picture.mode.startswith("I;16"):
            return self._deep_grey()
        colour_16 = self.depth > 8 and self.picture.mode in ("RGB", "RGBA")
        deep = _deep_pixels(self.stream, self.picture) if colour_16 else None
        if deep is not None:
            return self._deep_colour(deep)
        planes = _eight_bit_planes(self.picture)
        if self.depth > 8:
            planes = replace(planes, notes=(*planes.notes, "Only 8 of its bits a channel could be read."))
        return planes

    def _deep_grey(self) -> Planes:
        values = np.asarray(self.picture).astype(np.float32)
        white = 2 ** (self.depth if 8 < self.depth <= 16 else 16) - 1  # a damaged TIFF may tell any depth
        grey = np.minimum(values / white, 1)
        if self.picture.format == "TIFF" and self.picture.tag_v2.get(262) == 0:  # white is zero
            grey = 1 - grey
        key = self.picture.info.get("transparency")
        alpha = None if key is None else (values != key).astype(np.float32)
        return self._toned(np.repeat(grey[..., None], 3, axis=2), alpha, grey=True)

    def _deep_colour(self, deep: np.ndarray) -> Planes:
        alpha = deep[..., 3] if self.picture.has_transparency_data and deep.shape[2] == 4 else None
        grey_alpha = self.picture.format == "PNG" and self.head[25] == 4
        return self._toned(deep[..., :3], alpha, grey=grey_alpha)

    def _toned(self, rgb: np.ndarray, alpha: np.ndarray | None, *, grey: bool) -> Planes:
        """Deep pixels with their profile; a grey profile is applied here, since Pillow's engine has 8 bits."""
        icc = self.picture.info.get("icc_profile")
        space = profile_space(icc)
        if space != b"GRAY" or not grey:
            kept = icc if space == b"RGB " else None
            return Planes(rgb, alpha, grey, 16, kept, (NO_PROFILE,) if icc and not kept else ())
        scale = 65535 if rgb.dtype == np.uint16 else 1
        values = rgb.astype(np.float32) / scale
        try:
            return Planes(grey_to_srgb(values, icc), alpha, True, 16, None)
        except (struct.error, ValueError, IndexError, ZeroDivisionError):
            return Planes(values, alpha, True, 16, None, (NO_PROFILE,))


def _stream(source: Source) -> tuple[str, str, BinaryIO]:
    if isinstance(source, bytes):
        return "The picture", "picture", io.BytesIO(source)
    path = Path(source)
    try:
        if path.is_file():
            return path.name, path.stem, path.open("rb")
        found = path.exists()
    except OSError as error:
        raise ImageError(
            f"{path.name} cannot be opened: {error.strerror}. Check that you may read it."
        ) from error
    if path.is_dir():
        raise ImageError(f"{path.name or path} is a folder, and one picture is needed. Choose a file in it.")
    if found:
        raise ImageError(
            f"{path.name} is not an ordinary file, so it cannot be read as a picture. Choose a file."
        )
    raise ImageError(f"There is no file {path.name}: it may have been moved or renamed. Choose it again.")


def _deep_pixels(stream: BinaryIO, picture: Image.Image) -> np.ndarray | None:
    """(H, W, 3 or 4) uint16 where Pillow keeps only the high byte: 16-bit colour, read once more by cv2.

    None unless cv2's high bytes are Pillow's pixels, every one: then both mean the same picture, turned alike.
    """
    stream.seek(0)
    data = stream.read()
    if picture.format == "PNG" and not _chunks_fit(data):
        return None
    try:
        deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if deep is None or deep.dtype != np.uint16 or deep.ndim != 3:
        return None
    deep = cv2.cvtColor(deep, cv2.COLOR_BGRA2RGBA if deep.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    seen = np.asarray(picture)
    shared = min(deep.shape[2], seen.shape[2])
    return deep if np.array_equal(deep[..., :shared] >> 8, seen[..., :shared]) else None


def _chunks_fit(png: bytes) -> bool:
    """Every chunk up to IEND ends within the file; cv2 makes room for what a length claims, up to 4 GB."""
    at = 8
    while png[at + 4 : at + 8] not in (b"IEND", b""):
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    return at + 12 <= len(png)


def _eight_bit_planes(picture: Image.Image) -> Planes:
    palette = picture.mode in ("P", "PA")
    alpha = None
    colour = picture
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"))
        colour = rgba if palette else picture
    colour = colour.convert(_WITHOUT_ALPHA.get(colour.mode, colour.mode))
    if colour.mode == "YCbCr":
        colour = colour.convert("RGB")
    rgb, icc, notes = to_rgb(colour, picture.info.get("icc_profile"), convert=palette)
    return Planes(np.asarray(rgb), alpha, colour.mode == "L", 8, icc, notes)
