"""Colours of a file -> RGB: through its ICC profile where one fits, by its tone curve where it is grey."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, ImageCms

NO_PROFILE = "Without a usable colour profile: colours may be off."

_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab "}


def profile_space(icc: bytes | None) -> bytes:
    """The colour space that a profile describes: bytes 16 to 19 of its header."""
    return icc[16:20] if icc else b""


def to_rgb(
    colour: Image.Image, icc: bytes | None, *, convert: bool
) -> tuple[Image.Image, bytes | None, tuple[str, ...]]:
    """L, RGB, CMYK or LAB -> RGB, the profile it is then in, notes. RGB is converted only when asked."""
    space = profile_space(icc)
    if colour.mode in ("L", "RGB") and space in (b"", b"RGB ") and not (convert and icc):
        # R = G = B under an RGB profile is exactly what a grey file meant
        return colour.convert("RGB"), icc, ()
    matching = space == _SPACES.get(colour.mode)
    if matching or colour.mode == "LAB":
        profile = io.BytesIO(icc) if matching else ImageCms.createProfile("LAB")
        try:
            return _to_srgb(colour, profile), None, ()
        except ImageCms.PyCMSError:
            matching = False
    note = () if colour.mode in ("L", "RGB") and not icc else (NO_PROFILE,)
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
