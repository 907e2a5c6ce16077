"""What is wrong with a picture, estimated from it alone: noise, softness, JPEG blocks.

Each is a physical quantity with a unit rather than a score, measured where it shows: noise in the smoothest blocks,
sharpness at the steepest edges, blocks on the best fitting 8 x 8 grid.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.metrics.base import Metric, check_rgb, check_size
from restore_core.metrics.filters import gaussian_blur, luma

SMALLEST = 32
NOISE_BLOCK = 16
SMOOTHEST = 0.1  # share of the blocks that noise is measured in
FEWEST_BLOCKS = 8
CLIPPED_SHARE = 0.1  # blocks with more black or white pixels hide their noise
# Lower quartile of the response's mean square over 16 x 16 px of unit white noise: 256 px are worth 256 / 3.78 = 68
# independent ones (3.78: squared autocorrelation of the mask, summed), 1 - 0.674 sqrt(2 / 68).
LOWER_QUARTILE = 0.884
FINE, COARSE = 1.0, 2.0  # px, the two blurs whose gradients are compared
EDGE_TO_NOISE = 6.0
WEAKEST_EDGE = 2.0  # grey levels per px after the coarse blur
FEWEST_EDGES = 20
GRID = 8
LARGEST_STEP = 8.0  # grey levels; larger steps are edges of things, not of blocks


def noise(image: Tensor) -> Tensor:
    """Standard deviation of the noise in grey levels (0 to 255), (N,), root mean square over R, G and B.

    Immerkaer's difference of Laplacians (1996) in blocks of 16 px. Blocks are chosen by their gradient *after*
    averaging 5 x 5 px, which white noise hardly reaches, so that the choice does not favour quiet blocks; of the
    smoothest tenth the lower quartile is taken, because fine texture only adds. Noise whose finest scale is gone
    (strong JPEG, enlargement) is under-estimated; fur from edge to edge passes for a little noise.
    """
    check_rgb(image)
    check_size(image, SMALLEST, "an estimate of noise")
    return torch.stack([_noise_variance(picture) for picture in image.float() * 255]).sqrt()


def _noise_variance(picture: Tensor) -> Tensor:
    """Mean over channels of the noise variance; picture is (3, H, W) in grey levels."""
    planes = picture[:, None]
    inner = planes[..., 4:-4, 4:-4]
    energy = _block_mean(_laplacian_difference(planes)[..., 3:-3, 3:-3].square())
    structure = _block_mean(_coarse_gradient(planes))
    clipped = _block_mean(((inner < 0.5) | (inner > 254.5)).float())
    return torch.stack([_smooth_quartile(*of) for of in zip(energy, structure, clipped, strict=True)]).mean()


def _smooth_quartile(energy: Tensor, structure: Tensor, clipped: Tensor) -> Tensor:
    usable = clipped < CLIPPED_SHARE
    if not usable.any():
        return energy.new_zeros(())
    energy, structure = energy[usable], structure[usable]
    count = min(len(energy), max(FEWEST_BLOCKS, round(SMOOTHEST * len(energy))))
    smoothest = structure.argsort()[:count]
    return energy[smoothest].quantile(0.25) / LOWER_QUARTILE


def _laplacian_difference(planes: Tensor) -> Tensor:
    """[1 -2 1] along both axes, over 6: blind to ramps and to upright or level edges; keeps white noise's variance."""
    taps = planes.new_tensor([1.0, -2.0, 1.0])
    return F.conv2d(planes, (taps[:, None] * taps / 6)[None, None])


def _coarse_gradient(planes: Tensor) -> Tensor:
    """Squared gradient of 5 x 5 means over 4 px; 4 px are lost on every side."""
    mean = F.avg_pool2d(planes, 5, stride=1)
    across = mean[..., 2:-2, 4:] - mean[..., 2:-2, :-4]
    down = mean[..., 4:, 2:-2] - mean[..., :-4, 2:-2]
    return across.square() + down.square()


def _block_mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, NOISE_BLOCK, stride=NOISE_BLOCK // 2).flatten(1)


