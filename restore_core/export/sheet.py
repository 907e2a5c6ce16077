"""A contact sheet: pictures in rows and columns under their names, as one picture that explains itself."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restore_core.errors import ImageError

SIDE = 640  # pixels of a picture's long side
GAP, MARGIN = 16, 24
INK, SOFT_INK, PAPER = (28, 28, 28), (95, 95, 95), (255, 255, 255)
NAME, TEXT = 20, 16  # pixels of type


@dataclass(frozen=True)
class Cell:
    """A picture (H, W, 3) uint8, its name, and a line or two about it."""

    pixels: np.ndarray
    name: str
    text: str = ""


def contact_sheet(cells: Sequence[Cell], *, columns: int = 3, title: str = "", side: int = SIDE) -> np.ndarray:
    """(H, W, 3) uint8: cells of one size, in reading order, each over its name and text."""
    if not cells:
        raise ImageError("There are no pictures, so there is no sheet to make. Run a comparison first.")
    pictures = [_fitted(cell.pixels, side) for cell in cells]
    columns = min(columns, len(cells))
    width, height = (max(getattr(p, what) for p in pictures) for what in ("width", "height"))
    texts = [_wrapped(cell, width) for cell in cells]
    caption = 2 * GAP + NAME + (TEXT + 4) * max(len(lines) for lines in texts)
    top = MARGIN + (NAME + GAP if title else 0)
    rows = -(-len(cells) // columns)
    sheet_size = (2 * MARGIN + columns * width + (columns - 1) * GAP, top + rows * (height + caption) + MARGIN)
    sheet = Image.new("RGB", sheet_size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 4), title, INK, ImageFont.load_default(NAME))
    for k, (cell, picture, lines) in enumerate(zip(cells, pictures, texts, strict=True)):
        left, upper = MARGIN + k % columns * (width + GAP), top + k // columns * (height + caption)
        sheet.paste(picture, (left, upper))
        draw.text((left, upper + height + 8), cell.name, INK, ImageFont.load_default(NAME))
        for n, line in enumerate(lines):
            at = (left, upper + height + 8 + NAME + 6 + n * (TEXT + 4))
            draw.text(at, line, SOFT_INK, ImageFont.load_default(TEXT))
    return np.asarray(sheet)


def _fitted(pixels: np.ndarray, side: int) -> Image.Image:
    """Shrunk to fit; small pictures are enlarged by a whole factor, pixel by pixel, so that nothing is smoothed."""
    picture = Image.fromarray(pixels)
    longest = max(picture.size)
    if longest > side:
        size = tuple(max(1, round(length * side / longest)) for length in picture.size)
        return picture.resize(size, Image.Resampling.BOX, reducing_gap=3)
    factor = max(1, side // longest)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def _wrapped(cell: Cell, width: int) -> list[str]:
    characters = max(8, int(width / (0.52 * TEXT)))
    return [line for part in cell.text.splitlines() for line in textwrap.wrap(part, characters)]
