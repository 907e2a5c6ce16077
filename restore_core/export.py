"""Results to files: pictures that carry their settings.

`save` writes what a photo's owner expects back: its profile, its camera data without what no longer holds (turning,
thumbnail, size) or should not travel (place), its transparency, its 16 bits; and the settings as JSON, from which
`read_settings` lets any result be made again. A picture either appears whole under its name or not at all.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import html
import io
import json
import os
import re
import struct
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image
from torch import Tensor

from restore_core.decoding import DESCRIPTIVE_TAGS, Source, opened, quiet
from restore_core.errors import ImageError
from restore_core.images import Photo, flatten, join_alpha, to_uint8

SETTINGS_KEY = "stepback"
MAX_SETTINGS = (
    60_000  # characters of JSON: one JPEG segment holds 65,502 bytes, escapes and envelope included
)
MAX_SEGMENT = 65_502
MAX_PROFILE = 4_000_000  # bytes; JPEG takes up to 16 MB, RGB profiles seldom have more than 0.1

_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:stepback="urn:stepback:"><stepback:settings>{}</stepback:settings>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
_XMP_SETTINGS = re.compile(rb"<stepback:settings>([^<]*)</stepback:settings>")


@dataclass(frozen=True)
class _Metadata:
    """What is written beside the pixels; empty where there is none."""

    icc: bytes = b""
    exif: bytes = b""  # begins with Exif\0\0
    settings: str = ""  # JSON

    @property
    def xmp(self) -> bytes:
        return _XMP.format(html.escape(self.settings, quote=False)).encode() if self.settings else b""


def save(
    result: Tensor,
    path: str | os.PathLike[str],
    *,
    like: Photo | None = None,
    settings: Mapping[str, Any] | None = None,
    quality: int = 95,
    keep_place: bool = False,
) -> tuple[str, ...]:
    """Write a result (1, 3, h, w) in [0, 1] as PNG, JPEG or WebP, by the suffix of path.

    like: the photo it was made from; its profile, camera data, alpha and depth (16 bits in PNG only) are kept.
    settings: stored as JSON, in PNG as the text "stepback", in JPEG and WebP as XMP.
    keep_place: GPS data stay in. Returns notes on what could not be kept; metadata never fail a save.
    """
    path = Path(path)
    kind = kind_of(path)
    _refuse_unfit(result, path, kind)
    metadata, notes = _metadata(result.shape[-2:], like, settings, keep_place)
    alpha = None if like is None else like.alpha
    image = result.detach().float().cpu()
    if alpha is not None:
        image = join_alpha(image, alpha.cpu())
        if not kind.has_alpha:
            image = flatten(image)
            notes += (f"{kind.name} holds no transparency: what was transparent is white.",)
    data, lost = _encode_safely(kind, image, 8 if like is None else like.bits, quality, metadata, path)
    write_whole(path, data)
    return notes + lost


def check_writable(path: str | os.PathLike[str]) -> None:
    """ImageError if `save` could not write there: told before a long run, not after it."""
    path = Path(path)
    kind_of(path)
    probe = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise ImageError(cannot_write(path, error)) from error


def read_settings(source: Source) -> dict[str, Any]:
    """The settings that `save` stored in a picture, from its header alone."""
    with opened(source) as file:
        info = file.picture.info
        name = file.name
    text = info.get(SETTINGS_KEY) or _settings_in_xmp(info.get("xmp"))
    if not isinstance(text, str):
        raise ImageError(
            f"{name} holds no settings: it was not saved by this program, or another one has saved it since. "
            f"Choose a result as this program wrote it."
        )
    if len(text) > MAX_SETTINGS:
        raise ImageError(
            f"{name} holds {len(text)} characters of settings where at most {MAX_SETTINGS} are sensible: they are "
            f"not this program's. Choose another file."
        )
    return _parse(name, text)


# --- pictures for the page -------------------------------------------------------------------------------------


def encode_jpeg(pixels: np.ndarray, quality: int = 80) -> bytes:
    """(H, W, 3) uint8 -> JPEG with halved chroma: small and fast, for previews."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def data_uri(pixels: np.ndarray, quality: int = 80) -> str:
    """(H, W, 3) uint8 -> a JPEG inside a URI, for a page that shall fetch no file."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(pixels, quality)).decode("ascii")


# --- encoding --------------------------------------------------------------------------------------------------


def _encode_png(image: Tensor, bits: int, quality: int, metadata: _Metadata) -> bytes:
    if bits == 16:
        png = cv2.imencode(".png", _bgr16(image))[1].tobytes()
    else:
        png = _pillow_bytes(to_uint8(image), "PNG", compress_level=4)
    end_of_header = 33  # 8 bytes of signature, 25 of IHDR
    return png[:end_of_header] + b"".join(_png_chunks(metadata)) + png[end_of_header:]


def _bgr16(image: Tensor) -> np.ndarray:
    """(1, 3 or 4, H, W) -> (H, W, 3 or 4) uint16 as cv2 writes it: the one place where blue comes first."""
    pixels = image[0].clamp(0, 1).mul(65535).round().permute(1, 2, 0).numpy().astype(np.uint16)
    return cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR)


def _png_chunks(metadata: _Metadata) -> Iterator[bytes]:
    """Profile, camera data and settings as PNG chunks (W3C PNG 3rd edition: iCCP, eXIf, iTXt)."""
    if metadata.icc:
        yield _png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(metadata.icc))
    if metadata.exif:
        yield _png_chunk(b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))
    if metadata.settings:
        yield _png_chunk(b"iTXt", SETTINGS_KEY.encode() + b"\0\0\0\0\0" + metadata.settings.encode())


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _encode_jpeg(image: Tensor, bits: int, quality: int, metadata: _Metadata) -> bytes:
    return _pillow_bytes(
        to_uint8(image),
        "JPEG",
        quality=quality,
        subsampling="4:4:4",
        icc_profile=metadata.icc,
        exif=metadata.exif,
        xmp=metadata.xmp,
    )


def _encode_webp(image: Tensor, bits: int, quality: int, metadata: _Metadata) -> bytes:
    return _pillow_bytes(
        to_uint8(image),
        "WEBP",
        quality=quality,
        icc_profile=metadata.icc,
        exif=metadata.exif,
        xmp=metadata.xmp,
    )


def _pillow_bytes(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@dataclass(frozen=True)
class Kind:
    """A kind of picture file that `save` writes."""

    name: str
    encode: Callable[[Tensor, int, int, _Metadata], bytes]
    has_alpha: bool
    longest_side: int


_PNG = Kind("PNG", _encode_png, True, 1_000_000)
_JPEG = Kind("JPEG", _encode_jpeg, False, 65_500)
_WEBP = Kind("WebP", _encode_webp, True, 16_383)
_KINDS = {".png": _PNG, ".jpg": _JPEG, ".jpeg": _JPEG, ".webp": _WEBP}


def kind_of(path: Path) -> Kind:
    """The kind that path's suffix asks for, or an ImageError."""
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise ImageError(
            f"{path.name} ends in {path.suffix or 'nothing'}, which says no kind of picture written here. "
            f"Name it .png, .jpg or .webp."
        )
    return kind


