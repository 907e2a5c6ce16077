"""JPEG in arithmetic, without a file: the coder that blind restoration trains through (Shin and Song 2017).

Colours after JFIF, chroma averaged 2 x 2, 8 x 8 DCT, the standard tables scaled by quality, rounding, and back. No
entropy coding, as it loses nothing. The luma table stands transposed, as in the published coder.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
CHROMA = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))  # and 99 beyond
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
BLOCK = 16  # px that a unit of 4:2:0 covers


def soft_jpeg(image: Tensor, quality: Tensor | float) -> Tensor:
    """image (N, 3, H, W) in [0, 1], quality 1 to 99, one or one each -> the same size, clipped to [0, 1]."""
    height, width = image.shape[-2:]
    quality = torch.as_tensor(quality, dtype=torch.float32).expand(len(image))
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50).to(image)
    padded = F.pad(image, (0, -width % BLOCK, 0, -height % BLOCK)) * 255
    ycc = _mixed(padded, TO_YCC) + padded.new_tensor([0.0, 128.0, 128.0])[:, None, None]
    luma = _coded(ycc[:, :1], image.new_tensor(LUMA).T, factor)
    chroma = _coded(F.avg_pool2d(ycc[:, 1:], 2), _chroma_table(image), factor)
    chroma = chroma.repeat_interleave(2, -1).repeat_interleave(2, -2) - 128
    rgb = _mixed(torch.cat([luma, chroma], dim=1), TO_RGB).clamp(0, 255) / 255
    return rgb[..., :height, :width]


def _mixed(image: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.einsum("ij,njhw->nihw", image.new_tensor(matrix), image)


def _chroma_table(like: Tensor) -> Tensor:
    table = like.new_full((8, 8), 99.0)
    table[:4, :4] = like.new_tensor(CHROMA)
    return table


def _coded(planes: Tensor, table: Tensor, factor: Tensor) -> Tensor:
    """DCT, division by factor * table, rounding, and back; planes (N, C, H, W) in [0, 255]."""
    n, c, h, w = planes.shape
    step = table * factor[:, None, None, None, None, None]
    blocks = planes.reshape(n, c, h // 8, 8, w // 8, 8).transpose(3, 4) - 128
    dct = _dct(planes)
    waves = torch.round(dct @ blocks @ dct.T / step) * step
    return (dct.T @ waves @ dct + 128).transpose(3, 4).reshape(n, c, h, w)


def _dct(like: Tensor) -> Tensor:
    """(8, 8): row u holds a_u cos((2x + 1) u pi / 16), a_0 = sqrt(1/8), else 1/2."""
    i = torch.arange(8, dtype=torch.float64)
    basis = torch.cos((2 * i + 1) * i[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis.to(like)
