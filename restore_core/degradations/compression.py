"""What files do to pictures: JPEG, and being made smaller. RGB in [0, 1], (N, 3, H, W)."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from restore_core.images import resize

GRID = 8  # pixels, the blocks of JPEG
SAMPLING = {True: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, False: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444}


def jpeg(image: Tensor, quality: float, *, left: float = 0, top: float = 0, chroma: float = 1) -> Tensor:
    """Written as JPEG (libjpeg's scale of quality, 1 to 100) and read again, 8-bit values in [0, 1].

    left, top   by how many pixels (0 to 7) the grid of 8 x 8 blocks lies off the picture's corner, as in a crop
    chroma      1: colour at half the resolution (4:2:0), as cameras and the web do; 0: at the full one
    """
    left, top = int(left) % GRID, int(top) % GRID
    flags = [cv2.IMWRITE_JPEG_QUALITY, round(quality), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLING[chroma > 0.5]]
    out = [_coded(picture, left, top, flags) for picture in image.detach().cpu()]
    return torch.stack(out).to(image)


def _coded(picture: Tensor, left: int, top: int, flags: list[int]) -> Tensor:
    rgb = picture.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    bgr = cv2.copyMakeBorder(np.ascontiguousarray(rgb[..., ::-1]), top, 0, left, 0, cv2.BORDER_REFLECT)
    bgr = cv2.imdecode(cv2.imencode(".jpg", bgr, flags)[1], cv2.IMREAD_COLOR)[top:, left:]
    return torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1])).permute(2, 0, 1).float() / 255


def shrink(image: Tensor, factor: float) -> Tensor:
    """Bicubic, antialiased, to 1/factor of each side (at least 1 px)."""
    return resize(image, tuple(max(1, round(side / factor)) for side in image.shape[-2:]))