def _refuse_unfit(result: Tensor, path: Path, kind: Kind) -> None:
    if result.ndim != 4 or result.shape[:2] != (1, 3) or 0 in result.shape:
        raise ImageError(
            f"A tensor of shape {tuple(result.shape)} is no single RGB picture. Hand over one of shape (1, 3, H, W)."
        )
    if not bool(result.isfinite().all()):
        raise ImageError(
            "The result holds numbers that are no colours (NaN or infinite): the run went astray. "
            "Try more steps or another way of stepping."
        )
    height, width = result.shape[-2:]
    if max(height, width) > kind.longest_side:
        raise ImageError(
            f"{path.name} would be {width} x {height} pixels, and {kind.name} holds at most {kind.longest_side} a "
            f"side. Save it as PNG."
        )


def _encode_safely(
    kind: Kind, image: Tensor, bits: int, quality: int, metadata: _Metadata, path: Path
) -> tuple[bytes, tuple[str, ...]]:
    """With its metadata, or else without camera data, or else bare."""
    attempts = (
        (metadata, ()),
        (_Metadata(metadata.icc, b"", metadata.settings), ("The camera data could not be kept.",)),
        (_Metadata(), ("Profile, camera data and settings could not be kept.",)),
    )
    for tried, notes in attempts:
        try:
            with quiet():
                return kind.encode(image, bits, quality, tried), notes
        except MemoryError as error:
            raise ImageError(f"There is no memory to encode {path.name}. Close other programs.") from error
        except Exception as error:  # an encoder may raise anything at metadata it dislikes
            reason = error
    raise ImageError(f"{path.name} cannot be encoded as {kind.name}: {reason}. Save it as PNG.") from reason


