"""Pictures in a latent space: encoding and decoding in windows, and a cheap look at a latent on the way.

An autoencoder needs more memory than the network that works between its two halves, so a large picture goes through
it in overlapping windows, blended as tiles of a network are. What an encoder keeps beside the latent (Refusion's
skips) is kept for each window and goes into the decoder of the same window.

    preview    RGB = M z + c at every latent pixel, (M, c) by least squares of pictures on their latents

The linear map of a known autoencoder is fitted on photographs by `python -m benchmarks.fit_preview` and kept in
previews.json. For any other it is fitted to the picture at hand, whose latent is there anyway: its own pixels on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.devices import autocast
from restore_core.memory import Need
from restore_core.networks.latent_unet import LatentUNet, Skips
from restore_core.networks.layers import pad_to_multiple
from restore_core.networks.vq_autoencoder import VQAutoencoder
from restore_core.settings import Settings
from restore_core.tiling import SLACK, Heed, alone, tile_size, windows

OVERLAP = 64  # pixels shared by neighbouring windows; at least the reach of the autoencoders' convolutions
RIDGE = 1e-3  # of the latents' mean variance: grey pictures leave some directions open
PREVIEWS = Path(__file__).with_name("previews.json")


class Latents:
    """One picture's way into a latent space and back.

    encode    window (1, 3, H, W) -> (latent, whatever its decoding needs);   decode: the reverse
    factor    picture pixels a latent pixel;   multiple: sides of a window divide by it
    need      bytes of live activations a picture pixel

    encode() must come before decode(), whose picture has the size that was encoded.
    """

    def __init__(
        self,
        encode: Callable[[Tensor], tuple[Tensor, Any]],
        decode: Callable[[Tensor, Any], Tensor],
        factor: int,
        multiple: int,
        settings: Settings,
        need: float = 3_000.0,
    ):
        self._encode, self._decode, self.factor, self.multiple = encode, decode, factor, multiple
        self._asked, self._precision, self._need = settings.tile, settings.precision, Need(SLACK * need)
        self._kept: list[Any] = []
        self._tile, self._size = 0, (0, 0)

    @torch.no_grad()
    def encode(self, picture: Tensor, heed: Heed = alone) -> Tensor:
        """The latent of a picture (1, 3, H, W): sides ceil(H/multiple) multiple/factor."""
        self._size = (picture.shape[-2], picture.shape[-1])
        picture = self.padded(picture)
        height, width = picture.shape[-2:]
        asked = None if self._asked is None else self._asked * self.factor
        tile = tile_size(asked, height, width, self._need.side(picture.device, self.multiple)) or max(height, width)
        self._tile = -(-tile // self.multiple) * self.multiple
        self._kept = []

        def part(k: int, rows: slice, columns: slice) -> Tensor:
            window = picture[..., _times(rows, self.factor), _times(columns, self.factor)]
            with autocast(picture.device, self._precision):
                latent, kept = self._encode(window)
            self._kept.append(kept)
            return latent.float()

        return self._blend(height // self.factor, width // self.factor, part, self.factor, heed)

    def padded(self, picture: Tensor) -> Tensor:
        """The picture as it is encoded: grown at the right and bottom, by reflection."""
        return pad_to_multiple(picture, self.multiple)

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Tensor:
        """The picture of a latent, cropped to the size that was encoded. It heeds nobody: a stopped run's guess is
        kept, which takes just this."""
        factor = self.factor

        def part(k: int, rows: slice, columns: slice) -> Tensor:
            window = latent[..., _divided(rows, factor), _divided(columns, factor)]
            with autocast(latent.device, self._precision):
                return self._decode(window, self._kept[k]).float()

        whole = self._blend(latent.shape[-2] * factor, latent.shape[-1] * factor, part, 1)
        return whole[..., : self._size[0], : self._size[1]]

    def _blend(
        self,
        height: int,
        width: int,
        part: Callable[[int, slice, slice], Tensor],
        shrink: int,
        heed: Heed = alone,
    ) -> Tensor:
        """part(k, rows, columns) of the k-th window, weighted; lengths in picture pixels are divided by `shrink`."""
        tile, overlap, multiple = (n // shrink for n in (self._tile, OVERLAP, self.multiple))
        total, weights = None, 0.0
        places = list(windows(height, width, tile, overlap, multiple))
        for k, window in enumerate(places):
            heed(k, len(places))
            rows, columns = window.rows, window.columns
            piece = part(k, rows, columns)
            if piece.shape[-2:] == (height, width):
                return piece
            if total is None:
                total, weights = piece.new_zeros(*piece.shape[:2], height, width), piece.new_zeros(height, width)
            weight = window.weight.to(piece)
            total[..., rows, columns] += weight * piece
            weights[rows, columns] += weight
        return total / weights


def _times(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)


def _divided(part: slice, factor: int) -> slice:
    return slice(part.start // factor, part.stop // factor)


def vq_latents(autoencoder: VQAutoencoder, settings: Settings) -> Latents:
    """ResShift's latent space: RGB in [-1, 1]; latents are snapped to the codes on the way out only."""
    return Latents(
        lambda picture: (autoencoder.encode(picture), None),
        lambda latent, _: autoencoder.decode(latent),
        autoencoder.factor,
        autoencoder.factor,
        settings,
        autoencoder.bytes_per_pixel,
    )


