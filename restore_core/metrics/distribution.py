"""How far one set of pictures is from another, whichever picture belongs to whichever: perception in Blau's sense.

Blau and Michaeli 2018 call the distance of the *distributions* of restored and of clean pictures "perception"; one
pair of pictures cannot show it. Two measures that need no more than what is shipped:

    sliced_wasserstein   patches of a Laplacian pyramid, projected on random directions (Karras et al. 2018)
    kernel_distance      on features: KID (Binkowski et al. 2018), here of AlexNet as LPIPS has it

Inception's weights are not part of this project, so FID and KID as papers print them are not computed here. Whoever
has them computes features (n, 2048) of both sets and passes these to `frechet` and `kernel_distance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.metrics.base import check_rgb, check_size
from restore_core.metrics.perceptual import FILE, features

PATCH = 7  # px, of every level
PATCHES = 128  # of every picture and level
DIRECTIONS = 512
COARSEST = 16  # px, the least side of a level
TILE = 128  # px, of the pieces that features are taken of
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # Burt and Adelson 1983

Pictures = Sequence[Tensor]


def sliced_wasserstein(results: Pictures, references: Pictures, *, seed: int = 0) -> float:
    """1000 times the mean over levels of E|sort(P a) - sort(P b)|, P random directions; 0 for equal sets.

    Each of the two sets is a sequence of (1, 3, H, W) in [0, 1], of any sizes that have the same number of levels. In
    every level colours are brought to mean 0 and deviation 1 per set, as in Karras et al. 2018, section 5, so that it
    compares structure: fine texture first, shapes last.
    """
    _check_sets(results, references)
    levels = min(_levels(image) for image in (*results, *references))
    return 1000 * sum(
        _sliced(*(_descriptors(pictures, level, levels, seed) for pictures in (results, references)), seed)
        for level in range(levels)
    ) / levels  # fmt: skip


def _sliced(a: Tensor, b: Tensor, seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(a.shape[1], DIRECTIONS, generator=generator)
    directions = directions / directions.norm(dim=0)
    ranks = torch.linspace(0, 1, max(len(a), len(b)))
    a, b = (_quantiles((x @ directions).sort(dim=0).values, ranks) for x in (a, b))
    return (a - b).abs().mean().item()


def _quantiles(ordered: Tensor, ranks: Tensor) -> Tensor:
    """Rows of `ordered` (n, k) at ranks in [0, 1], linear between neighbours."""
    place = ranks * (len(ordered) - 1)
    below = place.floor().long()
    above = (below + 1).clamp(max=len(ordered) - 1)
    share = (place - below)[:, None]
    return ordered[below] * (1 - share) + ordered[above] * share


def _descriptors(pictures: Pictures, level: int, levels: int, seed: int) -> Tensor:
    """(n, 3 * 49): patches of one pyramid level, the same places in every picture, normalised per colour."""
    found = []
    for image in pictures:
        band = _band(image.float().cpu(), level, levels)
        generator = torch.Generator().manual_seed(seed + level)
        height, width = (side - PATCH + 1 for side in band.shape[-2:])
        rows = torch.randint(height, (PATCHES,), generator=generator).tolist()
        columns = torch.randint(width, (PATCHES,), generator=generator).tolist()
        found += [band[0, :, y : y + PATCH, x : x + PATCH] for y, x in zip(rows, columns, strict=True)]
    patches = torch.stack(found)
    mean, std = patches.mean(dim=(0, 2, 3), keepdim=True), patches.std(dim=(0, 2, 3), keepdim=True)
    return ((patches - mean) / std.clamp(min=1e-8)).flatten(1)


def _levels(image: Tensor) -> int:
    check_rgb(image)
    check_size(image, COARSEST, "a pyramid of patches")
    side, levels = min(image.shape[-2:]), 1
    while side // 2 >= COARSEST:
        side, levels = side // 2, levels + 1
    return levels


def _band(image: Tensor, level: int, levels: int) -> Tensor:
    """One level of the Laplacian pyramid: what the next smaller one cannot show; the last is the smallest itself."""
    for _ in range(level):
        image = _down(image)
    if level == levels - 1:
        return image
    smaller = _down(image)
    return image - F.interpolate(smaller, size=image.shape[-2:], mode="bilinear", align_corners=False)


def _down(image: Tensor) -> Tensor:
    taps = torch.tensor(BINOMIAL, dtype=image.dtype)
    kernel = (taps[:, None] * taps).expand(image.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(image, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=image.shape[1])


def lpips_features(pictures: Pictures, *, tile: int = TILE, weights: Path = FILE) -> Tensor:
    """(n, 1152): for each whole `tile` x `tile` piece of each picture the five layers' mean unit features."""
    return torch.cat([features(piece, weights=weights) for piece in _pieces(pictures, tile)])


