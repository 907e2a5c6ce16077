"""Pictures to files: PNG, JPEG and WebP that carry their settings, and small JPEGs for the page."""

from __future__ import annotations

import base64
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from torch import Tensor

from restore_core.bands import by_bands
from restore_core.decoding import quiet
from restore_core.errors import ImageError
from restore_core.export.metadata import SETTINGS_KEY, Metadata, collect
from restore_core.export.writing import check_folder_of, write_whole
from restore_core.images import Photo, flatten, join_alpha, to_uint8


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
    metadata, notes = collect(result.shape[-2:], like, settings, keep_place)
    alpha = None if like is None else like.alpha
    image = result.detach().float().cpu()
    if alpha is not None:
        image = join_alpha(image, alpha.cpu())
        if not kind.has_alpha:
            image = flatten(image)
            notes += (f"{kind.name} holds no transparency: what was transparent is white.",)
    bits = 8 if like is None else like.bits
    if bits > kind.bits:
        notes += (f"{kind.name} holds {kind.bits} bits a channel, and your photo has {bits}: PNG keeps them.",)
    data, lost = _encode_safely(kind, image, bits, quality, metadata, path)
    write_whole(path, data)
    return notes + lost


def check_writable(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> None:
    """ImageError if `save` could not write there, a picture of this (height, width) where it is known: told before a
    long run, not after it."""
    kind = kind_of(Path(path))
    if size is not None:
        _refuse_large(size, Path(path), kind)
    check_folder_of(path)


# --- pictures for the page -------------------------------------------------------------------------------------


def encode_jpeg(pixels: np.ndarray, quality: int = 80) -> bytes:
    """(H, W, 3) uint8 -> JPEG with halved chroma: small and fast, for previews."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def encode_png(pixels: np.ndarray) -> bytes:
    """(H, W, 3 or 4) uint8 -> PNG: exact, for pictures that are drawn rather than taken."""
    return _pillow_bytes(pixels, "PNG", compress_level=4)


def png_uri(pixels: np.ndarray) -> str:
    """(H, W, 3 or 4) uint8 -> a PNG inside a URI, for what is drawn or lies over something else."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode("ascii")


def data_uri(pixels: np.ndarray, quality: int = 80) -> str:
    """(H, W, 3) uint8 -> a JPEG inside a URI, for a page that shall fetch no file."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(pixels, quality)).decode("ascii")


# --- encoding --------------------------------------------------------------------------------------------------


def _encode_png(image: Tensor, bits: int, quality: int, metadata: Metadata) -> bytes:
    if bits == 16:
        png = cv2.imencode(".png", _bgr16(image))[1].tobytes()
    else:
        png = _pillow_bytes(to_uint8(image), "PNG", compress_level=4)
    end_of_header = 33  # 8 bytes of signature, 25 of IHDR
    written = memoryview(png)  # whose parts are not copied
    return b"".join((written[:end_of_header], *_png_chunks(metadata), written[end_of_header:]))


def _bgr16(image: Tensor) -> np.ndarray:
    """(1, 3 or 4, H, W) -> (H, W, 3 or 4) uint16 as cv2 writes it: the one place where blue comes first."""
    values = by_bands(lambda part: part.clamp(0, 1).mul(65535).round(), image)
    pixels = values[0].permute(1, 2, 0).numpy().astype(np.uint16)
    return cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR)


def _png_chunks(metadata: Metadata) -> Iterator[bytes]:
    """Profile, camera data and settings as PNG chunks (W3C PNG 3rd edition: iCCP, eXIf, iTXt)."""
    if metadata.icc:
        yield _png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(metadata.icc))
    if metadata.exif:
        yield _png_chunk(b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))
    if metadata.settings:
        yield _png_chunk(b"iTXt", SETTINGS_KEY.encode() + b"\0\0\0\0\0" + metadata.settings.encode())


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _encode_jpeg(image: Tensor, bits: int, quality: int, metadata: Metadata) -> bytes:
    return _pillow_bytes(
        to_uint8(image),
        "JPEG",
        quality=quality,
        subsampling="4:4:4",
        icc_profile=metadata.icc,
        exif=metadata.exif,
        xmp=metadata.xmp,
    )


def _encode_webp(image: Tensor, bits: int, quality: int, metadata: Metadata) -> bytes:
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
    encode: Callable[[Tensor, int, int, Metadata], bytes]
    has_alpha: bool
    longest_side: int
    bits: int = 8  # a channel, at most


_PNG = Kind("PNG", _encode_png, True, 1_000_000, 16)
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
    _refuse_large((result.shape[-2], result.shape[-1]), path, kind)


def _refuse_large(size: tuple[int, int], path: Path, kind: Kind) -> None:
    height, width = size
    if max(height, width) > kind.longest_side:
        raise ImageError(
            f"{path.name} would be {width} × {height} pixels, and {kind.name} holds at most {kind.longest_side} a "
            f"side. Save it as PNG."
        )


def _encode_safely(
    kind: Kind, image: Tensor, bits: int, quality: int, metadata: Metadata, path: Path
) -> tuple[bytes, tuple[str, ...]]:
    """With its metadata, or else without camera data, or else bare."""
    attempts = (
        (metadata, ()),
        (Metadata(metadata.icc, b"", metadata.settings), ("The camera data could not be kept.",)),
        (Metadata(), ("Profile, camera data and settings could not be kept.",)),
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
