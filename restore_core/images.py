"""Pictures: files <-> tensors. An image is RGB (N, 3, H, W) float32 in [0, 1]; sizes are (height, width).

`inspect` reads a header, `load` a whole picture; both judge a file by its content, never by its name, and refuse
with an ImageError of one sentence or two whatever is not a picture, is damaged, or is too large to decode.
Ordinary RGB keeps its numbers and its ICC profile, which `export.save` writes back; palette, CMYK, Lab and grey
pictures come as sRGB, through their profile when they have one.
"""

from __future__ import annotations

import codecs
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
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError
from torch import Tensor

from restore_core.errors import ImageError

MAX_PIXELS = 50_000_000
COMFORTABLE_PIXELS = 12_000_000  # above this the interface proposes a smaller copy
READABLE = "JPEG, PNG, WebP, TIFF, BMP and GIF"

Source = str | os.PathLike[str] | bytes

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF")
_NAMES = {"MPO": "JPEG", "WEBP": "WebP", "DIB": "BMP"}
_DAMAGED = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")

_HEIC = "a HEIC photo", "Export it as JPEG or PNG (an iPhone does so with Formats set to Most Compatible)."
_RAW = "a camera raw file", "Develop it in the camera's program and save it as 16-bit TIFF or as JPEG."
_OTHER = "a kind of picture that this program does not know", "Save it as PNG or JPEG."
_PAGE = "a document", "Export the picture in it as PNG or JPEG."
_VIDEO = "a video", "Save one frame of it as PNG."
_TEXT = "text", "Choose a picture."
_FOREIGN = (  # offset, signature, kind; the general ftyp stands after its special cases
    *((4, b"ftyp" + brand, _HEIC) for brand in (b"hei", b"hev", b"mif1", b"msf1")),
    (4, b"ftypavi", _OTHER),
    (4, b"ftypcrx", _RAW),
    (4, b"ftyp", _VIDEO),
    (8, b"CR\x02", _RAW),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    *((0, magic, _RAW) for magic in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb")),
    *((0, magic, _OTHER) for magic in (b"\xff\x0a", b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  ", b"8BPS", b"qoif")),
    (0, b"%PDF", _PAGE),
    (0, b"\x1aE\xdf\xa3", _VIDEO),
)
_RAW_SUFFIXES = frozenset(".dng .nef .nrw .arw .sr2 .pef .cr2 .3fr .erf .kdc .mos .iiq".split())


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
        _refuse_large(file.name, header, max_pixels)
        planes = file.decode()
        orientation, exif = file.orientation(), file.exif()
    rgb, alpha = (_upright(_tensor(plane), orientation) for plane in (planes.rgb, planes.alpha))
    if alpha is not None and bool((alpha == 1).all()):
        alpha = None
    notes = header.notes + planes.notes
    return Photo(rgb, alpha, planes.grey, planes.bits, planes.icc, exif, notes, file.stem)


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
    pixels = image.detach().float().nan_to_num(0.0).clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.reshape(pixels.shape[-3:]).permute(1, 2, 0).cpu().numpy())


def shrink_to(image: Tensor, longest_side: int) -> Tensor:
    """For previews: each pixel the mean of those it covers, sides in proportion. Never enlarges."""
    height, width = image.shape[-2:]
    longest = max(height, width)
    if longest <= longest_side:
        return image
    size = tuple(max(1, round(side * longest_side / longest)) for side in (height, width))
    return F.interpolate(image, size=size, mode="area")


def reduction(size: tuple[int, int], max_pixels: int = COMFORTABLE_PIXELS) -> float:
    """By how much each side must be divided to hold at most max_pixels; 1 when it fits already."""
    return max(1.0, (size[0] * size[1] / max_pixels) ** 0.5)


def reduce_by(photo: Photo, factor: float) -> Photo:
    """A smaller copy, each side divided by factor >= 1 and rounded down (to 1 pixel at least)."""
    if factor < 1:
        raise ImageError(f"A smaller copy by the factor {factor} would be a larger one. Choose 1 or more.")
    size = tuple(max(1, int(side / factor)) for side in photo.size)
    rgb, alpha = (
        None if plane is None else F.interpolate(plane, size=size, mode="area")
        for plane in (photo.rgb, photo.alpha)
    )
    note = f"A smaller copy of {size[1]} x {size[0]} pixels was made."
    return replace(photo, rgb=rgb, alpha=alpha, notes=(*photo.notes, note))


def join_alpha(rgb: Tensor, alpha: Tensor) -> Tensor:
    """(1, 3, h, w) and (1, 1, H, W) -> (1, 4, h, w): the alpha is brought to the colour's size on its own."""
    return torch.cat([rgb, resize(alpha.to(rgb), rgb.shape[-2:]).clamp(0, 1)], dim=1)


def flatten(rgba: Tensor, background: float = 1.0) -> Tensor:
    """(1, 4, H, W) -> (1, 3, H, W) seen over an even background (1 is white)."""
    rgb, alpha = rgba[:, :3], rgba[:, 3:]
    return rgb * alpha + background * (1 - alpha)


# --- opening ---------------------------------------------------------------------------------------------------

_ONE_AT_A_TIME = threading.RLock()  # warning filters are global, so two quiet readers must not overlap


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow's warnings off: what they warn of is either refused by a sentence or harmless."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class _Planes:
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
        _refuse_foreign(name, head)
        try:
            stream.seek(0)
            picture = Image.open(stream, formats=_FORMATS)
            _refuse_unfit(name, picture)
            yield PictureFile(name, stem, stream, head, picture)
        except ImageError:
            raise
        except Exception as error:  # a decoder that meets foreign bytes may raise anything at all
            raise ImageError(_why_unreadable(name, head, error)) from error


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

    def decode(self) -> _Planes:
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

    def _deep_grey(self) -> _Planes:
        values = np.asarray(self.picture).astype(np.float32)
        grey = values / (2**self.depth - 1)
        if self.picture.format == "TIFF" and self.picture.tag_v2.get(262) == 0:  # white is zero
            grey = 1 - grey
        key = self.picture.info.get("transparency")
        alpha = None if key is None else (values != key).astype(np.float32)
        return self._toned(np.repeat(grey[..., None], 3, axis=2), alpha, grey=True)

    def _deep_colour(self, deep: np.ndarray) -> _Planes:
        alpha = deep[..., 3] if self.picture.has_transparency_data and deep.shape[2] == 4 else None
        grey_alpha = self.picture.format == "PNG" and self.head[25] == 4
        return self._toned(deep[..., :3], alpha, grey=grey_alpha)

    def _toned(self, rgb: np.ndarray, alpha: np.ndarray | None, *, grey: bool) -> _Planes:
        """Deep pixels with their profile; a grey profile is applied here, since Pillow's engine has 8 bits."""
        icc = self.picture.info.get("icc_profile")
        space = _space(icc)
        if space != b"GRAY" or not grey:
            return _Planes(rgb, alpha, grey, 16, icc if space == b"RGB " else None, _ignored(icc, space))
        scale = 65535 if rgb.dtype == np.uint16 else 1
        values = rgb.astype(np.float32) / scale
        try:
            return _Planes(grey_to_srgb(values, icc), alpha, True, 16, None)
        except (struct.error, ValueError, IndexError, ZeroDivisionError):
            return _Planes(values, alpha, True, 16, None, (_NO_PROFILE,))


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


# --- refusing --------------------------------------------------------------------------------------------------


def _refuse_foreign(name: str, head: bytes) -> None:
    if not head:
        raise ImageError(f"{name} is empty (0 bytes): it was perhaps not copied to the end. Copy it again.")
    kind = next((k for at, magic, k in _FOREIGN if head[at:].startswith(magic)), None)
    if kind is None and _is_text(head):
        kind = _TEXT
    if kind is not None:
        what, advice = kind
        raise ImageError(f"{name} holds {what}, and this program reads {READABLE}. {advice}")


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # its last character may be cut
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)


def _refuse_unfit(name: str, picture: Image.Image) -> None:
    if min(picture.size) < 1:
        raise ImageError(
            f"{name} says it is {picture.width} x {picture.height} pixels: there is nothing to restore."
        )
    if picture.mode in ("F", "I"):
        raise ImageError(
            f"{name} holds measured values (mode {picture.mode}) without a known white, so its brightness is not "
            f"defined. Save it with 8 or 16 bits a channel."
        )
    if picture.format == "TIFF":
        tags = picture.tag_v2
        preview = 330 in tags and tags.get(254, 0) & 1  # a small picture in front of the sensor's data
        if 50706 in tags or preview or Path(name).suffix.lower() in _RAW_SUFFIXES:
            raise ImageError(f"{name} holds {_RAW[0]}, and this program reads {READABLE}. {_RAW[1]}")


def _refuse_large(name: str, header: Header, max_pixels: int) -> None:
    """Never more than twice Pillow's own warning limit, whatever is asked."""
    limit = min(max_pixels, 2 * (Image.MAX_IMAGE_PIXELS or max_pixels))
    if header.pixels > limit:
        height, width = header.size
        raise ImageError(
            f"{name} is {width} x {height}, {header.pixels / 1e6:.1f} million pixels, and at most "
            f"{limit / 1e6:g} million fit. Save a smaller copy or crop it first."
        )


def _why_unreadable(name: str, head: bytes, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * Image.MAX_IMAGE_PIXELS / 1e6
        return (
            f"{name} claims more than {limit:.0f} million pixels, which no memory holds. Save a smaller copy."
        )
    if isinstance(error, MemoryError):
        return f"{name} does not fit into this computer's memory. Save a smaller copy."
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return f"{name} ends too early: a part of the picture is missing. Copy or download it again."
    if isinstance(error, UnidentifiedImageError) and not head.startswith(_DAMAGED):
        return f"{name} is not a picture this program can read: it reads {READABLE}. Save it as PNG or JPEG."
    return f"{name} is damaged and cannot be decoded. Copy it again, or open it elsewhere and save it as PNG."


# --- decoding --------------------------------------------------------------------------------------------------

DESCRIPTIVE_TAGS = (
    frozenset(  # of EXIF's first directory: what, who, when, with which camera, printed how large
        {270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 33432, 40091, 40092, 40093, 40094, 40095}
    )
)

_WITHOUT_ALPHA = {"1": "L", "LA": "L", "La": "L", "P": "RGB", "PA": "RGB", "RGBA": "RGB", "RGBX": "RGB"}
_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab "}


_NO_PROFILE = "Without a usable colour profile: colours may be off."


def _ignored(icc: bytes | None, space: bytes) -> tuple[str, ...]:
    return (_NO_PROFILE,) if icc and space != b"RGB " else ()


def _space(icc: bytes | None) -> bytes:
    """The colour space that a profile describes: bytes 16 to 19 of its header."""
    return icc[16:20] if icc else b""


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


def _eight_bit_planes(picture: Image.Image) -> _Planes:
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
    rgb, icc, notes = _to_rgb(colour, picture.info.get("icc_profile"), convert=palette)
    return _Planes(np.asarray(rgb), alpha, colour.mode == "L", 8, icc, notes)


def _to_rgb(
    colour: Image.Image, icc: bytes | None, *, convert: bool
) -> tuple[Image.Image, bytes | None, tuple[str, ...]]:
    """L, RGB, CMYK or LAB -> RGB, the profile it is then in, notes. RGB is converted only when asked."""
    space = _space(icc)
    if colour.mode in ("L", "RGB") and space in (b"", b"RGB ") and not (convert and icc):
        return (
            colour.convert("RGB"),
            icc,
            (),
        )  # R = G = B under an RGB profile is exactly what a grey file meant
    matching = space == _SPACES.get(colour.mode)
    if matching or colour.mode == "LAB":
        profile = io.BytesIO(icc) if matching else ImageCms.createProfile("LAB")
        try:
            return _to_srgb(colour, profile), None, ()
        except ImageCms.PyCMSError:
            matching = False
    note = () if colour.mode in ("L", "RGB") and not icc else (_NO_PROFILE,)
    return colour.convert("RGB"), None, note


def _to_srgb(colour: Image.Image, profile: io.BytesIO | ImageCms.core.CmsProfile) -> Image.Image:
    return ImageCms.profileToProfile(
        colour,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def grey_to_srgb(grey: np.ndarray, icc: bytes) -> np.ndarray:
    """Values in [0, 1] under a grey profile -> sRGB values, without rounding; unchanged if it has no curve.

    linear = kTRC(grey), then sRGB's own curve: ICC.1:2022, 10.6 and 10.18; IEC 61966-2-1.
    """
    entries = struct.unpack_from(">I", icc, 128)[0]
    places = dict((tag, at) for tag, at, _ in struct.iter_unpack(">4sII", icc[132 : 132 + 12 * entries]))
    if b"kTRC" not in places:
        return grey
    linear = _tone_curve(grey.astype(np.float64), icc[places[b"kTRC"] :]).clip(0, 1)
    linear = np.nan_to_num(linear)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return encoded.astype(np.float32)


def _tone_curve(x: np.ndarray, tag: bytes) -> np.ndarray:
    """ICC curveType (a gamma or a table) or parametricCurveType: (a x + b)^g + e from d upwards, c x + f below."""
    if tag.startswith(b"curv"):
        count = struct.unpack_from(">I", tag, 8)[0]
        table = np.frombuffer(tag, ">u2", count, 12)
        if count < 2:
            return x ** (table[0] / 256 if count else 1)
        return np.interp(x, np.linspace(0, 1, count), table / 65535)
    kind = struct.unpack_from(">H", tag, 8)[0]
    given = [v / 65536 for v in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)]
    g, a, b, c, d, e, f = given + [1.0, 0.0, 0.0, 0.0, 0.0, 0.0][len(given) - 1 :]
    if kind in (1, 2):
        c, d, e, f = 0.0, -b / a, c, c
    return np.where(x >= d, (a * x + b).clip(min=0) ** g + e, c * x + f)


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
