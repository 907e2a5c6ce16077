"""The project's own small networks: a predictor g(y) and one denoiser of x0 - g(y) that drives every process.

Any of our processes, seen as u = (x_t - b y)/a = x0 + level eps with level = s/a, is the clean picture behind plain
Gaussian noise. One denoiser trained over all levels therefore serves them all (spec: "one denoiser drives every
process"); the preconditioning follows Karras et al. 2022 (EDM, eq. 7) about g instead of about zero:

    d^2 = level^2 + sd^2,        sd = deviation of x0 - g(y) over the training set
    D(u, level, g, y) = g + (sd^2/d^2)(u - g) + (level sd/d) F((u - g)/d, g, y; log level)

so D -> g as level -> infinity and D -> u as level -> 0. All pictures here are RGB in [-1, 1].

The shipped U-Nets have no normalisation and no attention: what they do to a pixel depends on its neighbourhood only,
so a picture in tiles gives the same numbers as the picture whole (DvSR's reason for the same choice).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.networks import spectrum
from restore_core.networks.base import Architecture, StateDict, count
from restore_core.networks.compact_blocks import BLOCKS, kind_of
from restore_core.networks.layers import in_float32, on_multiple, sinusoids

LEVEL_RANGE = (1e-3, 20.0)  # noise levels told to the denoiser; beyond, the input is picture or noise alone
EMBEDDING = 128
FREQUENCIES = 32


class CompactUNet(nn.Module):
    """U-Net of residual blocks on pixel-unshuffled input: (N, C, H, W) -> (N, 3, H, W), any size.

    channels    C of the input
    unshuffle   r: the network works on r x r pixels at a time (4 for x4 super-resolution, where they hold one)
    widths      channels of each level, finest first
    depths      blocks of each level on the way down; the way up has as many, but for the deepest
    levels      whether it is told a noise level
    spectra     whether it is told the power spectrum of the degraded picture
    block       what it is made of, one of compact_blocks.BLOCKS
    """

    def __init__(
        self,
        channels: int,
        unshuffle: int,
        widths: Sequence[int],
        depths: Sequence[int],
        *,
        levels: bool = False,
        spectra: bool = False,
        block: str = "plain",
    ):
        super().__init__()
        self.unshuffle = unshuffle
        self.multiple = unshuffle * 2 ** (len(widths) - 1)
        embedding = EMBEDDING if levels or spectra else 0
        self.embed = _embedder(2 * FREQUENCIES) if levels else None
        self.embed_spectrum = _embedder(spectrum.SIZE) if spectra else None
        frequencies = torch.exp(torch.linspace(math.log(0.5), math.log(50), FREQUENCIES))
        self.register_buffer("frequencies", frequencies, persistent=False)
        stages = [_stage(block, w, n, embedding) for w, n in zip(widths, depths, strict=True)]
        self.head = nn.Conv2d(channels * unshuffle**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(stages)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.grow = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(
            _stage(block, w, n, embedding) for w, n in zip(widths[:-1], depths[:-1], strict=True)
        )
        self.tail = nn.Conv2d(widths[0], 3 * unshuffle**2, 3, padding=1)
        # pictures have a deviation of about 1/2: features of about 1 reach the bend of SiLU, and with smaller ones the
        # network stays at the best linear filter for a thousand updates (weights/README.md)
        nn.init.normal_(self.head.weight, std=math.sqrt(3 / self.head.weight[0].numel()))
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor, level: Tensor | None = None, power: Tensor | None = None) -> Tensor:
        """x (N, C, H, W); where the network is told them: level (N,) in the units of x, power (N, spectrum.SIZE).

        Either may be one for all pictures, (1, ...), which is faster.
        """
        return on_multiple(self._run, x, self.multiple, level, power)

    def _told(self, level: Tensor | None, power: Tensor | None) -> Tensor | None:
        parts = []
        with in_float32(self.head.weight.device):
            if self.embed is not None:
                parts.append(self.embed(sinusoids(level.clamp(*LEVEL_RANGE).log() / 4, self.frequencies)))
            if self.embed_spectrum is not None:
                parts.append(self.embed_spectrum(power))
        return sum(parts) if parts else None

    def _run(self, x: Tensor, level: Tensor | None, power: Tensor | None) -> Tensor:
        e = self._told(level, power)
        h = self.head(F.pixel_unshuffle(x, self.unshuffle))
        skips = []
        for k, blocks in enumerate(self.down):
            for block in blocks:
                h = block(h, e)
            if k < len(self.shrink):
                skips.append(h)
                h = self.shrink[k](h)
        for k in reversed(range(len(self.up))):
            h = F.pixel_shuffle(self.grow[k](h), 2) + skips[k]
            for block in self.up[k]:
                h = block(h, e)
        return F.pixel_shuffle(self.tail(h), self.unshuffle)


def _stage(block: str, width: int, blocks: int, embedding: int) -> nn.ModuleList:
    return nn.ModuleList(BLOCKS[block](width, embedding) for _ in range(blocks))


def _embedder(numbers: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(numbers, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING), nn.SiLU())


class CompactModel(nn.Module):
    """Predictor g and residual denoiser D, with the two deviations that precondition D.

    sd        deviation of x0 - g(y) over the training set, measured while training
    data_sd   the same of x0 itself: takes the place of sd where the condition is dropped (y = g = 0)
    """

    bytes_per_pixel = 350  # the predictor; the denoiser takes 210

    def __init__(self, predictor: CompactUNet, denoiser: CompactUNet):
        super().__init__()
        self.predictor = predictor
        self.denoiser = denoiser
        self.register_buffer("sd", torch.tensor(0.15))
        self.register_buffer("data_sd", torch.tensor(0.5))

    def describe(self, y: Tensor) -> Tensor:
        """What the networks are told of the whole degraded picture, (N, K); K = 0 where they are told nothing."""
        told = self.predictor.embed_spectrum is not None
        return spectrum.power_spectrum(y) if told else y.new_zeros(len(y), 0)

    def predict(self, y: Tensor, power: Tensor | None = None) -> Tensor:
        """g(y) = y + network(y): the picture without any sampling. y (N, 3, H, W) in [-1, 1].

        power   describe(y) of the whole picture, where y is a tile of it
        """
        return y + self.predictor(y, None, self.describe(y) if power is None else power).float()

    def denoise(
        self, r: Tensor, a: Tensor, s: Tensor, g: Tensor, y: Tensor, power: Tensor | None = None
    ) -> Tensor:
        """D, the expected clean picture, seen from the state of any process: r = x - b anchor - a g = a (u - g).

        r, g, y (N, 3, H, W); a, s (N,) or 0-d, s > 0. Written in r rather than u, so that a = 0 is no exception.
        """
        power = self.describe(y) if power is None else power
        a, s = (torch.as_tensor(c).to(r, non_blocking=True).reshape(-1, 1, 1, 1) for c in (a, s))
        level = (s / a).clamp(max=LEVEL_RANGE[1]).reshape(-1)
        raw = self.denoiser(self.network_input(r, a, s, g, y, self.sd), level, power).float()
        return self.estimate(raw, r, a, s, g, self.sd)

    @staticmethod
    def network_input(r: Tensor, a: Tensor, s: Tensor, g: Tensor, y: Tensor, sd: Tensor) -> Tensor:
        """What F sees, (N, 9, H, W): [r/n, g, y] with n = a d = sqrt(s^2 + a^2 sd^2)."""
        return torch.cat([r / _spread(a, s, sd), g, y], dim=1)

    @staticmethod
    def estimate(raw: Tensor, r: Tensor, a: Tensor, s: Tensor, g: Tensor, sd: Tensor) -> Tensor:
        """D from F's raw output: g + (a sd^2/n^2) r + (s sd/n) raw."""
        n = _spread(a, s, sd)
        return g + a * (sd / n) ** 2 * r + s * sd / n * raw

    @staticmethod
    def target(x0: Tensor, r: Tensor, a: Tensor, s: Tensor, g: Tensor, sd: Tensor) -> Tensor:
        """The raw output that would make the estimate equal x0."""
        n = _spread(a, s, sd)
        return (x0 - g - a * (sd / n) ** 2 * r) * n / (s * sd)