def _pieces(pictures: Pictures, tile: int) -> Iterator[Tensor]:
    for image in pictures:
        check_rgb(image)
        side = min(tile, *image.shape[-2:])
        pieces = image.unfold(2, side, side).unfold(3, side, side)
        yield pieces.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, side, side)


def perceptual_kernel_distance(results: Pictures, references: Pictures, *, paired: bool = False) -> float:
    """1000 KID on LPIPS features of 128 px pieces; unbiased, so like sets may come out a little below 0.

    paired   the k-th result was made from the k-th reference's own damage, in the same size; equal sets give 0
    """
    _check_sets(results, references)
    a, b = lpips_features(results), lpips_features(references)
    return 1000 * kernel_distance(a, b, width=5, paired=paired)


def kernel_distance(a: Tensor, b: Tensor, *, width: float | None = None, paired: bool = False) -> float:
    """KID: the unbiased squared maximum mean discrepancy of (n, d) and (m, d) features; Binkowski et al. 2018, eq. 4.

        k(x, y) = (x . y / width + 1)^3,    width: d unless said

    Within a set a sample is not compared with itself; between the sets every pair counts, unless they are `paired`:
    the k-th of both then show one scene, are not independent, and are left out as well (eq. 4 with n = m).
    """
    _check_features(a, b)
    if paired and len(a) != len(b):
        raise SettingsError(
            f"{len(a)} and {len(b)} samples are not pairs. Give as many of one as of the other, of pictures of equal "
            "size."
        )
    a, b = a.double(), b.double()
    kernel = lambda x, y: (x @ y.T / (width or a.shape[1]) + 1) ** 3  # noqa: E731
    between = _off_diagonal_mean(kernel(a, b)) if paired else kernel(a, b).mean()
    return (_off_diagonal_mean(kernel(a, a)) + _off_diagonal_mean(kernel(b, b)) - 2 * between).item()


def _off_diagonal_mean(square: Tensor) -> Tensor:
    n = len(square)
    return (square.sum() - square.diagonal().sum()) / (n * (n - 1))


def frechet(a: Tensor, b: Tensor) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of (n, d) and (m, d) features; Heusel et al. 2017, eq. 6.

    With Inception's features this is FID. tr (S1 S2)^(1/2) is the sum of the roots of S1's and S2's joint spectrum.
    """
    _check_features(a, b)
    a, b = a.double(), b.double()
    s1, s2 = a.T.cov(), b.T.cov()
    values, vectors = torch.linalg.eigh(s1)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    joint = torch.linalg.eigvalsh(root @ s2 @ root).clamp(min=0).sqrt().sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + s1.trace() + s2.trace() - 2 * joint).item()


def _check_sets(results: Pictures, references: Pictures) -> None:
    if min(len(results), len(references)) < 2:
        raise SettingsError(
            f"Sets of {len(results)} and {len(references)} pictures were given, and a distance between distributions "
            "needs two or more in each. Choose a folder with more pictures, or LPIPS for a single pair."
        )


def _check_features(a: Tensor, b: Tensor) -> None:
    fits = a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1] and min(len(a), len(b)) >= 2
    if not fits:
        raise SettingsError(
            f"Features of shapes {tuple(a.shape)} and {tuple(b.shape)} are not two sets of two or more rows of equal "
            "length, so no distance can be taken. Compute both with the same network."
        )