def sharpness(image: Tensor) -> Tensor:
    """Steepness of the strongest edges, (N,): 1 / sqrt(1 + s^2) for steps blurred by a Gaussian of s px.

    1 is a perfect step, 0.7 a blur of 1 px, 0.45 of 2 px, 0.32 of 3 px; fine lines and haloes may pass 1. From the
    ratio R of gradients after blurs of 1 and 2 px (Zhuo and Sim 2011, eq. 4): R^2 = (s^2 + 4)/(s^2 + 1), median over
    the stronger half of the edges that rise above the noise. 0 if there are none.
    """
    check_rgb(image)
    check_size(image, SMALLEST, "an estimate of sharpness")
    return torch.stack([_sharpness_of(picture[None]) for picture in image.float()])


def edge_blur(image: Tensor) -> Tensor:
    """The blur in px that `sharpness` stands for, (N,): sqrt(1 / sharpness^2 - 1), 0 where it passes 1, inf at 0."""
    return (1 / sharpness(image).square() - 1).clamp(min=0).sqrt()


def _sharpness_of(image: Tensor) -> Tensor:
    y = 255 * luma(image)
    fine, coarse = (_gradient(gaussian_blur(y, std)) for std in (FINE, COARSE))
    steepness = coarse.square().sum(dim=0).sqrt()
    # deviation of a derivative of white noise after a Gaussian blur; the noise of luma is below that of R, G, B
    floor = noise(image)[0] / (math.sqrt(8 * math.pi) * COARSE**2)
    ridge = steepness >= F.max_pool2d(steepness[None, None], 3, stride=1, padding=1)[0, 0]
    edges = ridge & (steepness > (EDGE_TO_NOISE * floor).clamp(min=WEAKEST_EDGE))
    if edges.sum() < FEWEST_EDGES:
        return steepness.new_zeros(())
    edges &= steepness >= steepness[edges].median()
    # the fine gradient along the coarse one: its noise averages out, that of its length would not
    ratio = ((fine * coarse).sum(dim=0)[edges] / steepness[edges].square()).median()
    return ((ratio.square() - 1) * FINE**2 / (COARSE**2 - FINE**2)).clamp(min=0).sqrt()


def _gradient(y: Tensor) -> Tensor:
    """Central differences (2, H - 2, W - 2) of (1, 1, H, W)."""
    y = y[0, 0]
    return torch.stack([y[1:-1, 2:] - y[1:-1, :-2], y[2:, 1:-1] - y[:-2, 1:-1]]) / 2


def blockiness(image: Tensor) -> Tensor:
    """Extra step across the lines of an 8 px grid in grey levels of luma, (N,): below 0.1 without JPEG, 1 visible.

    The mean step between neighbours on the grid's lines, less that of the pairs beside them (cf. Wang, Bovik, Evans
    2000), each limited to 8 grey levels; the grid's phase is the one that fits best, so that cropped files count too.
    """
    check_rgb(image)
    check_size(image, SMALLEST, "an estimate of JPEG blocks")
    y = 255 * luma(image.float())[:, 0]
    return (_grid_step(y) + _grid_step(y.transpose(1, 2))) / 2


def _grid_step(y: Tensor) -> Tensor:
    """Of vertical lines: best phase of eight against the middle one, (N, H, W) -> (N,)."""
    step = y.diff(dim=2).abs()
    extra = step[..., 1:-1] - (step[..., :-2] + step[..., 2:]) / 2
    extra = extra.clamp(-LARGEST_STEP, LARGEST_STEP)
    phases = torch.stack([extra[..., phase::GRID].mean(dim=(1, 2)) for phase in range(GRID)])
    return phases.amax(dim=0) - phases.median(dim=0).values


NOISE = Metric(
    "noise", "Noise", "lower", "grey levels", False, noise, "Immerkaer 1996, in the smoothest blocks"
)
SHARPNESS = Metric(
    "sharpness", "Edge sharpness", "higher", "", False, sharpness, "after Zhuo and Sim 2011, eq. 4"
)
BLOCKINESS = Metric(
    "blockiness", "JPEG blocks", "lower", "grey levels", False, blockiness, "after Wang, Bovik, Evans 2000"
)