def unet_latents(autoencoder: LatentUNet, settings: Settings) -> Latents:
    """Refusion's: RGB in [0, 1]; the decoder sees the skips of the picture that was encoded, the degraded one."""

    def decode(latent: Tensor, skips: Skips) -> Tensor:
        return autoencoder.decode(latent, skips)

    return Latents(
        autoencoder.encode, decode, autoencoder.stride, autoencoder.multiple, settings, autoencoder.bytes_per_pixel
    )


def fit(latent: Tensor, picture: Tensor) -> Tensor:
    """(3, C + 1): the linear map [M, c] from latents (N, C, h, w) to RGB means of the pixels below, least squares.

    picture   (N, 3, H, W), whole multiples of (h, w)
    """
    means = F.interpolate(picture, size=latent.shape[-2:], mode="area")
    z, rgb = (x.double().movedim(1, -1).flatten(0, -2) for x in (latent, means))
    z_mean, rgb_mean = z.mean(dim=0), rgb.mean(dim=0)
    z, rgb = z - z_mean, rgb - rgb_mean
    variance = z.T @ z / len(z)
    ridge = (RIDGE * variance.diagonal().mean() + 1e-12) * torch.eye(len(variance)).to(variance)
    matrix = torch.linalg.solve(variance + ridge, z.T @ rgb / len(z)).T
    return torch.cat([matrix, (rgb_mean - matrix @ z_mean)[:, None]], dim=1).float()


def look(latent: Tensor, linear: Tensor) -> Tensor:
    """RGB (N, 3, h, w) of latents (N, C, h, w) by a linear map (3, C + 1); not clipped."""
    linear = linear.to(latent)
    return torch.einsum("kc,nchw->nkhw", linear[:, :-1], latent) + linear[:, -1, None, None]


@cache
def known_maps(path: Path = PREVIEWS) -> Mapping[str, Tensor]:
    """Linear maps fitted on photographs, by the autoencoder's key in the catalogue."""
    if not path.is_file():
        return {}
    return {key: torch.tensor(rows) for key, rows in json.loads(path.read_text()).items()}


def preview(latent: Tensor, picture: Tensor, autoencoder: str, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """A look at states on the way: latent -> RGB in [0, 1] of `size`, without the decoder.

    latent, picture   of the degraded picture (RGB in [0, 1]), to which the map is fitted if `autoencoder` has none
    """
    linear = known_maps().get(autoencoder)
    if linear is None:
        linear = fit(latent, picture)
    height, width = picture.shape[-2:]

    def show(z: Tensor) -> Tensor:
        seen = F.interpolate(look(z, linear), size=(height, width), mode="bilinear", align_corners=False)
        return seen[..., : size[0], : size[1]].clamp(0, 1)

    return show