# --- metadata --------------------------------------------------------------------------------------------------


def _metadata(
    size: tuple[int, int], like: Photo | None, settings: Mapping[str, Any] | None, keep_place: bool
) -> tuple[_Metadata, tuple[str, ...]]:
    icc, exif, text, notes = b"", b"", "", ()
    if like is not None and like.icc:
        if len(like.icc) <= MAX_PROFILE:
            icc = like.icc
        else:
            notes += ("The colour profile is too large to be kept.",)
    if like is not None and like.exif:
        try:
            exif = clean_exif(like.exif, size, keep_place=keep_place)
        except Exception:  # camera data from anywhere; the picture is worth more
            notes += ("The camera data could not be kept.",)
    if settings is not None:
        try:
            text = json.dumps(settings, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            notes += ("The settings could not be written as JSON and were left out.",)
        if len(html.escape(text, quote=False)) > MAX_SETTINGS:
            text, notes = "", (*notes, "The settings are too long to be stored and were left out.")
    return _Metadata(icc, exif, text), notes


def clean_exif(raw: bytes, size: tuple[int, int], *, keep_place: bool = False) -> bytes:
    """Camera data that hold for a result of this (height, width): built anew from what still applies.

    Left out: orientation and thumbnail (of the picture as it was), the maker's note (its offsets would point
    nowhere, and it often holds another preview), and the place unless asked for.
    """
    with quiet():
        old, new = Image.Exif(), Image.Exif()
        old.load(raw)
        for tag in DESCRIPTIVE_TAGS & set(old):
            new[tag] = old[tag]
        details = new.get_ifd(ExifTags.IFD.Exif)
        details.update(old.get_ifd(ExifTags.IFD.Exif))
        for tag in (ExifTags.Base.MakerNote, ExifTags.IFD.Interop):
            details.pop(tag, None)
        details[ExifTags.Base.ExifImageHeight], details[ExifTags.Base.ExifImageWidth] = size
        if keep_place and (place := old.get_ifd(ExifTags.IFD.GPSInfo)):
            new.get_ifd(ExifTags.IFD.GPSInfo).update(place)
        packed = new.tobytes()
    if len(packed) > MAX_SEGMENT:
        raise ValueError(f"{len(packed)} bytes of camera data, and one segment holds {MAX_SEGMENT}")
    return packed


def _settings_in_xmp(xmp: bytes | None) -> str | None:
    found = _XMP_SETTINGS.search(xmp) if isinstance(xmp, bytes) else None
    return html.unescape(found[1].decode(errors="replace")) if found else None


def _parse(name: str, text: str) -> dict[str, Any]:
    def no_number(word: str) -> None:
        raise ValueError(f"{word} is no number")

    try:
        settings = json.loads(text, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"The settings in {name} are damaged: {error}. Choose another file.") from error
    if not isinstance(settings, dict):
        raise ImageError(
            f"The settings in {name} are a list or a value, not named fields. Choose another file."
        )
    return settings


# --- writing ---------------------------------------------------------------------------------------------------


def write_whole(path: Path, data: bytes) -> None:
    """Whole or not at all: a temporary file in the same folder, then renamed onto path."""
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise ImageError(cannot_write(path, error, len(data))) from error


def cannot_write(path: Path, error: OSError, length: int = 0) -> str:
    """The sentence for a file of so many bytes that the system refused to write."""
    folder = path.parent.name or "it"
    reasons = {
        errno.ENOENT: f"the folder {folder} does not exist. Make it, or choose another",
        errno.ENOTDIR: f"{folder} is a file, not a folder. Choose another folder",
        errno.EEXIST: "a file of that name is in the way. Choose another name",
        errno.EISDIR: "a folder of that name is in the way. Choose another name",
        errno.EACCES: f"writing into the folder {folder} is not allowed. Choose another",
        errno.EPERM: f"writing into the folder {folder} is not allowed. Choose another",
        errno.EROFS: f"the disk of the folder {folder} is read-only. Choose another",
        errno.ENOSPC: f"the disk is full, and {length / 1e6:.1f} MB are needed. Free some space",
        errno.EDQUOT: f"your share of the disk is used up, and {length / 1e6:.1f} MB are needed. Free some space",
        errno.ENAMETOOLONG: "its name is too long. Choose a shorter one",
    }
    reason = reasons.get(error.errno, f"{error.strerror or error}. Choose another folder")
    return f"{path.name} cannot be written: {reason}."
