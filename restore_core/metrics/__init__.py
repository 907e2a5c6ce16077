"""METRICS: what a result is worth, each number with its direction and whether it needs the original.

Consistency is not in the table, for it needs the damage as well: `consistency_with(y, operator)` makes its record.
Neither are distances between sets of pictures (`distribution`) nor the length of a run's way (`path`).
"""

from __future__ import annotations

from collections.abc import Mapping

from restore_core.metrics.base import Metric
from restore_core.metrics.consistency import consistency, consistency_with
from restore_core.metrics.defects import BLOCKINESS, NOISE, SHARPNESS, blockiness, edge_blur, noise, sharpness
from restore_core.metrics.distribution import (
    frechet,
    kernel_distance,
    lpips_features,
    perceptual_kernel_distance,
    sliced_wasserstein,
)
from restore_core.metrics.fidelity import MS_SSIM, PSNR, PSNR_Y, SSIM, ms_ssim, psnr, psnr_y, ssim
from restore_core.metrics.natural import NIQE, niqe
from restore_core.metrics.operators import operator_between
from restore_core.metrics.path import PathLength
from restore_core.metrics.perceptual import LPIPS, lpips

METRICS: Mapping[str, Metric] = {
    metric.key: metric for metric in (PSNR, PSNR_Y, SSIM, MS_SSIM, LPIPS, NIQE, NOISE, SHARPNESS, BLOCKINESS)
}

__all__ = [
    "METRICS",
    "Metric",
    "PathLength",
    "blockiness",
    "consistency",
    "consistency_with",
    "edge_blur",
    "frechet",
    "kernel_distance",
    "lpips",
    "lpips_features",
    "ms_ssim",
    "niqe",
    "noise",
    "operator_between",
    "perceptual_kernel_distance",
    "psnr",
    "psnr_y",
    "sharpness",
    "sliced_wasserstein",
    "ssim",
]
