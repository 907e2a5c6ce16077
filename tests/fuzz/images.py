"""Pictures: every format that is read, in its kinds."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image

from restore_core.errors import ImageError
from restore_core.images import load

MAX_PIXELS = 4_000_000


def seeds() -> list[bytes]:
    """Small valid files."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (9, 13, 4), dtype=np.uint8)
    rgba = Image.fromarray(colours)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    deep = Image.fromarray(rng.integers(0, 65536, (9, 13), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    made = [
        (rgb, "PNG", {}), (rgba, "PNG", {"exif": exif}), (rgb.quantize(16), "PNG", {"transparency": 3}),
        (grey, "PNG", {}), (deep, "PNG", {}),
        (rgb, "JPEG", {"exif": exif}), (rgb, "JPEG", {"progressive": True}), (grey, "JPEG", {}),
        (rgb.convert("CMYK"), "JPEG", {}), (rgb, "WEBP", {"lossless": True}), (rgba, "WEBP", {}),
        (rgb, "WEBP", {"exif": exif}), (rgb, "TIFF", {}), (deep, "TIFF", {}),
        (rgb, "TIFF", {"compression": "tiff_lzw"}), (rgb, "TIFF", {"compression": "tiff_deflate"}),
        (rgb, "BMP", {}), (grey, "BMP", {}),
        (rgb.quantize(8), "GIF", {"save_all": True, "append_images": [rgb.quantize(8)]}),
    ]  # fmt: skip
    return [_bytes(*one) for one in made]


def _bytes(picture: Image.Image, kind: str, options: dict) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def attempt(data: bytes) -> str:
    """Read it: "read" or "refused"; anything else is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            photo = load(data, max_pixels=MAX_PIXELS)
        except ImageError as error:
            assert str(error).count("Traceback") == 0 and len(str(error)) < 600, "not a sentence"
            return "refused"
    height, width = photo.size
    assert photo.rgb.shape == (1, 3, height, width) and height * width <= MAX_PIXELS
    assert photo.rgb.min() >= 0 and photo.rgb.max() <= 1, "out of range"
    assert photo.alpha is None or photo.alpha.shape == (1, 1, height, width)
    return "read"