def _spread(a: Tensor, s: Tensor, sd: Tensor) -> Tensor:
    return (s**2 + a**2 * sd**2).sqrt()


PREDICTORS: Mapping[int, dict[str, Any]] = {  # by unshuffle: where pixels are known 4 x 4 at a time, stay there
    4: dict(unshuffle=4, widths=(64,), depths=(24,)),
    2: dict(unshuffle=2, widths=(64, 96, 128), depths=(2, 2, 4)),
}
DENOISER: Mapping[str, Any] = dict(unshuffle=2, widths=(48, 96), depths=(1, 6))


def new(unshuffle: int, *, spectra: bool = False) -> CompactModel:
    """An untrained compact model with the shipped sizes; `spectra`: told the degraded picture's power spectrum."""
    predictor = CompactUNet(3, **PREDICTORS[unshuffle], spectra=spectra)
    return CompactModel(predictor, CompactUNet(9, **DENOISER, levels=True, spectra=spectra))


def _unet(state: StateDict, prefix: str) -> CompactUNet:
    head, tail = state[f"{prefix}head.weight"], state[f"{prefix}tail.weight"]
    unshuffle = math.isqrt(tail.shape[0] // 3)
    stages = count(state, f"{prefix}down.", ".0.leave.weight")
    widths = [state[f"{prefix}down.{k}.0.leave.weight"].shape[0] for k in range(stages)]
    depths = [count(state, f"{prefix}down.{k}.", ".leave.weight") for k in range(stages)]
    block = kind_of(state, f"{prefix}down.0.0.")
    told = {"levels": f"{prefix}embed.0.weight" in state, "spectra": f"{prefix}embed_spectrum.0.weight" in state}
    return CompactUNet(head.shape[1] // unshuffle**2, unshuffle, widths, depths, block=block, **told)


def build(state: StateDict, config: Mapping[str, Any]) -> CompactModel:
    """The module whose parameters have the names and shapes of `state`; weights not filled in."""
    return CompactModel(_unet(state, "predictor."), _unet(state, "denoiser."))


ARCHITECTURE = Architecture(
    key="compact", signature=("predictor.head.weight", "denoiser.embed.0.weight", "sd"), build=build
)
