"""Restoration guidance: at every guess, the flat parts of the picture are pulled back to a faithful one.

    L(x0) = 1/2 sum W |dec(x0) - target|^2,        x0 <- x0 - s alpha grad L,        eps derived again from x0

Lin et al. 2024 (DiffBIR), section 3.3. W is 1 where the target is flat and falls to 0 at its edges and texture, which
stay free. dec is the identity where x0 and target live in one space (then alpha = 1 and the error shrinks by 1 - s W in
every pixel), or a decoder: then alpha takes L to its least along the gradient, so s = 1 is the longest step that helps
whatever the picture's size. (The published step grows as 1/pixels, and is tied to one sampler's posterior mean.)

It acts on the guess of x0 alone, so every sampler, process and parameterisation can have it: Problem.guide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.settings import Option

GREY = (0.2989, 0.587, 0.114)
PROBE = 1e-2  # length of the trial step that measures how a decoder answers, as a share of x0's own deviation

SCALE = Option(
    "guidance", "Restoration guidance", 0.0, 0.0, 1.0, 0.05,
    help="How strongly flat areas are held to the plain first restoration. 0: free. 1: only edges and texture are new.",
)  # fmt: skip
START = Option(
    "guidance_start", "Guidance begins at", 1.0, 0.0, 1.0, 0.05,
    help="Share of the noise at which it sets in. 1: from the first step.",
)  # fmt: skip
STOP = Option(
    "guidance_stop", "Guidance ends at", 0.0, 0.0, 1.0, 0.05,
    help="Share of the noise at which it lets go. 0: held to the last step.",
)  # fmt: skip
RANGE = (START, STOP)


def flatness(target: Tensor) -> Tensor:
    """W (N, 1, H, W) of target (N, 3, H, W), RGB in [0, 1]: 1 - tanh(sum over 2 x 2 pixels of the Sobel gradient).

    Odd sides are grown by repetition for the blocks.
    """
    grey = (target * torch.tensor(GREY, dtype=target.dtype, device=target.device)[:, None, None]).sum(1, keepdim=True)
    across = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=target.dtype, device=target.device)
    kernels = torch.stack([across, across.T])[:, None]
    slopes = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), kernels)
    steepness = slopes.square().sum(dim=1, keepdim=True).sqrt()
    height, width = target.shape[-2:]
    grown = F.pad(steepness, (0, width % 2, 0, height % 2), mode="replicate")
    blocks = (4 * F.avg_pool2d(grown, 2)).tanh()
    return 1 - F.interpolate(blocks, scale_factor=2, mode="nearest")[..., :height, :width]


@dataclass(frozen=True)
class Guidance:
    """The pull of one picture: guidance(x0, share) -> x0, share = t/steps.

    target        in the space where it is compared (N, C, H, W)
    weight        W (N, 1, H, W) in [0, 1]
    scale         s in [0, 1]
    start, stop   it acts where stop <= share <= start
    repeat        how often a step is repeated
    coder         None: x0 is compared with the target itself; else what leads from x0 to the target's space and back
    """

    target: Tensor
    weight: Tensor
    scale: float
    start: float = 1.0
    stop: float = 0.0
    repeat: int = 1
    coder: Coder | None = None

    def __post_init__(self) -> None:
        if self.stop > self.start:
            raise SettingsError(
                f"Guidance is to end at {self.stop:g} of the noise and to begin at {self.start:g}, and noise only "
                f"falls, so it would never act. Choose an end at or below the beginning."
            )

    def __call__(self, x0: Tensor, share: float) -> Tensor:
        """x0 pulled towards the target; unchanged outside the range."""
        if not self.scale or not self.stop <= share <= self.start:
            return x0
        for _ in range(self.repeat):
            x0 = x0 - self.scale * (self._near(x0) if self.coder is None else self._through(x0, self.coder))
        return x0

    def _near(self, x0: Tensor) -> Tensor:
        return self.weight * (x0 - self.target)

    def _through(self, x0: Tensor, coder: Coder) -> Tensor:
        """alpha grad L with alpha = <g, g>/<J g, W J g>: least L along g, J g measured by a short trial step."""
        g = coder.gradient(x0, self.target, self.weight)
        length = g.norm()
        if length == 0:
            return g
        trial = PROBE * x0.std(correction=0).clamp(min=1e-3) * x0.numel() ** 0.5 / length
        answer = (coder.decode(x0 + trial * g) - coder.decode(x0)) / trial
        return g * (length**2 / (self.weight * answer.square()).sum().clamp(min=1e-12))


@dataclass(frozen=True)
class Coder:
    """From x0 to the target's space.

    decode     x0 -> picture
    gradient   (x0, target, weight) -> grad of 1/2 sum W |decode(x0) - target|^2 in x0
    """

    decode: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor, Tensor], Tensor]


def gradient(decode: Callable[[Tensor], Tensor], x0: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Of 1/2 sum W |decode(x0) - target|^2 in x0, by way of the decoder; sound inside torch.no_grad."""
    with torch.enable_grad():
        x0 = x0.detach().requires_grad_()
        loss = 0.5 * (weight * (decode(x0) - target).square()).sum()
        (slope,) = torch.autograd.grad(loss, x0)
    return slope
